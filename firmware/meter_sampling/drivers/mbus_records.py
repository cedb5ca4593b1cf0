"""The variable data structure of M-Bus replies (EN 13757-3 §6): header and records become integers.

A record is DIF, DIFEs, VIF, VIFEs, data. What it says of itself (function, storage, tariff, subunit) is kept,
its VIF becomes a dimension and a power of ten, and its data a signed integer, a REAL4's bits or None. Records
of other dimensions (dates, hours, manufacturers' own) are stepped over: their length is known without them.
Sources of the tables: EN 13757-3:2013 Tables 4-12; M-Bus Documentation Rev. 4.8 §6.3, §8.4.
"""

from meter_sampling.drivers.bcd import bcd
from meter_sampling.drivers.words import binary32
from meter_sampling.instrument_error import InstrumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CI_LONG_HEADER = 0x72
CI_SHORT_HEADER = 0x7A
CI_NO_HEADER = 0x78
CI_ERROR = 0x70

LONG_HEADER_LENGTH = 12
SHORT_HEADER_LENGTH = 4
MAX_EXTENSIONS = 10

EXTENSION = 0x80
MANUFACTURER_DATA = 0x0F
MORE_FOLLOWS = 0x1F
FILLER = 0x2F
PLAIN_TEXT = 0x7C
TABLE_FB = 0xFB
TABLE_FD = 0xFD

INSTANTANEOUS = 0

_SIZES = (0, 1, 2, 3, 4, 4, 6, 8, 0, 1, 2, 3, 4, None, 6)
"""Bytes of data by the DIF's low nibble; 0DH says its length in the data, 0FH is no data at all."""

_REAL4 = 5
_VARIABLE = 0x0D

# dimension, first VIF, last VIF, power of ten of the first
_PRIMARY = (
    ("energy_wh", 0x00, 0x07, -3),
    ("energy_j", 0x08, 0x0F, 0),
    ("volume", 0x10, 0x17, -6),
    ("mass", 0x18, 0x1F, -3),
    ("power_w", 0x28, 0x2F, -3),
    ("flow_per_hour", 0x38, 0x3F, -6),
    ("flow_per_minute", 0x40, 0x47, -7),
    ("flow_per_second", 0x48, 0x4F, -9),
    ("mass_flow", 0x50, 0x57, -3),
    ("flow_temperature", 0x58, 0x5B, -3),
    ("return_temperature", 0x5C, 0x5F, -3),
    ("temperature_difference", 0x60, 0x63, -3),
    ("external_temperature", 0x64, 0x67, -3),
    ("pressure_bar", 0x68, 0x6B, -3),
)
_FB = (
    ("energy_wh", 0x00, 0x01, 5),
    ("energy_j", 0x08, 0x09, 8),
    ("volume", 0x10, 0x11, 2),
    ("mass", 0x18, 0x19, 5),
    ("power_w", 0x28, 0x29, 5),
)

_CORRECTION = (0x70, 0x77, -6)
_THOUSAND = 0x7D


class Header:
    """Of a long header; a short one has no identification, and a reply without a header no status."""

    def __init__(self, identification: "str | None", maker: str, version: int, medium: int, status: int) -> None:
        self.identification = identification
        self.maker = maker
        self.version = version
        self.medium = medium
        self.status = status


class Record:
    def __init__(
        self,
        place: "tuple[int, int, int, int]",
        dimension: "str | None",
        exponent: int,
        modifiers: "tuple[int, ...]",
        value: "int | None",
        is_real: bool,
    ) -> None:
        """`place` is (function, storage, tariff, subunit); `modifiers` are VIFEs that are no powers of ten."""
        self.place = place
        self.dimension = dimension
        self.exponent = exponent
        self.modifiers = modifiers
        self.value = value
        self.is_real = is_real

    def scaled(self, factor: int, decimals: int) -> "int | None":
        """value x 10^exponent x factor in units of 10^-decimals; ValueError if that is no integer.

        A REAL4 is rounded to the nearest unit: it never was exact.
        """
        shift = self.exponent + decimals
        if self.value is None:
            return None
        if shift < 0:
            steps: int = 10**-shift
            if self.is_real or self.value * factor % steps:
                raise ValueError("resolution")
            return self.value * factor // steps
        if self.is_real:
            return binary32(self.value, factor * 10**shift)
        scaled: int = self.value * factor * 10**shift
        return scaled


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    @property
    def at_end(self) -> bool:
        return self._position >= len(self._data)

    def byte(self) -> int:
        return self.take(1)[0]

    def take(self, count: int) -> bytes:
        taken = self._data[self._position : self._position + count]
        if len(taken) != count:
            raise InstrumentError("bad_record")
        self._position += count
        return taken


def parse(ci: int, data: bytes) -> "tuple[Header, list[Record], bool]":
    """Header, records, and whether the meter has more of them in its next telegram."""
    if ci == CI_ERROR:
        raise InstrumentError("instrument_refused", data[0] if data else 0)
    if ci not in (CI_LONG_HEADER, CI_SHORT_HEADER, CI_NO_HEADER):
        raise InstrumentError("wrong_function")
    reader = _Reader(data)
    header = _header(ci, reader)
    records: "list[Record]" = []
    while not reader.at_end:
        dif = reader.byte()
        if dif == FILLER:
            continue
        if dif in (MANUFACTURER_DATA, MORE_FOLLOWS):
            return header, records, dif == MORE_FOLLOWS
        if dif & 0x0F == 0x0F:
            raise InstrumentError("bad_record")
        records.append(_record(dif, reader))
    return header, records, False


def _header(ci: int, reader: _Reader) -> Header:
    if ci == CI_NO_HEADER:
        return Header(None, "", 0, 0, 0)
    if ci == CI_SHORT_HEADER:
        fixed = reader.take(SHORT_HEADER_LENGTH)
        header = Header(None, "", 0, 0, fixed[1])
    else:
        fixed = reader.take(LONG_HEADER_LENGTH)
        number = bcd(fixed[:4])
        identification = None if number is None else "%08d" % number
        header = Header(identification, maker_letters(fixed[4] | fixed[5] << 8), fixed[6], fixed[7], fixed[9])
    # The configuration word's mode bits: anything but 0 is an encrypted telegram.
    if fixed[-1] & 0x1F:
        raise InstrumentError("encrypted")
    return header


def maker_letters(code: int) -> str:
    """EN 62056-21's three capital letters, five bits each."""
    return "".join(chr(64 + (code >> shift & 0x1F)) for shift in (10, 5, 0))


def _record(dif: int, reader: _Reader) -> Record:
    kind = dif & 0x0F
    function = dif >> 4 & 3
    storage, tariff, subunit = dif >> 6 & 1, 0, 0
    extensions = _extensions(dif, reader)
    for index in range(len(extensions)):
        extension = extensions[index]
        storage |= (extension & 0x0F) << (1 + 4 * index)
        tariff |= (extension >> 4 & 3) << (2 * index)
        subunit |= (extension >> 6 & 1) << index
    dimension, exponent, modifiers = _value_information(reader)
    value = _value(kind, reader)
    return Record((function, storage, tariff, subunit), dimension, exponent, modifiers, value, kind == _REAL4)


def _extensions(first: int, reader: _Reader) -> "list[int]":
    """The bytes that follow while the extension bit is set, without that bit."""
    found: "list[int]" = []
    byte = first
    while byte & EXTENSION:
        if len(found) == MAX_EXTENSIONS:
            raise InstrumentError("bad_record")
        byte = reader.byte()
        found.append(byte & 0x7F)
    return found


def _value_information(reader: _Reader) -> "tuple[str | None, int, tuple[int, ...]]":
    vif = reader.byte()
    if vif & 0x7F == PLAIN_TEXT:
        reader.take(reader.byte())
    extensions = _extensions(vif, reader)
    table: "tuple[tuple[str, int, int, int], ...]" = _PRIMARY
    code = vif & 0x7F
    if vif in (TABLE_FB, TABLE_FD):
        table = _FB if vif == TABLE_FB else ()
        code = extensions.pop(0)
    dimension, exponent = _look_up(table, code)
    modifiers = []
    for extension in extensions:
        if _CORRECTION[0] <= extension <= _CORRECTION[1]:
            exponent += extension - _CORRECTION[0] + _CORRECTION[2]
        elif extension == _THOUSAND:
            exponent += 3
        else:
            modifiers.append(extension)
    return dimension, exponent, tuple(modifiers)


def _look_up(table: "tuple[tuple[str, int, int, int], ...]", code: int) -> "tuple[str | None, int]":
    for dimension, first, last, exponent in table:
        if first <= code <= last:
            return dimension, exponent + code - first
    return None, 0


def _value(kind: int, reader: _Reader) -> "int | None":
    if kind == _VARIABLE:
        return _variable(reader)
    size: "Any" = _SIZES[kind]
    data = reader.take(size)
    if kind == _REAL4:
        return int.from_bytes(data, "little")
    if kind > 8:
        return _signed_bcd(data)
    return _signed_binary(data)


def _signed_binary(data: bytes) -> "int | None":
    """Type B; the lowest number means that there is no value."""
    if not data:
        return None
    value = int.from_bytes(data, "little")
    lowest = 1 << (8 * len(data) - 1)
    if value == lowest:
        return None
    return value - 2 * lowest if value > lowest else value


def _signed_bcd(data: bytes) -> "int | None":
    """Type A; FH in the highest place is a minus sign, any other letter means that there is no value."""
    if data[-1] >> 4 != 0x0F:
        return bcd(data)
    value = bcd(data[:-1] + bytes((data[-1] & 0x0F,)))
    return None if value is None else -value


def _variable(reader: _Reader) -> "int | None":
    """LVAR (EN 13757-3 Table 5): texts are stepped over, numbers are read."""
    length = reader.byte()
    if length < 0xC0:
        reader.take(length)
        return None
    count = length & 0x0F
    if length >= 0xF0 or (length < 0xE0 and not 1 <= count <= 9):
        raise InstrumentError("bad_record")
    data = reader.take(count)
    if length >= 0xE0:
        return _signed_binary(data)
    value = bcd(data)
    return -value if value is not None and length >= 0xD0 else value

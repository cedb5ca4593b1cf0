"""Electricity meters that speak DL/T 645-2007 over RS-485, 2400 baud 8E1 unless set otherwise.

Sources: DL/T 645-2007 §5.2 (frame), §6.3 and Annex C (control codes, error byte), Annex A (data identifiers and
formats); published frames in the tests; the library dlt645 (PyPI) as an independent reading of the norm.

Frame: 68 A0..A5 68 C L data CS 16. Address and values are packed decimals, lowest byte first; 33H is added to
each byte of the data; CS is the sum of all bytes before it. FE bytes before a frame wake the receiver and, like
whatever else precedes it, mean nothing. The length says where a frame ends: data and checksum may well be 16H.

Options, none of which is needed:
    ["address", "000000001234"]     the meter's twelve digits. The set's address is then 0.
    ["indications", name, ...]      which of ITEMS to read, each one request; DEFAULT_INDICATIONS otherwise.

A meter's address has more digits than a parameter set's address holds. Without the option that address is
the meter's if it fits, and 0 stands for the only meter on the line: its address is read (control code 13H).
"""

from meter_sampling.drivers.bcd import bcd, is_number, to_bcd
from meter_sampling.drivers.driver import REGISTER, SAMPLE, Driver, identity, wrong_identity
from meter_sampling.drivers.frame_68 import FROM_METER, START, STOP, meter_frame
from meter_sampling.drivers.settings import refuse_unless, settings
from meter_sampling.instrument_error import InstrumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from meter_sampling.drivers.driver import Faults, Identity, Indications, Limits, Values

ADDRESS_DIGITS = 12
ANYONE = b"\xaa" * 6
"""Wildcard in each digit: the meter that hears it answers, whoever it is."""

WAKE_UP = b"\xfe\xfe\xfe\xfe"
HEADER_LENGTH = 10
OFFSET = 0x33

READ_DATA = 0x11
READ_ADDRESS = 0x13
REFUSED = 0x40

NO_SUCH_DATA = 0x02
"""Bit of the error byte (Annex C.2): this meter does not have what was asked for."""

ENERGY_MODULUS = 10**8

ITEMS = (
    # indication, identifier, bytes, its top bit is the sign, quantity, exponent, modulus, lowest, highest
    (
        "active_energy_import",
        0x00010000,
        4,
        False,
        "active_energy_import",
        1,
        ENERGY_MODULUS,
        0,
        ENERGY_MODULUS - 1,
    ),
    (
        "active_energy_export",
        0x00020000,
        4,
        False,
        "active_energy_export",
        1,
        ENERGY_MODULUS,
        0,
        ENERGY_MODULUS - 1,
    ),
    (
        "reactive_energy_q1",
        0x00050000,
        4,
        False,
        "reactive_energy_lagging",
        1,
        ENERGY_MODULUS,
        0,
        ENERGY_MODULUS - 1,
    ),
    (
        "reactive_energy_q4",
        0x00080000,
        4,
        False,
        "reactive_energy_leading",
        1,
        ENERGY_MODULUS,
        0,
        ENERGY_MODULUS - 1,
    ),
    ("voltage_a", 0x02010100, 2, False, "voltage", -1, None, 0, 9999),
    ("voltage_b", 0x02010200, 2, False, "voltage", -1, None, 0, 9999),
    ("voltage_c", 0x02010300, 2, False, "voltage", -1, None, 0, 9999),
    ("current_a", 0x02020100, 3, True, "current", -3, None, -799999, 799999),
    ("current_b", 0x02020200, 3, True, "current", -3, None, -799999, 799999),
    ("current_c", 0x02020300, 3, True, "current", -3, None, -799999, 799999),
    ("active_power", 0x02030000, 3, True, "active_power", -1, None, -799999, 799999),
    ("active_power_a", 0x02030100, 3, True, "active_power", -1, None, -799999, 799999),
    ("active_power_b", 0x02030200, 3, True, "active_power", -1, None, -799999, 799999),
    ("active_power_c", 0x02030300, 3, True, "active_power", -1, None, -799999, 799999),
    ("reactive_power", 0x02040000, 3, True, "reactive_power", -1, None, -799999, 799999),
    ("apparent_power", 0x02050000, 3, True, "apparent_power", -1, None, -799999, 799999),
    ("power_factor", 0x02060000, 2, True, "power_factor", -3, None, -1000, 1000),
    ("frequency", 0x02800002, 2, False, "frequency", -2, None, 4500, 6500),
)
"""Energies are in 0.01 kWh (kvarh), powers in 0.1 W (var, VA): Annex A.1 and A.3."""

DEFAULT_INDICATIONS = (
    "active_energy_import",
    "active_energy_export",
    "voltage_a",
    "current_a",
    "active_power",
    "power_factor",
    "frequency",
)
"""What a single-phase meter has."""


def request(address: bytes, control: int, content: bytes = b"") -> bytes:
    frame = bytes((START,)) + address + bytes((START, control, len(content)))
    frame += bytes((byte + OFFSET) & 0xFF for byte in content)
    return frame + bytes((sum(frame) & 0xFF, STOP))


def reply(received: bytes, asked: bytes, control: int) -> "tuple[bytes, bytes] | None":
    """Address and plain data of the meter's reply to a request; None while it has not all come."""
    frame = meter_frame(received, HEADER_LENGTH, _is_header)
    if frame is None:
        return None
    address, answered = frame[1:7], frame[8]
    if asked not in (ANYONE, address):
        raise InstrumentError("wrong_address")
    content = bytes((byte - OFFSET) & 0xFF for byte in frame[HEADER_LENGTH:-2])
    if answered == control | FROM_METER | REFUSED:
        if len(content) != 1:
            raise InstrumentError("wrong_length")
        raise InstrumentError("instrument_refused", content[0])
    if answered != control | FROM_METER:
        raise InstrumentError("wrong_function")
    return address, content


def _is_header(header: bytes) -> bool:
    return header[7] == START


def identifier_bytes(identifier: int) -> bytes:
    return bytes(identifier >> shift & 0xFF for shift in (0, 8, 16, 24))


def convert(content: bytes, identifier: int, size: int, is_signed: bool) -> "int | None":
    """The value in the data of a reply; None where the meter sends no digits."""
    if content[:4] != identifier_bytes(identifier):
        raise InstrumentError("wrong_item")
    digits = content[4:]
    if len(digits) != size:
        raise InstrumentError("wrong_length")
    is_negative = is_signed and digits[-1] & 0x80
    if is_negative:
        digits = digits[:-1] + bytes((digits[-1] & 0x7F,))
    value = bcd(digits)
    return -value if is_negative and value is not None else value


class Dlt645(Driver):
    BUS = "serial"
    ADDRESSES = (0, 0xFFFFFFFF)
    ITEMS: "tuple[tuple[Any, ...], ...]" = ()
    METER: "str | None" = None

    def __init__(self, bus: "Any", address: int) -> None:
        super().__init__(bus, address)
        number = self.METER
        if number is None and address:
            number = "%012d" % address
        self._meter = None if number is None else to_bcd(number)
        self._is_given = number is not None

    async def _measure(self) -> "tuple[Values, Faults]":
        values: "Values" = {}
        for item in self.ITEMS:
            values[item[0]] = await self._read(item)
        return values, {}

    async def _read(self, item: "tuple[Any, ...]") -> "int | None":
        meter = await self._address_of_meter()
        _, identifier, size, is_signed = item[:4]

        def parse(received: bytes) -> "tuple[int | None] | None":
            answer = reply(received, meter, READ_DATA)
            return None if answer is None else (convert(answer[1], identifier, size, is_signed),)

        frame = WAKE_UP + request(meter, READ_DATA, identifier_bytes(identifier))
        try:
            (value,) = await self._bus.exchange(frame, parse)
        except InstrumentError as error:
            if error.reason == "instrument_refused" and error.code & NO_SUCH_DATA:
                return None
            raise
        return value  # type: ignore[no-any-return]

    async def _address_of_meter(self) -> bytes:
        if self._meter is None:
            self._meter = await self._bus.exchange(WAKE_UP + request(ANYONE, READ_ADDRESS), address_reply)
        return self._meter

    async def identify(self) -> "Identity":
        """The address is all that a meter must say of itself, and is its number on most nameplates."""
        if not self._is_given:
            self._meter = None
        meter = await self._address_of_meter()
        if self._is_given:
            await self._read(self.ITEMS[0])
        number = bcd(meter)
        if number is None:
            raise wrong_identity()
        return identity(None, "DL/T 645-2007", "%012d" % number, None)


def address_reply(received: bytes) -> "bytes | None":
    answer = reply(received, ANYONE, READ_ADDRESS)
    if answer is None:
        return None
    if len(answer[1]) != 6:
        raise InstrumentError("wrong_length")
    return answer[1]


def define(options: "list[list[Any]] | None") -> "type[Driver]":
    found = settings(options, ("address",), ("indications",))
    names: "list[Any]" = []
    for row in found["indications"]:
        names.extend(row)
    if not names:
        names.extend(DEFAULT_INDICATIONS)
    by_name = {item[0]: item for item in ITEMS}
    for name in names:
        refuse_unless(name in by_name and names.count(name) == 1)
    number: "str | None" = None
    for row in found["address"]:
        refuse_unless(len(row) == 1 and is_number(row[0], ADDRESS_DIGITS))
        number = row[0]
    chosen = tuple(by_name[name] for name in names)

    class ChosenDlt645(Dlt645):
        ITEMS = chosen
        METER = CHOSEN = number
        ADDRESSES = (0, 0) if number is not None else Dlt645.ADDRESSES
        INDICATIONS: "Indications" = {
            item[0]: (item[4], item[5], item[6], SAMPLE if item[6] is None else REGISTER) for item in chosen
        }
        LIMITS: "Limits" = {item[0]: (item[7], item[8]) for item in chosen}

    return ChosenDlt645

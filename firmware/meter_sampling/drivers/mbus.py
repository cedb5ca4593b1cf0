"""Heat, water, gas and other meters on the M-Bus, EN 13757-2 (link layer) and EN 13757-3 (records), 2400 baud 8E1.

Each reading begins anew, with SND_NKE at a primary address or a selection at a secondary one, and then asks
with FCB = 1: a meter repeats its last telegram when it is asked with the same FCB, so after a lost reply an old
telegram could pass for a new one. Further telegrams (DIF 1FH) are asked for with FCB toggled.

Options, none of which is needed:
    ["secondary", "12345678"]                     identification; the set's address is then 253
    ["secondary", "12345678", "PAD", version, medium]     ... and all the rest of it
    ["record", name, what, exponent, modulus, function, storage, tariff, subunit, vife]
        One indication: the first record of `what` (one of WHAT) with this function (0 instantaneous, 1 maximum,
        2 minimum, 3 during an error), storage, tariff and subunit, and this one VIFE (-1: none; powers of ten
        are taken into account and do not count). It is given in 10^exponent of the quantity's unit; what does
        not fit without a remainder is refused. modulus (0: not known) is where a register starts from zero
        again, in the same unit. Cells from modulus on may be left out: 0, 0, 0, 0, 0, -1.
Without a record, AUTOMATIC is read.
"""

from meter_sampling.drivers import mbus_records
from meter_sampling.drivers.bcd import is_number, to_bcd
from meter_sampling.drivers.driver import REGISTER, SAMPLE, Driver, identity, wrong_identity
from meter_sampling.drivers.settings import is_int, refuse_unless, settings
from meter_sampling.instrument_error import InstrumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from meter_sampling.drivers.driver import Faults, Identity, Indications, Limits, Values
    from meter_sampling.drivers.mbus_records import Header, Record

    Telegram = tuple[Header, list[Record], bool]

ACK = 0xE5
SHORT_START = 0x10
LONG_START = 0x68
STOP = 0x16

SND_NKE = 0x40
SND_UD = 0x53
REQ_UD2 = 0x5B
FCB = 0x20
RSP_UD = 0x08
_ACD_DFC = 0x30
CI_SELECT = 0x52

SELECTED = 253
ANYONE = 254
"""The only meter on the line, whatever its address."""

MAX_TELEGRAMS = 8

UNKNOWN_MODULUS_LIMIT = 10**15

_ENERGY_IN_J = {"energy_wh": (36, 2), "energy_j": (1, 0)}
_FLOW_PER_HOUR = {"flow_per_hour": (1, 0), "flow_per_minute": (6, 1), "flow_per_second": (36, 2)}

WHAT = {
    # what: (quantity, kind, {dimension: (factor, power of ten)} into the quantity's unit, lowest, highest there)
    "heat": ("heat", REGISTER, _ENERGY_IN_J, 0, 0),
    "active_energy_import": ("active_energy_import", REGISTER, {"energy_wh": (1, 0)}, 0, 0),
    "active_energy_export": ("active_energy_export", REGISTER, {"energy_wh": (1, 0)}, 0, 0),
    "volume": ("volume", REGISTER, {"volume": (1, 0)}, 0, 0),
    "reference_volume": ("reference_volume", REGISTER, {"volume": (1, 0)}, 0, 0),
    "mass": ("mass", REGISTER, {"mass": (1, 0)}, 0, 0),
    "thermal_power": ("thermal_power", SAMPLE, {"power_w": (1, 0)}, -(10**9), 10**9),
    "active_power": ("active_power", SAMPLE, {"power_w": (1, 0)}, -(10**9), 10**9),
    "volume_flow": ("volume_flow", SAMPLE, _FLOW_PER_HOUR, -(10**6), 10**6),
    "mass_flow": ("mass_flow", SAMPLE, {"mass_flow": (1, 0)}, -(10**9), 10**9),
    "flow_temperature": ("temperature", SAMPLE, {"flow_temperature": (1, 0)}, -200, 1000),
    "return_temperature": ("temperature", SAMPLE, {"return_temperature": (1, 0)}, -200, 1000),
    "external_temperature": ("temperature", SAMPLE, {"external_temperature": (1, 0)}, -200, 1000),
    "temperature_difference": (
        "temperature_difference",
        SAMPLE,
        {"temperature_difference": (1, 0)},
        -1200,
        1200,
    ),
    "absolute_pressure": ("absolute_pressure", SAMPLE, {"pressure_bar": (1, 5)}, 0, 10**8),
}

_DEFAULTS = [0, 0, 0, 0, 0, -1]

AUTOMATIC = (
    ["heat", "heat", 2],
    ["volume", "volume", -3],
    ["thermal_power", "thermal_power", -3],
    ["volume_flow", "volume_flow", -6],
    ["flow_temperature", "flow_temperature", -3],
    ["return_temperature", "return_temperature", -3],
    ["temperature_difference", "temperature_difference", -3],
)
"""Instantaneous values of storage, tariff and subunit 0. Heat in 100 J: a watt-hour is 36 of them."""

# Status byte, EN 13757-3 Table 3. Low power and the alarm of an "abnormal condition" leave the values valid.
_APPLICATION = 0x03
_APPLICATION_FAULTS = {1: "meter_busy", 2: "meter_error"}
_PERMANENT_ERROR = 0x08
_TEMPORARY_ERROR = 0x10


def short_frame(control: int, address: int) -> bytes:
    return bytes((SHORT_START, control, address, control + address & 0xFF, STOP))


def long_frame(control: int, address: int, ci: int, data: bytes) -> bytes:
    body = bytes((control, address, ci)) + data
    return bytes((LONG_START, len(body), len(body), LONG_START)) + body + bytes((sum(body) & 0xFF, STOP))


def acknowledgement(received: bytes) -> "bool | None":
    if not received:
        return None
    if received[0] != ACK:
        raise InstrumentError("bad_header")
    if len(received) > 1:
        raise InstrumentError("trailing_bytes")
    return True


def reply(received: bytes, address: int) -> "tuple[int, bytes] | None":
    """CI field and data of the RSP_UD that `received` is; None while it has not all come."""
    if not received:
        return None
    if received[0] == ACK:
        # The meter has no data of class 2.
        raise InstrumentError("instrument_refused", ACK)
    if received[0] != LONG_START:
        raise InstrumentError("bad_header")
    if len(received) < 4:
        return None
    length = received[1]
    if received[2] != length or received[3] != LONG_START or length < 3:
        raise InstrumentError("bad_header")
    whole = length + 6
    if len(received) < whole:
        return None
    if len(received) > whole:
        raise InstrumentError("trailing_bytes")
    if received[-2] != sum(received[4:-2]) & 0xFF:
        raise InstrumentError("bad_checksum")
    if received[-1] != STOP:
        raise InstrumentError("bad_stop")
    if received[4] & ~_ACD_DFC != RSP_UD:
        raise InstrumentError("wrong_function")
    if address not in (received[5], SELECTED, ANYONE):
        raise InstrumentError("wrong_address")
    return received[6], received[7:-2]


def telegram(received: bytes, address: int) -> "Telegram | None":
    answer = reply(received, address)
    return None if answer is None else mbus_records.parse(answer[0], answer[1])


def convert(records: "list[Record]", rows: "tuple[list[Any], ...]") -> "tuple[Values, Faults]":
    values: "Values" = {}
    faults: "Faults" = {}
    for row in rows:
        name, what, exponent = row[:3]
        record = _find(records, row)
        values[name] = None
        if record is not None:
            factor, power = WHAT[what][2][record.dimension or ""]
            try:
                values[name] = record.scaled(factor, power - exponent)
            except ValueError:
                faults[name] = "resolution"
    return values, faults


def _find(records: "list[Record]", row: "list[Any]") -> "Record | None":
    dimensions = WHAT[row[1]][2]
    place = tuple(row[4:8])
    modifiers = () if row[8] < 0 else (row[8],)
    for record in records:
        if record.dimension in dimensions and record.place == place and record.modifiers == modifiers:
            return record
    return None


def state_faults(status: int, indications: "Indications") -> "Faults":
    """What the meter objects to itself. A temporary error does not undo what a register has counted."""
    reason = _APPLICATION_FAULTS.get(status & _APPLICATION)
    if status & _PERMANENT_ERROR:
        reason = "permanent_error"
    if reason is not None:
        return dict.fromkeys(indications, reason)
    if status & _TEMPORARY_ERROR:
        return {name: "temporary_error" for name in indications if indications[name][3] == SAMPLE}
    return {}


class Mbus(Driver):
    BUS = "serial"
    ADDRESSES = (0, ANYONE)
    ROWS: "tuple[list[Any], ...]" = ()
    SELECTION: "bytes | None" = None

    async def _measure(self) -> "tuple[Values, Faults]":
        header, records = await self._records()
        values, faults = convert(records, self.ROWS)
        faults.update(state_faults(header.status, self.INDICATIONS))
        return values, faults

    async def _records(self) -> "tuple[Header, list[Record]]":
        await self._begin()
        header, records, more = await self._telegram(FCB)
        fcb = 0
        for _ in range(MAX_TELEGRAMS - 1):
            if not more or None not in (_find(records, row) for row in self.ROWS):
                break
            next_header, next_records, more = await self._telegram(fcb)
            if next_header.identification != header.identification:
                raise InstrumentError("wrong_address")
            records += next_records
            fcb ^= FCB
        return header, records

    async def _begin(self) -> None:
        if self.SELECTION is None:
            frame = short_frame(SND_NKE, self._address)
        else:
            frame = long_frame(SND_UD, SELECTED, CI_SELECT, self.SELECTION)
        await self._bus.exchange(frame, acknowledgement)

    async def _telegram(self, fcb: int) -> "Telegram":
        address = self._address
        frame = short_frame(REQ_UD2 | fcb, address)
        answer: "Telegram" = await self._bus.exchange(frame, lambda received: telegram(received, address))
        return answer

    async def identify(self) -> "Identity":
        """From the long header; a meter that sends none cannot be told from another."""
        await self._begin()
        header, _, _ = await self._telegram(FCB)
        if header.identification is None:
            return identity(None, None, None, None)
        if self.SELECTION is not None and to_bcd(header.identification) != self.SELECTION[:4]:
            raise wrong_identity()
        return identity(header.maker, "medium %d" % header.medium, header.identification, "%d" % header.version)


def _selection(row: "list[Any]") -> bytes:
    """Identification, maker, version and medium as they are compared; ones are wildcards."""
    refuse_unless(len(row) in (1, 4) and is_number(row[0], 8))
    if len(row) == 1:
        return to_bcd(row[0]) + b"\xff\xff\xff\xff"
    maker, version, medium = row[1:]
    refuse_unless(
        isinstance(maker, str) and len(maker) == 3 and is_int(version, 0, 255) and is_int(medium, 0, 255)
    )
    code = 0
    for letter in maker:
        refuse_unless("A" <= letter <= "Z")
        code = code << 5 | (ord(letter) - 64)
    return to_bcd(row[0]) + bytes((code & 0xFF, code >> 8, version, medium))


def _record_row(row: "list[Any]", taken: "list[str]") -> "list[Any]":
    refuse_unless(3 <= len(row) <= 9)
    full = row + _DEFAULTS[len(row) - 3 :]
    name, what, exponent, modulus, function, storage, tariff, subunit, vife = full
    refuse_unless(isinstance(name, str) and name not in taken and isinstance(what, str) and what in WHAT)
    refuse_unless(is_int(exponent, -9, 9) and is_int(modulus, 0, UNKNOWN_MODULUS_LIMIT) and modulus != 1)
    refuse_unless(is_int(function, 0, 3) and is_int(storage, 0, 1 << 41) and is_int(tariff, 0, 1 << 20))
    refuse_unless(is_int(subunit, 0, 1 << 10) and is_int(vife, -1, 0x7F))
    refuse_unless(not modulus or _kind(full) == REGISTER)
    taken.append(name)
    return full


def _kind(row: "list[Any]") -> str:
    """A maximum, a minimum or a value of an error state does not count on."""
    return str(WHAT[row[1]][1]) if row[4] == mbus_records.INSTANTANEOUS else SAMPLE


def _limits(row: "list[Any]") -> "tuple[int, int]":
    _, what, exponent, modulus = row[:4]
    if WHAT[what][1] == REGISTER:
        return 0, (modulus or UNKNOWN_MODULUS_LIMIT) - 1
    lowest, highest = WHAT[what][3:]
    if exponent <= 0:
        return lowest * 10**-exponent, highest * 10**-exponent
    return lowest // 10**exponent, highest // 10**exponent


def define(options: "list[list[Any]] | None") -> "type[Driver]":
    found = settings(options, ("secondary",), ("record",))
    selection: "bytes | None" = None
    for row in found["secondary"]:
        selection = _selection(row)
    taken: "list[str]" = []
    rows = tuple(_record_row(row, taken) for row in found["record"] or AUTOMATIC)

    class ChosenMbus(Mbus):
        ROWS = rows
        SELECTION = CHOSEN = selection
        SOURCES = {row[0]: [row[1]] + row[4:] for row in rows}
        ADDRESSES = (SELECTED, SELECTED) if selection is not None else Mbus.ADDRESSES
        INDICATIONS: "Indications" = {
            row[0]: (WHAT[row[1]][0], row[2], row[3] or None, _kind(row)) for row in rows
        }
        LIMITS: "Limits" = {row[0]: _limits(row) for row in rows}

    return ChosenMbus

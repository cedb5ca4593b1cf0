"""Water, heat and gas meters that speak CJ/T 188-2004 over RS-485 or M-Bus levels, 2400 baud 8E1.

Sources: CJ/T 188-2004 (frame, type codes, control codes, data identifier 901F, Table of unit codes), as quoted
in public descriptions; published requests and replies in the tests. The norm's text was not at hand. Makers
depart from it: one known heat meter sends the identifier and each unit the other way round. Such a meter is
refused, not guessed at.

Frame: 68 T A0..A6 C L data CS 16. Address and values are packed decimals, lowest byte first; CS is the sum of
all bytes before it. FE bytes before a frame mean nothing. The data of a reply to 901F is, after the identifier
and the serial number of the request, each a value with its unit code:
    water, gas: volume, volume on the settlement day; clock; status
    heat: heat on the settlement day, heat, power, flow, volume; flow and return temperature; hours; clock; status
The status word tells of valve and battery; neither makes a value less valid, so it is not used.

Options, none of which is needed:
    ["address", "78330011223344"]   the meter's fourteen digits. Without it the only meter on the line is asked.
    ["type", 16]                    T: 10H-19H water (10H), 20H-29H heat, 30H-39H gas
    ["heat_unit", "kWh"]            what the heat register counts in: kWh (the default), MWh, MJ or GJ
    ["flow_decimals", 4]            of the heat meter's flow in its own unit: the norm's 4, or a maker's
The set's address is 0.
"""

from meter_sampling.drivers.bcd import bcd, is_number, to_bcd
from meter_sampling.drivers.driver import REGISTER, SAMPLE, Driver, identity, wrong_identity
from meter_sampling.drivers.frame_68 import FROM_METER, START, STOP, meter_frame
from meter_sampling.drivers.settings import is_int, refuse_unless, settings
from meter_sampling.instrument_error import InstrumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from meter_sampling.drivers.driver import Faults, Identity, Indications, Limits, Values

ADDRESS_DIGITS = 14
ANYONE = b"\xaa" * 7

WAKE_UP = b"\xfe\xfe\xfe"
HEADER_LENGTH = 11

READ_DATA = 0x01
REFUSED = 0x40

CURRENT_DATA = b"\x1f\x90"
"""Data identifier 901F, lowest byte first."""

SERIAL_NUMBER = 0

WATER_LENGTH = 22
HEAT_LENGTH = 46

MODULUS = 10**8
"""Registers show eight digits, two of them behind the point."""

KWH = 0x05
MWH = 0x08
MJ = 0x0E
GJ = 0x11
W = 0x14
KW = 0x17
MW = 0x1A
CUBIC_METRE = 0x2C
LITRE_PER_HOUR = 0x32
CUBIC_METRE_PER_HOUR = 0x35

HEAT_UNITS = {
    # name: (unit code, J in the register's last digit: factor, power of ten)
    "kWh": (KWH, 36, 3),
    "MWh": (MWH, 36, 6),
    "MJ": (MJ, 1, 4),
    "GJ": (GJ, 1, 7),
}

POWER_UNITS = {W: 1, KW: 10**3, MW: 10**6}
FLOW_UNITS = {LITRE_PER_HOUR: 1, CUBIC_METRE_PER_HOUR: 10**3}


def request(meter_type: int, address: bytes) -> bytes:
    content = CURRENT_DATA + bytes((SERIAL_NUMBER,))
    frame = bytes((START, meter_type)) + address + bytes((READ_DATA, len(content))) + content
    return frame + bytes((sum(frame) & 0xFF, STOP))


def reply(received: bytes, meter_type: int, asked: bytes) -> "tuple[bytes, bytes] | None":
    """Address and data of the reply to our request; None while it has not all come."""
    frame = meter_frame(received, HEADER_LENGTH, lambda header: header[1] == meter_type)
    if frame is None:
        return None
    address, content = frame[2:9], frame[HEADER_LENGTH:-2]
    if asked not in (ANYONE, address):
        raise InstrumentError("wrong_address")
    if frame[9] & REFUSED:
        raise InstrumentError("instrument_refused", content[0] if content else 0)
    if frame[9] != READ_DATA | FROM_METER:
        raise InstrumentError("wrong_function")
    if content[:3] != CURRENT_DATA + bytes((SERIAL_NUMBER,)):
        raise InstrumentError("wrong_item")
    return address, content


def is_heat(meter_type: int) -> bool:
    return meter_type >> 4 == 2


def convert(content: bytes, meter_type: int, heat_unit: str) -> "tuple[Values, Faults]":
    values: "Values" = {}
    faults: "Faults" = {}

    def take(name: str, place: int, factors: "dict[int, int]") -> None:
        factor = factors.get(content[place + 4])
        if factor is None:
            values[name] = None
            faults[name] = "unit"
        else:
            values[name] = _times(bcd(content[place : place + 4]), factor)

    if len(content) != (HEAT_LENGTH if is_heat(meter_type) else WATER_LENGTH):
        raise InstrumentError("wrong_length")
    if not is_heat(meter_type):
        take("volume", 3, {CUBIC_METRE: 1})
        return values, faults
    unit, factor, _ = HEAT_UNITS[heat_unit]
    take("heat", 8, {unit: factor})
    take("thermal_power", 13, POWER_UNITS)
    take("volume_flow", 18, FLOW_UNITS)
    take("volume", 23, {CUBIC_METRE: 1})
    values["flow_temperature"] = bcd(content[28:31])
    values["return_temperature"] = bcd(content[31:34])
    return values, faults


def _times(value: "int | None", factor: int) -> "int | None":
    return None if value is None else value * factor


class Cjt188(Driver):
    BUS = "serial"
    ADDRESSES = (0, 0)
    METER: "str | None" = None
    TYPE = 0x10
    HEAT_UNIT = "kWh"

    def __init__(self, bus: "Any", address: int) -> None:
        super().__init__(bus, address)
        self._meter = ANYONE if self.METER is None else to_bcd(self.METER)

    async def _measure(self) -> "tuple[Values, Faults]":
        return convert((await self._exchange())[1], self.TYPE, self.HEAT_UNIT)

    async def _exchange(self) -> "tuple[bytes, bytes]":
        meter_type, meter = self.TYPE, self._meter
        answer: "tuple[bytes, bytes]" = await self._bus.exchange(
            WAKE_UP + request(meter_type, meter), lambda received: reply(received, meter_type, meter)
        )
        return answer

    async def identify(self) -> "Identity":
        """The address, of which the upper four digits are the maker's code; later readings are from this meter."""
        if self.METER is None:
            self._meter = ANYONE
        address, _ = await self._exchange()
        number = bcd(address)
        if number is None:
            raise wrong_identity()
        self._meter = address
        return identity("%04d" % (number // 10**10), "CJ/T 188 type %02X" % self.TYPE, "%014d" % number, None)


def _indications(meter_type: int, heat_unit: str, flow_decimals: int) -> "tuple[Indications, Limits]":
    volume = ("volume", -2, MODULUS, REGISTER)
    if not is_heat(meter_type):
        return {"volume": volume}, {"volume": (0, MODULUS - 1)}
    _, factor, exponent = HEAT_UNITS[heat_unit]
    highest = MODULUS - 1
    indications: "Indications" = {
        "heat": ("heat", exponent, factor * MODULUS, REGISTER),
        "thermal_power": ("thermal_power", -2, None, "sample"),
        "volume_flow": ("volume_flow", -3 - flow_decimals, None, SAMPLE),
        "volume": volume,
        "flow_temperature": ("temperature", -2, None, "sample"),
        "return_temperature": ("temperature", -2, None, "sample"),
    }
    limits: "Limits" = {
        "heat": (0, factor * MODULUS - 1),
        "thermal_power": (0, highest * 10**6),
        "volume_flow": (0, highest * 10**3),
        "volume": (0, highest),
        "flow_temperature": (0, 20000),
        "return_temperature": (0, 20000),
    }
    return indications, limits


def define(options: "list[list[Any]] | None") -> "type[Driver]":
    found = settings(options, ("address", "type", "heat_unit", "flow_decimals"))
    for name in found:
        for row in found[name]:
            refuse_unless(len(row) == 1)
    number: "str | None" = None
    meter_type, heat_unit, flow_decimals = Cjt188.TYPE, Cjt188.HEAT_UNIT, 4
    for row in found["address"]:
        refuse_unless(is_number(row[0], ADDRESS_DIGITS))
        number = row[0]
    for row in found["type"]:
        refuse_unless(is_int(row[0], 0x10, 0x39))
        meter_type = row[0]
    for row in found["heat_unit"]:
        refuse_unless(is_heat(meter_type) and row[0] in HEAT_UNITS)
        heat_unit = row[0]
    for row in found["flow_decimals"]:
        refuse_unless(is_heat(meter_type) and is_int(row[0], 0, 6))
        flow_decimals = row[0]
    indications, limits = _indications(meter_type, heat_unit, flow_decimals)

    class ChosenCjt188(Cjt188):
        METER = number
        TYPE = meter_type
        CHOSEN = (number, meter_type)
        HEAT_UNIT = heat_unit
        INDICATIONS = indications
        LIMITS = limits

    return ChosenCjt188

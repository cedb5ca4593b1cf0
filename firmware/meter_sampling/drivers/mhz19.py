"""Winsen MH-Z19, MH-Z19B and MH-Z19C NDIR CO2 sensors, UART 9600 8N1, one on a line.

Source: MH-Z19B User's Manual V1.5 (command 86H, checksum); the published exchange in the tests. Nine bytes each
way: FF 01 86 .. to the sensor, FF 86 high low .. from it; the last is the two's complement of the sum of the
seven bytes between. Temperature and state bytes of the reply are not documented by the maker and are not used.
For its first minutes the sensor shows a value that is not one; nothing in the reply says so.

Option: ["range", 5000], the sensor's measuring range in ppm: 2000, 5000 (the default) or 10000.
"""

from meter_sampling.drivers.driver import Driver, identity
from meter_sampling.drivers.settings import refuse_unless, settings
from meter_sampling.instrument_error import InstrumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from meter_sampling.drivers.driver import Faults, Identity, Indications, Limits, Values

START = 0xFF
READ_CO2 = 0x86
LENGTH = 9
REQUEST = bytes((START, 1, READ_CO2, 0, 0, 0, 0, 0, 0x79))

RANGES_PPM = (2000, 5000, 10000)
DEFAULT_RANGE_PPM = 5000


def checksum(frame: bytes) -> int:
    return -sum(frame[1:8]) & 0xFF


def convert(received: bytes) -> "int | None":
    """ppm; None while the reply has not all come."""
    if received[:2] != bytes((START, READ_CO2))[: len(received)]:
        raise InstrumentError("bad_header")
    if len(received) < LENGTH:
        return None
    if len(received) > LENGTH:
        raise InstrumentError("trailing_bytes")
    if received[8] != checksum(received):
        raise InstrumentError("bad_checksum")
    return received[2] << 8 | received[3]


class Mhz19(Driver):
    BUS = "serial"
    ADDRESSES = (1, 1)
    INDICATIONS: "Indications" = {"co2_fraction": ("co2_fraction", 0, None, "sample")}

    async def _measure(self) -> "tuple[Values, Faults]":
        return {"co2_fraction": await self._bus.exchange(REQUEST, convert)}, {}

    async def identify(self) -> "Identity":
        """It says nothing of itself; that it answers as such a sensor does is all."""
        await self._bus.exchange(REQUEST, convert)
        return identity("Winsen", "MH-Z19", None, None)


def define(options: "list[list[Any]] | None") -> "type[Driver]":
    range_ppm = DEFAULT_RANGE_PPM
    for row in settings(options, ("range",))["range"]:
        refuse_unless(len(row) == 1 and row[0] in RANGES_PPM)
        range_ppm = row[0]

    class ChosenMhz19(Mhz19):
        LIMITS: "Limits" = {"co2_fraction": (1, range_ppm)}

    return ChosenMhz19

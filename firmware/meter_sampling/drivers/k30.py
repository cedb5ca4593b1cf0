"""Senseair K30 NDIR CO2 sensor, UART 9600 8N1, one on a line: its RAM is read with Modbus frames' function 44H.

Sources: Senseair, "K-series UART EEPROM/RAM access procedure" (request FE 44 addr-high addr-low count CRC, reply
FE 44 count bytes CRC, as published in the tests); RAM 08H-09H is the CO2 value, 1EH the error status, whose bits
are those of the S8. What the K30 1 % cannot measure, above 10,000 ppm, is out of range.
"""

from meter_sampling.drivers.driver import Driver, identity, without_options
from meter_sampling.drivers.senseair_s8 import status_faults
from meter_sampling.instrument_error import InstrumentError
from meter_sampling.modbus_frames import crc16

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from meter_sampling.drivers.driver import Faults, Identity, Indications, Limits, Values

ANY_SENSOR = 0xFE
READ_RAM = 0x44
OVERHEAD_LENGTH = 5

CO2 = (0x08, 2)
ERROR_STATUS = (0x1E, 1)


def request(place: "tuple[int, int]") -> bytes:
    address, count = place
    frame = bytes((ANY_SENSOR, READ_RAM, address >> 8, address & 0xFF, count))
    crc = crc16(frame)
    return frame + bytes((crc & 0xFF, crc >> 8))


def reply(received: bytes, count: int) -> "bytes | None":
    """The bytes of RAM; None while they have not all come."""
    if received[:3] != bytes((ANY_SENSOR, READ_RAM, count))[: len(received)]:
        raise InstrumentError("bad_header")
    length = OVERHEAD_LENGTH + count
    if len(received) < length:
        return None
    if len(received) > length:
        raise InstrumentError("trailing_bytes")
    if crc16(received[:-2]) != received[-2] | received[-1] << 8:
        raise InstrumentError("bad_crc")
    return received[3:-2]


def convert(co2: bytes) -> int:
    return co2[0] << 8 | co2[1]


class K30(Driver):
    BUS = "serial"
    ADDRESSES = (ANY_SENSOR, ANY_SENSOR)
    INDICATIONS: "Indications" = {"co2_fraction": ("co2_fraction", 0, None, "sample")}
    LIMITS: "Limits" = {"co2_fraction": (1, 10000)}

    async def _measure(self) -> "tuple[Values, Faults]":
        status = await self._ram(ERROR_STATUS)
        return {"co2_fraction": convert(await self._ram(CO2))}, status_faults(status[0])

    async def _ram(self, place: "tuple[int, int]") -> bytes:
        content: bytes = await self._bus.exchange(request(place), lambda received: reply(received, place[1]))
        return content

    async def identify(self) -> "Identity":
        """Nothing that it says of itself is published; that its RAM can be read is all."""
        await self._ram(ERROR_STATUS)
        return identity("Senseair", "K30", None, None)


def define(options: "list[list[Any]] | None") -> "type[Driver]":
    return without_options(K30, options)

"""A 1-Wire line: a controller like onewire.OneWire of micropython-lib, and who may use it when.

Every exchange begins with a reset, so it runs inside `async with bus` from there to its last byte. The line has
no error of its own: an absent device is a line that stays high (bytes FF), a shorted one is a device that says
00 for ever; both mean that nobody answered, and the CRC of what the device says proves the rest.
"""

from meter_firmware.buses.chip_bus import ChipBus
from meter_sampling.instrument_error import InstrumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    class Controller(Protocol):
        def reset(self) -> "bool | int": ...
        def readbyte(self) -> int: ...
        def writebyte(self, value: int) -> None: ...
        def scan(self) -> "list[Any]": ...


MATCH_ROM = 0x55


def crc8(frame: bytes) -> int:
    """CRC-8 of Maxim application note 27: x^8 + x^5 + x^4 + 1, reflected, initial value 0."""
    crc = 0
    for byte in frame:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0x8C if crc & 1 else crc >> 1
    return crc


def rom_code(digits: str) -> "bytes | None":
    """The eight bytes of a ROM code, family first, from its 16 hexadecimal digits; None if it is none."""
    try:
        code = bytes.fromhex(digits)
    except ValueError:
        return None
    return code if len(digits) == 16 and len(code) == 8 and code[0] and crc8(code) == 0 else None


class OneWireBus(ChipBus):
    KIND = "onewire"

    def __init__(self, controller: "Controller", ticks: "Any" = None) -> None:
        super().__init__(ticks)
        self._controller = controller

    def select(self, rom: bytes) -> None:
        """Reset, and speak to this device from here on."""
        try:
            present = self._controller.reset()
        except OSError:
            present = False
        if not present:
            raise InstrumentError("no_response")
        self.write(bytes((MATCH_ROM,)) + rom)

    def write(self, frame: bytes) -> None:
        try:
            for byte in frame:
                self._controller.writebyte(byte)
        except OSError:
            raise InstrumentError("no_response")

    def read(self, count: int) -> bytes:
        try:
            frame = bytes([self._controller.readbyte() for _ in range(count)])
        except OSError:
            raise InstrumentError("no_response")
        if frame in (b"\xff" * count, b"\x00" * count):
            raise InstrumentError("no_response")
        return frame

    def scan(self) -> "list[bytes]":
        """ROM codes of the devices on the line. Takes some 15 ms each."""
        try:
            return [bytes(rom) for rom in self._controller.scan()]
        except OSError:
            raise InstrumentError("no_response")

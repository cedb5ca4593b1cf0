"""I2C and 1-Wire of the unix board: their wires end in a socket, at tools/meter_tools/simulator/chip_line.py.

The objects here offer what machine.I2C and micropython-lib's onewire.OneWire offer, so the same drivers run as
on a board. As there, a call blocks until the bytes have moved. One request, one reply:

    request  operation (1), address (1), count to read (2), length (2), bytes to write
    reply    0 done, 1 not acknowledged (1), length (2), bytes read

Big-endian.
"""

import errno

from exchange import Exchange

WRITE, READ, WRITE_READ = 1, 2, 3
RESET, READ_BYTE, WRITE_BYTE, SEARCH = 16, 17, 18, 19

DONE = 0
ROM_LENGTH = 8


class Wire(Exchange):
    def ask(self, operation: int, address: int, count: int, content: bytes) -> bytes:
        """What was read; OSError where nobody acknowledged or the line failed."""
        header = (operation, address, count >> 8, count & 0xFF, len(content) >> 8, len(content) & 0xFF)
        status, high, low = self.tell(bytes(header) + content, 3)
        said = self.more(high << 8 | low)
        if status != DONE:
            raise OSError(errno.EIO)
        return said


class RemoteI2c:
    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def writeto(self, address: int, frame: bytes) -> int:
        self._wire.ask(WRITE, address, 0, frame)
        return len(frame)

    def readfrom(self, address: int, count: int) -> bytes:
        return self._wire.ask(READ, address, count, b"")

    def readfrom_mem(self, address: int, register: int, count: int) -> bytes:
        return self._wire.ask(WRITE_READ, address, count, bytes((register,)))

    def writeto_mem(self, address: int, register: int, content: bytes) -> None:
        self._wire.ask(WRITE, address, 0, bytes((register,)) + content)


class RemoteOneWire:
    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def reset(self) -> bool:
        """Whether a device showed its presence."""
        return self._wire.ask(RESET, 0, 1, b"") == b"\x01"

    def readbyte(self) -> int:
        return self._wire.ask(READ_BYTE, 0, 1, b"")[0]

    def writebyte(self, value: int) -> None:
        self._wire.ask(WRITE_BYTE, 0, 0, bytes((value,)))

    def scan(self) -> "list[bytes]":
        found = self._wire.ask(SEARCH, 0, 0xFFFF, b"")
        return [found[start : start + ROM_LENGTH] for start in range(0, len(found), ROM_LENGTH)]

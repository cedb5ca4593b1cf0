"""A SPI NOR flash chip as a block device: 4 KiB blocks, 256-byte pages, MicroPython's extended block protocol.

Sources: Winbond W25Q128JV data sheet, rev. H, §8 (instructions, status register, identification), §9.6 (times);
JEDEC JESD216 for what such chips have in common. Three address bytes reach 16 MiB.

- The chip says who it is (9Fh), and its capacity must be the one that the board was made with: another chip, a
  broken wire or a chip without power is refused, never a file system of the wrong size.
- A processor that starts anew finds the chip as it was left: erasing, asleep, or waiting for the rest of an
  instruction. So it is woken (ABh), and waited for, before it is asked anything.
- Blocks that are protected would swallow every write in silence: `flash_protected`.
- Every program and erase begins with Write Enable, is believed only when the chip shows the latch, and is over
  when the chip says so. A chip that does not come to an end is an error, not a hang; and LittleFS reads back
  what it wrote.

The calls block: a page for 0.4 ms (3 at most), an erase for 45 ms (400 at most). Power that fails inside one
leaves that page or block in an undefined state and nothing else, which is what LittleFS is made for.
"""

import time

from meter_firmware.blockdev import BLOCK_SIZE, StorageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    class Spi(Protocol):
        def write(self, buf: Any) -> Any: ...
        def readinto(self, buf: Any, write: int = 0) -> Any: ...

    class Output(Protocol):
        def value(self, level: int) -> Any: ...


_PAGE_SIZE = 256

_WRITE_ENABLE = b"\x06"
_READ_STATUS = b"\x05"
_READ_IDENTIFICATION = b"\x9f"
_RELEASE_POWER_DOWN = b"\xab"
_READ = 0x03
_PAGE_PROGRAM = 0x02
_SECTOR_ERASE = 0x20

_BUSY = 0x01
_WRITE_LATCH = 0x02
_PROTECTION = 0x1C
"""BP0 to BP2; of larger chips BP3 is another bit, and set only together with one of these."""

_WAKE_US = 50
"""tRES1 is 3 µs here; the slowest such chips take some 30."""

_PROGRAM_LIMIT_MS = 30
_ERASE_LIMIT_MS = 4000
"""Ten times what the data sheet allows a new chip; worn ones are slower."""

_POLL_US = 50

_EIO = 5
_ENODEV = 19
_ETIMEDOUT = 110


class SpiFlash:
    """`spi` in mode 0 or 3 and this chip's alone; `select` its chip select, low while it is meant."""

    def __init__(self, spi: "Spi", select: "Output", size: int, sleep_us: "Any" = time.sleep_us) -> None:
        """`size` in bytes. StorageError `flash_busy` (or not there), `flash_id`, `flash_protected`."""
        self._spi = spi
        self._select = select
        self._block_count = size // BLOCK_SIZE
        self._sleep_us = sleep_us
        self._status = bytearray(1)
        self._header = bytearray(4)
        select.value(1)
        self._command(_RELEASE_POWER_DOWN)
        sleep_us(_WAKE_US)
        try:
            self._wait(_ERASE_LIMIT_MS)
        except OSError:
            raise StorageError("flash_busy")
        identification = self._answer(_READ_IDENTIFICATION, 3)
        if identification[0] in (0x00, 0xFF) or 1 << identification[2] != size:
            raise StorageError("flash_id")
        if self._read_status() & _PROTECTION:
            raise StorageError("flash_protected")

    # Errors are returned, negative: an exception would leave LittleFS's C code by a long jump.

    def readblocks(self, block: int, buffer: "bytearray", offset: int = 0) -> int:
        try:
            self._select.value(0)
            try:
                self._spi.write(self._addressed(_READ, block * BLOCK_SIZE + offset))
                self._spi.readinto(buffer)
            finally:
                self._select.value(1)
            return 0
        except OSError as error:
            return -(error.errno or _EIO)

    def writeblocks(self, block: int, buffer: "bytes", offset: int = 0) -> int:
        address = block * BLOCK_SIZE + offset
        try:
            # LittleFS programs pieces of a page, and these take no memory.
            if address % _PAGE_SIZE + len(buffer) <= _PAGE_SIZE:
                self._write_enabled(_PAGE_PROGRAM, address, buffer, _PROGRAM_LIMIT_MS)
            else:
                self._program_pages(address, memoryview(buffer))
            return 0
        except OSError as error:
            return -(error.errno or _EIO)

    def ioctl(self, operation: int, argument: int) -> "int | None":
        if operation == 4:
            return self._block_count
        if operation == 5:
            return BLOCK_SIZE
        if operation == 6:
            try:
                self._write_enabled(_SECTOR_ERASE, argument * BLOCK_SIZE, None, _ERASE_LIMIT_MS)
                return 0
            except OSError as error:
                return -(error.errno or _EIO)
        # Nothing is held back here, so there is nothing to synchronise.
        return 0 if operation in (1, 2, 3) else None

    def _program_pages(self, address: int, content: memoryview) -> None:
        done = 0
        while done < len(content):
            # A program that runs past the end of its page goes on at the page's beginning.
            count = min(_PAGE_SIZE - (address + done) % _PAGE_SIZE, len(content) - done)
            self._write_enabled(_PAGE_PROGRAM, address + done, content[done : done + count], _PROGRAM_LIMIT_MS)
            done += count

    def _write_enabled(
        self, instruction: int, address: int, content: "bytes | memoryview | None", limit_ms: int
    ) -> None:
        self._command(_WRITE_ENABLE)
        if self._read_status() & (_WRITE_LATCH | _BUSY) != _WRITE_LATCH:
            raise OSError(_ENODEV)
        self._select.value(0)
        try:
            self._spi.write(self._addressed(instruction, address))
            if content is not None:
                self._spi.write(content)
        finally:
            self._select.value(1)
        self._wait(limit_ms)
        # The chip drops the latch when it is done: one that still has it took the instruction for none.
        if self._read_status() & _WRITE_LATCH:
            raise OSError(_EIO)

    def _wait(self, limit_ms: int) -> None:
        for _ in range(limit_ms * 1000 // _POLL_US):
            if not self._read_status() & _BUSY:
                return
            self._sleep_us(_POLL_US)
        raise OSError(_ETIMEDOUT)

    def _addressed(self, instruction: int, address: int) -> bytearray:
        header = self._header
        header[0] = instruction
        header[1] = address >> 16 & 0xFF
        header[2] = address >> 8 & 0xFF
        header[3] = address & 0xFF
        return header

    def _read_status(self) -> int:
        self._select.value(0)
        try:
            self._spi.write(_READ_STATUS)
            self._spi.readinto(self._status)
        finally:
            self._select.value(1)
        return self._status[0]

    def _command(self, instruction: bytes) -> None:
        self._select.value(0)
        try:
            self._spi.write(instruction)
        finally:
            self._select.value(1)

    def _answer(self, instruction: bytes, size: int) -> bytearray:
        answer = bytearray(size)
        self._select.value(0)
        try:
            self._spi.write(instruction)
            self._spi.readinto(answer)
        finally:
            self._select.value(1)
        return answer

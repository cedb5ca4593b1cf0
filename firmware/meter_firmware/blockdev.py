"""A flash chip made of a host's file, and LittleFS mounted on any block device without ever destroying one.

`FileBlockDevice` speaks MicroPython's extended block protocol (`readblocks`, `writeblocks`, `ioctl`), which
is all that LittleFS uses; whatever wraps these three methods sees every flash operation (the power-cut
tests do).

How durable a host's file is: the Unix port opens files unbuffered, so a `writeblocks` that returned is in the
kernel, and killing the process with SIGKILL loses nothing. There is no `os.fsync`, but `flush()` of a file is
fsync(2) on that port (seen with strace), and LittleFS asks for it (`ioctl` 3) after every commit: what was
synced also survives the host's own power cut, as far as its disk keeps its word.

A chip programs by clearing bits. This device overwrites instead; the difference cannot show, because LittleFS
programs only what it erased before (the tests' flash refuses anything else).
"""

import os

import vfs

from meter_firmware import FirmwareError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

BLOCK_SIZE = 4096
"""The erase unit of practically every SPI NOR flash."""

_IOCTL_INIT = 1
_IOCTL_DEINIT = 2
_IOCTL_SYNC = 3
_IOCTL_BLOCK_COUNT = 4
_IOCTL_BLOCK_SIZE = 5
_IOCTL_BLOCK_ERASE = 6

_SUPERBLOCKS = 2

_EIO = 5


class StorageError(FirmwareError):
    """storage_size: the file is not the chip it was made as. storage_unreadable: no LittleFS, not unused."""


class FileBlockDevice:
    """`fsync=False` leaves out fsync(2): SIGKILL still loses nothing, a power cut of the host may."""

    def __init__(self, path: str, block_count: int, block_size: int = BLOCK_SIZE, fsync: bool = True) -> None:
        self._block_size = block_size
        self._block_count = block_count
        self._fsync = fsync
        self._erased = b"\xff" * block_size
        try:
            size = os.stat(path)[6]
        except OSError:
            self._create(path)
            size = block_size * block_count
        if size != block_size * block_count:
            raise StorageError("storage_size")
        self._file = open(path, "r+b")  # noqa: SIM115  (open as long as the device is)

    def _create(self, path: str) -> None:
        """All erased, and there only once it is whole."""
        with open(path + ".new", "wb") as file:
            for _ in range(self._block_count):
                file.write(self._erased)
            file.flush()
        os.rename(path + ".new", path)

    # Errors are returned, negative: an exception would leave LittleFS's C code by a long jump.

    def readblocks(self, block: int, buffer: "bytearray", offset: int = 0) -> int:
        try:
            self._file.seek(block * self._block_size + offset)
            return 0 if self._file.readinto(buffer) == len(buffer) else -_EIO
        except OSError as error:
            return -(error.errno or _EIO)

    def writeblocks(self, block: int, buffer: "bytes", offset: int = 0) -> int:
        try:
            self._file.seek(block * self._block_size + offset)
            return 0 if self._file.write(buffer) == len(buffer) else -_EIO
        except OSError as error:
            return -(error.errno or _EIO)

    def ioctl(self, operation: int, argument: int) -> "int | None":
        if operation == _IOCTL_BLOCK_COUNT:
            return self._block_count
        if operation == _IOCTL_BLOCK_SIZE:
            return self._block_size
        if operation == _IOCTL_BLOCK_ERASE:
            return self.writeblocks(argument, self._erased)
        if operation == _IOCTL_SYNC:
            return self._sync()
        return 0 if operation in (_IOCTL_INIT, _IOCTL_DEINIT) else None

    def _sync(self) -> int:
        try:
            if self._fsync:
                self._file.flush()
            return 0
        except OSError as error:
            return -(error.errno or _EIO)

    def close(self) -> None:
        self._file.close()


def mount(device: "Any", mount_point: str) -> None:
    """Mount LittleFS. It is created only on a device that never held anything, else the error is told.

    A chip whose file system cannot be read may hold the only copy of a year of readings: formatting it is a
    person's decision. Unused is a device with nothing behind the two blocks that `mkfs` writes, so a power
    cut inside the first `mkfs` is repaired by the next boot.
    """
    block_count = device.ioctl(_IOCTL_BLOCK_COUNT, 0)
    # Finding free blocks walks the whole file system. A bitmap of all blocks (512 bytes for 16 MiB) makes
    # that once per turn round the chip. Modification times would take 12 bytes in each commit, and nobody
    # reads them.
    options = {"lookahead": max(32, (block_count + 63) // 64 * 8), "mtime": False}
    try:
        file_system = vfs.VfsLfs2(device, **options)
    except OSError:
        if not _unused(device, block_count):
            raise StorageError("storage_unreadable")
        vfs.VfsLfs2.mkfs(device)
        file_system = vfs.VfsLfs2(device, **options)
    vfs.mount(file_system, mount_point)


def _unused(device: "Any", block_count: int) -> bool:
    block_size = device.ioctl(_IOCTL_BLOCK_SIZE, 0)
    erased = b"\xff" * block_size
    block = bytearray(block_size)
    for number in range(_SUPERBLOCKS, block_count):
        if device.readblocks(number, block, 0) or block != erased:
            return False
    return True

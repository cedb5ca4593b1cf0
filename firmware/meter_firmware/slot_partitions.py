"""What slots hold as partitions of the processor's flash: an update runs where it lies, and takes little memory.

Slot A is MicroPython's ROMFS partition 0, B is 1, both in memory that the processor reads like its own program;
`vfs.rom_ioctl` erases and programs them. A power cut leaves there whatever it leaves. No boot state names it then,
and nothing of it is mounted unless it is sound.

`romfs` is imported where it is needed: a board with partitions has the least heap.
"""

import vfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Iterator

    from meter_firmware.image import Entry

_SEGMENT = 2
_WRITE_PREPARE = 3
_WRITE = 4
_WRITE_COMPLETE = 5

_NUMBERS = {"a": 0, "b": 1}
_BLOCK_BYTES = 512
_EIO = 5
_ENOSPC = 28


class SlotPartitions:
    """`rom_ioctl` is `vfs.rom_ioctl`, where the port has partitions."""

    def __init__(self, rom_ioctl: "Callable[..., Any]") -> None:
        self._rom_ioctl = rom_ioctl

    def folder(self, slot: str) -> str:
        """Where the files of a slot are read and run; OSError if there is no sound file system in it."""
        from meter_firmware import romfs

        mount_point = self._let_go(slot)
        memory = self._memory(slot)
        if not romfs.is_sound(memory):
            raise OSError(_EIO)
        vfs.mount(vfs.VfsRom(memory), mount_point)  # type: ignore[attr-defined, unused-ignore]  # in some stubs only
        return mount_point

    def emptying(self, slot: str) -> "Iterator[None]":
        """Nothing: a partition takes no room from anything else, and is erased before it is written."""
        return iter(())

    def filling(self, slot: str, entries: "list[Entry]", read: "Callable[[int, int], bytes]") -> "Iterator[None]":
        """Writes an image's files, a little at each step; `read(start, count)` gives its bytes."""
        from meter_firmware import romfs

        self._let_go(slot)
        number = _NUMBERS[slot]
        if romfs.size(entries) > len(self._memory(slot)):
            raise OSError(_ENOSPC)
        unit = self._do(_WRITE_PREPARE, number, romfs.size(entries))
        block_bytes = (_BLOCK_BYTES + unit - 1) // unit * unit
        place = 0
        for block in romfs.blocks(entries, read, block_bytes):
            self._do(_WRITE, number, place, block)
            place += block_bytes
            yield
        # Some ports have nothing to complete, and call it an error.
        self._rom_ioctl(_WRITE_COMPLETE, number)

    def _let_go(self, slot: str) -> str:
        mount_point = "/slot-" + slot
        try:
            vfs.umount(mount_point)
        except OSError:
            # It was not mounted.
            pass
        return mount_point

    def _memory(self, slot: str) -> memoryview:
        memory = self._rom_ioctl(_SEGMENT, _NUMBERS[slot])
        if isinstance(memory, int):
            raise OSError(-memory)
        return memoryview(memory)

    def _do(self, operation: int, *arguments: "Any") -> int:
        status: int = self._rom_ioctl(operation, *arguments)
        if status < 0:
            raise OSError(-status)
        return status

"""What slots hold as folders of the meter's file system: for boards with memory for an update's bytecode.

MicroPython loads bytecode from there into its heap. Where an update does not fit into that, slots are partitions
of the processor's flash (slot_partitions); a board says which in its UpdateSite.
"""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Iterator

    from meter_firmware.image import Entry

_COPY_BYTES = 2048
_DIRECTORY = 0x4000
_EEXIST = 17


class SlotFolders:
    """`root` is the folder of updates in the meter's flash."""

    def __init__(self, root: str) -> None:
        self._root = root

    def folder(self, slot: str) -> str:
        """Where the files of a slot are read and run."""
        return self._root + "/" + slot

    def emptying(self, slot: str) -> "Iterator[None]":
        """Removes all that is in a slot, a file at each step: a hundred of them take a flash seconds."""
        return _remove(self.folder(slot))

    def filling(self, slot: str, entries: "list[Entry]", read: "Callable[[int, int], bytes]") -> "Iterator[None]":
        """Writes an image's files into an empty slot, a little at each step; `read(start, count)` gives them."""
        folder = self.folder(slot)
        for name, start, length in entries:
            path = folder + "/" + name
            _make_folders(path, len(self._root) + 1)
            with open(path, "wb") as file:
                for place in range(start, start + length, _COPY_BYTES):
                    file.write(read(place, min(_COPY_BYTES, start + length - place)))
                    yield


def _make_folders(path: str, start: int) -> None:
    """All folders on the way to a file, of which those in the first `start` characters are there."""
    end = path.find("/", start)
    while end >= 0:
        try:
            os.mkdir(path[:end])
        except OSError as error:
            if error.errno != _EEXIST:
                raise
        end = path.find("/", end + 1)


def _remove(folder: str) -> "Iterator[None]":
    """A folder with all that is in it; nothing if it is not there."""
    try:
        entries = list(os.ilistdir(folder))
    except OSError:
        return
    for entry in entries:
        if entry[1] & _DIRECTORY:
            yield from _remove(folder + "/" + entry[0])
        else:
            os.remove(folder + "/" + entry[0])
            yield
    os.rmdir(folder)

"""Small durable values of a board: key, epoch, parameter set, last receipt.

A value is kept twice, in two folders, because LittleFS keeps small files inside their folder's own blocks: no
single damaged block takes both. A copy is

    bytes  content
      4    generation, +1 with every write (big-endian)
      n    the value; none is empty
      4    CRC-32 (IEEE 802.3) of everything before it (big-endian)

and the intact copy of the higher generation counts. Each copy is replaced by writing a new file and renaming it
over the old one, which LittleFS does atomically: after a power cut the old value is there or the new one, never
a mixture, whichever of the two copies the cut fell into. A read puts right the copy that is behind or damaged.
"""

import binascii
import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DAMAGED = b""
"""What is read where a value was written and no copy of it is intact."""

_ENOENT = 2
_GENERATION_SIZE = 4
_CRC_SIZE = 4
_PIECE = 64
"""Bytes that are checked at once: of a parameter set a board in use has room for one copy, and not for four."""

_NEVER_WRITTEN = -1
_LOST = 0
"""In place of a generation: there is no copy, or it is not intact. Generations begin with 1."""


class Memory:
    def __init__(self, root: str) -> None:
        self._folders = (root, root + "/copy")
        for folder in self._folders:
            try:
                os.mkdir(folder)
            except OSError:
                # It is there already; if the file system is gone, the first read says so.
                pass

    def read(self, name: str) -> "bytes | None":
        """None if it was never written, DAMAGED if it was and is lost."""
        generations = self._generations(name)
        newest = max(generations)
        if newest == _NEVER_WRITTEN:
            return None
        value = DAMAGED
        for folder, generation in zip(self._folders, generations):
            if not value and generation == newest != _LOST:
                value = _value(folder + "/" + name)
        if value:
            self._put_right(name, value, generations)
        return value

    def write(self, name: str, value: bytes) -> None:
        generation = max(_LOST, *self._generations(name)) + 1
        for folder in self._folders:
            _store(folder + "/" + name, generation, value)

    def remove(self, name: str) -> None:
        # As long as one copy is there, the value is: a power cut leaves it whole or gone.
        for folder in self._folders:
            try:
                os.remove(folder + "/" + name)
            except OSError:
                pass

    def _generations(self, name: str) -> "list[int]":
        return [_generation(folder + "/" + name) for folder in self._folders]

    def _put_right(self, name: str, value: bytes, generations: "list[int]") -> None:
        newest = max(generations)
        for folder, generation in zip(self._folders, generations):
            if generation != newest:
                try:
                    _store(folder + "/" + name, newest, value)
                except OSError:
                    # The value is there all the same.
                    pass


def _generation(path: str) -> int:
    try:
        with open(path, "rb") as file:
            return _checked(file, file.seek(0, 2) - _GENERATION_SIZE - _CRC_SIZE)
    except OSError as error:
        return _NEVER_WRITTEN if error.errno == _ENOENT else _LOST


def _checked(file: "Any", size: int) -> int:
    """The generation, if the copy holds a value of this size and is intact."""
    if size <= 0:
        return _LOST
    file.seek(0)
    generation = file.read(_GENERATION_SIZE)
    crc = binascii.crc32(generation)
    while size > 0:
        piece = file.read(min(size, _PIECE))
        if not piece:
            return _LOST
        crc = binascii.crc32(piece, crc)
        size -= len(piece)
    if file.read(_CRC_SIZE) != struct.pack(">I", crc):
        return _LOST
    number: int = struct.unpack(">I", generation)[0]
    return number


def _value(path: str) -> bytes:
    """Of a copy that was intact a moment ago; DAMAGED if it is not any more."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, 2) - _GENERATION_SIZE - _CRC_SIZE
            file.seek(0)
            crc = binascii.crc32(file.read(_GENERATION_SIZE))
            value: bytes = file.read(size)
            intact = file.read(_CRC_SIZE) == struct.pack(">I", binascii.crc32(value, crc))
            return value if intact else DAMAGED
    except OSError:
        return DAMAGED


def _store(path: str, generation: int, value: bytes) -> None:
    head = struct.pack(">I", generation)
    with open(path + ".new", "wb") as file:
        file.write(head)
        file.write(value)
        file.write(struct.pack(">I", binascii.crc32(value, binascii.crc32(head))))
    os.rename(path + ".new", path)

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
    Copy = tuple[int, bytes]

DAMAGED = b""
"""What is read where a value was written and no copy of it is intact."""

_ENOENT = 2
_GENERATION_SIZE = 4
_CRC_SIZE = 4
_UNREADABLE = (0, DAMAGED)


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
        copies = [_load(folder + "/" + name) for folder in self._folders]
        newest = _newest(copies)
        if newest is None:
            return None
        if newest != _UNREADABLE:
            self._put_right(name, copies, newest)
        return newest[1]

    def write(self, name: str, value: bytes) -> None:
        newest = _newest([_load(folder + "/" + name) for folder in self._folders])
        generation = 1 if newest is None else newest[0] + 1
        for folder in self._folders:
            _store(folder + "/" + name, (generation, value))

    def remove(self, name: str) -> None:
        # As long as one copy is there, the value is: a power cut leaves it whole or gone.
        for folder in self._folders:
            try:
                os.remove(folder + "/" + name)
            except OSError:
                pass

    def _put_right(self, name: str, copies: "list[Copy | None]", newest: "Copy") -> None:
        for folder, copy in zip(self._folders, copies):
            if copy != newest:
                try:
                    _store(folder + "/" + name, newest)
                except OSError:
                    # The value is there all the same.
                    pass


def _newest(copies: "list[Copy | None]") -> "Copy | None":
    newest = None
    for copy in copies:
        if copy is not None and (newest is None or copy[0] > newest[0]):
            newest = copy
    return newest


def _load(path: str) -> "Copy | None":
    try:
        with open(path, "rb") as file:
            content: bytes = file.read()
    except OSError as error:
        return None if error.errno == _ENOENT else _UNREADABLE
    body = content[:-_CRC_SIZE]
    if len(body) <= _GENERATION_SIZE or struct.pack(">I", binascii.crc32(body)) != content[-_CRC_SIZE:]:
        return _UNREADABLE
    return struct.unpack(">I", body[:_GENERATION_SIZE])[0], body[_GENERATION_SIZE:]


def _store(path: str, copy: "Copy") -> None:
    content = struct.pack(">I", copy[0]) + copy[1]
    with open(path + ".new", "wb") as file:
        file.write(content + struct.pack(">I", binascii.crc32(content)))
    os.rename(path + ".new", path)

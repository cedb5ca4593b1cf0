"""The journal's second opinion about its own head, and how far it is receipted: one small file in two slots.

A slot is

    offset  bytes  content
         0      2  magic C5 48
         2      4  generation, +1 with every write
         6      1  whether there is a head at all (0 or 1)
         7      1  number of receipt marks
         8      8  epoch     \\
        16      8  sequence   of the newest record
        24     32  SHA-256   /
        56   16 k  receipt marks: epoch, and the sequence up to which it is receipted
     56+16k      4  CRC-32 (IEEE 802.3) of everything before it

all big-endian. A write goes to the slot of the older generation, so the newer one is never at risk, whatever
the file system does with a write that is cut.
"""

import binascii
import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    Head = tuple[bytes, int, bytes]
    Mark = tuple[bytes, int]
    Slot = tuple[int, "Head | None", list[Mark]]

MAX_MARKS = 255

_MAGIC = b"\xc5\x48"
_FIXED = ">2sIBB8sQ32s"
_FIXED_SIZE = 56
_MARK = ">8sQ"
_MARK_SIZE = 16
_CRC_SIZE = 4
_NAMES = ("a", "b")


class HeadFile:
    """`head` and `marks` are those of the newest intact slot."""

    def __init__(self, folder: str) -> None:
        self.head: "Head | None" = None
        self.marks: "list[Mark]" = []
        self._folder = folder
        self._generation = 0
        self._next = 0
        self._damaged = False
        for number in range(len(_NAMES)):
            content = self._read(number)
            if content:
                self._take(number, content)

    @property
    def exists(self) -> bool:
        return self._generation > 0

    @property
    def damaged(self) -> bool:
        """A slot holds something that is not one: it may have been the newer."""
        return self._damaged

    def proves(self, newest: "Head | None", alone: bool, previous_epoch: "bytes | None") -> bool:
        """Whether the newest record found is the newest ever written.

        `alone`: it is the only record there is. `previous_epoch`: the epoch before, if it is its epoch's
        first. A slot is written after each record, so an honest power cut leaves the claim at the newest
        record or one before it. Anything else means that one of the two places lost something.
        """
        if newest is None:
            return self.head is None and not self._damaged
        if not self.exists:
            return False
        if self.head is None:
            return alone
        epoch, sequence, digest = self.head
        if epoch != newest[0]:
            return epoch == previous_epoch
        if sequence == newest[1]:
            return digest == newest[2] and not self._damaged
        return sequence + 1 == newest[1]

    def write(self, head: "Head | None", marks: "list[Mark]") -> None:
        """Durable when it returns."""
        marks = marks[-MAX_MARKS:]
        epoch, sequence, digest = head or (bytes(8), 0, bytes(32))
        content = struct.pack(
            _FIXED, _MAGIC, self._generation + 1, 1 if head else 0, len(marks), epoch, sequence, digest
        )
        for mark in marks:
            content += struct.pack(_MARK, mark[0], mark[1])
        with open(self._path(self._next), "wb") as file:
            file.write(content + struct.pack(">I", binascii.crc32(content)))
        self._generation += 1
        self._next = 1 - self._next
        self._damaged = False
        self.head = head
        self.marks = marks

    def _path(self, number: int) -> str:
        return self._folder + "/" + _NAMES[number]

    def _read(self, number: int) -> bytes:
        """Empty for a slot that was never written, or whose first write was cut before its content."""
        if _NAMES[number] not in os.listdir(self._folder):
            return b""
        try:
            with open(self._path(number), "rb") as file:
                content: bytes = file.read(_FIXED_SIZE + _MARK_SIZE * MAX_MARKS + _CRC_SIZE)
                return content
        except OSError:
            # There, and not to be had: damage, which an empty slot is not.
            return _MAGIC

    def _take(self, number: int, content: bytes) -> None:
        slot = _decode(content)
        if slot is None:
            self._damaged = True
            if not self.exists:
                self._next = number
        elif slot[0] > self._generation:
            self._generation, self.head, self.marks = slot
            self._next = 1 - number


def _decode(content: bytes) -> "Slot | None":
    if len(content) < _FIXED_SIZE + _CRC_SIZE:
        return None
    body = content[:-_CRC_SIZE]
    if binascii.crc32(body) != struct.unpack(">I", content[-_CRC_SIZE:])[0]:
        return None
    magic, generation, present, count, epoch, sequence, digest = struct.unpack(_FIXED, body[:_FIXED_SIZE])
    if magic != _MAGIC or len(body) != _FIXED_SIZE + _MARK_SIZE * count:
        return None
    marks = []
    for offset in range(_FIXED_SIZE, len(body), _MARK_SIZE):
        mark_epoch, mark_sequence = struct.unpack(_MARK, body[offset : offset + _MARK_SIZE])
        marks.append((mark_epoch, mark_sequence))
    return generation, (epoch, sequence, digest) if present else None, marks

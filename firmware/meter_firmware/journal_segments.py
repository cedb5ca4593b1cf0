"""The journal's files: numbered segments of records, the index of them in RAM, and the room they take.

Numbers only rise: their order is the order of appending. A name is the number in eight hex digits. Behind it
stands `.q` once the chain has said that the file is damaged: the mark is part of the file's own name, so it can
neither outlive the file nor speak of another, and LittleFS changes a name whole or not at all. A marked file
that is empty stands for records that are gone, as long as there are others of their epoch before and after it.
"""

import os

from meter_firmware import journal_record
from meter_firmware.journal_index import Index, Segment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO, Callable, NamedTuple

    class Wreck(NamedTuple):
        number: int
        size: int
else:
    from collections import namedtuple

    # A file in which nothing is intact.
    Wreck = namedtuple("Wreck", ("number", "size"))

# LittleFS keeps up to two list pointers in every block of a file but the first (its SPEC, CTZ skip-lists).
_BLOCK_OVERHEAD = 8

_DECLARED = ".q"
_NUMBER_DIGITS = 8

_EIO = 5
_ENOENT = 2
_ENOSPC = 28


class SegmentFiles:
    def __init__(self, folder: str, segment_bytes: int) -> None:
        self.index = Index()
        self.wrecks: "list[Wreck]" = []
        # The numbers of files whose damage the chain has told.
        self.declared: "list[int]" = []
        self.used_bytes = 0
        volume = os.statvfs(folder)
        self.block_size: int = volume[0]
        self.volume_bytes: int = volume[1] * volume[2]
        self._folder = folder
        # What fills its blocks to the brim instead of starting one more for the last few bytes.
        self._limit = segment_bytes - _BLOCK_OVERHEAD * (segment_bytes // self.block_size)
        self._last_number = 0
        self._file: "BinaryIO | None" = None
        self._file_number = 0
        self._file_size = 0

    # Names

    def numbers(self) -> "list[int]":
        """Those of all files, in order; and which of them are marked is known from here on."""
        found = []
        self.declared = []
        for entry in os.ilistdir(self._folder):
            name = entry[0]
            try:
                number = int(name[:_NUMBER_DIGITS], 16)
            except ValueError:
                continue
            if name == name_of(number) + _DECLARED:
                self.declared.append(number)
            elif name != name_of(number):
                # It is not ours: whoever put it there may want it back.
                continue
            found.append(number)
        found.sort()
        return found

    def path(self, number: int) -> str:
        return self._folder + "/" + name_of(number) + (_DECLARED if number in self.declared else "")

    def size_on_flash(self, number: int) -> int:
        return os.stat(self.path(number))[6]

    def declare(self, number: int) -> None:
        """Mark a damaged file, or the place of one that is missing."""
        if number in self.declared:
            return
        unmarked = self.path(number)
        if number == self._file_number:
            self.close()
        self.declared.append(number)
        try:
            os.rename(unmarked, self.path(number))
        except OSError as error:
            if error.errno != _ENOENT:
                self.declared.remove(number)
                raise
            self._make_empty(number)

    def _make_empty(self, number: int) -> None:
        with open(self.path(number), "wb"):
            pass

    # Index

    def adopt(self, index: Index, wrecks: "list[Wreck]", last_number: int) -> None:
        """What recovery found."""
        self.index = index
        self.wrecks = wrecks
        self._last_number = last_number
        self._count()

    # Room

    def fits_a_segment(self, size: int) -> bool:
        return size <= self._limit

    def growth(self, epoch: bytes, size: int) -> int:
        """The bytes of flash that one more record takes, in whole blocks."""
        tail = self._tail_for(epoch, size)
        if tail is None:
            return self._occupied(size)
        return self._occupied(tail.size + size) - self._occupied(tail.size)

    def reclaim(self, is_freed: "Callable[[Segment], bool]") -> bool:
        """Give up the oldest file that nobody needs; False if there is none.

        The newest segment stays, freed or not: it holds the head. A wreck has nothing left to lose. In an epoch
        receipts come in order, so its oldest segment is the first that is freed.
        """
        oldest = None
        for segment in self.index.oldest_of_each_epoch():
            if segment is not self.index.newest and is_freed(segment):
                oldest = segment.number
                break
        for wreck in self.wrecks:
            if oldest is None or wreck.number < oldest:
                oldest = wreck.number
        if oldest is None:
            return False
        self.remove(oldest)
        return True

    def remove(self, number: int) -> None:
        """The file goes; what the chain was told of a wreck stays known by its empty name."""
        is_wreck = any(wreck.number == number for wreck in self.wrecks)
        if is_wreck and number in self.declared:
            self._make_empty(number)
        else:
            os.remove(self.path(number))
            self.forget(number)
        removed = self.index.remove(number)
        if removed is not None:
            self.used_bytes -= self._occupied(removed.size)
        if is_wreck:
            self.wrecks = [wreck for wreck in self.wrecks if wreck.number != number]
            self._count()

    def forget(self, number: int) -> None:
        if number in self.declared:
            self.declared.remove(number)

    # Writing

    def append(self, epoch: bytes, sequence: int, record: bytes) -> "tuple[int, int]":
        """Durable when it returns (number, offset). ENOSPC: it is not there. Any other OSError: nobody knows."""
        tail = self._tail_for(epoch, len(record))
        number = tail.number if tail else self._last_number + 1
        try:
            self._open(number)
            offset = self._file_size
            self._write(record)
        except OSError:
            # An error can come after the commit. To say of a record that is there that it is not would let the
            # caller give its sequence to another message.
            self.close()
            self._refresh(tail)
            if self._holds(number, epoch, sequence):
                raise OSError(_EIO)
            raise
        first = sequence
        if tail:
            first = tail.first
            self.used_bytes -= self._occupied(tail.size)
        self.index.add(Segment(number, epoch, first, sequence, offset + len(record)))
        self.used_bytes += self._occupied(offset + len(record))
        self._last_number = number
        return number, offset

    def close(self) -> None:
        if self._file is not None:
            file = self._file
            self._file = None
            try:
                file.close()
            except OSError:
                # What was to be kept was flushed before; LittleFS writes nothing for a file in error.
                pass

    def _tail_for(self, epoch: bytes, size: int) -> "Segment | None":
        tail = self.index.newest
        if tail is None or tail.epoch != epoch or tail.size + size > self._limit:
            return None
        return tail

    def _open(self, number: int) -> None:
        if self._file is not None and self._file_number == number:
            return
        self.close()
        self._file = open(self.path(number), "ab")  # noqa: SIM115  (kept open: reopening walks the directory)
        self._file_number = number
        self._file_size = self.size_on_flash(number)

    def _write(self, record: bytes) -> None:
        assert self._file is not None
        if self._file.write(record) != len(record):
            raise OSError(_ENOSPC)
        self._file.flush()
        self._file_size += len(record)

    def _refresh(self, tail: "Segment | None") -> None:
        if tail:
            size = self.size_on_flash(tail.number)
            self.index.add(Segment(tail.number, tail.epoch, tail.first, tail.last, size))
            self._count()

    def _holds(self, number: int, epoch: bytes, sequence: int) -> bool:
        for _, found_epoch, found, _ in journal_record.scan(self.path(number)):
            if found_epoch == epoch and found == sequence:
                return True
        return False

    def _count(self) -> None:
        used = 0
        for segment in self.index:
            used += self._occupied(segment.size)
        for wreck in self.wrecks:
            used += self._occupied(wreck.size)
        self.used_bytes = used

    def _occupied(self, size: int) -> int:
        if size <= self.block_size:
            return self.block_size
        usable = self.block_size - _BLOCK_OVERHEAD
        return self.block_size * (1 + (size - self.block_size + usable - 1) // usable)


def name_of(number: int) -> str:
    return "%08x" % number

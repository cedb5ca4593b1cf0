"""The journal's files: numbered segments of records, the index of them in RAM, and the room they take.

A segment holds records of one epoch with rising sequences; a new epoch begins a new segment, so the index
needs one small entry per segment and none per record. Numbers only rise: their order is the order of
appending.
"""

import os

from meter_firmware import journal_record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO, Callable, NamedTuple

    class Segment(NamedTuple):
        number: int
        epoch: bytes
        first: int
        last: int
        size: int

    class Wreck(NamedTuple):
        number: int
        size: int
else:
    from collections import namedtuple

    Segment = namedtuple("Segment", ("number", "epoch", "first", "last", "size"))
    # A file in which nothing is intact.
    Wreck = namedtuple("Wreck", ("number", "size"))

# LittleFS keeps up to two list pointers in every block of a file but the first (its SPEC, CTZ skip-lists).
_BLOCK_OVERHEAD = 8

_EIO = 5
_ENOSPC = 28


class SegmentFiles:
    def __init__(self, folder: str, segment_bytes: int) -> None:
        self.index: "list[Segment]" = []
        self.wrecks: "list[Wreck]" = []
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
        found = []
        for name in os.listdir(self._folder):
            try:
                number = int(name, 16)
            except ValueError:
                continue
            # Anything else is not ours: whoever put it there may want it back.
            if name == name_of(number):
                found.append(number)
        found.sort()
        return found

    def path(self, number: int) -> str:
        return self._folder + "/" + name_of(number)

    def size_on_flash(self, number: int) -> int:
        return os.stat(self.path(number))[6]

    # Index

    def adopt(self, index: "list[Segment]", wrecks: "list[Wreck]", last_number: int) -> None:
        """What recovery found."""
        self.index = index
        self.wrecks = wrecks
        self._last_number = last_number
        self._count()

    def find(self, epoch: bytes, sequence: int) -> "Segment | None":
        for segment in self.index:
            if segment.epoch == epoch and segment.first <= sequence <= segment.last:
                return segment
        return None

    def segment_from(self, number: int) -> "Segment | None":
        """The first one with this number or a higher one."""
        for segment in self.index:
            if segment.number >= number:
                return segment
        return None

    def last_of(self, epoch: bytes) -> "int | None":
        last = None
        for segment in self.index:
            if segment.epoch == epoch:
                last = segment.last
        return last

    def epochs(self) -> "list[bytes]":
        """In the order of appending."""
        found: "list[bytes]" = []
        for segment in self.index:
            if not found or found[-1] != segment.epoch:
                found.append(segment.epoch)
        return found

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

        The newest segment stays, freed or not: it holds the head. A wreck has nothing left to lose.
        """
        oldest = None
        for segment in self.index[:-1]:
            if is_freed(segment):
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
        os.remove(self.path(number))
        self.index = [segment for segment in self.index if segment.number != number]
        self.wrecks = [wreck for wreck in self.wrecks if wreck.number != number]
        self._count()

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
            self.used_bytes -= self._occupied(self.index.pop().size)
        self.index.append(Segment(number, epoch, first, sequence, offset + len(record)))
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
        if not self.index:
            return None
        tail = self.index[-1]
        if tail.epoch != epoch or tail.size + size > self._limit:
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
            self.index[-1] = Segment(tail.number, tail.epoch, tail.first, tail.last, size)
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

"""Which segments there are: one small entry each, in the order of appending, found by halving.

A segment holds records of one epoch with rising sequences, and a new epoch begins a new segment. So the index is
a row of runs, one for each epoch, and within a run numbers and sequences rise together.

An entry takes 36 bytes of a 32-bit board's RAM: a tuple of five in two blocks of its heap, and its place in the
list. Entries of one epoch share the epoch's bytes.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator, NamedTuple

    class Segment(NamedTuple):
        number: int
        epoch: bytes
        first: int
        last: int
        size: int
else:
    from collections import namedtuple

    Segment = namedtuple("Segment", ("number", "epoch", "first", "last", "size"))

_NUMBER = 0
_LAST = 3


class Index:
    def __init__(self) -> None:
        self._segments: "list[Segment]" = []
        # Each epoch with the number of its first segment.
        self._runs: "list[tuple[bytes, int]]" = []

    def __len__(self) -> int:
        return len(self._segments)

    def __getitem__(self, position: int) -> Segment:
        return self._segments[position]

    def __iter__(self) -> "Iterator[Segment]":
        return iter(self._segments)

    @property
    def newest(self) -> "Segment | None":
        return self._segments[-1] if self._segments else None

    def epochs(self) -> "list[bytes]":
        """In the order of appending."""
        return [epoch for epoch, _ in self._runs]

    # Looking up

    def find(self, epoch: bytes, sequence: int) -> "Segment | None":
        """The one that holds this place."""
        for run in range(len(self._runs) - 1, -1, -1):
            if self._runs[run][0] == epoch:
                start, end = self._bounds(run)
                position = self._bisect(_LAST, sequence, start, end)
                if position < end and self._segments[position].first <= sequence:
                    return self._segments[position]
        return None

    def from_number(self, number: int) -> "Segment | None":
        """The first one with this number or a higher one."""
        position = self._bisect(_NUMBER, number, 0, len(self._segments))
        return self._segments[position] if position < len(self._segments) else None

    def number_from(self, epoch: bytes, sequence: int) -> int:
        """Where to begin to meet everything from this place on; 0 for an epoch that is not there."""
        for run in range(len(self._runs)):
            if self._runs[run][0] == epoch:
                start, end = self._bounds(run)
                position = self._bisect(_LAST, sequence, start, end)
                return self._segments[position].number if position < end else self._segments[end - 1].number + 1
        return 0

    def last_of(self, epoch: bytes) -> "int | None":
        """The newest sequence of an epoch."""
        for run in range(len(self._runs) - 1, -1, -1):
            if self._runs[run][0] == epoch:
                return self._segments[self._bounds(run)[1] - 1].last
        return None

    def oldest_of_each_epoch(self) -> "Iterator[Segment]":
        for run in range(len(self._runs)):
            yield self._segments[self._bounds(run)[0]]

    # Changing

    def add(self, segment: Segment) -> None:
        """The newest; it takes the place of the entry that has its number."""
        if self._segments and self._segments[-1].number == segment.number:
            self._segments[-1] = segment
            return
        if not self._runs or self._runs[-1][0] != segment.epoch:
            self._runs.append((segment.epoch, segment.number))
        self._segments.append(segment)

    def remove(self, number: int) -> "Segment | None":
        position = self._bisect(_NUMBER, number, 0, len(self._segments))
        if position == len(self._segments) or self._segments[position].number != number:
            return None
        removed = self._segments[position]
        # In place: a new list would take the heap's largest piece once more, each time room is made.
        del self._segments[position]
        if (removed.epoch, number) in self._runs:
            run = self._runs.index((removed.epoch, number))
            if position < len(self._segments) and self._segments[position].epoch == removed.epoch:
                self._runs[run] = (removed.epoch, self._segments[position].number)
            else:
                del self._runs[run]
        return removed

    # Inside

    def _bounds(self, run: int) -> "tuple[int, int]":
        """The positions of a run's first segment and of the one after its last."""
        size = len(self._segments)
        start = self._bisect(_NUMBER, self._runs[run][1], 0, size)
        if run + 1 == len(self._runs):
            return start, size
        return start, self._bisect(_NUMBER, self._runs[run + 1][1], start, size)

    def _bisect(self, field: int, value: int, low: int, high: int) -> int:
        """The first position in [low, high) whose field is not below the value; high if there is none."""
        while low < high:
            middle = (low + high) // 2
            segment: "tuple[Any, ...]" = self._segments[middle]
            if segment[field] < value:
                low = middle + 1
            else:
                high = middle
        return low

"""The readings of a run of messages, as everything that judges them takes them: row by row, or as columns."""

from collections.abc import Sequence
from operator import sub
from types import EllipsisType
from typing import Any, NamedTuple, Protocol

from meter_gateway.model import Finding

Reading = list[Any]
Rows = Sequence[dict[int, Reading]]
Found = list[list[Finding]]
"""Findings of each message of the run, to be added to."""

Unsettled = dict[int, int | None]
"""Registers whose total is not of the last interval's end but of this Unix time, None if it is not known."""

REGISTER_MAX_LENGTH = 4
"""A longer reading is a mean's (SPEC §5.1)."""

MEAN = 3
"""Where a mean channel's reading has its mean."""


class Interval(NamedTuple):
    """When the readings of a row were taken; None where it is not known."""

    end_ms: int | None
    duration_ms: int | None

    def start_ms(self) -> int | None:
        return None if self.end_ms is None or self.duration_ms is None else self.end_ms - self.duration_ms


class Memory(Protocol):
    """What the chain has taught, as far as it concerns readings (ChainState)."""

    totals: dict[int, int]
    unsettled: Unsettled
    remembered: dict[int, list[Any]]


class Times(NamedTuple):
    """Of intervals whose ends and durations are known, in their order; ms."""

    first_end_ms: int
    longest_step_ms: int
    """From one end to the next; 0 of one interval."""

    shortest_ms: int
    durations_ms: Sequence[int]


def times_of(intervals: Sequence[Interval]) -> Times | None:
    """None if an end or a duration is not known."""
    ends, durations = zip(*intervals, strict=True)
    if None in ends or None in durations:
        return None
    return Times(ends[0], max(map(sub, ends[1:], ends), default=0), min(durations), durations)


class Run:
    """The readings of messages that are judged together, and what was known before them.

    What several ask for is found out once, so that it stays what it was before the run's totals were taken in.
    """

    __slots__ = ("_increases", "_means", "_times", "intervals", "memory", "rows")

    def __init__(self, rows: Rows, intervals: Sequence[Interval], memory: Memory) -> None:
        self.rows = rows
        self.intervals = intervals
        self.memory = memory
        self._means: dict[int, list[int] | None] = {}
        self._increases: dict[int, list[int] | None] = {}
        self._times: Times | EllipsisType | None = ...

    def times(self) -> Times | None:
        """Of all intervals."""
        if self._times is ...:
            self._times = times_of(self.intervals)
        return self._times

    def column(self, channel: int) -> tuple[Any, ...] | None:
        """The channel's readings taken apart: all their statuses, all that stands behind them, and so on.

        None unless every row has one and all have one length.
        """
        try:
            return tuple(zip(*[row[channel] for row in self.rows], strict=True))
        except (KeyError, ValueError):
            return None

    def means(self, channel: int) -> list[int] | None:
        """None unless every row has one of status 0."""
        try:
            return self._means[channel]
        except KeyError:
            found = self._means[channel] = self._find_means(channel)
            return found

    def increases(self, channel: int) -> list[int] | None:
        """What the register counted in each interval; None unless every row has a total of status 0, the one
        before them is known, and none is below the one before it."""
        try:
            return self._increases[channel]
        except KeyError:
            found = self._increases[channel] = self._find_increases(channel)
            return found

    # These two without a column: of a message that comes alone it takes several times as long.

    def _find_means(self, channel: int) -> list[int] | None:
        try:
            means: list[Any] = [None if (reading := row[channel])[0] else reading[MEAN] for row in self.rows]
        except (KeyError, IndexError):
            return None
        return None if None in means else means

    def _find_increases(self, channel: int) -> list[int] | None:
        last = self.memory.totals.get(channel)
        if last is None or channel in self.memory.unsettled:
            return None
        try:
            totals: list[Any] = [
                None if (reading := row[channel])[0] or len(reading) > REGISTER_MAX_LENGTH else reading[1]
                for row in self.rows
            ]
        except KeyError:
            return None
        if None in totals:
            return None
        increases = list(map(sub, totals, (last, *totals)))
        return increases if min(increases) >= 0 else None


def mean_of(reading: Reading | None) -> int | None:
    """None if it is no mean's reading, or has no value."""
    if reading is None or len(reading) <= REGISTER_MAX_LENGTH:
        return None
    mean: int | None = reading[MEAN]
    return mean

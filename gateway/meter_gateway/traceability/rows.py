"""The readings of a run of messages, as everything that judges them takes them: row by row, or as columns."""

from collections.abc import Sequence
from operator import lt, sub
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

LENGTH_WITH_EXTREMES = 7
"""Of a mean's reading that ends with the minimum and the maximum."""


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


def times_of(intervals: Sequence[Interval]) -> Times | None:
    """None if an end or a duration is not known."""
    ends, durations = zip(*intervals, strict=True)
    if None in ends or None in durations:
        return None
    return Times(ends[0], max(map(sub, ends[1:], ends), default=0), min(durations))


class Integers(NamedTuple):
    """Integers, one for each row."""

    values: Sequence[int]
    least: int
    most: int


class Durations(NamedTuple):
    """Of all intervals of a run; ms."""

    values: Sequence[int]
    shortest: int
    longest: int
    total: int


class Means(NamedTuple):
    """A mean channel's readings in all rows of a run, which all have a value and one length."""

    length: int
    is_good: bool
    """Whether all are of status 0."""

    n: Sequence[int]
    is_complete: bool
    """Whether none has fewer samples than were expected."""

    values: Sequence[int]
    least: int
    most: int
    low: Sequence[int]
    """Minima, or the values themselves where the channel declares none; `high` likewise."""

    high: Sequence[int]
    lowest: int
    highest: int


class Run:
    """The readings of messages that are judged together, and what was known before them.

    What several ask for is found out once, so that it costs once and stays what it was before the run's totals
    were taken in.
    """

    __slots__ = ("_durations", "_increases", "_means", "_times", "intervals", "memory", "rows")

    def __init__(self, rows: Rows, intervals: Sequence[Interval], memory: Memory) -> None:
        self.rows = rows
        self.intervals = intervals
        self.memory = memory
        self._means: dict[int, Means | None] = {}
        self._increases: dict[int, Integers | None] = {}
        self._times: Times | EllipsisType | None = ...
        self._durations: Durations | EllipsisType | None = ...

    def times(self) -> Times | None:
        """Of all intervals."""
        if self._times is ...:
            self._times = times_of(self.intervals)
        return self._times

    def durations(self) -> Durations | None:
        """None if one is not known."""
        if self._durations is ...:
            values = [duration_ms for _, duration_ms in self.intervals if duration_ms is not None]
            is_known = len(values) == len(self.intervals)
            self._durations = Durations(values, min(values), max(values), sum(values)) if is_known else None
        return self._durations

    def means(self, channel: int) -> Means | None:
        """None unless every row has one with a value, and all have one length."""
        try:
            return self._means[channel]
        except KeyError:
            found = self._means[channel] = self._find_means(channel)
            return found

    def increases(self, channel: int) -> Integers | None:
        """What the register counted in each interval. None unless every row has a total of status 0, the one
        before them is known, and none is below the one before it."""
        try:
            return self._increases[channel]
        except KeyError:
            found = self._increases[channel] = self._find_increases(channel)
            return found

    def _find_means(self, channel: int) -> Means | None:
        try:
            column: tuple[Any, ...] = tuple(zip(*[row[channel] for row in self.rows], strict=True))
        except (KeyError, ValueError):
            return None
        length = len(column)
        if length <= REGISTER_MAX_LENGTH or None in column[MEAN]:
            return None
        statuses, n, expected, values = column[:4]
        is_complete = n == expected or not any(map(lt, n, expected))
        least, most = min(values), max(values)
        extents = values, values, least, most
        if length == LENGTH_WITH_EXTREMES:
            low, high = column[-2:]
            extents = low, high, min(low), max(high)
        return Means(length, not any(statuses), n, is_complete, values, least, most, *extents)

    def _find_increases(self, channel: int) -> Integers | None:
        last = self.memory.totals.get(channel)
        if last is None or channel in self.memory.unsettled:
            return None
        try:
            column: tuple[Any, ...] = tuple(zip(*[row[channel] for row in self.rows], strict=True))
        except (KeyError, ValueError):
            return None
        if len(column) > REGISTER_MAX_LENGTH or any(column[0]) or None in column[1]:
            return None
        totals = column[1]
        values = list(map(sub, totals, (last, *totals)))
        least = min(values)
        return Integers(values, least, max(values)) if least >= 0 else None


def mean_of(reading: Reading | None) -> int | None:
    """None if it is no mean's reading, or has no value."""
    if reading is None or len(reading) <= REGISTER_MAX_LENGTH:
        return None
    mean: int | None = reading[MEAN]
    return mean

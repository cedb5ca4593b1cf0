"""The readings of a run of messages, as everything that judges them takes them: row by row, or as columns."""

from collections.abc import Sequence
from operator import sub
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


class Run(NamedTuple):
    """The readings of messages that are judged together, and what was known before them."""

    rows: Rows
    intervals: Sequence[Interval]
    memory: Memory

    def column(self, channel: int) -> tuple[Any, ...] | None:
        """The channel's readings taken apart: all their statuses, all that stands behind them, and so on.

        None unless every row has one and all have one length.
        """
        try:
            return tuple(zip(*[row[channel] for row in self.rows], strict=True))
        except (KeyError, ValueError):
            return None

    # These two without a column: of a message that comes alone it takes several times as long.

    def means(self, channel: int) -> list[int] | None:
        """None unless every row has one of status 0."""
        try:
            means: list[Any] = [None if (reading := row[channel])[0] else reading[MEAN] for row in self.rows]
        except (KeyError, IndexError):
            return None
        return None if None in means else means

    def increases(self, channel: int) -> list[int] | None:
        """What the register counted in each interval; None unless every row has a total of status 0, the one
        before them is known, and none is below the one before it."""
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

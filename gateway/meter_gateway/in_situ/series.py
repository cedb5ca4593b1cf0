"""What one side of a comparison showed, as spans of time that follow each other.

A mean speaks for its interval. A register speaks by how much it grew from one total to the next. A sample of an
instant speaks for the time around it, halfway to its neighbours, but never further than `MAX_REACH_MS`: what
nobody looked at for longer is not known.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

MAX_REACH_MS = 60_000


@dataclass(frozen=True, slots=True)
class Reading:
    """`value` in units of the series' 10^exponent; a total or a sample has `start_ms` = `end_ms`.

    `spread` is how far the samples inside an interval lie apart, None if nothing says so. `hash` is the message
    hash of the signed message that it comes from.
    """

    start_ms: int
    end_ms: int
    value: int
    spread: int | None = None
    hash: bytes | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """Readings in the order of time. `step` is the resolution in units of 10^exponent.

    The side's clock is off by at most `offset_ms`, the same for the whole run, and each moment by at most
    `jitter_ms` more: how late a sample may be, or how long an instrument takes to answer.
    """

    exponent: int
    is_register: bool
    readings: tuple[Reading, ...]
    offset_ms: int = 0
    jitter_ms: int = 0
    step: int = 1

    @property
    def scale(self) -> float:
        return float(10.0**self.exponent)


class Span(NamedTuple):
    """`amount` is a mean, or a register's increase, in the quantity's unit; `spread` is in the unit of `level`."""

    start_ms: float
    end_ms: float
    amount: float
    spread: float
    is_register: bool

    @property
    def length_ms(self) -> float:
        return self.end_ms - self.start_ms

    @property
    def level(self) -> float:
        """What can be compared whatever the span's length: the mean, or the mean rate in unit/ms."""
        return self.amount / self.length_ms if self.is_register else self.amount


def spans(series: Series) -> list[Span]:
    """Those that last; a register that went backwards has none there, since nobody knows how much it counted."""
    return [span for span in _spans(series) if span.length_ms > 0]


def _spans(series: Series) -> Iterator[Span]:
    readings, scale = series.readings, series.scale
    if series.is_register:
        totals = [reading for reading in readings if reading.start_ms == reading.end_ms]
        for before, after in pairwise(totals):
            if after.value >= before.value:
                yield Span(before.end_ms, after.end_ms, (after.value - before.value) * scale, 0.0, True)
    else:
        yield from _around(readings, scale)
    for reading in readings:
        if reading.start_ms < reading.end_ms:
            spread = (reading.spread or 0) * scale
            yield Span(reading.start_ms, reading.end_ms, reading.value * scale, spread, series.is_register)


def _around(readings: Sequence[Reading], scale: float) -> Iterator[Span]:
    """Samples, each with the time that is nearer to it than to its neighbours."""
    samples = [reading for reading in readings if reading.start_ms == reading.end_ms]
    borders = [(one.end_ms + other.end_ms) / 2 for one, other in pairwise(samples)]
    for place, sample in enumerate(samples):
        low = borders[place - 1] if place else float(sample.end_ms)
        high = borders[place] if place < len(borders) else float(sample.end_ms)
        low, high = max(low, sample.end_ms - MAX_REACH_MS), min(high, sample.end_ms + MAX_REACH_MS)
        yield Span(low, high, sample.value * scale, 0.0, False)

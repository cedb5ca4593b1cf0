"""Both sides over the same spans of time, and what it adds to the uncertainty that they are not quite the same.

1. The side whose spans are longer gives the spans; the other side is averaged (a mean) or added up (a register)
   over each, a span that lies across an edge by its share.
2. A span that the other side does not cover is no pair. Nothing is extrapolated.
3. A pair is settled if what both sides show around it (inside, and in the span before) lies within the criterion.
   One about which nothing but itself is known has not been shown to be settled.
4. Of the two clocks: a common offset shifts both edges alike, so it costs what the process changed meanwhile. A
   jitter is each edge's own; for a register it costs what is counted in that time.
5. Of a span across an edge: what it counted before the edge and what after is known by its share only. That costs
   the spread over the smaller part.
All of these are rectangular (GUM 4.3.7).
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from meter_gateway.in_situ.series import Series, Span, spans

UNCOVERED = 0.001
"""Part of a span that the other side may leave open, or cover twice: what rounding makes of its shares."""


@dataclass(frozen=True, slots=True)
class Pair:
    """`channel` and `reference` in the quantity's unit, as they were shown; `u` is of this pair alone."""

    start_ms: float
    end_ms: float
    channel: float
    reference: float
    u: float
    level: float
    """The reference's, per hour if it is a register."""

    is_covered: bool
    is_settled: bool

    @property
    def is_used(self) -> bool:
        return self.is_covered and self.is_settled


MS_PER_HOUR = 3_600_000


def pairs_of(channel: Series, reference: Series, settled_within: float | None) -> list[Pair]:
    """`settled_within` is relative to the level; None takes every pair as settled."""
    sides = spans(channel), spans(reference)
    if not sides[0] or not sides[1]:
        return []
    is_channel_longer = _length(sides[0]) > _length(sides[1])
    base, fine = sides if is_channel_longer else (sides[1], sides[0])
    steps = channel.step * channel.scale, reference.step * reference.scale
    step_of_base, step_of_fine = steps if is_channel_longer else (steps[1], steps[0])
    starts = [span.start_ms for span in fine]
    jitter_ms = channel.jitter_ms + reference.jitter_ms
    offset_ms = channel.offset_ms + reference.offset_ms
    resolution = math.hypot(_resolution(channel), _resolution(reference))
    found = []
    for place, span in enumerate(base):
        within = _within(fine, starts, span)
        amount, covered, cut_ms = _over(within, span)
        spread = max(_spread(within, step_of_fine), _spread(base[max(0, place - 1) : place + 1], step_of_base))
        times_ms = (spread * offset_ms, spread * cut_ms, _edge_level(span, spread) * jitter_ms * math.sqrt(2))
        u_time = math.hypot(*times_ms) / math.sqrt(3) / (1 if span.is_register else span.length_ms)
        is_known = len(within) > 1 or place > 0
        level = abs(span.level)
        is_settled = settled_within is None or (is_known and spread <= settled_within * level)
        own, other = (span.amount, amount) if is_channel_longer else (amount, span.amount)
        found.append(
            Pair(
                span.start_ms,
                span.end_ms,
                own,
                other,
                math.hypot(u_time, resolution),
                other / span.length_ms * MS_PER_HOUR if span.is_register else other,
                abs(covered - 1) <= UNCOVERED,
                is_settled,
            )
        )
    return found


def _length(found: Sequence[Span]) -> float:
    return median(span.length_ms for span in found)


def _within(fine: Sequence[Span], starts: Sequence[float], span: Span) -> list[Span]:
    """Those that overlap with the span."""
    first = max(0, bisect_left(starts, span.start_ms) - 1)
    last = bisect_left(starts, span.end_ms)
    return [each for each in fine[first:last] if each.end_ms > span.start_ms and each.start_ms < span.end_ms]


def _over(within: Sequence[Span], span: Span) -> tuple[float, float, float]:
    """Mean or sum over the span, the part of it that is covered, and the time of what is cut at its edges."""
    total = covered_ms = cut_ms = 0.0
    for each in within:
        overlap_ms = min(each.end_ms, span.end_ms) - max(each.start_ms, span.start_ms)
        covered_ms += overlap_ms
        total += each.amount * overlap_ms / (each.length_ms if span.is_register else 1)
        if overlap_ms < each.length_ms:
            cut_ms = math.hypot(cut_ms, min(overlap_ms, each.length_ms - overlap_ms))
    amount = total if span.is_register else total / covered_ms if covered_ms else 0.0
    return amount, covered_ms / span.length_ms, cut_ms


def _spread(around: Sequence[Span], step: float) -> float:
    """How far the levels of one side lie apart, and the samples inside each of its spans.

    What the resolution alone makes of a steady process is no change of it: a step of each of two values, each of
    which for a register is the difference of two totals over a span that may be short.
    """
    if not around:
        return 0.0
    levels = [span.level for span in around]
    shortest_ms = min(span.length_ms for span in around)
    alone = 2 * step / shortest_ms if around[0].is_register else step
    return max(0.0, max(levels) - min(levels) - alone, *(span.spread for span in around))


def _edge_level(span: Span, spread: float) -> float:
    return abs(span.level) if span.is_register else spread


def _resolution(series: Series) -> float:
    """±half a step of a mean, rectangular; ±one step of an increase, which has two totals, triangular."""
    step = series.step * series.scale
    return step / math.sqrt(6) if series.is_register else step / math.sqrt(12)

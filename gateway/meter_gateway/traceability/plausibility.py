"""Is a value plausible beside those before it: stuck, a spike, or changing faster than its process can?

A mean is judged by its value, and by minimum and maximum where the channel declares them; a register by its rate,
the increase over the interval. Limits come from plausibility files and are integers here, at the channel's own
exponent:

- `value_stuck`: all values stayed within a band for a time. The time is the sum of the intervals' own durations,
  so that no clock step lengthens it;
- `value_spike`: the value, or one of its extremes, is far from the median of the WINDOW values before it;
- `rate_of_change`: the value changed from the one before by more than the limit times the time between.

What is remembered of a channel is small and follows from its messages and limits (ChainState.remembered). A run's
values are looked over as a column first, and one by one only if the column is not plain.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from operator import sub
from typing import Any, NamedTuple

from meter_gateway.model import Finding
from meter_gateway.traceability.findings import finding
from meter_gateway.traceability.parameters import Channel
from meter_gateway.traceability.plausibility_file import ChannelLimits
from meter_gateway.traceability.row_rules import RowRule, increases
from meter_gateway.traceability.rows import LENGTH_WITH_EXTREMES, MEAN, Found, Interval, Run, times_of
from meter_gateway.units import UNITS
from meter_protocol import fields as f

WINDOW = 5
"""Values before a value, whose median it is held against."""

_FEWEST = 3
_MS_PER_MINUTE = 60_000
_MEAN_LENGTH = {False: 5, True: LENGTH_WITH_EXTREMES}

_RATES = {"W.h": ("W", 3_600_000), "V.A.h": ("V.A", 3_600_000), "J": ("W", 1000)}
"""Unit of a register's quantity -> (unit of its rate, ms of that rate's unit of time)."""

_PER_HOUR_MS = 3_600_000


class _Values(NamedTuple):
    """The values that a run has, in order; `at` are their places in it."""

    at: Sequence[int]
    value: Sequence[int]
    low: Sequence[int]
    high: Sequence[int]
    lowest: int
    highest: int


class ChannelRule:
    """One channel's limits. `change` is (numerator, denominator) of the largest change in one ms."""

    def __init__(self, channel: Channel, limits: ChannelLimits, factor: Fraction, per_ms: int | None) -> None:
        """`factor` from the limits' unit to the channel's steps; `per_ms` for a register, of its rate's unit."""
        self._channel = channel.id
        self._length = _MEAN_LENGTH[channel.extremes]
        self._per_ms = per_ms
        self._step = channel.ratio if per_ms is not None else 0
        stuck, spike, change = limits.stuck_minutes, limits.max_spike, limits.max_change_per_minute
        self._stuck_ms = None if stuck is None else stuck * _MS_PER_MINUTE
        self._band = math.floor(Fraction(limits.stuck_within) * factor)
        self._spike = None if spike is None else math.floor(Fraction(spike) * factor)
        self._change = None if change is None else (Fraction(change) * factor / _MS_PER_MINUTE).as_integer_ratio()

    def judge(self, run: Run, found: Found) -> None:
        values = self._means(run) if self._per_ms is None else self._rates(run, self._per_ms)
        if values is None:
            return
        intervals = run.intervals
        known = run.memory.remembered.setdefault(self._channel, [[], None, 0, 0, 0])
        if self._stuck_ms is not None:
            self._judge_stuck(values, run, known, found)
        if self._is_plain(values, run, known):
            known[0] = [*known[0], *values.value[-WINDOW:]][-WINDOW:]
        else:
            known[0] = self._judge_each(values, intervals, known, found)
        known[1] = intervals[values.at[-1]].end_ms

    def _means(self, run: Run) -> _Values | None:
        channel, length = self._channel, self._length
        means = run.means(channel)
        if means is not None and means.length == length:
            return _Values(range(len(run.rows)), means.values, means.low, means.high, means.lowest, means.highest)
        good = [
            (place, reading[MEAN], reading[-2], reading[-1])
            for place, row in enumerate(run.rows)
            if (reading := row.get(channel)) is not None and len(reading) == length and reading[MEAN] is not None
        ]
        if not good:
            return None
        at, value, low, high = zip(*good, strict=True)
        if length != LENGTH_WITH_EXTREMES:
            low = high = value
        return _Values(at, value, low, high, min(low), max(high))

    def _rates(self, run: Run, per_ms: int) -> _Values | None:
        """Where a total and the one at the interval's beginning are known; no other increase has a time."""
        plain, durations_ms = run.increases(self._channel), run.durations()
        if plain is not None and durations_ms is not None and durations_ms.shortest > 0:
            rates = [
                increase * per_ms // duration_ms
                for increase, duration_ms in zip(plain.values, durations_ms.values, strict=True)
            ]
            return _Values(range(len(rates)), rates, rates, rates, min(rates), max(rates))
        grown = increases(self._channel, run)
        known = [
            (place, increase * per_ms // duration_ms)
            for place, (increase, (_, duration_ms)) in enumerate(zip(grown, run.intervals, strict=True))
            if increase is not None and duration_ms
        ]
        if not known:
            return None
        at, column = zip(*known, strict=True)
        return _Values(at, column, column, column, min(column), max(column))

    def _is_plain(self, values: _Values, run: Run, known: Sequence[Any]) -> bool:
        """Whether no value of the column can be a spike or have changed too fast."""
        recent, last_ms = known[0], known[1]
        if self._spike is None and self._change is None:
            return True
        intervals = run.intervals
        is_whole = len(values.at) == len(intervals)
        times = run.times() if is_whole else times_of([intervals[place] for place in values.at])
        if not recent or last_ms is None or times is None:
            return False
        if max(times.longest_step_ms, times.first_end_ms - last_ms) > (WINDOW + 1) * times.shortest_ms:
            return False
        spread = max(*recent, values.highest) - min(*recent, values.lowest)
        if self._spike is not None and spread > self._spike:
            return False
        if self._change is None:
            return True
        numerator, denominator = self._change
        largest = numerator * times.shortest_ms
        # No change is larger than the spread, which costs no look at each of them.
        return spread * denominator <= largest or max(_changes(recent[-1], values.value)) * denominator <= largest

    def _judge_each(
        self, values: _Values, intervals: Sequence[Interval], known: Sequence[Any], found: Found
    ) -> list[int]:
        """The values that count as recent after the run."""
        recent, last_ms = list(known[0]), known[1]
        for place, value, low, high in zip(values.at, values.value, values.low, values.high, strict=True):
            end_ms, duration_ms = intervals[place]
            elapsed_ms = duration_ms or 0
            if end_ms is not None and last_ms is not None:
                elapsed_ms = max(elapsed_ms, end_ms - last_ms)
            # Values from before a long gap say nothing about the level now.
            before = recent if elapsed_ms <= (WINDOW + 1) * (duration_ms or 0) else []
            margin = self._margin(duration_ms)
            if self._spike is not None and len(before) >= _FEWEST:
                middle = sorted(before)[len(before) // 2]
                if max(high - middle, middle - low) - margin > self._spike:
                    found[place].append(finding("value_spike", self._channel))
            if self._change is not None and recent and elapsed_ms:
                change = abs(value - recent[-1]) - margin
                if change * self._change[1] > self._change[0] * elapsed_ms:
                    found[place].append(finding("rate_of_change", self._channel))
            recent = [*before, value][-WINDOW:]
            last_ms = end_ms
        return recent

    def _margin(self, duration_ms: int | None) -> int:
        """A register shows whole steps, so that each of two rates may be wrong by one of them."""
        if not self._step or not duration_ms:
            return 0
        return 2 * -(-self._step * (self._per_ms or 0) // duration_ms)

    def _judge_stuck(self, values: _Values, run: Run, known: list[Any], found: Found) -> None:
        recent, _, lowest, highest, stuck_ms = known
        is_first, begin = not recent, 0
        band, longest_ms = self._band, self._stuck_ms or 0
        if not is_first:
            lasted_ms = stuck_ms + _lasted_ms(values, run)
            least, most = min(lowest, values.lowest), max(highest, values.highest)
            if lasted_ms < longest_ms and most - least <= band:
                known[2:] = [least, most, lasted_ms]
                return
            # Where nothing lasts for long enough, all that counts is what still lasts at the end.
            if lasted_ms < longest_ms or stuck_ms + _still_ms(values, run, recent[-1], band) < longest_ms:
                begin = _last_beyond(band, values.value)
            is_first = begin > 0
        for place, low, high in zip(values.at[begin:], values.low[begin:], values.high[begin:], strict=True):
            lowest, highest = min(lowest, low), max(highest, high)
            if is_first or highest - lowest > band:
                lowest, highest, stuck_ms, is_first = low, high, 0, False
                continue
            stuck_ms += run.intervals[place].duration_ms or 0
            if stuck_ms >= longest_ms:
                found[place].append(finding("value_stuck", self._channel))
        # Bounded, because it is stored: what is stuck for longer is stuck all the same.
        known[2:] = [lowest, highest, min(stuck_ms, longest_ms)]


def _lasted_ms(values: _Values, run: Run) -> int:
    durations_ms = run.durations()
    if durations_ms is not None and len(values.at) == len(run.intervals):
        return durations_ms.total
    return sum(run.intervals[place].duration_ms or 0 for place in values.at)


def _still_ms(values: _Values, run: Run, before: int, band: int) -> int:
    """The intervals whose value is within the band of the one before it: no other lengthens what lasts."""
    changes = zip(values.at, _changes(before, values.value), strict=True)
    return sum(run.intervals[place].duration_ms or 0 for place, change in changes if change <= band)


def _last_beyond(band: int, values: Sequence[int]) -> int:
    """The place of the last value that is further than the band from the one before it; 0 if none is."""
    for place in range(len(values) - 1, 0, -1):
        if abs(values[place] - values[place - 1]) > band:
            return place
    return 0


def _changes(before: int, values: Sequence[int]) -> Iterator[int]:
    """How far each value is from the one before it."""
    return map(abs, map(sub, values, (before, *values)))


def rules_of(
    limits: Sequence[ChannelLimits], channels: Mapping[int, Channel]
) -> tuple[tuple[RowRule, ...], tuple[Finding, ...]]:
    """The rules of one meter's channels, and `limits_inapplicable` where a limit is not of its channel's unit."""
    rules: list[RowRule] = []
    codes = []
    for limit in limits:
        rule = _rule_of(limit, channels.get(limit.channel))
        if rule is None:
            codes.append(finding("limits_inapplicable", limit.channel))
        else:
            rules.append(rule)
    return tuple(rules), tuple(codes)


def _rule_of(limit: ChannelLimits, channel: Channel | None) -> ChannelRule | None:
    if channel is None or channel.quantity is None:
        return None
    unit, per_ms = channel.quantity.ucum, None
    if channel.kind == f.CHANNEL_REGISTER:
        unit, per_ms = _RATES.get(unit, (f"{unit}/h", _PER_HOUR_MS))
    ucum, factor = UNITS[limit.unit]
    if ucum != unit:
        return None
    return ChannelRule(channel, limit, factor / Fraction(10) ** channel.exponent, per_ms)

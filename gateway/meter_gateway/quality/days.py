"""A channel's day in numbers: how complete, valid, timely, traceable and certain its readings are.

Each reading is taken once, in any order, and its interval is spread over the hours that it covers. Days are those
of a fixed offset from UTC, so that each has 24 hours. What is kept is a few numbers per channel and day, however
many readings there are.

- completeness: time covered by regular or partial intervals with a value, of the time expected;
- validity: time of valid readings, of the time covered; where a scheme says what a valid hour is, valid hours of
  the hours expected. A reading is valid if it has a value and nothing in VALIDITY was found about it. For a valid
  hour nothing in OUT_OF_CONTROL either: data of an analyser that failed its check, or missed it, is none (HJ 75);
- timeliness: readings received within the scheme's time after their interval's end;
- traceability: readings about which nothing in TRACEABILITY was found;
- uncertainty: readings within the scheme's target, of those that have both an uncertainty and a target.

A finding that the scheme only informs of spoils nothing: that is what the scheme is for.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction
from typing import NamedTuple

from meter_gateway.traceability.thresholds import DataValidity, QualityTargets

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
MAX_SPAN_MS = 31 * DAY_MS
"""An interval, or the time between two totals of a register, that is longer says nothing of an hour or a day.
Whatever a meter signs, the report's work is bounded."""

Place = tuple[bytes, int]
"""(meter's thumbprint, channel)"""

_EPOCH = date(1970, 1, 1)
_MS_PER_MINUTE = 60_000

VALIDITY = frozenset(
    {
        "bad_response",
        "balance_violated",
        "discontinuity",
        "implausible",
        "interval_overlap",
        "no_response",
        "over_range",
        "plant_balance_violated",
        "rate_of_change",
        "reading_not_in_parameters",
        "register_backwards",
        "samples_insufficient",
        "signal_fault",
        "under_range",
        "value_spike",
        "value_stuck",
        "wrong_instrument",
    }
)
"""Findings about the value itself."""

OUT_OF_CONTROL = frozenset(
    {
        "comparison_failed",
        "comparison_missing",
        "comparison_overdue",
        "drift_detected",
        "reference_gas_expired",
        "self_test_failed",
        "suspect_since_comparison",
        "zero_span_failed",
        "zero_span_overdue",
    }
)
"""Findings that the instrument was not under quality control."""

TRACEABILITY = frozenset(
    {
        "certificate_due_unknown",
        "certificate_expired",
        "certificate_missing",
        "certificate_not_yet_valid",
        "certificate_revocation_unknown",
        "certificate_signer_expired",
        "certificate_signer_revoked",
        "certificate_signer_untrusted",
        "certificate_superseded",
        "certificate_unsigned",
        "certificate_withdrawn",
        "comparison_failed",
        "comparison_inconclusive",
        "comparison_missing",
        "comparison_overdue",
        "drift_detected",
        "instrument_adjusted",
        "instrument_damaged",
        "instrument_mismatch",
        "operating_point_unknown",
        "outside_calibrated_range",
        "parameters_missing",
        "parameters_unauthorised",
        "range_unknown",
        "reference_gas_expired",
        "signing_time_unproven",
        "standards_chain_incomplete",
        "standards_link_invalid",
        "standards_ratio_exceeded",
        "suspect_since_comparison",
        "time_unbounded",
        "verification_failed",
        "zero_span_failed",
        "zero_span_overdue",
    }
)
"""Findings about instrument, certificate, operating point and comparisons."""


class Reading(NamedTuple):
    """One channel's reading as the report sees it. `codes` are what the latest verdict holds against it: of the
    channel and of the whole message, without what the scheme only informs of; None while it is not judged."""

    start_ms: int
    end_ms: int
    received_ms: int
    has_value: bool
    codes: frozenset[str] | None
    is_within_target: bool | None
    """None if the reading has no uncertainty, or its quantity no target."""


@dataclass(slots=True)
class Day:
    """Sums of one channel and day; times in ms. Readings count for the day in which they end."""

    covered_ms: int = 0
    valid_ms: int = 0
    valid_hours_ms: list[int] = field(default_factory=lambda: [0] * 24)
    readings: int = 0
    timely: int = 0
    delay_sum_ms: int = 0
    delay_max_ms: int = 0
    traceable: int = 0
    with_target: int = 0
    within_target: int = 0


class Quality(NamedTuple):
    """Of one channel and day; shares are None where there is nothing to take a share of."""

    completeness: Fraction | None
    validity: Fraction | None
    timeliness: Fraction | None
    traceability: Fraction | None
    uncertainty: Fraction | None
    valid_hours: int | None
    is_day_valid: bool | None
    expected_ms: int
    missed: tuple[str, ...] | None
    """Names of the targets that the day does not reach; None if there are no targets."""


ASPECTS = ("completeness", "validity", "timeliness", "traceability", "uncertainty")


class Days:
    """The days of one channel."""

    def __init__(self, utc_offset_minutes: int, timely_within_ms: int | None) -> None:
        self._offset_ms = utc_offset_minutes * _MS_PER_MINUTE
        self._timely_within_ms = timely_within_ms
        self._days: dict[int, Day] = {}

    def take(self, reading: Reading) -> None:
        day = self._day((reading.end_ms - 1 + self._offset_ms) // DAY_MS)
        day.readings += 1
        delay_ms = reading.received_ms - reading.end_ms
        day.delay_sum_ms += delay_ms
        day.delay_max_ms = max(day.delay_max_ms, delay_ms)
        day.timely += self._timely_within_ms is not None and delay_ms <= self._timely_within_ms
        codes = reading.codes
        day.traceable += codes is not None and not codes & TRACEABILITY
        if reading.is_within_target is not None:
            day.with_target += 1
            day.within_target += reading.is_within_target
        if reading.has_value:
            is_valid = codes is not None and not codes & VALIDITY
            is_controlled = codes is not None and not codes & OUT_OF_CONTROL
            for number, hour, within_ms in self._hours(reading.start_ms, reading.end_ms):
                covered = self._day(number)
                covered.covered_ms += within_ms
                if is_valid:
                    covered.valid_ms += within_ms
                    covered.valid_hours_ms[hour] += within_ms * is_controlled

    def numbers(self, first_ms: int, end_ms: int) -> Iterator[tuple[date, Day, int]]:
        """(day, its sums, the time expected of it) of every day that touches [first_ms, end_ms)."""
        if end_ms <= first_ms:
            return
        first, last = ((at_ms + self._offset_ms) // DAY_MS for at_ms in (first_ms, end_ms - 1))
        for number in range(first, last + 1):
            begin_ms = number * DAY_MS - self._offset_ms
            expected_ms = min(end_ms, begin_ms + DAY_MS) - max(first_ms, begin_ms)
            yield _EPOCH + timedelta(days=number), self._days.get(number, _EMPTY), expected_ms

    def _day(self, number: int) -> Day:
        day = self._days.get(number)
        if day is None:
            day = self._days[number] = Day()
        return day

    def _hours(self, start_ms: int, end_ms: int) -> Iterator[tuple[int, int, int]]:
        """(day, hour, ms within it) of an interval."""
        at_ms, end_ms = start_ms + self._offset_ms, end_ms + self._offset_ms
        while at_ms < end_ms:
            next_ms = min(end_ms, (at_ms // HOUR_MS + 1) * HOUR_MS)
            yield at_ms // DAY_MS, at_ms % DAY_MS // HOUR_MS, next_ms - at_ms
            at_ms = next_ms


_EMPTY = Day()


def quality_of(
    day: Day, expected_ms: int, validity: DataValidity | None, targets: QualityTargets | None
) -> Quality:
    valid_hours = None if validity is None else _valid_hours(day, validity)
    expected_hours = -(-expected_ms // HOUR_MS)
    shares = {
        "completeness": _share(min(day.covered_ms, expected_ms), expected_ms),
        "validity": (
            _share(day.valid_ms, day.covered_ms)
            if valid_hours is None
            else _share(min(valid_hours, expected_hours), expected_hours)
        ),
        "timeliness": (
            None if targets is None or targets.timely_within_s is None else _share(day.timely, day.readings)
        ),
        "traceability": _share(day.traceable, day.readings),
        "uncertainty": _share(day.within_target, day.with_target),
    }
    is_day_valid = (
        None
        if valid_hours is None or validity is None or validity.hours_per_day is None
        else valid_hours >= validity.hours_per_day
    )
    missed = None if targets is None else _missed(shares, targets)
    return Quality(
        **shares, valid_hours=valid_hours, is_day_valid=is_day_valid, expected_ms=expected_ms, missed=missed
    )


def _valid_hours(day: Day, validity: DataValidity) -> int | None:
    if validity.minutes_per_hour is None:
        return None
    return sum(valid_ms >= validity.minutes_per_hour * _MS_PER_MINUTE for valid_ms in day.valid_hours_ms)


def _missed(shares: Mapping[str, Fraction | None], targets: QualityTargets) -> tuple[str, ...]:
    """A share that is not known does not reach its target, but for an uncertainty that nobody asked for."""
    missed = []
    for aspect in ASPECTS:
        percent, share = getattr(targets, f"{aspect}_percent"), shares[aspect]
        if percent is None or (share is None and aspect == "uncertainty"):
            continue
        if share is None or share * 100 < percent:
            missed.append(aspect)
    return tuple(missed)


def _share(part: int, whole: int) -> Fraction | None:
    return Fraction(part, whole) if whole > 0 else None

"""The rows of the data quality report: every day of every channel, graded, and its numbers for a CSV file."""

from collections.abc import Iterator, Mapping
from datetime import date
from fractions import Fraction
from typing import NamedTuple

from meter_gateway.quality.collect import Collected
from meter_gateway.quality.days import ASPECTS, DAY_MS, Day, Place, Quality, quality_of
from meter_gateway.traceability.thresholds import Thresholds
from meter_gateway.values import decimal_text

MAX_DAYS = 3660
"""Of one report, where no beginning is given: a meter whose clock was wrong once asks for no more."""

COLUMNS = (
    "meter", "serial", "channel", "quantity", "day", "expected_s", "covered_s", "valid_s", "valid_hours",
    "readings", "timely", "delay_mean_s", "delay_max_s", "traceable", "with_target", "within_target",
    *(f"{aspect}_percent" for aspect in ASPECTS), "day_valid", "missed",
)  # fmt: skip


class Row(NamedTuple):
    place: Place
    serial: str
    quantity: str | None
    date: date
    day: Day
    quality: Quality


def rows_of(
    collected: Collected, numbers: Thresholds, serials: Mapping[bytes, str], from_ms: int | None, until_ms: int
) -> Iterator[Row]:
    """From the first reading of the meter on, to `until_ms`; a day without readings too."""
    for place in sorted(collected.days, key=lambda each: (serials[each[0]], each)):
        asked_ms = until_ms - MAX_DAYS * DAY_MS if from_ms is None else from_ms
        first_ms = max(collected.first_ms[place[0]], asked_ms)
        for day, sums, expected_ms in collected.days[place].numbers(first_ms, until_ms):
            found = quality_of(sums, expected_ms, numbers.data_validity, numbers.quality)
            yield Row(place, serials[place[0]], collected.quantities[place], day, sums, found)


def csv_values(row: Row) -> tuple[object, ...]:
    """Of COLUMNS; what is not known is empty."""
    day, found = row.day, row.quality
    seconds = (decimal_text(each, -3) for each in (found.expected_ms, day.covered_ms, day.valid_ms))
    shares = (getattr(found, aspect) for aspect in ASPECTS)
    return (
        row.place[0].hex(), row.serial, row.place[1], row.quantity or "", row.date.isoformat(), *seconds,
        "" if found.valid_hours is None else found.valid_hours, day.readings, day.timely, mean_delay_s(day) or "",
        decimal_text(day.delay_max_ms, -3), day.traceable, day.with_target, day.within_target,
        *("" if share is None else percent(share) for share in shares),
        "" if found.is_day_valid is None else str(found.is_day_valid).lower(),
        "" if found.missed is None else " ".join(found.missed),
    )  # fmt: skip


def percent(share: Fraction) -> str:
    """One decimal, cut and not rounded: 99.96 % is not 100 %."""
    return decimal_text(share * 1000 // 1, -1)


def mean_delay_s(day: Day) -> str | None:
    """To a tenth; None without readings."""
    return decimal_text(round(Fraction(day.delay_sum_ms, day.readings * 100)), -1) if day.readings else None

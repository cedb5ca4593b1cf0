"""A channel's day: one fact is changed, and exactly its number moves."""

from datetime import date
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meter_gateway.config import SCHEMES
from meter_gateway.policy import load_scheme
from meter_gateway.quality.days import (
    ASPECTS,
    DAY_MS,
    HOUR_MS,
    OUT_OF_CONTROL,
    TRACEABILITY,
    VALIDITY,
    Day,
    Days,
    Quality,
    Reading,
    quality_of,
)
from meter_gateway.quality_drawing import percent_text
from meter_gateway.traceability.findings import FINDINGS
from meter_gateway.traceability.thresholds import DataValidity, QualityTargets

START_MS = 20_454 * DAY_MS
"""2026-01-01T00:00:00Z"""

QUARTER_MS = 900_000
HJ = DataValidity(minutes_per_hour=45, hours_per_day=20, clause="c", tag="M")
TARGETS = QualityTargets(
    completeness_percent=90,
    validity_percent=75,
    timeliness_percent=90,
    timely_within_s=60,
    traceability_percent=100,
    clause="c",
    tag="M",
)


def reading(place: int, **change: Any) -> Reading:
    start_ms = START_MS + place * QUARTER_MS
    plain = Reading(start_ms, start_ms + QUARTER_MS, start_ms + QUARTER_MS + 500, True, frozenset(), None)
    return plain._replace(**change)


def day_of(readings: list[Reading], offset_minutes: int = 0) -> tuple[date, Day, int]:
    days = Days(offset_minutes, 60_000)
    for each in readings:
        days.take(each)
    (found,) = days.numbers(START_MS, START_MS + DAY_MS)
    return found


def whole(changed: dict[int, dict[str, Any]] | None = None, left_out: frozenset[int] = frozenset()) -> Quality:
    """A day of quarters of an hour, of which some are changed or left out."""
    readings = [reading(n, **(changed or {}).get(n, {})) for n in range(96) if n not in left_out]
    _, day, expected_ms = day_of(readings)
    return quality_of(day, expected_ms, HJ, TARGETS)


PERFECT = whole()


def test_a_day_with_everything() -> None:
    assert Quality(*[Fraction(1)] * 4, None, 24, True, DAY_MS, ()) == PERFECT


@pytest.mark.parametrize("code", sorted(OUT_OF_CONTROL & load_scheme(SCHEMES / "hj75.toml").refuse))
def test_an_hour_of_an_analyser_out_of_control_is_no_valid_hour(code: str) -> None:
    """HJ 75: neither the time since a failed check counts, nor that in which one is overdue."""
    found = whole({n: {"codes": frozenset({code})} for n in range(20)})
    assert (found.valid_hours, found.is_day_valid) == (19, False)


def differences(other: Quality) -> set[str]:
    return {name for name in Quality._fields if getattr(PERFECT, name) != getattr(other, name)}


def test_missing_readings_are_incomplete_and_their_hours_not_valid() -> None:
    """Two of four quarters leave half an hour."""
    found = whole(left_out=frozenset({0, 1}))
    assert (found.completeness, found.validity, found.valid_hours) == (Fraction(94, 96), Fraction(23, 24), 23)
    assert differences(found) == {"completeness", "validity", "valid_hours"}
    one_less = whole(left_out=frozenset({0}))
    assert differences(one_less) == {"completeness"}


def test_a_reading_without_a_value_covers_nothing() -> None:
    assert whole({0: {"has_value": False}, 1: {"has_value": False}}) == whole(left_out=frozenset({0, 1}))


@pytest.mark.parametrize("code", ["value_spike", "samples_insufficient", "implausible"])
def test_an_invalid_value_is_there_and_does_not_count(code: str) -> None:
    found = whole({n: {"codes": frozenset({code})} for n in (0, 1)})
    assert differences(found) == {"validity", "valid_hours"}


def test_a_finding_about_the_certificate_is_no_invalid_value() -> None:
    found = whole({0: {"codes": frozenset({"certificate_expired"})}})
    assert found.traceability == Fraction(95, 96)
    assert found.missed == ("traceability",)
    assert differences(found) == {"traceability", "missed"}


def test_what_is_not_judged_yet_is_complete_and_neither_valid_nor_traceable() -> None:
    found = whole({n: {"codes": None} for n in range(4)})
    assert differences(found) == {"validity", "valid_hours", "traceability", "missed"}


def test_what_comes_late() -> None:
    late = {n: {"received_ms": START_MS + (n + 1) * QUARTER_MS + 60_001} for n in range(10)}
    found = whole(late)
    assert (found.timeliness, found.missed) == (Fraction(86, 96), ("timeliness",))
    assert differences(found) == {"timeliness", "missed"}
    just = whole({0: {"received_ms": START_MS + QUARTER_MS + 60_000}})
    assert differences(just) == set()


def test_uncertainty_counts_where_there_is_a_target() -> None:
    found = whole({0: {"is_within_target": True}, 1: {"is_within_target": False}})
    assert found.uncertainty == Fraction(1, 2)
    assert differences(found) == {"uncertainty"}


def test_a_day_is_not_valid_with_fewer_hours_than_the_scheme_asks() -> None:
    for hours, is_valid in ((4, True), (5, False)):
        assert whole(left_out=frozenset(range(4 * hours))).is_day_valid is is_valid


def test_days_begin_at_midnight_of_the_offset_and_an_interval_belongs_to_both_its_days() -> None:
    days = Days(480, 60_000)
    start_ms = START_MS + 16 * HOUR_MS - QUARTER_MS // 3
    days.take(reading(0, start_ms=start_ms, end_ms=start_ms + QUARTER_MS))
    (first, one, _), (second, other, expected_ms) = days.numbers(START_MS, START_MS + DAY_MS)
    assert (first, second) == (date(2026, 1, 1), date(2026, 1, 2))
    assert (one.covered_ms, other.covered_ms) == (QUARTER_MS // 3, QUARTER_MS * 2 // 3)
    assert (one.readings, other.readings) == (0, 1)
    assert expected_ms == 8 * HOUR_MS


def test_a_silent_day_is_there_with_nothing() -> None:
    days = Days(0, None)
    days.take(reading(0))
    numbers = days.numbers(START_MS, START_MS + 2 * DAY_MS)
    found = [quality_of(day, expected_ms, None, TARGETS) for _, day, expected_ms in numbers]
    assert found[1].completeness == 0
    assert found[1].traceability is None
    assert found[1].missed == ("completeness", "validity", "timeliness", "traceability")
    assert quality_of(Day(), DAY_MS, None, None).missed is None


readings = st.builds(
    lambda place, length, value, codes, late: Reading(
        START_MS + place, START_MS + place + length, START_MS + place + length + late, value, codes, None
    ),
    st.integers(0, 3 * DAY_MS),
    st.integers(0, 30 * HOUR_MS),
    st.booleans(),
    st.none() | st.frozensets(st.sampled_from(sorted(VALIDITY | TRACEABILITY)), max_size=2),
    st.integers(-1000, DAY_MS),
)


@given(taken=st.lists(readings, max_size=12), seed=st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter_and_no_time_is_lost(taken: list[Reading], seed: Any) -> None:
    shuffled = list(taken)
    seed.shuffle(shuffled)
    sums = []
    for order in (taken, shuffled):
        days = Days(480, 60_000)
        for each in order:
            days.take(each)
        sums.append(list(days.numbers(START_MS - DAY_MS, START_MS + 6 * DAY_MS)))
    assert sums[0] == sums[1]
    assert sum(day.covered_ms for _, day, _ in sums[0]) == sum(
        each.end_ms - each.start_ms for each in taken if each.has_value
    )
    assert sum(day.readings for _, day, _ in sums[0]) == len(taken)


@pytest.mark.parametrize("end_ms", [START_MS + HOUR_MS, START_MS])
def test_a_period_that_ends_before_it_begins_has_no_day(end_ms: int) -> None:
    """Such as up to now, of a meter whose clock is ahead."""
    assert list(Days(0, None).numbers(START_MS + HOUR_MS, end_ms)) == []


def test_the_codes_exist_and_say_different_things() -> None:
    assert set(FINDINGS) >= VALIDITY | TRACEABILITY
    assert not VALIDITY & TRACEABILITY


def test_every_certificate_finding_that_house_refuses_counts_against_traceability() -> None:
    house = load_scheme(SCHEMES / "house.toml")
    about = {code for code in house.refuse if code.startswith(("certificate_", "instrument_", "standards_"))}
    assert about <= TRACEABILITY


@pytest.mark.parametrize(
    ("share", "text"),
    [(Fraction(0), "0"), (Fraction(1, 1000), "1"), (Fraction(999, 1000), "99"), (Fraction(1), "100")],
)
def test_nearly_all_is_not_all(share: Fraction, text: str) -> None:
    assert percent_text(share) == text
    assert len(ASPECTS) == 5

"""What comparisons say about readings, as periods: one changed fact at a time."""

import math
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from meter_gateway.traceability.calibration import END_MS
from meter_gateway.traceability.check_plan import DAY_MS, Drift, Plan, ZeroSpan
from meter_gateway.traceability.comparison import Comparison, counterparts
from meter_gateway.traceability.comparison_facts import Period, periods
from meter_protocol import comparison as cm
from meter_protocol import fields as f

FROM = 1_767_225_600_000
PASSED, FAILED, INCONCLUSIVE = cm.PASSED, cm.FAILED, cm.INCONCLUSIVE


def day(number: float) -> int:
    return FROM + round(number * DAY_MS)


def run(
    at_day: float, outcome: int = PASSED, kind: int = cm.ROUTINE, error: int = 0, channel: int = 1
) -> Comparison:
    """`error` in hundredths of the MPE."""
    point = {cm.POINT_ERROR: error, cm.POINT_MPE: 100}
    fields = {
        cm.RUN: round(at_day * 100).to_bytes(8, "big"),
        cm.KIND: kind,
        f.METER: bytes(32),
        cm.CHANNEL: channel,
        cm.END_MS: day(at_day),
        cm.OUTCOME: outcome,
        cm.POINTS: [point],
        cm.EXPONENT: 0,
    }
    return Comparison(bytes(32), fields)


def repeated(*points: tuple[int, int | None, int], outcome: int = PASSED, kind: int = cm.ROUTINE) -> Comparison:
    """`points` are (reference, deviation, count)."""
    found = run(1, outcome, kind)
    rows = [
        {cm.POINT_REFERENCE: reference, cm.POINT_DEVIATION: deviation, cm.POINT_COUNT: count}
        for reference, deviation, count in points
    ]
    return Comparison(bytes(32), {**found.fields, cm.POINTS: rows})


def test_repeatability_is_pooled_over_the_points_of_a_passed_run_by_their_degrees_of_freedom() -> None:
    found = repeated((10_000, 3, 4), (-20_000, 8, 7), (0, 5, 9), (5_000, None, 1)).repeatability
    assert found is not None
    expected = 100 * math.sqrt((3 * 0.0003**2 + 6 * 0.0004**2) / 9)
    assert float(found.percent) == pytest.approx(expected, rel=1e-15)
    assert (found.since_ms, found.degrees_of_freedom) == (day(1), 9)


@pytest.mark.parametrize(
    "told",
    [
        repeated((10_000, 3, 4), outcome=FAILED),
        repeated((10_000, 3, 4), outcome=INCONCLUSIVE),
        repeated((10_000, 3, 4), kind=cm.ZERO),
        repeated((10_000, None, 1)),
        repeated((0, 3, 4)),
        repeated(),
    ],
)
def test_what_tells_no_repeatability(told: Comparison) -> None:
    assert told.repeatability is None


def plan(**said: Any) -> Plan:
    start = datetime.fromtimestamp(FROM / 1000, UTC)
    return Plan.model_validate(
        {"meter": "ab" * 32, "channel": 1, "from": start, "mpe_percent": Decimal(1), **said},
    )


def found(
    runs: Iterable[Comparison], asked: Plan | None = None, doubts: dict[str, tuple[str, ...]] | None = None
) -> set[tuple[str, float, float]]:
    """In days since the instrument was put in place; infinity for what lasts."""
    return {
        (code, (from_ms - FROM) / DAY_MS, float("inf") if to_ms == END_MS else (to_ms - FROM) / DAY_MS)
        for code, from_ms, to_ms in periods(list(runs), asked, FROM, END_MS, doubts)
    }


LAST = float("inf")


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ([], set()),
        ([run(10)], set()),
        (
            [run(10), run(20, FAILED, cm.AS_FOUND)],
            {("suspect_since_comparison", 10, 20), ("comparison_failed", 20, LAST)},
        ),
        (
            [run(10), run(20, FAILED, cm.AS_FOUND), run(21, PASSED, cm.AS_LEFT)],
            {("suspect_since_comparison", 10, 20), ("comparison_failed", 20, 21)},
        ),
        # Never compared before: since it was put in place.
        ([run(20, FAILED)], {("suspect_since_comparison", 0, 20), ("comparison_failed", 20, LAST)}),
        # After an adjustment a failure says nothing about the time before.
        ([run(10), run(20, FAILED, cm.AS_LEFT)], {("comparison_failed", 20, LAST)}),
        ([run(10), run(20, INCONCLUSIVE)], {("comparison_inconclusive", 20, LAST)}),
        ([run(10), run(20, INCONCLUSIVE), run(30)], {("comparison_inconclusive", 20, 30)}),
        # An inconclusive run is no pass: the doubt reaches back beyond it.
        (
            [run(10), run(20, INCONCLUSIVE), run(30, FAILED)],
            {
                ("comparison_inconclusive", 20, 30),
                ("suspect_since_comparison", 10, 30),
                ("comparison_failed", 30, LAST),
            },
        ),
        # A check with gas is no comparison.
        ([run(10, FAILED, cm.ZERO)], set()),
    ],
)
def test_outcomes(runs: list[Comparison], expected: set[tuple[str, float, float]]) -> None:
    assert found(runs) == expected


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ([], {("comparison_missing", 0, LAST)}),
        ([run(10)], {("comparison_missing", 0, 10), ("comparison_overdue", 40, LAST)}),
        ([run(10), run(35)], {("comparison_missing", 0, 10), ("comparison_overdue", 65, LAST)}),
        (
            [run(10), run(50)],
            {("comparison_missing", 0, 10), ("comparison_overdue", 40, 50), ("comparison_overdue", 80, LAST)},
        ),
    ],
)
def test_intervals(runs: list[Comparison], expected: set[tuple[str, float, float]]) -> None:
    assert found(runs, plan(interval_days=30)) == expected
    assert found(runs, plan()) == set()


def test_an_inconclusive_run_is_on_no_chart() -> None:
    """Its error may be that of a reference without a certificate."""
    asked = plan(drift=Drift(chart="individuals", sigma=Decimal("0.1")))
    told = {name for name, *_ in found([run(10), run(20, INCONCLUSIVE, error=500)], asked)}
    assert told == {"comparison_inconclusive"}
    assert "drift_detected" in {name for name, *_ in found([run(10), run(20, error=500)], asked)}


def test_an_adjustment_begins_the_chart_anew_whatever_came_of_its_run() -> None:
    asked = plan(drift=Drift(chart="cusum", sigma=Decimal("0.1")))
    drifted = [run(10, error=35), run(20, error=35)]
    assert {name for name, *_ in found([*drifted, run(40, error=0)], asked)} == {"drift_detected"}
    left = run(30, INCONCLUSIVE, kind=cm.AS_LEFT)
    assert "drift_detected" in {name for name, *_ in found([*drifted, left], asked)}
    assert ("drift_detected", 10, 40) in found([*drifted, left, run(40, error=0)], asked)


DRIFTING = [run(10, error=0), run(20, error=40), run(30, error=60), run(40, error=60)]


@pytest.mark.parametrize(
    ("drift", "since"),
    [
        # Σ: 0, 0.35, 0.9 > 0.5: within the limits for the last time at day 20.
        (Drift(chart="cusum", sigma=Decimal("0.1")), 20),
        # z: 0, 0.12, 0.264 > 0.3·√(0.3/1.7) = 0.126: the second is within by a little.
        (Drift(chart="ewma", sigma=Decimal("0.1")), 20),
        (Drift(chart="individuals", sigma=Decimal("0.1")), 10),
    ],
)
def test_drift_counts_from_the_last_run_within_the_limits(drift: Drift, since: int) -> None:
    assert found(DRIFTING, plan(drift=drift)) == {("drift_detected", since, LAST)}
    adjusted = [*DRIFTING, run(41, kind=cm.AS_LEFT)]
    assert found(adjusted, plan(drift=drift)) == {("drift_detected", since, 41)}
    assert found([run(at, error=5) for at in range(10, 60, 10)], plan(drift=drift)) == set()


def checks(*errors: int, failed: tuple[int, ...] = ()) -> list[Comparison]:
    return [
        run(place + 1, FAILED if place in failed else PASSED, cm.ZERO, error) for place, error in enumerate(errors)
    ]


@pytest.mark.parametrize(
    ("events", "asked", "expected"),
    [
        (checks(0, 9, 0, failed=(1,)), {}, {("zero_span_failed", 2, 3)}),
        (checks(0, 9, failed=(1,)), {}, {("zero_span_failed", 2, LAST)}),
        # Within the limit each, and drifting all the same: Σ of 2 - 0.501 passes 2.85 at the second.
        (checks(2, 2, 0), {"s_ams": Decimal(1)}, {("zero_span_failed", 2, 3)}),
        (checks(1, 1, 1), {"s_ams": Decimal(1)}, set()),
        (
            checks(0),
            {"interval_days": 7},
            {("zero_span_overdue", 8, LAST), ("zero_span_overdue", 7, LAST)},
        ),
    ],
)
def test_zero_and_span_checks(
    events: list[Comparison], asked: dict[str, Any], expected: set[tuple[str, float, float]]
) -> None:
    """The last: one of both was never made, and the other a day after the beginning."""
    assert found(events, plan(zero_span=ZeroSpan(limit=Decimal(5), **asked))) == expected


def test_a_check_with_a_bad_gas_counts_as_not_made() -> None:
    events = checks(0, 0, 9, 0, 0, failed=(2,))
    bad = {events[place].run: ("certificate_withdrawn",) for place in (1, 3)}
    asked = ZeroSpan(limit=Decimal(5), interval_days=3)
    never = ("zero_span_overdue", 3, LAST)
    assert found(events, plan(zero_span=asked), bad) == {
        ("certificate_withdrawn", 2, 3),
        ("certificate_withdrawn", 4, 5),
        # It does not end what a good gas has found.
        ("zero_span_failed", 3, 5),
        ("zero_span_overdue", 8, LAST),
        never,
    }
    # The last is bad: the interval counts from the one before.
    assert found(events[:2], plan(zero_span=asked), bad) == {
        ("certificate_withdrawn", 2, LAST),
        ("zero_span_overdue", 4, LAST),
        never,
    }
    # Nor does its difference enter a chart: 9 in units of s would be an alarm.
    (wild,) = checks(9)
    charted = ZeroSpan(limit=Decimal(50), s_ams=Decimal(1))
    assert found([wild], plan(zero_span=charted), {wild.run: ("reference_gas_expired",)}) == {
        ("reference_gas_expired", 1, LAST)
    }


def test_an_inconclusive_check_neither_fails_nor_renews_the_interval() -> None:
    events = [run(1, PASSED, cm.ZERO), run(2, INCONCLUSIVE, cm.ZERO)]
    assert found(events, plan(zero_span=ZeroSpan(limit=Decimal(5), interval_days=7))) == {
        ("zero_span_overdue", 8, LAST),
        ("zero_span_overdue", 7, LAST),
    }


def test_a_period_touches_what_is_partly_in_it() -> None:
    period = Period("x", 10, 20)
    assert [bool(period.codes(*span)) for span in ((0, 10), (0, 11), (12, 13), (19, 30), (20, 30))] == [
        False, True, True, True, False,
    ]  # fmt: skip


def test_nothing_is_said_about_a_time_in_which_another_instrument_was_there() -> None:
    runs = [run(10), run(20, FAILED)]
    assert periods(runs, None, day(12), day(15)) == (Period("suspect_since_comparison", day(12), day(15)),)


def test_what_was_found_and_what_was_left_belong_together() -> None:
    """The second as-left run is of the same adjustment, tried again; a check and another channel are of none."""
    found_1, left_1, left_2 = run(1, FAILED, cm.AS_FOUND), run(2, FAILED, cm.AS_LEFT), run(3, PASSED, cm.AS_LEFT)
    other, check = run(4, FAILED, cm.AS_FOUND, channel=2), run(5, FAILED, cm.ZERO)
    routine, left_3 = run(6, FAILED, cm.ROUTINE), run(7, PASSED, cm.AS_LEFT)
    early = run(0, PASSED, cm.AS_LEFT)
    related = counterparts([early, found_1, left_1, left_2, other, check, routine, left_3])
    assert {name: each.run for name, each in related.items()} == {
        found_1.run: left_2.run,
        left_1.run: found_1.run,
        left_2.run: found_1.run,
        routine.run: left_3.run,
        left_3.run: routine.run,
    }

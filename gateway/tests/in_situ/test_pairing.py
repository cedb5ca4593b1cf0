"""Two sides over the same spans: what is averaged, what is cut, what is not covered, what has not settled."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pure_run import MINUTE_MS, START_MS, series, steady

from meter_gateway.in_situ.pairing import pairs_of
from meter_gateway.in_situ.series import Reading, Series, spans


def samples(*values: float, every_ms: int = 10_000, start_ms: int = START_MS, is_register: bool = False) -> Series:
    readings = tuple(
        Reading(start_ms + place * every_ms, start_ms + place * every_ms, round(value * 10))
        for place, value in enumerate(values)
    )
    return Series(-1, is_register, readings)


def test_samples_are_averaged_over_the_meter_s_minute() -> None:
    reference = samples(*(100 + (place % 2) for place in range(19)))
    found = pairs_of(series(101, 101, 101), reference, None)
    assert [pair.is_covered for pair in found] == [True, True, True]
    assert [pair.reference for pair in found] == pytest.approx([100.5] * 3, abs=0.1)


def test_a_gap_of_the_reference_is_no_pair() -> None:
    """Ten minutes long: nobody knows what it would have shown."""
    before, after = samples(*[100] * 13), samples(*[100] * 13, start_ms=START_MS + 12 * MINUTE_MS)
    reference = Series(-1, False, before.readings + after.readings)
    found = pairs_of(series(*[100] * 14), reference, None)
    # A sample speaks for a minute at most.
    assert [pair.is_covered for pair in found] == [True] * 3 + [False] * 8 + [True] * 3


def test_a_register_is_compared_by_what_it_counted() -> None:
    meter = samples(*range(0, 700, 10), every_ms=MINUTE_MS, is_register=True)
    # Read every 2 min 30 s, between the meter's minutes.
    reference = samples(*range(0, 700, 25), every_ms=150_000, is_register=True)
    found = pairs_of(meter, reference, 0.02)
    assert all(pair.channel == pytest.approx(25) and pair.reference == pytest.approx(25) for pair in found)
    assert sum(pair.is_used for pair in found) >= 26
    assert found[3].level == pytest.approx(600), "per hour"


def test_readings_that_overlap_are_no_pair() -> None:
    """Typed in twice: what was counted in that time must not count twice."""
    once = series(*[60] * 10)
    twice = Series(once.exponent, True, once.readings + once.readings[3:5])
    ordered = Series(0, True, tuple(sorted(twice.readings, key=lambda each: each.start_ms)))
    longer = samples(*range(0, 700, 100), every_ms=2 * MINUTE_MS, is_register=True)
    assert [pair.is_covered for pair in pairs_of(longer, ordered, None)] == [True, False, False, True, True, False]


def test_the_resolution_of_a_register_is_no_change_of_the_process() -> None:
    """27.8 Wh each second, read each second to 1 Wh: between 27 and 28."""
    totals = tuple(Reading(START_MS + n * 1000, START_MS + n * 1000, n * 278 // 10) for n in range(301))
    meter = Series(0, True, totals[::60])
    assert all(pair.is_settled for pair in pairs_of(meter, Series(0, True, totals), 0.02))
    slower = tuple(
        Reading(each.start_ms, each.end_ms, each.value * (1 + n // 150)) for n, each in enumerate(totals)
    )
    assert not all(pair.is_settled for pair in pairs_of(meter, Series(0, True, slower), 0.02))


def test_a_register_that_went_back_has_no_increase_there() -> None:
    totals = samples(0, 10, 5, 15, every_ms=MINUTE_MS, is_register=True)
    assert [span.amount for span in spans(totals)] == [10, 10]


def test_a_step_of_the_process_is_not_settled() -> None:
    values = [100_000] * 5 + [120_000] * 5
    found = pairs_of(series(*values), series(*values), 0.02)
    # The first has nothing to be compared with, the sixth is where the step is.
    assert [pair.is_settled for pair in found] == [False, *[True] * 4, False, *[True] * 4]
    assert all(pair.is_settled for pair in pairs_of(series(*values), series(*values), None))


def test_samples_that_lie_apart_inside_an_interval_are_not_settled() -> None:
    found = pairs_of(series(*[100_000] * 3, spread=5000), series(*[100_000] * 3), 0.02)
    assert not any(pair.is_settled for pair in found)


@pytest.mark.parametrize(
    ("offset_ms", "jitter_ms", "spread", "expected"),
    [
        # Resolution alone: ±0.5 of each, rectangular.
        (0, 0, 0, math.hypot(1, 1) / math.sqrt(12)),
        # 1 s of 60, over a process that varies by 600: ±10, rectangular.
        (1000, 0, 600, math.hypot(10 / math.sqrt(3), math.hypot(1, 1) / math.sqrt(12))),
        (0, 1000, 600, math.hypot(10 * math.sqrt(2 / 3), math.hypot(1, 1) / math.sqrt(12))),
    ],
)
def test_what_clocks_cost(offset_ms: int, jitter_ms: int, spread: int, expected: float) -> None:
    channel = series(*[100_000] * 3, spread=spread, offset_ms=offset_ms, jitter_ms=jitter_ms)
    reference = series(*[100_000] * 3, offset_ms=0, jitter_ms=0)
    assert [pair.u for pair in pairs_of(channel, reference, None)] == pytest.approx([expected] * 3)


def test_what_a_late_reading_of_a_register_costs() -> None:
    """One second of 60 Wh a minute, at both ends: ±1 Wh each, rectangular."""
    meter = samples(*range(0, 600, 60), every_ms=MINUTE_MS, is_register=True)
    late = Series(meter.exponent, True, meter.readings, 0, 1000)
    resolution = math.hypot(0.1, 0.1) / math.sqrt(6)
    found = pairs_of(meter, late, None)
    assert found[4].u == pytest.approx(math.hypot(math.sqrt(2 / 3), resolution))


@given(
    levels=st.lists(st.integers(1, 10**6), min_size=1, max_size=3),
    shift_ms=st.integers(0, 59_999),
    scale=st.integers(1, 5),
)
def test_two_sides_that_show_the_same_differ_by_nothing(levels: list[int], shift_ms: int, scale: int) -> None:
    """However the spans lie to each other, a steady process compares equal."""
    for level in levels:
        own = series(*steady(level, count=12, scatter=0))
        other = Series(
            0,
            False,
            tuple(
                Reading(
                    START_MS + shift_ms + n * scale * MINUTE_MS,
                    START_MS + shift_ms + (n + 1) * scale * MINUTE_MS,
                    level,
                )
                for n in range(12 // scale)
            ),
        )
        for pair in pairs_of(own, other, None):
            if pair.is_covered:
                assert pair.channel == pytest.approx(pair.reference)


def test_nothing_on_one_side_is_no_pair() -> None:
    assert pairs_of(series(), series(1, 2), None) == []
    assert pairs_of(series(1, 2), Series(0, False, ()), None) == []

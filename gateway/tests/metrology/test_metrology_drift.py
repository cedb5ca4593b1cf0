"""Control charts, drift since calibration, and recalibration intervals."""

import math
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from meter_gateway.metrology import drift, intervals, least_squares
from meter_gateway.metrology.conformity import Tolerance
from meter_gateway.metrology.control_charts import Cusum, CusumState, Ewma, individuals_from
from meter_gateway.metrology.errors import MetrologyError, TooFewValues
from meter_gateway.metrology.intervals import Staircase, a3_interval, reliability_range
from meter_gateway.metrology.reliability import Group, fitted

checks = st.lists(st.floats(-100, 100), min_size=1, max_size=40)


def test_the_handbook_series(vectors: dict[str, Any]) -> None:
    data = vectors["nist_handbook_ewma"]
    chart = Ewma(data["target"], data["sigma"], data["lambda"])
    averages = chart.run(data["x"])
    assert averages == pytest.approx(data["ewma"], abs=0.0051)
    assert not any(map(chart.is_out_of_control, averages))


@given(values=checks)
def test_a_chart_step_by_step_is_its_run(values: list[float]) -> None:
    ewma, cusum = Ewma(0, 1), Cusum(0, 0.5, 5)
    average, state = 0.0, CusumState()
    for value, expected_average, expected in zip(values, ewma.run(values), cusum.run(values), strict=True):
        average, state = ewma.step(average, value), cusum.step(state, value)
        assert (average, state) == (expected_average, expected)


@given(values=checks)
def test_charts_are_symmetric(values: list[float]) -> None:
    mirrored = [-value for value in values]
    assert Ewma(0, 1).run(mirrored) == [-average for average in Ewma(0, 1).run(values)]
    swapped = [CusumState(high=state.low, low=state.high) for state in Cusum(0, 0.5, 5).run(values)]
    assert Cusum(0, 0.5, 5).run(mirrored) == swapped


def test_a_slow_drift_is_found_by_ewma_and_cusum_before_a_single_value_is_out() -> None:
    values = [0.1 * i for i in range(25)]
    ewma, cusum = Ewma(0, 1, weight=0.2), Cusum(0, 0.5, 4)
    assert any(map(ewma.is_out_of_control, ewma.run(values)))
    assert any(map(cusum.is_out_of_control, cusum.run(values)))
    assert max(values) < 3


def test_individuals() -> None:
    chart = individuals_from([10.0, 10.2, 9.9, 10.1])
    moving = (0.2 + 0.3 + 0.2) / 3 / 1.128
    assert chart.limits == pytest.approx((10.05 - 3 * moving, 10.05 + 3 * moving))
    assert chart.is_out_of_control(10.05 + 3.01 * moving)
    assert not chart.is_out_of_control(10.05 + 2.99 * moving)
    with pytest.raises(TooFewValues):
        individuals_from([10.0])


@pytest.mark.parametrize(
    "ask",
    [
        lambda: Ewma(0, 0),
        lambda: Ewma(0, 1, 0),
        lambda: Ewma(0, 1, 1.1),
        lambda: Cusum(0, -1, 1),
        lambda: Cusum(0, 1, 0),
    ],
)
def test_charts_that_are_none(ask) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(MetrologyError):
        ask()


@given(
    slope=st.floats(-10, 10),
    intercept=st.floats(-10, 10),
    x=st.lists(st.floats(-100, 100), min_size=3, max_size=12, unique=True),
    noise=st.lists(st.floats(-1, 1), min_size=12, max_size=12),
)
def test_a_line_agrees_with_scipy(
    stats: ModuleType, slope: float, intercept: float, x: list[float], noise: list[float]
) -> None:
    y = [intercept + slope * at + e for at, e in zip(x, noise, strict=False)]
    # SciPy answers nan for observations that are all the same.
    assume(max(x) - min(x) > 1 and len(set(y)) > 1)
    ours, theirs = least_squares.line(x, y), stats.linregress(x, y)
    size = max(map(abs, y)) + 1
    assert ours.slope == pytest.approx(theirs.slope, rel=1e-7, abs=1e-9 * size)
    assert ours.intercept == pytest.approx(theirs.intercept, rel=1e-7, abs=1e-7 * size)
    assert ours.u_slope == pytest.approx(theirs.stderr, rel=1e-5, abs=1e-6)
    assert ours.u_intercept == pytest.approx(theirs.intercept_stderr, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize(
    ("x", "y", "told"),
    [
        ([1.0, 2.0], [1.0, 2.0], "at least 3"),
        ([1.0, 1.0, 1.0], [1.0, 2.0, 3.0], "singular"),
        ([1.0, 2.0, 3.0], [1.0, 2.0], "pairs"),
        ([1.0, 2.0, 3.0], [1.0, 2.0, math.nan], "finite"),
    ],
)
def test_a_line_through_too_little(x: list[float], y: list[float], told: str) -> None:
    with pytest.raises(MetrologyError, match=told):
        least_squares.line(x, y)


@pytest.mark.parametrize("x", [math.inf, math.nan, 1e101])
def test_a_line_is_asked_at_a_number(x: float) -> None:
    with pytest.raises(MetrologyError, match="x must be a finite number"):
        least_squares.line([1.0, 2.0, 3.0], [1.0, 2.0, 4.0]).predicted(x)


def steady() -> drift.Drift:
    """0.001 a day, with a scatter of 0.01."""
    times = [100.0, 200.0, 300.0, 400.0]
    return drift.from_calibrations(times, [0.001 * t + 0.01 * (-1) ** i for i, t in enumerate(times)])


@given(time_d=st.floats(0, 1000), u_0=st.floats(0, 1))
def test_a_prediction_is_never_surer_than_scatter_and_calibration(time_d: float, u_0: float) -> None:
    found = steady()
    _, u = found.predicted(time_d, u_0)
    assert u >= math.hypot(u_0, found.fit.standard_deviation)


@given(u_0=st.floats(0, 0.5), wider=st.floats(0, 0.5))
def test_a_wider_start_never_lasts_longer(u_0: float, wider: float) -> None:
    short, long = (drift.days_to_limit(steady(), 0.0, u, Tolerance(-1, 1), 0.95, 5000) for u in (u_0 + wider, u_0))
    assert long is not None
    assert short is not None
    assert short <= long


def test_within_the_horizon_or_not_at_all() -> None:
    found = steady()
    assert drift.days_to_limit(found, 0, 0.01, Tolerance(None, 1), 0.95, 500) is None
    late = drift.days_to_limit(found, 0, 0.01, Tolerance(None, 1), 0.95, 2000)
    assert late is not None
    assert 800 < late < 1000
    assert drift.days_to_limit(found, 2, 0.01, Tolerance(None, 1), 0.95, 2000) == 0
    assert drift.days_to_uncertainty(found, 0.01, 1e-6, 2000) == 0


@pytest.mark.parametrize(
    ("times", "deviations", "order", "told"),
    [
        ([100.0], [0.1], 1, "at least 2"),
        ([100.0, 200.0], [0.1, 0.2], 4, "order"),
        ([0.0, 100.0, 200.0], [0.0, 0.1, 0.2], 1, "a time must be more than 0"),
    ],
)
def test_drift_of_too_little(times: list[float], deviations: list[float], order: int, told: str) -> None:
    with pytest.raises(MetrologyError, match=told):
        drift.from_calibrations(times, deviations, order)


STAIRCASE = Staircase(shortest_d=90, longest_d=800)


@pytest.mark.parametrize(
    ("interval_d", "error", "following_d"),
    [
        (400, 0.0, 500),
        (400, -0.8, 500),
        (400, 0.81, 400),
        (400, -1.0, 400),
        (400, 1.01, 300),
        (700, 0.1, 800),
        (100, 2.0, 90),
    ],
)
def test_the_staircase(interval_d: float, error: float, following_d: float) -> None:
    assert STAIRCASE.next_interval(interval_d, error, mpe=1.0) == following_d


@given(interval_d=st.floats(1, 2000), error=st.floats(0, 3), worse=st.floats(1, 10))
def test_a_larger_error_never_earns_a_longer_interval(interval_d: float, error: float, worse: float) -> None:
    assert STAIRCASE.next_interval(interval_d, error * worse, 1.0) <= STAIRCASE.next_interval(
        interval_d, error, 1.0
    )


@pytest.mark.parametrize(
    "options", [{"extend_within": 1.2}, {"longer": 0.9}, {"shorter": 1.0}, {"shortest_d": 0}, {"longest_d": 10}]
)
def test_a_staircase_that_goes_the_wrong_way(options: dict[str, float]) -> None:
    with pytest.raises(MetrologyError):
        Staircase(**({"shortest_d": 90, "longest_d": 800} | options))


@given(n=st.integers(1, 60), target=st.floats(0.5, 0.99), data=st.data())
def test_a3_only_shortens_and_within_its_clamp(n: int, target: float, data: st.DataObject) -> None:
    x = data.draw(st.integers(0, n))
    found = a3_interval(x, n, 365, target)
    assert 365 / 2 <= found.interval_d <= 365
    if x / n >= target:
        assert found.interval_d == 365
    low, high = found.reliability_range
    assert 0 <= low <= x / n <= high <= 1


def test_a3_clamps_a_hopeless_interval_to_half() -> None:
    assert a3_interval(0, 20, 365, 0.95).interval_d == 182.5


def test_a3_leaves_alone_what_chance_explains() -> None:
    assert a3_interval(9, 10, 365, 0.95).interval_d == 365


@given(n=st.integers(1, 60), data=st.data(), confidence=st.floats(0.1, 0.99))
def test_reliability_limits_agree_with_scipy(
    stats: ModuleType, n: int, data: st.DataObject, confidence: float
) -> None:
    x = data.draw(st.integers(0, n))
    exact = stats.binomtest(x, n).proportion_ci(confidence, method="exact")
    assert reliability_range(x, n, confidence) == pytest.approx((exact.low, exact.high), rel=1e-8, abs=1e-12)


def test_impossible_counts() -> None:
    with pytest.raises(MetrologyError, match="impossible"):
        reliability_range(5, 4, 0.95)
    with pytest.raises(TooFewValues):
        a3_interval(0, 0, 365, 0.95)
    with pytest.raises(MetrologyError, match="impossible"):
        Group(100, 3, 4)


RP1_TABLE_D1 = [
    Group(7 * weeks, calibrations, in_tolerance)
    for weeks, calibrations, in_tolerance in (
        (4, 4, 4), (7, 6, 5), (10, 14, 9), (13, 13, 8), (21, 22, 12), (28, 49, 20), (40, 18, 9), (48, 6, 2),
    )
]  # fmt: skip


def test_s2_finds_the_likeliest_exponential(optimize: ModuleType) -> None:
    """RP-1 Table D-1 as printed in suncal's tests; the likelihood by SciPy's Nelder–Mead is the oracle."""

    def unlikelihood(log_scale: Sequence[float]) -> float:
        def term(group: Group) -> float:
            rate_t = group.interval_d / math.exp(log_scale[0])
            failed = group.calibrations - group.in_tolerance
            return group.in_tolerance * rate_t - failed * math.log(-math.expm1(-rate_t))

        return math.fsum(map(term, RP1_TABLE_D1))

    best = optimize.minimize(unlikelihood, [5.0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12})
    found = fitted(RP1_TABLE_D1)
    assert found.shape == 1
    assert found.scale_d == pytest.approx(math.exp(best.x[0]), rel=1e-6)
    assert not found.contradicts_observations
    assert found.at(found.interval(0.75)) == pytest.approx(0.75)


@pytest.mark.parametrize("shape", [0.5, 2.0, 3.5])
def test_s2_takes_the_general_model_where_it_must(shape: float) -> None:
    groups = [Group(t, 2000, round(2000 * math.exp(-((t / 300) ** shape)))) for t in (30, 90, 180, 300, 500)]
    found = fitted(groups)
    assert found.shape == pytest.approx(shape, rel=0.02)
    assert found.scale_d == pytest.approx(300, rel=0.02)


def test_s2_proposes_nothing_where_no_model_fits() -> None:
    groups = [Group(100, 200, 100), Group(200, 200, 195), Group(300, 200, 90), Group(400, 200, 190)]
    found = fitted(groups)
    assert found.contradicts_observations
    with pytest.raises(MetrologyError, match="contradicts"):
        found.interval(0.9)


@pytest.mark.parametrize(
    ("groups", "told"),
    [
        ([Group(100, 5, 5)], "at least 2"),
        ([Group(100, 5, 5), Group(200, 5, 5)], "same outcome"),
        ([Group(100, 5, 0), Group(200, 5, 0)], "same outcome"),
        ([Group(1, 5, 4), Group(1001, 5, 3)], "group what is alike"),
    ],
)
def test_s2_of_too_little(groups: list[Group], told: str) -> None:
    with pytest.raises(MetrologyError, match=told):
        fitted(groups)


def test_intervals_are_ordered_like_targets() -> None:
    found = fitted(RP1_TABLE_D1)
    days = [found.interval(target) for target in (0.95, 0.9, 0.8, 0.7)]
    assert days == sorted(days)
    assert intervals.a3_interval(15, 20, 365, 0.9).interval_d < 365

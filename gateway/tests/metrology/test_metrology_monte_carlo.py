"""The Monte Carlo method: its intervals, its stopping rule, its draws, and what it says of a GUM budget."""

import math
from array import array
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meter_gateway.metrology import sampling
from meter_gateway.metrology.budget import Budget, Component, Distribution, bounded, normal
from meter_gateway.metrology.errors import MetrologyError, TooFewValues
from meter_gateway.metrology.monte_carlo import (
    Kind,
    Propagated,
    coverage_interval,
    numerical_tolerance,
    propagate,
    propagate_adaptively,
    validate,
    validate_budget,
)

TRIALS = 40_000


def linear(*values: float) -> float:
    return math.fsum(values)


@pytest.mark.parametrize(
    ("u", "digits", "tolerance"),
    [
        (0.00035, 2, 0.000005),
        (0.00035, 1, 0.00005),
        (2.0, 1, 0.5),
        (0.0754, 1, 0.005),
        (10.1, 2, 0.5),
        (0.0996, 2, 0.005),
        (95.0, 1, 50.0),
    ],
)
def test_the_numerical_tolerance(u: float, digits: int, tolerance: float) -> None:
    """JCGM 101 7.9.2 and 9.2; u is rounded to its digits first, so that 0.0996 is 0.10."""
    assert numerical_tolerance(u, digits) == pytest.approx(tolerance, rel=1e-12)


def test_a_tolerance_needs_an_uncertainty_and_a_digit() -> None:
    with pytest.raises(MetrologyError, match=r"u\(y\)"):
        numerical_tolerance(0.0)
    with pytest.raises(MetrologyError, match="significant digit"):
        numerical_tolerance(1.0, 0)


def test_symmetric_and_shortest_interval_of_a_known_sample() -> None:
    """100 values 1…100 with p = 0.9: q = 90 and r = 5 (7.7.2); skewed values have their shortest at the left."""
    ordered = [float(value) for value in range(1, 101)]
    symmetric = coverage_interval(ordered, 0.9, Kind.SYMMETRIC)
    assert (symmetric.low, symmetric.high) == (5.0, 95.0)
    skewed = [value**3 for value in ordered]
    shortest = coverage_interval(skewed, 0.9, Kind.SHORTEST)
    assert (shortest.low, shortest.high) == (1.0, 91.0**3)
    with pytest.raises(MetrologyError, match="too few"):
        coverage_interval([1.0, 2.0], 0.99, Kind.SYMMETRIC)


@given(values=st.lists(st.floats(-1e6, 1e6), min_size=40, max_size=200), p=st.floats(0.5, 0.95))
def test_the_shortest_interval_is_no_longer_than_the_symmetric_one(values: list[float], p: float) -> None:
    ordered = sorted(values)
    shortest, symmetric = (coverage_interval(ordered, p, kind) for kind in (Kind.SHORTEST, Kind.SYMMETRIC))
    assert shortest.high - shortest.low <= symmetric.high - symmetric.low
    inside = sum(shortest.low <= value <= shortest.high for value in ordered)
    assert inside >= math.floor(p * len(ordered))


def moments(draw: sampling.Draw) -> tuple[float, float]:
    random = Random(5)
    values = array("d", (draw(random) for _ in range(TRIALS)))
    mean = math.fsum(values) / TRIALS
    return mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (TRIALS - 1))


@pytest.mark.parametrize(
    ("draw", "u"),
    [
        (sampling.normal(3, 0.5), 0.5),
        (sampling.rectangular(2, 4), 1 / math.sqrt(3)),
        (sampling.triangular(2, 4), 1 / math.sqrt(6)),
        (sampling.u_shaped(2, 4), 1 / math.sqrt(2)),
        (sampling.student_t(3, 0.5, 8), 0.5 * math.sqrt(8 / 6)),
        (sampling.curvilinear_trapezoid(2, 4, 0.5), math.sqrt(1 / 3 + 0.25 / 9)),
        (sampling.curvilinear_trapezoid(2, 4, 0.0), 1 / math.sqrt(3)),
    ],
)
def test_a_draw_has_its_mean_and_standard_uncertainty(draw: sampling.Draw, u: float) -> None:
    """CTrap: (b - a)²/12 + d²/9 (JCGM 101 6.4.3.3)."""
    mean, found = moments(draw)
    assert mean == pytest.approx(3, abs=4 * u / math.sqrt(TRIALS))
    assert found == pytest.approx(u, rel=0.03)


def test_an_inexact_limit_reaches_as_far_as_it_is_inexact() -> None:
    random = Random(5)
    draw = sampling.curvilinear_trapezoid(2, 4, 0.5)
    values = [draw(random) for _ in range(TRIALS)]
    assert 1.5 <= min(values) < 1.6
    assert 4.4 < max(values) <= 4.5
    with pytest.raises(MetrologyError, match="d must be"):
        sampling.curvilinear_trapezoid(2, 4, 1.0)


def test_correlated_draws_have_their_covariance() -> None:
    random = Random(5)
    sample = sampling.multivariate_normal([1, 2], [[0.04, -0.018], [-0.018, 0.09]])
    pairs = [sample(random) for _ in range(TRIALS)]
    product = math.fsum((a - 1) * (b - 2) for a, b in pairs) / TRIALS
    assert product == pytest.approx(-0.018, abs=0.001)
    with pytest.raises(MetrologyError, match="positive semidefinite"):
        sampling.multivariate_normal([1, 2], [[0.04, 0.1], [0.1, 0.09]])
    with pytest.raises(MetrologyError, match="as many rows"):
        sampling.multivariate_normal([1], [[0.04, 0.0], [0.0, 0.09]])


def test_a_perfectly_correlated_pair_is_drawn_as_one() -> None:
    a, b = sampling.multivariate_normal([0, 0], [[1, 2], [2, 4]])(Random(1))
    assert b == pytest.approx(2 * a)


def test_a_budget_is_drawn_as_its_components_say() -> None:
    budget = Budget(
        [
            bounded("r", 1, 0.3),
            bounded("t", 2, 0.3, Distribution.TRIANGULAR),
            bounded("u", 3, 0.3, Distribution.U_SHAPED),
            normal("a", 4, 0.2),
            normal("b", 5, 0.1),
            normal("s", 6, 0.1, degrees_of_freedom=5),
        ],
        {("a", "b"): 0.8},
    )
    found = propagate(linear, sampling.of_budget(budget), Random(3), TRIALS)
    # Student's t with ν = 5 has the variance u²·5/3.
    expected = math.sqrt(budget.combined_uncertainty() ** 2 + 0.1**2 * (5 / 3 - 1))
    assert found.estimate == pytest.approx(21, abs=0.01)
    assert found.standard_uncertainty == pytest.approx(expected, rel=0.02)


def test_a_correlated_component_that_is_not_normal_is_not_drawn() -> None:
    budget = Budget([bounded("r", 1, 0.3), normal("a", 4, 0.2)], {("r", "a"): 0.5})
    with pytest.raises(MetrologyError, match="r correlates and is not normal"):
        sampling.of_budget(budget)


def test_the_same_generator_gives_the_same_result() -> None:
    sample = sampling.independent(sampling.normal(0, 1), sampling.rectangular(-1, 1))
    assert propagate(linear, sample, Random(7), 5000) == propagate(linear, sample, Random(7), 5000)


def test_the_adaptive_procedure_stops_when_it_is_stable_and_says_when_it_is_not() -> None:
    sample = sampling.independent(sampling.normal(0, 1))
    rough = propagate_adaptively(linear, sample, Random(7), significant_digits=1)
    assert rough.stabilised
    assert rough.trials == 20_000
    fine = propagate_adaptively(linear, sample, Random(7), tolerance_divisor=5, max_trials=50_000)
    assert not fine.stabilised
    assert fine.trials == 50_000
    with pytest.raises(TooFewValues, match="applications"):
        propagate_adaptively(linear, sample, Random(7), max_trials=19_999)


def test_a_smaller_tolerance_takes_more_trials() -> None:
    """For N(0, 1) an end of the 95 % interval scatters by 0.027 per 10 000 trials: δ/5 = 0.01 needs about 30."""
    sample = sampling.independent(sampling.normal(0, 1))
    fine = propagate_adaptively(linear, sample, Random(7), tolerance_divisor=5)
    assert fine.stabilised
    assert 100_000 < fine.trials < 1_000_000
    assert fine.interval.high == pytest.approx(1.96, abs=0.02)


def test_a_model_without_uncertainty_is_stable_at_once() -> None:
    found = propagate_adaptively(lambda x: 1.5, sampling.independent(sampling.normal(0, 1)), Random(7))
    assert (found.estimate, found.standard_uncertainty, found.trials) == (1.5, 0.0, 20_000)


def test_too_few_trials_for_the_probability() -> None:
    with pytest.raises(TooFewValues, match="at least 101 are needed"):
        propagate(linear, sampling.independent(sampling.normal(0, 1)), Random(7), 50, 0.99)


def interval(low: float, high: float) -> Propagated:
    known = coverage_interval([low, *[0.0] * 97, high], 0.985, Kind.SYMMETRIC)
    assert (known.low, known.high) == (low, high)
    return Propagated(0.0, 1.0, known, 0.95, Kind.SYMMETRIC, 100, stabilised=True)


def test_the_verdict_on_the_gum_needs_both_ends() -> None:
    found = interval(-3.88, 3.88)
    assert validate(0.0, 3.92, found, 0.05).validated
    assert not validate(0.0, 3.94, found, 0.05).validated
    assert not validate(0.02, 3.92, found, 0.05).validated
    assert not validate(-0.02, 3.92, found, 0.05).validated
    assert validate(0.02, 3.92, found, 0.05).d_high == pytest.approx(0.06)


def test_the_hot_path_does_not_need_it() -> None:
    """A reading's error with its usual contributions: the closed form is validated to two digits of u."""
    budget = Budget(
        [
            normal("calibration", 0.089, 0.061, 2),
            bounded("resolution", 0.0, 0.005),
            normal("drift", 0.01, 0.02, 1),
            bounded("temperature", 0.0, 0.02),
        ]
    )
    found, verdict = validate_budget(7.0, budget, budget.expanded(), Random(3), 400_000)
    assert found.estimate == pytest.approx(7.0, abs=0.001), "a known error moves the measurand, not the reading"
    assert verdict is not None
    assert verdict.validated
    narrow = replace(budget.expanded(), k=1.8)
    refuted = validate_budget(7.0, budget, narrow, Random(3), 400_000)[1]
    assert refuted is not None
    assert not refuted.validated


def test_a_verdict_takes_the_scatter_of_the_trials_into_account() -> None:
    """u = 0.9: an end scatters by 0.024 per 10 000 trials; δ is 0.005 to two digits of u and 0.05 to one."""
    budget = Budget([normal("calibration", 0.0, 0.9)])
    known = budget.expanded()
    found, verdict = validate_budget(7.0, budget, known, Random(3), 200_000)
    assert not found.stabilised
    assert found.scatter == pytest.approx(2 * 0.024 / math.sqrt(20), rel=0.5)
    assert verdict is not None
    assert verdict.tolerance == pytest.approx(0.05), "what two digits ask, so few trials cannot say"
    assert verdict.validated
    refuted = validate_budget(7.0, budget, replace(known, k=known.k + 0.1), Random(3), 200_000)[1]
    assert refuted is not None
    assert refuted.tolerance == pytest.approx(0.005), "they can say so of what is far off"
    assert not refuted.validated
    assert validate_budget(7.0, budget, replace(known, k=known.k + 0.05), Random(3), 20_000)[1] is None


def test_a_dominant_rectangle_is_where_it_helps() -> None:
    """JCGM 101 Table 4: the GUM's interval is valid but too wide."""
    budget = Budget([Component("x", 0, 1.0), bounded("wide", 0, 10 * math.sqrt(3))])
    found = propagate(linear, sampling.of_budget(budget), Random(3), TRIALS)
    expanded = budget.expanded()
    verdict = validate(0, expanded.expanded_uncertainty, found, numerical_tolerance(found.standard_uncertainty))
    assert not verdict.validated
    assert expanded.expanded_uncertainty > found.interval.high

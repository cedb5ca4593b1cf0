"""Whatever numbers come in, the answer is finite or a MetrologyError: nothing else is raised, nothing is nan."""

import math
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meter_gateway.metrology import (
    budget,
    comparison,
    conformity,
    control_charts,
    drift,
    en14181,
    error_curve,
    intervals,
    least_squares,
    monte_carlo,
    quantiles,
    rata,
    reliability,
    risk,
    sampling,
    sums,
)
from meter_gateway.metrology.errors import MetrologyError

any_number = st.one_of(
    st.floats(),
    st.floats(-10, 10),
    st.sampled_from([0.0, -0.0, 1.0, 1e-308, 5e-324, 1e308, math.inf, -math.inf, math.nan]),
)
any_numbers = st.lists(any_number, max_size=6)
counts = st.integers(-2, 60)


def finite(found: Any) -> bool:
    """All floats in it, at any depth; infinitely many degrees of freedom are an answer too."""
    if isinstance(found, float):
        return not math.isnan(found)
    if is_dataclass(found) and not isinstance(found, type):
        return all(finite(getattr(found, each.name)) for each in fields(found))
    if isinstance(found, list | tuple):
        return all(map(finite, found))
    return True


def tolerance(x: list[float]) -> conformity.Tolerance:
    return conformity.Tolerance(x[0] if x else None, x[1] if len(x) > 1 else None)


def expanded(x: list[float], y: list[float], p: float) -> budget.Expanded:
    components = [
        budget.Component(f"x{i}", u, u, sensitivity=c) for i, (u, c) in enumerate(zip(x, y, strict=False))
    ]
    names = {("x0", "x1"): p} if len(components) > 1 else {}
    return budget.Budget(components, names).expanded(p)


def decided(x: list[float], y: list[float], p: float) -> conformity.Decision:
    rule = conformity.DecisionRule(sorted(conformity.GUARD_BANDS)[len(y) % 5], p)
    return conformity.decide(*(y[:2] if len(y) > 1 else [0.0, 1.0]), tolerance(x), rule)


def compared(x: list[float], y: list[float], p: float) -> comparison.ComparisonVerdict:
    return comparison.judge(comparison.Difference(*[*x, 1.0, 1.0, 1.0, 1.0][:4]), p)


def drifted(x: list[float], y: list[float], p: float) -> float | None:
    found = drift.from_calibrations(x, y, order=2)
    return drift.days_to_limit(found, 0.0, 0.1, tolerance(x), p, 100)


def mean_error(x: list[float], y: list[float], p: float) -> error_curve.MeanError:
    points = [error_curve.ErrorPoint(a, b, p) for a, b in zip(x, y, strict=False)]
    curve = error_curve.ErrorCurve(points)
    curve.at(p)
    return curve.over(curve.points[0].reference, curve.points[-1].reference)


def total(x: list[float], y: list[float], p: float) -> float:
    parts = [sums.Parts({"c": a}, b, p, a) for a, b in zip(x, y, strict=False)]
    return sums.over_intervals([parts], telescopes=True).combined_uncertainty


def surveyed(x: list[float], y: list[float], p: float) -> en14181.Ast:
    found = en14181.qal2(x, y, p, 10.0, min_pairs=3)
    return en14181.annual_surveillance(found.function, x, y, p, min_pairs=3)


def simulated(x: list[float], y: list[float], p: float) -> monte_carlo.Propagated:
    a, b = [*x, 0.0, 1.0][:2]
    draws = sampling.independent(sampling.rectangular(a, b), sampling.normal(a, p))
    return monte_carlo.propagate(lambda r, n: r + n, draws, Random(1), 100, 0.9)


ASKED: dict[str, Callable[[list[float], list[float], float], Any]] = {
    "budget": expanded,
    "observed": lambda x, y, p: budget.observed("x", x),
    "correlation": lambda x, y, p: budget.correlation(x, y),
    "type b": lambda x, y, p: budget.type_b_degrees_of_freedom(p),
    "decide": decided,
    "judge": compared,
    "repeatability": lambda x, y, p: comparison.repeatability([x, y]),
    "ewma": lambda x, y, p: control_charts.Ewma(0.0, 1.0, p).run(x),
    "cusum": lambda x, y, p: control_charts.Cusum(p, 1.0, 5.0).run(x),
    "individuals": lambda x, y, p: control_charts.individuals_from(x),
    "drift": drifted,
    "qal2 and ast": surveyed,
    "qal3": lambda x, y, p: en14181.Qal3(p).run(x),
    "error curve": mean_error,
    "staircase": lambda x, y, p: intervals.Staircase(90, 800).next_interval(p, *[*x, 1.0, 1.0][:2]),
    "line": lambda x, y, p: least_squares.line(x, y).predicted(p),
    "t": lambda x, y, p: quantiles.t_factor(p, *[*x, 5.0][:1]),
    "rata": lambda x, y, p: rata.relative_accuracy(
        [rata.Run(a, b, "") for a, b in zip(x, y, strict=False)], min_runs=2
    ),
    "normal risk": lambda x, y, p: risk.global_risks(risk.normal_prior(0.0, p), 0.1, tolerance(x), tolerance(x)),
    "sums": total,
    "monte carlo": simulated,
}


def answered(ask: Callable[[], Any]) -> Any:
    """What it answers, or the one line that it refuses with."""
    try:
        return ask()
    except MetrologyError as error:
        return str(error)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", ASKED)
@settings(max_examples=60)
@given(x=any_numbers, y=any_numbers, p=any_number)
def test_a_number_or_a_reason(name: str, x: list[float], y: list[float], p: float) -> None:
    found = answered(lambda: ASKED[name](x, y, p))
    assert finite(found), found
    assert "\n" not in str(found)


@settings(max_examples=60)
@given(x=counts, n=counts, p=any_number)
def test_counts_too(x: int, n: int, p: float) -> None:
    groups = [(p, n, x), (100.0, 20, 15)]
    assert finite(answered(lambda: intervals.a3_interval(x, n, 365, p)))
    assert finite(answered(lambda: intervals.reliability_range(x, n, p)))
    assert finite(answered(lambda: reliability.fitted([reliability.Group(*each) for each in groups])))

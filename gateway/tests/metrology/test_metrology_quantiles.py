"""Quantiles against SciPy's, and what is asked wrongly."""

import math
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meter_gateway.metrology import quantiles as q
from meter_gateway.metrology.errors import MetrologyError

NU = st.one_of(st.floats(0.5, 5000), st.integers(1, 200).map(float))
P = st.one_of(st.floats(0.01, 0.9999), st.sampled_from([0.6827, 0.95, 0.9545, 0.99, 0.9973]))


@given(p=P, nu=NU)
def test_t_factor(stats: ModuleType, p: float, nu: float) -> None:
    assert q.t_factor(p, nu) == pytest.approx(stats.t.isf((1 - p) / 2, nu), rel=1e-10)


def test_degrees_of_freedom_behind_a_printed_k() -> None:
    """EA-4/02 M:2022, Annex E; 2.13 is printed for 20 and 21."""
    printed = {1: 13.97, 2: 4.53, 3: 3.31, 4: 2.87, 5: 2.65, 6: 2.52, 7: 2.43, 8: 2.37, 10: 2.28}
    assert {nu: q.degrees_of_freedom_of(k) for nu, k in printed.items()} == {nu: nu for nu in printed}
    assert [q.degrees_of_freedom_of(k) for k in (1, 1.96, 2, 2.005)] == [math.inf] * 4
    assert (q.degrees_of_freedom_of(2.13), q.degrees_of_freedom_of(20)) == (21, 1)
    ks = [2.01 + 0.01 * n for n in range(300)]
    assert [q.degrees_of_freedom_of(k) for k in ks] == sorted(
        (q.degrees_of_freedom_of(k) for k in ks), reverse=True
    )


def test_t_factor_meets_its_expansion(stats: ModuleType) -> None:
    edge = q.MANY_DEGREES_OF_FREEDOM
    for nu in (math.nextafter(edge, 0), edge, 10 * edge, 1e9):
        assert q.t_factor(0.9973, nu) == pytest.approx(stats.t.isf(0.00135, nu), rel=1e-12)
    assert q.t_factor(0.95, math.inf) == pytest.approx(1.959963984540054, rel=1e-14)


@given(p=st.floats(0.001, 0.999), nu=st.floats(0.5, 500))
def test_chi_squared(stats: ModuleType, p: float, nu: float) -> None:
    assert q.chi_squared_quantile(p, nu) == pytest.approx(stats.chi2.ppf(p, nu), rel=1e-10)


@given(p=st.floats(0.001, 0.999), a=st.integers(1, 60), b=st.integers(1, 60))
def test_beta(stats: ModuleType, p: float, a: int, b: int) -> None:
    assert q.beta_quantile(p, a, b) == pytest.approx(stats.beta.ppf(p, a, b), rel=1e-10)


@given(n=st.integers(1, 200), x=st.integers(-1, 201), p=st.floats(0.01, 0.99))
def test_binomial(stats: ModuleType, n: int, x: int, p: float) -> None:
    assert q.binomial_cdf(x, n, p) == pytest.approx(stats.binom.cdf(x, n, p), rel=1e-10, abs=1e-14)


@given(z=st.floats(-30, 8))
def test_normal(stats: ModuleType, z: float) -> None:
    assert q.normal_cdf(z) == pytest.approx(stats.norm.cdf(z), rel=1e-12)


@pytest.mark.parametrize("p", [0.0, 1.0, -0.1, math.nan])
def test_a_probability_is_between_0_and_1(p: float) -> None:
    for ask in (q.normal_quantile, lambda p: q.t_factor(p, 5), lambda p: q.chi_squared_quantile(p, 5)):
        with pytest.raises(MetrologyError, match="between 0 and 1"):
            ask(p)


@pytest.mark.parametrize("nu", [0.0, -1.0, math.nan])
def test_degrees_of_freedom_are_positive(nu: float) -> None:
    with pytest.raises(MetrologyError, match="degrees of freedom"):
        q.t_factor(0.95, nu)


def test_a_one_sided_probability_is_above_one_half() -> None:
    with pytest.raises(MetrologyError, match=r"more than 0\.5"):
        q.t_one_sided(0.5, 9)

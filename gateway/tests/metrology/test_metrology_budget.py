"""The uncertainty budget against GTC, its properties, and budgets that are refused."""

import math
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from meter_gateway.metrology import budget_table, second_order
from meter_gateway.metrology.budget import (
    Budget,
    Component,
    Distribution,
    bounded,
    correlation,
    covariance,
    normal,
    observed,
    truncate,
    type_b_degrees_of_freedom,
)
from meter_gateway.metrology.errors import BudgetError, MetrologyError, TooFewValues

ONE_IN_1E9 = 1e-9
GTC_INFINITY = 1e5
"""GTC takes more degrees of freedom than this for infinitely many."""

values = st.floats(-1e6, 1e6)
uncertainties = st.floats(1e-6, 1e6)
sensitivities = st.floats(-1e3, 1e3).filter(lambda c: abs(c) > 1e-3)
degrees = st.one_of(st.just(math.inf), st.floats(1, 500))


@st.composite
def independent_components(draw: st.DrawFn, least: int = 1) -> list[Component]:
    count = draw(st.integers(least, 8))
    return [
        Component(
            f"x{index}", draw(values), draw(uncertainties), Distribution.NORMAL, draw(sensitivities), draw(degrees)
        )
        for index in range(count)
    ]


@st.composite
def correlations_of(draw: st.DrawFn, count: int) -> list[list[float]]:
    """A correlation matrix: of unit vectors, so that it is one whatever is drawn."""
    vectors = []
    for _ in range(count):
        vector = [draw(st.floats(-1, 1)) for _ in range(count + 1)]
        length = math.hypot(*vector)
        assume(length > 0.1)
        vectors.append([part / length for part in vector])
    return [[max(-1.0, min(1.0, sum(map(float.__mul__, a, b)))) for b in vectors] for a in vectors]


@given(components=independent_components(), p=st.sampled_from([0.6827, 0.95, 0.99]))
def test_independent_inputs_agree_with_gtc(
    gtc: ModuleType, stats: ModuleType, components: list[Component], p: float
) -> None:
    inputs = [gtc.ureal(c.estimate, c.standard_uncertainty, c.degrees_of_freedom) for c in components]
    y = sum(c.sensitivity * x for c, x in zip(components, inputs, strict=True))
    budget = Budget(components)
    assert budget.combined_uncertainty() == pytest.approx(gtc.uncertainty(y), rel=ONE_IN_1E9)
    nu = budget.effective_degrees_of_freedom()
    assert nu == pytest.approx(gtc.dof(y), rel=ONE_IN_1E9) or (nu > GTC_INFINITY and gtc.dof(y) == math.inf)
    tail = (1 - p) / 2
    k, rel = stats.t.isf(tail, max(1.0, math.floor(min(nu, GTC_INFINITY) * (1 + 1e-9)))), ONE_IN_1E9
    if nu > GTC_INFINITY:
        k, rel = stats.norm.isf(tail), 3 / nu + ONE_IN_1E9
    assert budget.expanded(p).expanded_uncertainty == pytest.approx(k * gtc.uncertainty(y), rel=rel)


@given(data=st.data())
def test_an_ensemble_and_a_correlated_pair_agree_with_gtc(gtc: ModuleType, data: st.DataObject) -> None:
    """Three inputs observed together, two correlated ones of infinite ν, and independent ones."""
    nu = data.draw(st.floats(2, 50))
    together = [
        replace(c, degrees_of_freedom=nu, ensemble="run") for c in data.draw(independent_components(3))[:3]
    ]
    pair = [
        replace(c, source=f"p{i}", degrees_of_freedom=math.inf)
        for i, c in enumerate(data.draw(independent_components(2))[:2])
    ]
    alone = [replace(c, source=f"a{i}") for i, c in enumerate(data.draw(independent_components()))]
    r, of_pair = data.draw(correlations_of(3)), data.draw(st.floats(-0.99, 0.99))

    in_run = gtc.multiple_ureal(
        [c.estimate for c in together], [c.standard_uncertainty for c in together], nu, label_seq=["a", "b", "c"]
    )
    named = {}
    for i in range(3):
        for j in range(i):
            gtc.set_correlation(r[i][j], in_run[i], in_run[j])
            named[together[i].source, together[j].source] = r[i][j]
    of_infinite = [gtc.ureal(c.estimate, c.standard_uncertainty, independent=False) for c in pair]
    gtc.set_correlation(of_pair, *of_infinite)
    named["p0", "p1"] = of_pair
    others = [gtc.ureal(c.estimate, c.standard_uncertainty, c.degrees_of_freedom) for c in alone]
    components = [*together, *pair, *alone]
    y = sum(c.sensitivity * x for c, x in zip(components, [*in_run, *of_infinite, *others], strict=True))

    budget = Budget(components, named)
    # Where correlated terms cancel, both sides lose the digits that cancelled.
    size = sum(c.contribution**2 for c in components)
    assume(gtc.uncertainty(y) ** 2 > 1e-4 * size)
    assert budget.combined_uncertainty() == pytest.approx(gtc.uncertainty(y), rel=ONE_IN_1E9)
    if sum(c.contribution**2 for c in together) < 1e4 * budget._variance(together):
        nu_eff = budget.effective_degrees_of_freedom()
        assert nu_eff == pytest.approx(gtc.dof(y), rel=1e-8) or (nu_eff > GTC_INFINITY and gtc.dof(y) == math.inf)


@given(components=independent_components())
def test_effective_degrees_of_freedom_are_between_the_least_and_the_sum(components: list[Component]) -> None:
    nu = Budget(components).effective_degrees_of_freedom()
    assert nu <= sum(c.degrees_of_freedom for c in components) * (1 + 1e-12)
    assert nu >= min(c.degrees_of_freedom for c in components) * (1 - 1e-12)


@given(data=st.data(), components=independent_components())
def test_the_order_of_components_does_not_matter(data: st.DataObject, components: list[Component]) -> None:
    shuffled = data.draw(st.permutations(components))
    assert Budget(shuffled).expanded() == Budget(components).expanded()


@given(components=independent_components(), power=st.integers(-40, 40))
def test_another_unit_changes_only_the_scale(components: list[Component], power: int) -> None:
    factor = 2.0**power
    scaled = [
        replace(c, estimate=c.estimate * factor, standard_uncertainty=c.standard_uncertainty * factor)
        for c in components
    ]
    before, after = Budget(components).expanded(), Budget(scaled).expanded()
    assert after.combined_uncertainty == before.combined_uncertainty * factor
    assert (after.k, after.effective_degrees_of_freedom) == (before.k, before.effective_degrees_of_freedom)


@given(components=independent_components(), wider=st.floats(1, 100), data=st.data())
def test_a_wider_component_never_narrows_the_whole(
    components: list[Component], wider: float, data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(components) - 1))
    changed = list(components)
    changed[index] = replace(changed[index], standard_uncertainty=changed[index].standard_uncertainty * wider)
    assert Budget(changed).combined_uncertainty() >= Budget(components).combined_uncertainty()


@given(components=independent_components(), extra=st.floats(1e-6, 1e3))
def test_full_correlation_adds_linearly_and_anticorrelation_subtracts(
    components: list[Component], extra: float
) -> None:
    twin = Component("a", 0.0, extra), Component("b", 0.0, extra)
    together = Budget(twin, {("a", "b"): 1.0}).combined_uncertainty()
    assert together == pytest.approx(2 * extra, rel=1e-12)
    assert Budget(twin, {("a", "b"): -1.0}).combined_uncertainty() == 0


def test_what_a_distribution_makes_of_its_half_width() -> None:
    assert bounded("r", 0, 3.0).standard_uncertainty == 3 / math.sqrt(3)
    assert bounded("t", 0, 3.0, Distribution.TRIANGULAR).standard_uncertainty == 3 / math.sqrt(6)
    assert bounded("u", 0, 3.0, Distribution.U_SHAPED).standard_uncertainty == 3 / math.sqrt(2)
    assert normal("n", 1.0, 0.061, 2).standard_uncertainty == 0.0305
    with pytest.raises(BudgetError, match="no half-width"):
        bounded("n", 0, 1.0, Distribution.NORMAL)


def test_observations() -> None:
    component = observed("V", [5.0, 6.0, 7.0])
    assert component.estimate == 6
    assert component.standard_uncertainty == pytest.approx(1 / math.sqrt(3))
    assert component.degrees_of_freedom == 2
    with pytest.raises(TooFewValues, match="at least 2"):
        observed("V", [5.0])


@pytest.mark.parametrize(("relative", "nu"), [(0.25, 8), (0.1, 50), (0.5, 2)])
def test_degrees_of_freedom_from_how_well_u_is_known(relative: float, nu: float) -> None:
    """GUM H.1.6: 25 %, 10 % and 50 %."""
    assert type_b_degrees_of_freedom(relative) == pytest.approx(nu)


@pytest.mark.parametrize(
    ("nu", "used"), [(16.7, 16), (18.9987, 18), (19 - 1e-12, 19), (0.4, 1), (math.inf, math.inf)]
)
def test_truncation(nu: float, used: float) -> None:
    assert truncate(nu) == used


def two(**change: Any) -> list[Component]:
    return [Component("a", 1.0, 0.1, **change), Component("b", 2.0, 0.2)]


@pytest.mark.parametrize(
    ("components", "correlations", "told"),
    [
        ([], {}, "needs a component"),
        ([Component("a", 1, 1), Component("a", 1, 1)], {}, "same source"),
        (two(), {("a", "c"): 0.5}, "names c"),
        (two(), {("a", "b"): 1.5}, "from -1 to 1"),
        (two(), {("a", "b"): math.nan}, "from -1 to 1"),
        (two(), {("a", "b"): 0.5, ("b", "a"): 0.5}, "given once"),
        (two(), {("a", "a"): 0.5}, "of two"),
        (
            [*two(), Component("c", 1, 1)],
            {("a", "b"): 0.9, ("b", "c"): 0.9, ("a", "c"): -0.9},
            "contradict",
        ),
        (
            [Component("a", 1, 1, degrees_of_freedom=3, ensemble="e"), Component("b", 1, 1, ensemble="e")],
            {},
            "differ in degrees of freedom",
        ),
    ],
)
def test_a_budget_that_contradicts_itself(
    components: list[Component], correlations: dict[tuple[str, str], float], told: str
) -> None:
    with pytest.raises(BudgetError, match=told):
        Budget(components, correlations)


@pytest.mark.parametrize(
    "wrong", [{"estimate": math.inf}, {"standard_uncertainty": -1.0}, {"sensitivity": math.nan}]
)
def test_a_component_is_of_finite_numbers(wrong: dict[str, float]) -> None:
    with pytest.raises(MetrologyError, match="of x"):
        Component(**({"source": "x", "estimate": 1.0, "standard_uncertainty": 1.0} | wrong))  # type: ignore[arg-type]


def test_a_contribution_has_a_square() -> None:
    with pytest.raises(BudgetError, match="x contributes more"):
        Component("x", 0.0, 1e100, sensitivity=1e100)


def test_correlation_with_finite_degrees_of_freedom_outside_an_ensemble_has_no_nu() -> None:
    budget = Budget(two(degrees_of_freedom=5), {("a", "b"): 0.5})
    assert budget.combined_uncertainty() == pytest.approx(math.sqrt(0.01 + 0.04 + 0.02))
    with pytest.raises(BudgetError, match=r"a and b correlate .* one ensemble"):
        budget.expanded()


def test_a_budget_without_uncertainty() -> None:
    expanded = Budget([Component("constant", 1.2, 0.0, degrees_of_freedom=3)]).expanded()
    assert expanded.expanded_uncertainty == 0
    assert expanded.effective_degrees_of_freedom == math.inf


def test_covariance_needs_the_same_inputs() -> None:
    one, other = Budget([Component("x", 1, 0.1)]), Budget([Component("x", 1, 0.2)])
    with pytest.raises(BudgetError, match="different standard uncertainties"):
        covariance(one, other)
    assert covariance(one, Budget([Component("y", 1, 0.2)])) == 0


def test_correlation_of_observations() -> None:
    assert correlation([1, 2, 3], [2, 4, 6]) == pytest.approx(1)
    with pytest.raises(MetrologyError, match="pairs"):
        correlation([1, 2, 3], [1, 2])
    with pytest.raises(MetrologyError, match="do not vary"):
        correlation([1, 1], [1, 2])


def test_second_order_terms_are_for_independent_inputs_and_known_names() -> None:
    with pytest.raises(BudgetError, match="independent"):
        second_order.combined_uncertainty(Budget(two(), {("a", "b"): 0.1}), {("a", "b"): 1.0})
    with pytest.raises(BudgetError, match="names c"):
        second_order.combined_uncertainty(Budget(two()), {("a", "c"): 1.0})
    with pytest.raises(BudgetError, match="given once"):
        second_order.combined_uncertainty(Budget(two()), {("a", "b"): 1.0, ("b", "a"): 1.0})


def test_second_order_terms_of_a_product() -> None:
    """y = a·b at a = 1, b = 2: f_ab = 1, and the exact variance of a product of independent inputs."""
    a, b = 1.0, 2.0
    budget = Budget([Component("a", a, 0.1, sensitivity=b), Component("b", b, 0.2, sensitivity=a)])
    exact = (b * 0.1) ** 2 + (a * 0.2) ** 2 + (0.1 * 0.2) ** 2
    assert second_order.combined_uncertainty(budget, {("a", "b"): 1.0}) == pytest.approx(math.sqrt(exact))


def test_the_table() -> None:
    budget = Budget(
        [
            bounded("resolution", 0.0, 0.5e-3),
            normal("calibration", 0.089, 0.061, 2, degrees_of_freedom=50),
        ]
    )
    assert budget_table.text(budget, budget.expanded()).splitlines() == [
        "source       value    distribution  u        sensitivity  contribution  share    ν",
        "calibration  0.089    Student t     0.031    1            0.031         100.0 %  50",
        "resolution   0.00000  rectangular   0.00029  1            0.00029       0.0 %    ∞",
        "u_c = 0.031  ν_eff = 50.01  k = 2.01 (p = 95 %)  U = 0.061",
    ]


def test_the_table_in_chinese_has_straight_columns() -> None:
    budget = Budget([bounded("分辨力", 0.0, 0.5e-3), normal("校准证书", 0.089, 0.061, 2)])
    heading, first, *_ = budget_table.text(budget, budget.expanded(), "zh").splitlines()
    assert heading.split()[:3] == ["来源", "估计值", "分布"]
    assert first.split()[0] == "校准证书"
    width = len("校准证书".encode("gbk"))
    assert heading.encode("gbk").index("估计值".encode("gbk")) == width + 2
    assert first.encode("gbk").index(b"0.089") == width + 2


@pytest.mark.parametrize(
    ("value", "shown"),
    [(31.67, "32"), (0.0996, "0.10"), (0.0345, "0.035"), (93000.0, "93000"), (1.5e-9, "1.5e-9"), (0.0, "0")],
)
def test_two_significant_digits(value: float, shown: str) -> None:
    assert budget_table.significant(value) == shown

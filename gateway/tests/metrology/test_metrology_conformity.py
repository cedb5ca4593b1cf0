"""Decision rules, risks and comparisons: what they decide, and that doubt never helps."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from meter_gateway.metrology import comparison, conformity, risk
from meter_gateway.metrology.comparison import (
    ComparisonRule,
    Difference,
    judge,
    normalised_error,
    repeatability,
    worst,
)
from meter_gateway.metrology.conformity import (
    GUARD_BANDS,
    SIMPLE_ACCEPTANCE,
    DecisionRule,
    Outcome,
    Tolerance,
    capability_index,
    conformance_probability,
    decide,
    maximum_permissible_error,
)
from meter_gateway.metrology.errors import MetrologyError, TooFewValues, exceeds

rules = st.builds(
    DecisionRule,
    st.sampled_from(sorted(GUARD_BANDS)),
    st.floats(0, 3),
    st.one_of(st.none(), st.floats(0.05, 2)),
)
MPE = maximum_permissible_error(1.0)


@given(rule=rules, error=st.floats(-3, 3), u=st.floats(0, 3), wider=st.floats(1, 100))
def test_a_wider_uncertainty_never_turns_a_non_pass_into_a_pass(
    rule: DecisionRule, error: float, u: float, wider: float
) -> None:
    before, after = decide(error, u, MPE, rule), decide(error, u * wider, MPE, rule)
    assert after.guard >= before.guard - 1e-15
    if before.outcome is not Outcome.PASSED:
        assert after.outcome is not Outcome.PASSED
    if before.outcome is Outcome.INCONCLUSIVE:
        assert after.outcome is Outcome.INCONCLUSIVE


@given(rule=rules, error=st.floats(-3, 3), u=st.floats(0, 3), further=st.floats(1, 10))
def test_a_larger_error_is_never_judged_better(rule: DecisionRule, error: float, u: float, further: float) -> None:
    order = [Outcome.PASSED, Outcome.INCONCLUSIVE, Outcome.FAILED]
    near, far = decide(error, u, MPE, rule).outcome, decide(error * further, u, MPE, rule).outcome
    assert order.index(far) >= order.index(near)


@given(rule=rules, error=st.floats(-3, 3), u=st.floats(0, 3), power=st.integers(-30, 30))
def test_another_unit_decides_the_same(rule: DecisionRule, error: float, u: float, power: int) -> None:
    scale = 2.0**power
    scaled = decide(error * scale, u * scale, maximum_permissible_error(scale), rule)
    assert scaled.outcome is decide(error, u, MPE, rule).outcome


@given(y=st.floats(-5, 5), u=st.floats(0.01, 5))
def test_the_three_probabilities_of_a_tolerance_add_up_to_one(y: float, u: float) -> None:
    inside = conformance_probability(y, u, Tolerance(-1, 1))
    below = conformance_probability(y, u, Tolerance(None, -1))
    above = conformance_probability(y, u, Tolerance(1, None))
    assert inside + below + above == pytest.approx(1, abs=1e-14)


@pytest.mark.parametrize(
    ("error", "expanded", "outcome"),
    [
        (0.0, 0.2, Outcome.PASSED),
        (1.0, 0.2, Outcome.PASSED),
        (1.001, 0.2, Outcome.FAILED),
        (0.0, 0.34, Outcome.INCONCLUSIVE),
        (1.2, 0.34, Outcome.INCONCLUSIVE),
        (-1.35, 0.34, Outcome.FAILED),
    ],
)
def test_simple_acceptance(error: float, expanded: float, outcome: Outcome) -> None:
    """|e| <= MPE and U <= MPE/3 (JCGM 106, 8.2.3); an error beyond MPE + U fails whatever U is."""
    assert decide(error, expanded, MPE, SIMPLE_ACCEPTANCE).outcome is outcome


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (0.8, Outcome.PASSED),
        (0.801, Outcome.INCONCLUSIVE),
        (-1.2, Outcome.INCONCLUSIVE),
        (-1.201, Outcome.FAILED),
    ],
)
def test_guarded_acceptance(error: float, outcome: Outcome) -> None:
    decision = decide(error, 0.2, MPE, DecisionRule("guarded"))
    assert decision.outcome is outcome
    assert decision.acceptance == Tolerance(-0.8, 0.8)


@pytest.mark.parametrize(
    ("error", "expanded", "mpe"),
    [
        (0.0, 0.1, 0.3),
        (0.0, 0.2, 0.6),
        (100.7 - 100, 0.1, 0.7),
        (-0.3, 0.0, 0.1 + 0.2),
        (0.1 + 0.2, 0.1, 0.3),
    ],
)
def test_what_is_printed_equal_to_a_limit_is_within_it(error: float, expanded: float, mpe: float) -> None:
    """As binary fractions 0.1/0.3 is more than 1/3, and 100.7 - 100 more than 0.7."""
    assert decide(error, expanded, maximum_permissible_error(mpe), SIMPLE_ACCEPTANCE).outcome is Outcome.PASSED


def test_a_difference_printed_equal_to_the_claim_is_explained_by_it() -> None:
    verdict = judge(Difference(100.7 - 100, 0.7, 0.2), mpe=1.0)
    assert (verdict.outcome, verdict.reasons) == (Outcome.PASSED, ())
    assert judge(Difference(0.3 - 0.8, 0.3, 0.4), mpe=2.0).reasons == ("claim_not_proven",)


def test_guard_bands_that_leave_nothing() -> None:
    decision = decide(0.0, 1.2, MPE, DecisionRule("guarded"))
    assert decision.acceptance is None
    assert decision.outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize(
    ("name", "ratio", "factor"),
    [
        ("rss", 2.5, math.sqrt(1 - 1 / 2.5**2)),
        ("rss", 0.9, 0.0),
        ("rp10", 2.5, 0.85),
        ("rp10", 4.0, 1.0),
        ("rp10", 10.0, 1.0),
        ("dobbert", 2.5, 1 - (1.04 - math.exp(0.38 * math.log(2.5) - 0.54)) / 2.5),
        ("simple", 2.5, 1.0),
        ("guarded", 2.5, 1 - 1 / 2.5),
    ],
)
def test_acceptance_limits_by_ratio(name: str, ratio: float, factor: float) -> None:
    assert 1 - DecisionRule(name).guard(MPE, 1 / ratio) == pytest.approx(factor)


def test_one_sided_tolerances() -> None:
    limit = Tolerance(None, 10.0)
    assert decide(9.7, 0.2, limit, DecisionRule("guarded")).outcome is Outcome.PASSED
    assert decide(9.9, 0.2, limit, DecisionRule("guarded")).outcome is Outcome.INCONCLUSIVE
    for rule in (DecisionRule("rss"), SIMPLE_ACCEPTANCE):
        with pytest.raises(MetrologyError, match="one-sided"):
            decide(9.7, 0.2, limit, rule)


def test_a_tolerance_off_centre() -> None:
    """Motor oil of JCGM 106 7.4."""
    oil = Tolerance(12.5, 16.3)
    assert capability_index(oil, 3.6) == pytest.approx(1.9 / 3.6)
    assert decide(13.6, 1.0, oil, DecisionRule("guarded")).outcome is Outcome.PASSED
    assert decide(13.4, 1.0, oil, DecisionRule("guarded")).outcome is Outcome.INCONCLUSIVE


def test_no_uncertainty_is_a_plain_comparison() -> None:
    for name in GUARD_BANDS:
        assert decide(1.0, 0.0, MPE, DecisionRule(name)).outcome is Outcome.PASSED
        assert decide(1.1, 0.0, MPE, DecisionRule(name)).outcome is Outcome.FAILED
    assert conformance_probability(1.0, 0.0, MPE) == 1
    assert conformance_probability(1.1, 0.0, MPE) == 0


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (lambda: Tolerance(None, None), "needs a limit"),
        (lambda: Tolerance(1, 1), "less than"),
        (lambda: Tolerance(0, math.inf), "finite"),
        (lambda: maximum_permissible_error(0), "more than 0"),
        (lambda: DecisionRule("generous"), "choose one of dobbert, guarded"),
        (lambda: DecisionRule("guarded", -0.5), "not be negative"),
        (lambda: DecisionRule("guarded", 1, 0), "more than 0"),
        (lambda: decide(math.nan, 1, MPE, SIMPLE_ACCEPTANCE), "finite"),
        (lambda: decide(0, -1, MPE, SIMPLE_ACCEPTANCE), "negative"),
    ],
)
def test_what_is_no_question(ask, told) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(MetrologyError, match=told):
        ask()


@given(u_0=st.floats(0.05, 3), u_m=st.floats(0.001, 1), accept=st.floats(0.1, 2), off=st.floats(-1, 1))
def test_global_risks_are_probabilities_that_fit_together(
    u_0: float, u_m: float, accept: float, off: float
) -> None:
    """Accepted = conforming - R_P + R_C, and the accepted share is known in closed form for a normal prior."""
    found = risk.global_risks(risk.normal_prior(off, u_0), u_m, MPE, Tolerance(-accept, accept))
    assert 0 <= found.consumer <= 1
    assert 0 <= found.producer <= 1
    measured = conformance_probability(off, math.hypot(u_0, u_m), Tolerance(-accept, accept))
    assert found.prior_conformance - found.producer + found.consumer == pytest.approx(measured, abs=1e-9)


def test_priors_that_are_none() -> None:
    with pytest.raises(MetrologyError, match="gamma"):
        risk.gamma_prior(1, 1.5)
    with pytest.raises(MetrologyError, match="u_m"):
        risk.global_risks(risk.normal_prior(0, 1), 0, MPE, MPE)


@given(prior=st.floats(0.05, 0.5))
def test_a_gamma_prior_has_its_mean(prior: float) -> None:
    shape = risk.gamma_prior(1.0, prior)
    wide = risk.global_risks(shape, 0.01, Tolerance(0, 50), Tolerance(0, 50))
    assert wide.prior_conformance == pytest.approx(1, abs=1e-6)


# comparison.py


def test_normalised_error() -> None:
    assert normalised_error(Difference(0.5, 0.3, 0.4)) == pytest.approx(1.0)


def test_a_shared_standard_makes_the_normalised_error_stricter() -> None:
    """u(x, X) = r·u_x·u_X with r = 0.5, u = U/2."""
    shared = Difference(0.4, 0.3, 0.4, covariance=0.5 * 0.15 * 0.2)
    assert normalised_error(shared) == pytest.approx(0.4 / math.sqrt(0.09 + 0.16 - 8 * 0.015))
    assert normalised_error(shared) > normalised_error(Difference(0.4, 0.3, 0.4))


@pytest.mark.parametrize(
    ("difference", "told"),
    [
        (Difference(0.1, 0.0, 0.0), "nothing to divide by"),
        (Difference(0.1, 0.2, 0.2, covariance=0.01), "nothing to divide by"),
        (Difference(0.1, 0.2, 0.2, covariance=0.02), r"\|r\| > 1"),
    ],
)
def test_a_normalised_error_without_uncertainty(difference: Difference, told: str) -> None:
    with pytest.raises(MetrologyError, match=told):
        normalised_error(difference)


@pytest.mark.parametrize(
    ("difference", "outcome", "reasons"),
    [
        (Difference(0.2, 0.2, 0.2), Outcome.PASSED, ()),
        (Difference(0.5, 0.2, 0.2), Outcome.FAILED, ("en_exceeded",)),
        (Difference(0.2, 0.2, 0.4), Outcome.INCONCLUSIVE, ("uncertainty_too_large",)),
        (Difference(0.25, 0.2, 0.2), Outcome.INCONCLUSIVE, ("claim_not_proven",)),
        (Difference(0.2, 0.2, 0.2, covariance=0.002), Outcome.INCONCLUSIVE, ("claim_not_proven",)),
        (Difference(0.16, 0.2, 0.2, covariance=0.002), Outcome.PASSED, ()),
        (Difference(0.35, 0.2, 0.2, 0.0, 0.2), Outcome.PASSED, ()),
        (Difference(0.9, 2.0, 0.2), Outcome.PASSED, ()),
        (Difference(1.1, 2.0, 0.2), Outcome.FAILED, ("mpe_exceeded",)),
        (Difference(1.5, 0.2, 0.4), Outcome.FAILED, ("uncertainty_too_large", "en_exceeded", "mpe_exceeded")),
        (
            Difference(1.2, 0.2, 0.4),
            Outcome.INCONCLUSIVE,
            ("uncertainty_too_large", "en_exceeded", "mpe_not_proven"),
        ),
    ],
)
def test_the_verdict_of_a_point(difference: Difference, outcome: Outcome, reasons: tuple[str, ...]) -> None:
    verdict = judge(difference, mpe=1.0)
    assert (verdict.outcome, verdict.reasons) == (outcome, reasons)


@given(
    value=st.floats(-3, 3),
    channel=st.floats(0.01, 100),
    reference=st.floats(0.001, 100),
    guard=st.sampled_from(sorted(GUARD_BANDS)),
)
def test_no_claim_lets_a_difference_beyond_the_mpe_pass(
    value: float, channel: float, reference: float, guard: str
) -> None:
    rule = ComparisonRule(DecisionRule(guard, max_uncertainty_ratio=1 / 3))
    verdict = judge(Difference(value, channel, reference), 1.0, rule)
    if exceeds(abs(value), 1) or exceeds(reference, 1 / 3):
        assert verdict.outcome is not Outcome.PASSED
    assert (verdict.outcome is Outcome.PASSED) == (not verdict.reasons)


@given(
    value=st.floats(-2, 2),
    claim=st.floats(0.01, 1),
    reference=st.floats(0.01, 0.34),
    wider=st.floats(1, 34),
    r=st.floats(-0.999, 0.999),
    error=st.floats(-0.5, 0.5),
)
def test_a_wider_comparison_never_makes_a_non_pass_pass(
    value: float, claim: float, reference: float, wider: float, r: float, error: float
) -> None:
    covariance = r * claim * reference / 4
    before = judge(Difference(value, claim, reference, covariance, error), 1.0)
    after = judge(Difference(value, claim, reference * wider, covariance, error), 1.0)
    if after.outcome is Outcome.PASSED:
        assert before.outcome is Outcome.PASSED, before.reasons


def test_the_worst_point_of_a_run_decides() -> None:
    assert worst([Outcome.PASSED, Outcome.INCONCLUSIVE, Outcome.FAILED]) is Outcome.FAILED
    assert worst([Outcome.PASSED, Outcome.INCONCLUSIVE]) is Outcome.INCONCLUSIVE
    assert worst([Outcome.PASSED]) is Outcome.PASSED
    with pytest.raises(TooFewValues):
        worst([])


def test_repeatability_is_pooled_over_runs() -> None:
    pooled = repeatability([[1.0, 3.0], [5.0, 5.0, 8.0], [4.0]])
    assert pooled.degrees_of_freedom == 3
    assert pooled.standard_deviation == pytest.approx(math.sqrt((2.0 + 6.0) / 3))
    with pytest.raises(TooFewValues, match="repeatability"):
        repeatability([[1.0], []])


@given(
    runs=st.lists(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=6), min_size=1, max_size=5), data=st.data()
)
def test_repeatability_does_not_depend_on_order(runs: list[list[float]], data: st.DataObject) -> None:
    assume(any(len(set(run)) > 1 for run in runs))
    shuffled = data.draw(st.permutations([data.draw(st.permutations(run)) for run in runs]))
    assert repeatability(shuffled) == repeatability(runs)


def test_the_modules_share_one_outcome() -> None:
    assert comparison.Outcome is conformity.Outcome

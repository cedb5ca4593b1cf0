"""Points, E_n and outcomes: what passes, what does not and why, and that no claim lets a wrong instrument pass."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pure_run import POWER, found, series, standard, steady

from meter_gateway.in_situ.evaluation import Point, Sides
from meter_gateway.metrology import comparison
from meter_gateway.metrology.comparison import Difference
from meter_gateway.metrology.conformity import Outcome
from meter_gateway.metrology.rata import Run, relative_accuracy
from meter_protocol.quantities import BY_NAME

REFERENCE = series(*steady(100_000, 200_000))


def shown(error: int) -> "series":
    return series(*(value + error * value // 100_000 for value in steady(100_000, 200_000)))


def test_two_levels_are_two_points() -> None:
    result = found(shown(200), REFERENCE)
    assert result.outcome is Outcome.PASSED
    assert [round(point.reference, -3) for point in result.points] == [100_000, 200_000]
    assert [round(point.error) for point in result.points] == [200, 400]
    # The first pair of each level has not been shown to be settled.
    assert [point.count for point in result.points] == [7, 7]


def test_the_uncertainty_of_a_point_by_hand() -> None:
    result = found(series(*steady(100_200, scatter=0)), series(*steady(100_000, scatter=0)))
    (point,) = result.points
    calibration = 0.0005 / 2 * 100_000
    resolution = math.hypot(1, 1) / math.sqrt(12)
    assert point.deviation == 0
    assert point.uncertainty == pytest.approx(2 * math.hypot(calibration, resolution))
    own = 0.002 / 2 * 100_200
    assert point.normalised_error == pytest.approx(200 / (2 * math.hypot(own, calibration, resolution)))


def test_repeatability_is_in_it_undivided() -> None:
    scattered = [100_200 + (20 if place % 2 else -20) for place in range(9)]
    (point,) = found(series(*scattered), series(*steady(100_000, count=9, scatter=0))).points
    assert point.deviation == pytest.approx(21.4, abs=0.1)
    assert point.uncertainty == pytest.approx(2 * math.hypot(25, point.deviation), abs=0.5)


def test_the_reference_s_drift_counts_from_its_calibration() -> None:
    year = round(365.25 * 86_400_000)
    sides = Sides(standard(age_ms=2 * year, drift_per_year=0.001), standard("0.2"))
    (point,) = found(series(*steady(100_200)), series(*steady(100_000)), sides).points
    assert point.uncertainty == pytest.approx(2 * math.hypot(25, 200 / math.sqrt(3)), rel=0.01)


def test_a_comparison_takes_the_certificates_own_u() -> None:
    """U of 0.05 % with k = 2.87 is 0.05 % all the same, and not 2u = 0.035 %; a u that is stated is doubled."""

    def by(u: str, k: str) -> Point:
        sides = Sides(standard(u, k=k), standard("0.2", k=k))
        return found(series(*steady(100_200)), series(*steady(100_000)), sides).points[0]

    two, few = by("0.05", "2"), by("0.05", "2.87")
    assert (few.uncertainty, few.normalised_error) == pytest.approx((two.uncertainty, two.normalised_error))
    assert by("0.025", "1").uncertainty == pytest.approx(two.uncertainty)


def test_the_reference_s_known_error_is_corrected() -> None:
    sides = Sides(standard(error_percent="0.3"), standard("0.2"))
    result = found(series(*steady(100_000)), series(*steady(100_300)), sides)
    assert result.points[0].error == pytest.approx(0, abs=2)
    assert result.corrections[1] == pytest.approx(-300, abs=1)


def test_an_error_that_the_channel_s_certificate_states_is_explained() -> None:
    """It is 0.5 % wrong and has a certificate that says so: E_n is small, and the MPE holds all the same."""
    sides = Sides(standard(), standard("0.1", error_percent="0.5"))
    result = found(series(*steady(100_500)), series(*steady(100_000)), sides)
    assert result.outcome is Outcome.PASSED
    assert abs(result.points[0].normalised_error or 9) < 0.2
    assert found(series(*steady(100_500)), series(*steady(100_000)), sides, 0.4).reasons[0] == "mpe_exceeded"


def test_a_shared_standard_makes_the_claims_less_independent() -> None:
    alone, shared = (
        found(series(*steady(100_100)), series(*steady(100_000)), Sides(standard(), standard("0.2"), (), u))
        for u in (0.0, 0.0002)
    )
    assert (shared.points[0].normalised_error or 0) > (alone.points[0].normalised_error or 9)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"sides": Sides(None, None)}, "reference_uncalibrated"),
        ({"sides": Sides(standard(), None, ("reference_not_in_force",))}, "reference_not_in_force"),
        ({"min_pairs": 30}, "too_few_pairs"),
        ({"settled_within": 1e-9}, "no_settled_pair"),
        ({"sides": Sides(standard("2"), standard())}, "uncertainty_too_large"),
        ({"level_within": 1e-9}, "repeatability_unknown"),
    ],
)
def test_what_makes_a_run_prove_nothing(change: dict[str, object], reason: str) -> None:
    channel = series(*(100_100 + 40 * place for place in range(9)))
    reference = series(*(100_000 + 40 * place for place in range(9)))
    result = found(channel, reference, **change)
    assert result.outcome is Outcome.INCONCLUSIVE
    assert reason in result.reasons


def test_a_reference_outside_its_calibrated_range() -> None:
    result = found(series(*steady(900_000)), series(*steady(900_000)))
    assert result.outcome is Outcome.INCONCLUSIVE
    assert "reference_outside_range" in result.reasons


def test_a_certificate_over_another_quantity_says_nothing_here() -> None:
    other = Sides(standard(quantity=BY_NAME["current"]), None)
    assert POWER is not BY_NAME["current"]
    assert "reference_point_unknown" in found(series(*steady(100_000)), series(*steady(100_000)), other).reasons


RATA = {"method": "rata", "settled_within": None, "channel_basis": "dry, 30 min", "reference_basis": "dry, 30 min"}


def test_a_gas_analyser_is_judged_by_its_relative_accuracy() -> None:
    reference = [119_800, 120_500, 121_000, 119_500, 120_200, 120_800, 120_000, 119_700, 120_400]
    monitor = [121_000, 122_000, 121_800, 120_700, 121_000, 122_100, 121_500, 120_500, 121_600]
    result = found(series(*monitor), series(*reference), **RATA)
    expected = relative_accuracy([Run(r, m, "dry") for r, m in zip(reference, monitor, strict=True)])
    assert result.accuracy is not None
    assert result.accuracy.percent == pytest.approx(expected.percent)
    assert result.outcome is Outcome.PASSED
    assert result.points[0].mpe == pytest.approx(0.1 * expected.mean_reference)


@pytest.mark.parametrize(
    ("change", "runs", "outcome", "reason"),
    [
        ({}, 8, Outcome.INCONCLUSIVE, "too_few_pairs"),
        ({"channel_basis": "wet, 30 min"}, 9, Outcome.INCONCLUSIVE, "basis_differs"),
        ({"channel_basis": "", "reference_basis": ""}, 9, Outcome.INCONCLUSIVE, "basis_differs"),
        ({"relative_accuracy_percent": 0.5}, 9, Outcome.FAILED, "relative_accuracy_exceeded"),
        ({"sides": Sides(standard("8"), None)}, 9, Outcome.INCONCLUSIVE, "uncertainty_too_large"),
    ],
)
def test_relative_accuracy_that_does_not_pass(
    change: dict[str, object], runs: int, outcome: Outcome, reason: str
) -> None:
    channel, reference = series(*steady(101_000, count=runs)), series(*steady(100_000, count=runs, scatter=9))
    result = found(channel, reference, **(RATA | change))
    assert (result.outcome, result.reasons) == (outcome, (reason,))


percents = st.floats(0.001, 3)


@settings(max_examples=200, deadline=None)
@given(
    error=st.integers(-3000, 3000),
    u=percents,
    own=percents,
    wider=st.floats(1, 50),
    method=st.sampled_from(["en", "rata"]),
    which=st.sampled_from(["reference", "clock", "scatter"]),
)
def test_a_wider_uncertainty_never_makes_a_non_pass_pass(
    error: int, u: float, own: float, wider: float, method: str, which: str
) -> None:
    """Through the whole run."""
    change = RATA if method == "rata" else {}

    def run(factor: float) -> "tuple[Outcome, set[str]]":
        reference_u = u * factor if which == "reference" else u
        channel = series(
            *steady(100_000 + error, count=10, scatter=round(3 * factor) if which == "scatter" else 3),
            offset_ms=round(20 * factor) if which == "clock" else 20,
            spread=500,
        )
        sides = Sides(standard(f"{reference_u:.6f}"), standard(f"{own:.6f}"))
        result = found(channel, series(*steady(100_000, count=10)), sides, **change)
        return result.outcome, set(result.reasons)

    narrow, wide = run(1), run(wider)
    if wide[0] is Outcome.PASSED:
        assert narrow[0] is Outcome.PASSED, narrow[1]
        assert abs(error) <= (1100 if method == "en" else 11_000)


@given(e=st.floats(-1, 1), known=st.floats(-1, 1))
def test_a_known_error_counts_in_e_n_and_not_against_the_mpe(e: float, known: float) -> None:
    verdict = comparison.judge(Difference(e, 0.1, 0.1, 0.0, known), 0.5)
    assert verdict.normalised_error == pytest.approx((e - known) / math.hypot(0.1, 0.1))
    assert ("mpe_exceeded" in verdict.reasons) == (abs(e) > 0.5)

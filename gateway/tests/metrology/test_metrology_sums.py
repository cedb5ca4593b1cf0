"""Totals keep what their readings have in common, and errors are interpolated between calibrated points only."""

import math
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meter_gateway.metrology.error_curve import (
    ErrorCurve,
    ErrorPoint,
    OutsideCalibratedRange,
    with_carried_error,
)
from meter_gateway.metrology.errors import MetrologyError, TooFewValues
from meter_gateway.metrology.sums import Parts, over_channels, over_intervals, stated

small = st.floats(0, 100)
parts = st.builds(Parts, st.fixed_dictionaries({"CAL-1": small}), small, small, small)


def test_calibration_does_not_average_out_and_resolution_telescopes() -> None:
    reading = Parts({"CAL-1": 0.3}, channel=0.1, random=0.2, resolution=0.4)
    total = over_intervals([[reading] * 100], telescopes=True)
    assert total.certificates == pytest.approx({"CAL-1": 30})
    assert total.channel == pytest.approx(10)
    assert total.random == pytest.approx(2)
    assert total.resolution == 0.4
    assert total.combined_uncertainty == pytest.approx(math.hypot(30, 10, 2, 0.4))


def test_what_a_verdict_states_keeps_its_certificates_apart() -> None:
    assert stated([7, 10, 20, 30, 40, 50], ["CAL-1", "CT-1"], 1e-3) == Parts(
        {"CAL-1": 0.04, "CT-1": 0.05}, channel=0.01, random=0.02, resolution=0.03
    )
    assert stated([7, 1, 2, 3], [], 0.5) == Parts({}, channel=0.5, random=1.0, resolution=1.5)
    with pytest.raises(MetrologyError, match="does not belong"):
        stated([7, 1, 2, 3, 4], ["CAL-1", "CT-1"], 1)


def test_each_gap_adds_the_resolution_of_one_difference() -> None:
    reading = Parts(resolution=0.3)
    assert over_intervals([[reading] * 5, [reading] * 5], telescopes=True).resolution == pytest.approx(
        0.3 * math.sqrt(2)
    )
    assert over_intervals([[reading] * 100], telescopes=False).resolution == pytest.approx(3)


def test_a_new_certificate_is_another_error() -> None:
    total = over_intervals([[Parts({"OLD": 3.0}), Parts({"NEW": 4.0})]], telescopes=True)
    assert total.combined_uncertainty == 5


def test_channels_under_one_certificate_add_and_cancel_linearly() -> None:
    one, other = Parts({"CAL-1": 3.0}, channel=1.0), Parts({"CAL-1": 2.0}, channel=1.0)
    assert over_channels([one, other]).certificates == {"CAL-1": 5.0}
    balance = over_channels([one, other], signs=[1, -1])
    assert balance.certificates == {"CAL-1": 1.0}
    assert balance.channel == pytest.approx(math.sqrt(2))


@given(st.lists(parts, min_size=1, max_size=12))
def test_a_total_is_between_independent_and_fully_correlated(readings: list[Parts]) -> None:
    total = over_intervals([readings], telescopes=False).combined_uncertainty
    each = [reading.combined_uncertainty for reading in readings]
    assert math.hypot(*each) * (1 - 1e-12) <= total <= math.fsum(each) * (1 + 1e-12)


@given(readings=st.lists(parts, min_size=2, max_size=12), cut=st.integers(1, 11))
def test_a_total_of_totals_is_the_total(readings: list[Parts], cut: int) -> None:
    """Hours to days: all but a telescoping resolution adds up the same in two steps."""
    cut = min(cut, len(readings) - 1)
    whole = over_intervals([readings], telescopes=False)
    halves = [over_intervals([part], telescopes=False) for part in (readings[:cut], readings[cut:])]
    again = over_intervals([halves], telescopes=False)
    assert again.combined_uncertainty == pytest.approx(whole.combined_uncertainty, rel=1e-12)


@given(st.lists(parts, min_size=1, max_size=5))
def test_totals_agree_with_gtc(gtc: ModuleType, readings: list[Parts]) -> None:
    """The common errors as one uncertain number each, scaled per reading."""
    calibration, of_channel = gtc.ureal(0, 1), gtc.ureal(0, 1)
    total = sum(
        r.certificates["CAL-1"] * calibration
        + r.channel * of_channel
        + gtc.ureal(0, r.random or 1e-300)
        + gtc.ureal(0, r.resolution or 1e-300)
        for r in readings
    )
    ours = over_intervals([readings], telescopes=False).combined_uncertainty
    assert ours == pytest.approx(gtc.uncertainty(total), rel=1e-9, abs=1e-200)


def test_totals_of_nothing() -> None:
    with pytest.raises(TooFewValues):
        over_intervals([[]], telescopes=True)
    with pytest.raises(TooFewValues):
        over_channels([])
    with pytest.raises(MetrologyError, match="sign"):
        over_channels([Parts()], signs=[2])
    with pytest.raises(MetrologyError, match="CAL-1"):
        Parts({"CAL-1": -1.0})


CURVE = ErrorCurve(
    [ErrorPoint(373.121, 0.089, 0.0305), ErrorPoint(306.248, 0.072, 0.0305), ErrorPoint(448.253, 0.107, 0.04)]
)
"""The first points of the DCC temperature sample, the last with another uncertainty."""


def test_between_points_error_and_uncertainty_are_interpolated() -> None:
    middle = CURVE.at((373.121 + 448.253) / 2)
    assert middle.error == pytest.approx(0.098)
    assert middle.standard_uncertainty == pytest.approx(0.03525)


@pytest.mark.parametrize("point", CURVE.points)
def test_at_a_point_it_is_the_certificate_s_own(point: ErrorPoint) -> None:
    assert CURVE.at(point.reference) is point


@pytest.mark.parametrize("value", [306.0, 449.0, math.nan])
def test_nothing_is_extrapolated(value: float) -> None:
    with pytest.raises(OutsideCalibratedRange, match=r"306\.248 to 448\.253"):
        CURVE.at(value)


@given(value=st.floats(306.248, 448.253))
def test_the_curve_stays_between_its_points(value: float) -> None:
    found = CURVE.at(value)
    assert 0.072 - 1e-12 <= found.error <= 0.107 + 1e-12
    assert 0.0305 - 1e-12 <= found.standard_uncertainty <= 0.04 + 1e-12


def test_two_points_at_one_value() -> None:
    with pytest.raises(MetrologyError, match="same reference"):
        ErrorCurve([ErrorPoint(1, 0, 0.1), ErrorPoint(1, 0.1, 0.1)])


def test_an_error_that_is_carried_widens_the_interval_by_itself() -> None:
    assert with_carried_error(0.061, -0.089) == pytest.approx(0.15)


def test_a_mean_error_over_a_range_carries_what_it_leaves_out() -> None:
    """An error straight from -1 to 1 has mean 0 and varies by 1/√3; u straight from 1 to 2 has mean u² 7/3."""
    found = ErrorCurve([ErrorPoint(0, -1, 1), ErrorPoint(10, 1, 2)]).over(0, 10)
    assert found.error == pytest.approx(0)
    assert found.u_variation == pytest.approx(1 / math.sqrt(3))
    assert found.u_calibration == pytest.approx(math.sqrt(7 / 3))
    assert found.standard_uncertainty == pytest.approx(math.sqrt(1 / 3 + 7 / 3))


@given(low=st.floats(306.5, 370), width=st.floats(1, 70))
def test_a_mean_error_agrees_with_a_fine_sum(low: float, width: float) -> None:
    found = CURVE.over(low, low + width)
    points = [CURVE.at(low + width * (step + 0.5) / 1000) for step in range(1000)]
    mean = math.fsum(point.error for point in points) / 1000
    assert found.error == pytest.approx(mean, abs=1e-6)
    assert found.u_variation**2 == pytest.approx(math.fsum((p.error - mean) ** 2 for p in points) / 1000, abs=1e-6)
    assert found.u_calibration**2 == pytest.approx(
        math.fsum(p.standard_uncertainty**2 for p in points) / 1000, abs=1e-6
    )


def test_a_mean_error_is_of_a_calibrated_range() -> None:
    with pytest.raises(OutsideCalibratedRange):
        CURVE.over(300, 400)
    with pytest.raises(MetrologyError, match="go up"):
        CURVE.over(400, 400)

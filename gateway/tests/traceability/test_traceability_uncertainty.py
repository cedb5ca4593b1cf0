"""Components of one reading's uncertainty, against hand calculation and GTC."""

import math
from dataclasses import replace
from decimal import Decimal

import pytest
from scenario import calibration_result, verification_result

from meter_gateway.metrology.budget import Budget, Distribution
from meter_gateway.metrology.error_curve import OutsideCalibratedRange
from meter_gateway.traceability import certificate as c
from meter_gateway.traceability.uncertainty import Indicated, components

KW = 1000.0


def points(*given: tuple[str, str, str]) -> tuple[c.Point, ...]:
    return tuple(c.Point(Decimal(r), Decimal(e), Decimal(u), Decimal(2)) for r, e, u in given)


ENERGY = replace(
    calibration_result("active_energy_import"), points=points(("100", "0.1", "0.04"), ("300", "0.3", "0.08"))
)


def test_an_increase_between_two_calibrated_points() -> None:
    # 50 kWh in a quarter of an hour: 200 kW, half-way between the points.
    found, error = components(ENERGY, Indicated(50_000.0, 200 * KW, 40.0, is_increase=True))
    calibration, resolution = found
    assert calibration.standard_uncertainty == pytest.approx(50_000 * 0.0003)
    assert error == pytest.approx(50_000 * 0.002)
    assert resolution.distribution is Distribution.TRIANGULAR
    assert resolution.standard_uncertainty == pytest.approx(40 / math.sqrt(6))
    u = Budget(found).combined_uncertainty()
    gtc = pytest.importorskip("GTC")
    y = gtc.ureal(50_000, 15.0) + gtc.ureal(0, gtc.type_b.triangular(40))
    assert u == pytest.approx(gtc.uncertainty(y), rel=1e-9)


def test_a_mean_with_an_absolute_error() -> None:
    power = replace(
        calibration_result("active_power"), error_unit="W", points=points(("1", "2", "1"), ("600", "80", "60"))
    )
    (calibration, resolution), error = components(power, Indicated(600 * KW, 600 * KW, 100.0, is_increase=False))
    assert (calibration.standard_uncertainty, error) == (30.0, 80.0)
    assert resolution.distribution is Distribution.RECTANGULAR
    assert resolution.standard_uncertainty == pytest.approx(100 / math.sqrt(12))
    kilowatts = replace(power, error_unit="kW", points=points(("1", "0.002", "0.001"), ("600", "0.08", "0.06")))
    (again, _), error = components(kilowatts, Indicated(600 * KW, 600 * KW, 100.0, is_increase=False))
    assert again.standard_uncertainty == pytest.approx(30.0)
    assert error == pytest.approx(80.0)


def test_a_class_is_rectangular_and_has_no_error() -> None:
    found, error = components(
        verification_result("active_energy_import"), Indicated(1000.0, 100 * KW, 1.0, is_increase=True)
    )
    assert error is None
    assert found[0].distribution is Distribution.RECTANGULAR
    assert found[0].standard_uncertainty == pytest.approx(1000 * 0.005 / math.sqrt(3))


@pytest.mark.parametrize("at", [99.9, 300.1])
def test_nothing_is_extrapolated(at: float) -> None:
    with pytest.raises(OutsideCalibratedRange):
        components(ENERGY, Indicated(1.0, at * KW, 1.0, is_increase=True))


def test_a_quantity_in_percent_has_errors_in_percentage_points() -> None:
    humid = c.CalibrationResult(
        c.Instrument("x", "y", "z"),
        (quantity := calibration_result("relative_humidity").quantity),
        c.Axis(quantity, "%", None, None),
        "%",
        points(("20", "1", "2"), ("80", "1", "2")),
        (),
    )
    (calibration, _), error = components(humid, Indicated(50.0, 50.0, 0.1, is_increase=False))
    assert (calibration.standard_uncertainty, error) == (1.0, 1.0)

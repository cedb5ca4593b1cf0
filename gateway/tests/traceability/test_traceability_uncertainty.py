"""Components of one reading's uncertainty, against hand calculation and GTC."""

import math
from dataclasses import replace
from decimal import Decimal

import pytest
from scenario import calibration_result, verification_result

from meter_gateway.metrology.budget import Budget, Distribution
from meter_gateway.metrology.error_curve import OutsideCalibratedRange
from meter_gateway.traceability import certificate as c
from meter_gateway.traceability.parameters import Channel
from meter_gateway.traceability.uncertainty import Indicated, components, indicated
from meter_protocol import fields as f

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


def register(operating_point: int | None) -> Channel:
    quantity = ENERGY.quantity
    return Channel(1, quantity, f.CHANNEL_REGISTER, 0, 40, "s", operating_point, extremes=False, scale=())


POWER = Channel(2, ENERGY.axis.quantity, f.CHANNEL_MEAN, 2, 1, "s", operating_point=None, extremes=False, scale=())
CHANNELS = {1: register(None), 2: POWER}
QUARTER_MS = 900_000


def test_a_register_works_at_its_own_rate_or_at_the_channel_that_the_parameters_name() -> None:
    row, before = {1: [0, 150_000], 2: [0, 9, 9, 1980, 1]}, {1: [0, 100_000]}
    taken = indicated(register(None), CHANNELS, ENERGY, row, before, QUARTER_MS)
    assert taken == Indicated(50_000.0, 200 * KW, 40.0, is_increase=True)
    taken = indicated(register(2), CHANNELS, ENERGY, row, before, QUARTER_MS)
    assert taken == Indicated(50_000.0, 198 * KW, 40.0, is_increase=True)


@pytest.mark.parametrize(
    ("row", "before", "duration_ms"),
    [
        ({1: [0, 150_000]}, None, QUARTER_MS),
        ({1: [0, 150_000]}, {1: [1, None]}, QUARTER_MS),
        ({1: [1, None]}, {1: [0, 100_000]}, QUARTER_MS),
        ({1: [0, 99_999]}, {1: [0, 100_000]}, QUARTER_MS),
        ({1: [0, 9, 9, 1980, 1]}, {1: [0, 100_000]}, QUARTER_MS),
        ({}, {1: [0, 100_000]}, QUARTER_MS),
        ({1: [0, 150_000]}, {1: [0, 100_000]}, None),
    ],
)
def test_what_shows_nothing_has_no_uncertainty(row, before, duration_ms) -> None:
    assert indicated(register(None), CHANNELS, ENERGY, row, before, duration_ms) is None


def test_a_named_channel_without_a_value_is_no_operating_point() -> None:
    row = {1: [0, 150_000], 2: [1, 0, 9, None, None]}
    assert indicated(register(2), CHANNELS, ENERGY, row, {1: [0, 100_000]}, QUARTER_MS) is None

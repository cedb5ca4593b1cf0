"""D-SI units as exact factors, and the project's units for them."""

from decimal import Decimal
from fractions import Fraction

import pytest

from meter_gateway.traceability.dcc import d_si
from meter_protocol.quantities import BY_NAME, QUANTITIES


@pytest.mark.parametrize(
    ("text", "factor", "powers"),
    [
        (r"\metre", 1, (1, 0, 0, 0, 0, 0, 0)),
        (r"\kilo\metre", 1000, (1, 0, 0, 0, 0, 0, 0)),
        (r"\metre\tothe{3}\hour\tothe{-1}", Fraction(1, 3600), (3, 0, -1, 0, 0, 0, 0)),
        (r"\centi\metre\tothe{3}", Fraction(1, 10**6), (3, 0, 0, 0, 0, 0, 0)),
        (r"\metre\per\second", 1, (1, 0, -1, 0, 0, 0, 0)),
        (r"\metre\per\second\tothe{2}", 1, (1, 0, -2, 0, 0, 0, 0)),
        (r"\kilogram\per\hour\metre", Fraction(1, 3600), (1, 1, -1, 0, 0, 0, 0)),
        (r"\kilo\watt\hour", 3_600_000, (2, 1, -2, 0, 0, 0, 0)),
        (r"\milli\gram\metre\tothe{-3}", Fraction(1, 10**6), (-3, 1, 0, 0, 0, 0, 0)),
        (r"\litre\minute\tothe{-1}", Fraction(1, 60_000), (3, 0, -1, 0, 0, 0, 0)),
    ],
)
def test_units(text: str, factor: int | Fraction, powers: tuple[int, ...]) -> None:
    unit = d_si.parse(text)
    assert unit is not None
    assert (unit.factor, unit.powers) == (factor, powers)


@pytest.mark.parametrize(
    "text",
    ["", "V", r"\kilo", r"\kilo\kilo\metre", r"\tothe{2}", r"\metre\tothe", r"\metre\tothe{x}", r"\metre{2}",
     r"\metre\tothe{2}\tothe{2}", r"\metre volt", r"\furlong", "\\metre" * 30, r"\metre\tothe{99}"],
)  # fmt: skip
def test_what_is_no_unit(text: str) -> None:
    assert d_si.parse(text) is None


def test_each_quantitys_own_unit_is_one() -> None:
    for quantity in QUANTITIES:
        way = d_si.writing(d_si.OWN[quantity.code], quantity)
        assert way is not None
        assert (way.ucum, way.scale, way.zero) == (quantity.ucum, 1, 0)


@pytest.mark.parametrize(
    ("text", "quantity", "printed", "unit", "value"),
    [
        (r"\kelvin", "temperature", "306.248", "Cel", "33.098"),
        (r"\degreecelsius", "temperature", "33.098", "Cel", "33.098"),
        (r"\kelvin", "temperature_difference", "0.061", "K", "0.061"),
        (r"\kilo\watt", "active_power", "1.50", "kW", "1.50"),
        (r"\hecto\pascal", "absolute_pressure", "1013.25", "Pa", "101325"),
        (r"\bar", "absolute_pressure", "1.01325", "Pa", "101325"),
        (r"\litre\minute\tothe{-1}", "volume_flow", "2.5", "m3/h", "0.15"),
        (r"\metre\tothe{3}\second\tothe{-1}", "volume_flow", "0.0010", "m3/h", "3.6"),
        (r"\one", "relative_humidity", "0.201", "%", "20.1"),
        (r"\percent", "co2_fraction", "11.8", "[ppm]", "1.18E+5"),
        (r"\gram\metre\tothe{-3}", "co2_concentration", "0.2500", "mg/m3", "250.0"),
        (r"\kilo\watt\hour", "heat", "2", "J", "7.2E+6"),
    ],
)
def test_a_printed_value_in_the_projects_unit(
    text: str, quantity: str, printed: str, unit: str, value: str
) -> None:
    parsed = d_si.parse(text)
    assert parsed is not None
    way = d_si.writing(parsed, BY_NAME[quantity])
    assert way is not None
    assert way.ucum == unit
    found = way.value(Decimal(printed))
    assert found == Decimal(value)


def test_a_difference_has_no_zero() -> None:
    kelvin = d_si.parse(r"\kelvin")
    assert kelvin is not None
    way = d_si.writing(kelvin, BY_NAME["temperature"])
    assert way is not None
    assert way.difference(Decimal("0.061")) == Decimal("0.061")


@pytest.mark.parametrize(
    ("text", "quantity"), [(r"\volt", "current"), (r"\metre", "volume"), (r"\one", "voltage")]
)
def test_no_unit_of_that_quantity(text: str, quantity: str) -> None:
    parsed = d_si.parse(text)
    assert parsed is not None
    assert d_si.writing(parsed, BY_NAME[quantity]) is None


def test_what_has_no_finite_decimal_is_not_converted() -> None:
    assert d_si.exactly(Decimal(1), Fraction(1, 3600)) is None
    assert d_si.exactly(Decimal(36), Fraction(1, 3600)) == Decimal("0.01")


def test_digits_are_neither_lost_nor_made_up() -> None:
    assert str(d_si.exactly(Decimal("0.2010"), Fraction(100))) == "20.10"
    long = Decimal("1." + "0" * 32 + "1")
    found = d_si.exactly(long, Fraction(1, 10**6))
    assert found is not None
    assert found * 10**6 == long or len(found.as_tuple().digits) == 34
    # A shift by thousands of places still loses nothing.
    assert d_si.difference(Decimal("1e200"), Decimal("273.15")) is None

"""PTB's good-practice samples against the values that metrology.md §2 states of them."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from meter_gateway.traceability import dcc
from meter_gateway.traceability.certificate import Conformity, Digest, ErrorLimits, Instrument, Laboratory
from meter_protocol.quantities import BY_NAME

ALL = (
    "dcc_gp_humidity_v1.0.xml",
    "dcc_gp_temperature_extensive_v12.xml",
    "dcc_gp_temperature_simplified_v12.xml",
    "dcc_gp_temperature_typical_adjustment_v12.xml",
    "dcc_gp_temperature_typical_v12.xml",
    "dcc_gp_temperature_typical_v12_v3.2.0_signed_lt.xml",
)
ZERO_CELSIUS = Decimal("273.15")


def reading(samples: Path, name: str, *assignments: dcc.Assignment) -> dcc.Reading:
    return dcc.read((samples / name).read_bytes(), assignments)


@pytest.mark.parametrize("name", [name for name in ALL if "temperature" in name])
def test_the_temperatures(samples: Path, name: str) -> None:
    found = reading(samples, name)
    assert found.left_out == ()
    (result,) = found.certificate.results
    assert result.quantity is result.axis.quantity is BY_NAME["temperature"]
    assert (result.axis.unit, result.error_unit) == ("Cel", "Cel")
    kelvin = [point.reference + ZERO_CELSIUS for point in result.points]
    assert [str(value) for value in kelvin] == ["306.248", "373.121", "448.253", "523.319", "593.154"]
    shown = [point.indication + ZERO_CELSIUS for point in result.points]
    assert [str(value) for value in shown] == ["306.32", "373.21", "448.36", "523.31", "593.07"]
    assert [str(point.error) for point in result.points] == ["0.072", "0.089", "0.107", "-0.009", "-0.084"]
    assert {(point.expanded_uncertainty, point.k) for point in result.points} == {(Decimal("0.061"), 2)}
    limits = [point.acceptance for point in result.points]
    assert [str(limit.upper) for limit in limits if limit] == ["0.23", "0.23", "0.23", "0.30", "0.30"]
    assert [str(limit.lower) for limit in limits if limit] == ["-0.23", "-0.23", "-0.23", "-0.30", "-0.30"]
    assert {point.conformity for point in result.points} == {Conformity.PASS}


def test_the_typical_one(samples: Path) -> None:
    found = reading(samples, "dcc_gp_temperature_typical_v12.xml")
    certificate = found.certificate
    assert found.version == "3.1.1"
    assert certificate.identifier == "GP_DCC_temperature_typical_1.2"
    assert certificate.laboratory == Laboratory("Kalibrierfirma GmbH", None)
    assert certificate.begun_on == certificate.calibrated_on == date(1957, 8, 13)
    assert (certificate.due_on, certificate.due_source) == (
        date(1959, 10, 22),
        "DCC basic_recalibration (Kunde GmbH)",
    )
    assert certificate.conformity is Conformity.PASS
    assert certificate.items == (Instrument("String", "String", "string-manufacturer-item"),)
    axis = certificate.results[0].axis
    assert axis.minimum is not None
    assert axis.maximum is not None
    assert (axis.minimum + ZERO_CELSIUS, axis.maximum + ZERO_CELSIUS) == (306, 593)
    conditions = {c.name: (c.unit, str(c.minimum), str(c.maximum)) for c in certificate.results[0].conditions}
    assert conditions == {
        "Immersion depth in water bath": ("\\metre", "0.1", "0.1"),
        "Ambient condition temperature": ("Cel", "19.85", "25.85"),
        "Ambient condition relative humidity": ("%", "20", "70"),
    }
    assert [entry.serials for entry in certificate.equipment] == [("string-manufacturer-measuringEquipment-1",)]


def test_what_was_found_before_the_adjustment_is_no_result(samples: Path) -> None:
    certificate = reading(samples, "dcc_gp_temperature_typical_adjustment_v12.xml").certificate
    assert len(certificate.results) == 1
    (as_found,) = certificate.as_found
    assert [str(point.error) for point in as_found.points] == ["0.105", "0.323", "-0.199", "-0.271", "0.199"]
    assert as_found.points[4].acceptance == ErrorLimits(Decimal("-0.90"), Decimal("0.90"))
    assert as_found.points[0].expanded_uncertainty == Decimal("0.89")


def test_the_extensive_one_names_the_standards_with_their_certificates(samples: Path) -> None:
    certificate = reading(samples, "dcc_gp_temperature_extensive_v12.xml").certificate
    assert [(entry.certificate, entry.certificate_digest) for entry in certificate.equipment] == [
        (None, None),
        ("GP-mE-Certificate2", None),
        ("GP-mE-Certificate3", Digest("SHA256", "-GP-Value-")),
    ]
    assert certificate.results[0].points[3].tolerance == ErrorLimits(Decimal("-0.78"), Decimal("0.78"))


def test_a_humidity_has_two_instruments_and_needs_a_person(samples: Path) -> None:
    found = reading(samples, "dcc_gp_humidity_v1.0.xml")
    assert found.certificate.results == ()
    assert [(entry.table, entry.reason.reason) for entry in found.left_out] == [(1, "quantity_unsaid")]
    humidity = BY_NAME["relative_humidity"]
    unsaid = reading(samples, "dcc_gp_humidity_v1.0.xml", dcc.Assignment(1, humidity, humidity))
    assert [entry.reason.reason for entry in unsaid.left_out] == ["item_unsaid"]
    said = dcc.Assignment(1, humidity, humidity, serial="Fs 135792468 Hu")
    (result,) = reading(samples, "dcc_gp_humidity_v1.0.xml", said).certificate.results
    assert result.instrument == Instrument("Feuchtemesstechnik GmbH", "H2OMeas 6789-1", "Fs 135792468 Hu")
    assert (result.axis.unit, result.error_unit) == ("%", "%")
    points = [(str(p.reference), str(p.error), str(p.expanded_uncertainty)) for p in result.points]
    assert points == [
        ("20.1", "-0.4", "0.6"),
        ("50.0", "-0.1", "0.8"),
        ("80.0", "0.3", "1.0"),
        ("90.1", "1.1", "1.1"),
        ("80.1", "1.2", "1.0"),
        ("50.0", "0.6", "0.8"),
        ("20.0", "-0.3", "0.6"),
    ]
    assert result.points[0].acceptance == ErrorLimits(Decimal("-2.0"), Decimal("2.0"))
    assert (result.axis.minimum, result.axis.maximum) == (10, 80)


@pytest.mark.parametrize("name", ALL)
def test_nothing_is_a_float(samples: Path, name: str) -> None:
    def numbers(value: object) -> None:
        assert not isinstance(value, float)
        for part in value if isinstance(value, tuple) else ():
            numbers(part)
        for slot in getattr(value, "__dataclass_fields__", {}):
            numbers(getattr(value, slot))

    numbers(reading(samples, name).certificate)

"""Certificates, bindings and MPE tables as TOML: what they become, and every mistake told in one line."""

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from meter_gateway.metrology.budget import Distribution
from meter_gateway.traceability import certificate as c
from meter_gateway.traceability import units
from meter_gateway.traceability.binding import Binding, load_bindings
from meter_gateway.traceability.certificate_file import load_certificate
from meter_gateway.traceability.mpe import class_contribution, load_tables
from meter_gateway.traceability.terms import Contribution, KnownError, RatedRange, Target
from meter_gateway.validated_toml import ConfigError
from meter_protocol.quantities import BY_NAME, QUANTITIES

TABLES = load_tables()

CALIBRATION = """
id = "JL-2026-00123"
calibrated = 2026-01-10
issued = 2026-01-12
due = 2027-01-09
due_source = "owner"
replaces = ["JL-2026-00122"]
previous = "JL-2025-00456"
scan_sha256 = "0000000000000000000000000000000000000000000000000000000000000001"

[laboratory]
name = "省计量院"
accreditation = "CNAS L0000"

[[result]]
type = "calibration"
quantity = "active_energy_import"
error_unit = "%"
instrument = { manufacturer = "Eastron", model = "SDM630", serial = "2101934" }
axis = { quantity = "active_power", unit = "kW", minimum = 0.50, maximum = 660 }
condition = [{ name = "ambient temperature", unit = "Cel", minimum = 21, maximum = 25 }]
point = [
    { reference = 1, error = -0.120, U = 0.05, k = 2 },
    { reference = 100.0, error = 0.08, U = 0.05, k = 2.05 },
]

[[end]]
kind = "adjusted"
at = 2026-09-01T09:30:00.250+08:00
reason = "CT replaced"
serial = "2101934"
"""

VERIFICATION = """
id = "JD-2026-00077"
calibrated = 2026-02-01

[laboratory]
name = "县检定所"

[[result]]
type = "verification"
quantity = "active_energy_import"
mpe_table = "iec-62053-22"
accuracy_class = "0.5S"
passed = true
instrument = { manufacturer = "Wasion", model = "DTZ341", serial = "31000456" }
axis = { quantity = "active_power", unit = "W" }
"""

BINDING = f"""
[[binding]]
meter = "{"ab" * 32}"
channel = 1
serial = "2101934"
certificates = ["JL-2026-00123"]
from = 2026-01-15T10:00:00+08:00
"""


def certificate_of(folder: Path, text: str) -> c.Certificate:
    path = folder / "certificate.toml"
    path.write_text(text, encoding="utf-8")
    return load_certificate(path, TABLES)


def test_a_calibration_keeps_what_is_printed(tmp_path: Path) -> None:
    found = certificate_of(tmp_path, CALIBRATION)
    axis = c.Axis(BY_NAME["active_power"], "kW", Decimal("0.50"), Decimal(660))
    assert found == c.Certificate(
        identifier="JL-2026-00123",
        laboratory=c.Laboratory("省计量院", "CNAS L0000"),
        calibrated_on=date(2026, 1, 10),
        issued_on=date(2026, 1, 12),
        due_on=date(2027, 1, 9),
        due_source="owner",
        results=(
            c.CalibrationResult(
                c.Instrument("Eastron", "SDM630", "2101934"),
                BY_NAME["active_energy_import"],
                axis,
                "%",
                (
                    c.Point(Decimal(1), Decimal("-0.120"), Decimal("0.05"), Decimal(2)),
                    c.Point(Decimal("100.0"), Decimal("0.08"), Decimal("0.05"), Decimal("2.05")),
                ),
                (c.Condition("ambient temperature", "Cel", Decimal(21), Decimal(25)),),
            ),
        ),
        replaces=("JL-2026-00122",),
        previous="JL-2025-00456",
        scan_sha256=bytes(31) + b"\x01",
        ends=(c.End(c.EndKind.ADJUSTED, 1_788_226_200_250, "CT replaced", "2101934"),),
    )
    assert str(found.results[0].points[0].error) == "-0.120"  # type: ignore[union-attr]


def test_a_verification_contributes_its_class(tmp_path: Path) -> None:
    result = certificate_of(tmp_path, VERIFICATION).results[0]
    assert isinstance(result, c.VerificationResult)
    assert result.passed
    assert result.contribution.half_width_percent == Decimal("1.0")
    assert result.contribution == class_contribution(Decimal("1.0"))


WRONG = [
    (CALIBRATION, 'id = "JL-2026-00123"', "", "id: is missing; add id ="),
    (CALIBRATION, "calibrated =", "calibrate =", "calibrate: is not a known key; did you mean calibrated?"),
    (CALIBRATION, "2026-01-10", '"2026-01-10"', "calibrated: must be a date without quotes"),
    (CALIBRATION, "2026-01-10", "2026-01-10T10:00:00Z", "calibrated: must be a date without quotes"),
    (CALIBRATION, "due = 2027-01-09\n", "", "due and due_source belong together; say who"),
    (CALIBRATION, "2027-01-09", "2025-01-09", "is due before it was calibrated; correct"),
    (CALIBRATION, "000001", "00001", "scan_sha256: must be 64 hexadecimal digits; copy"),
    (CALIBRATION, "000001", "00000g", "scan_sha256: must be 64 hexadecimal digits"),
    (
        CALIBRATION,
        '"calibration"',
        '"calibrated"',
        "result[0].type: must be 'calibration', 'verification', 'reference_gas', not",
    ),
    (
        CALIBRATION,
        'quantity = "active_energy_import"',
        'quantity = "energy"',
        "result[0].quantity: 'energy' is",
    ),
    (CALIBRATION, '"kW"', '"kWh"', "result[0].axis: kWh is not a unit of active_power; write one of W, GW"),
    (CALIBRATION, "minimum = 0.50, ", "", "result[0].axis: has only one end of its range"),
    (CALIBRATION, "minimum = 0.50", "minimum = 661", "result[0].axis: has its minimum above its maximum"),
    (CALIBRATION, "minimum = 0.50", 'minimum = "0.50"', "result[0].axis.minimum: must be a number without quotes"),
    (CALIBRATION, "minimum = 0.50", "minimum = nan", "result[0].axis.minimum: must be a finite number"),
    (CALIBRATION, "minimum = 0.50", "minimum = true", "result[0].axis.minimum: must be a number without quotes"),
    (CALIBRATION, "minimum = 0.50", "minimum = 1e-40", "result[0].axis.minimum: is not a number of a certificate"),
    (
        CALIBRATION,
        "k = 2 }",
        "k = 0 }",
        "result[0].point[0].k: must be more than 0, not 0; write for example k",
    ),
    (CALIBRATION, "U = 0.05, k = 2 }", "k = 2 }", "result[0].point[0].U: is missing; add U = 0.05"),
    (CALIBRATION, "U = 0.05, k = 2 }", "u = 0.05, k = 2 }", "result[0].point[0].u: is not a known key"),
    (CALIBRATION, '"%"', '"W"', "result[0]: W is no unit for an error; write % of the reading, or W.h"),
    (CALIBRATION, '"adjusted"', '"expired"', "end[0].kind: must be 'superseded', 'withdrawn', 'adjusted' or"),
    (CALIBRATION, "+08:00", "", "end[0].at: must be a time with its offset; write"),
    (CALIBRATION, "[laboratory]", "[labratory]", "labratory: is not a known key; did you mean laboratory?"),
    (VERIFICATION, "iec-62053-22", "iec-62053", "result[0]: mpe_table iec-62053 is not known; write one of"),
    (VERIFICATION, "0.5S", "0.5", "result[0]: iec-62053-22 has no class 0.5; write one of 0.2S, 0.5S"),
    (VERIFICATION, "passed = true", 'passed = "yes"', 'result[0].passed: must be true or false, not "yes"'),
    (VERIFICATION, "[[result]]", "[[results]]", "results: is not a known key; did you mean result?"),
    (VERIFICATION, 'name = "县检定所"', 'name = ""', 'laboratory.name: must not be empty, not ""'),
    (VERIFICATION, 'name = "县检定所"', 'name = "县', "line 6, column 10: is not TOML ("),
]


@pytest.mark.parametrize(("text", "old", "new", "told"), WRONG, ids=[told[:50] for *_, told in WRONG])
def test_wrong_certificates(text: str, old: str, new: str, told: str, refusal: Any) -> None:
    assert refusal(lambda path: load_certificate(path, TABLES), text, old, new).startswith(told)


def bindings_of(folder: Path, text: str) -> tuple[Binding, ...]:
    path = folder / "bindings.toml"
    path.write_text(text)
    return load_bindings(path)


def test_a_binding_names_meter_channel_instrument_and_certificates(tmp_path: Path) -> None:
    since_ms = 1_768_442_400_000
    expected = Binding(b"\xab" * 32, 1, "2101934", ("JL-2026-00123",), since_ms, None)
    assert bindings_of(tmp_path, BINDING) == (expected,)
    ended = bindings_of(tmp_path, BINDING + "to = 2026-01-15T10:00:01+08:00\n")
    assert ended[0].to_ms == since_ms + 1000


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("ab" * 32, "ab" * 8, "binding[0].meter: must be 64 hexadecimal digits"),
        ("channel = 1", "channel = 0", "binding[0].channel: must be 1 or more, not 0"),
        (
            "from =",
            "since =",
            "binding[0].since: is not a known key; known here: certificates, channel, contribution",
        ),
        ("from = 2026", "to = 2026-01-01T00:00:00Z\nfrom = 2026", "binding[0]: ends before it begins"),
        ("+08:00", "", "binding[0].from: must be a time with its offset"),
        ('["JL-2026-00123"]', "[]", "binding[0].certificates: must not be empty, not a list"),
        ('["JL-2026-00123"]', '"JL-2026-00123"', 'binding[0].certificates: must be a list, not "JL'),
        ("[[binding]]", "[[bindings]]", "bindings: is not a known key; did you mean binding?"),
        (
            "[[binding]]",
            "[binding]",
            "binding: must be a list, not a table; write for example a table",
        ),
    ],
)
def test_wrong_bindings(old: str, new: str, told: str, refusal: Any) -> None:
    assert refusal(load_bindings, BINDING, old, new).startswith(told)


TERMS = """\
target = { U = 0.5, unit = "%" }
known_error = "corrected"
error_limits = { mpe_table = "iec-62053-22", accuracy_class = "0.5S", reference = 57500 }
rated = [{ channel = 7, minimum = -25, maximum = 55 }]
[[binding.contribution]]
source = "drift"
half_width = 0.05
per_year = true
unit = "%"
stated_by = "data sheet"
[[binding.contribution]]
source = "repeatability"
standard_uncertainty = 0.02
degrees_of_freedom = 9
unit = "kW.h"
random = true
stated_by = "comparison"
"""


def test_a_binding_says_what_else_makes_its_readings_uncertain(tmp_path: Path) -> None:
    (found,) = bindings_of(tmp_path, BINDING + TERMS)
    drift, repeatability = found.terms.contributions
    assert drift == Contribution(
        "drift", Distribution.RECTANGULAR, Decimal("0.05"), "%", "data sheet", per_year=True
    )
    assert (repeatability.distribution, repeatability.value) == (Distribution.NORMAL, Decimal("0.02"))
    assert (repeatability.degrees_of_freedom, repeatability.is_random) == (9, True)
    assert found.terms.target == Target(Decimal("0.5"), "%")
    assert found.terms.known_error is KnownError.CORRECTED
    assert found.terms.rated == (RatedRange(7, Decimal(-25), Decimal(55)),)
    assert found.terms.requirement is not None
    assert [band.mpe_percent for band in found.terms.requirement.bands] == [Decimal("1.0"), Decimal("0.5")]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("half_width = 0.05\n", "", "binding[0].contribution[0]: needs either half_width or standard_uncertainty"),
        ("half_width = 0.05", "half_width = 0", "binding[0].contribution[0].half_width: must be more than 0"),
        (
            'source = "drift"',
            'source = "class"',
            "binding[0].contribution[0]: class is a source that every budget",
        ),
        ('source = "drift"', 'source = "repeatability"', "binding[0]: names the source repeatability twice"),
        (
            "[[binding.contribution]]",
            'repeatability = "comparison"\n[[binding.contribution]]',
            "binding[0]: has its",
        ),
        ('"kW.h"', '"kWh"', "binding[0].contribution[1]: kWh is not a unit; write"),
        ("= 9", "= 0.5", "binding[0].contribution[1].degrees_of_freedom: must be 1 or more"),
        ("random = true", "random = true\nper_year = true", "binding[0].contribution[1]: is new in each interval"),
        ('"0.5S"', '"5"', "binding[0].error_limits: iec-62053-22 has no class 5; write one of 0.2S, 0.5S"),
        ('"corrected"', '"ignored"', "binding[0].known_error: must be 'carried' or 'corrected'"),
        ("minimum = -25", "minimum = 60", "binding[0].rated[0]: has its minimum above its maximum"),
        ("U = 0.5", "u = 0.5", "binding[0].target.u: is not a known key"),
    ],
)
def test_wrong_terms(old: str, new: str, told: str, refusal: Any) -> None:
    assert old not in BINDING
    assert refusal(load_bindings, BINDING + TERMS, old, new).startswith(told)


# MPE tables


def test_every_packaged_table_loads_and_names_its_source() -> None:
    assert sorted(TABLES) == [
        "iec-62053-21",
        "iec-62053-22",
        "mid-electricity",
        "mid-gas",
        "oiml-r46",
        "oiml-r49",
    ]
    for table in TABLES.values():
        assert table.source
        assert table.tag in "SCM"
        assert len(set(table.classes())) == len(table.classes())


@pytest.mark.parametrize(
    ("table", "accuracy_class", "widest"),
    [
        ("iec-62053-21", "1", "1.5"),
        ("iec-62053-21", "2", "2.5"),
        ("iec-62053-22", "0.2S", "0.4"),
        ("iec-62053-22", "0.5S", "1.0"),
        ("mid-electricity", "A", "3.5"),
        ("mid-electricity", "B", "2.0"),
        ("mid-electricity", "C", "1.0"),
        ("oiml-r46", "D", "0.2"),
        ("oiml-r49", "2", "5.0"),
        ("mid-gas", "1.5", "3.0"),
    ],
)
def test_the_widest_band_of_a_class(table: str, accuracy_class: str, widest: str) -> None:
    """Values of the reference tables (3e)."""
    assert TABLES[table].contribution(accuracy_class).half_width_percent == Decimal(widest)


def test_a_class_is_a_rectangular_distribution() -> None:
    """u = a/√3 (GUM 4.3.7), never rounded down."""
    found = class_contribution(Decimal("0.5")).standard_uncertainty_percent
    assert str(found) == "0.28867513459481288226"
    assert 3 * found**2 >= Decimal("0.25")
    assert class_contribution(Decimal(0)).standard_uncertainty_percent == 0


def test_a_wrong_table_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('id = "a"\n[[class]]\nname = "1"\nband = [{ from = 0, mpe_percent = -1 }]\n')
    with pytest.raises(
        ConfigError, match=r"class\[0\]\.band\[0\]\.mpe_percent: must be more than 0|title: is missing"
    ):
        load_tables(tmp_path)


# Units


@pytest.mark.parametrize(
    ("unit", "quantity", "factor"),
    [
        ("W", "active_power", 1),
        ("kW", "active_power", 1000),
        ("MW.h", "active_energy_import", 10**6),
        ("mA", "current", Decimal("0.001")),
        ("kPa", "absolute_pressure", 1000),
        ("GJ", "heat", 10**9),
        ("%", "o2_fraction", 1),
        ("Cel", "temperature", 1),
    ],
)
def test_units_with_prefixes(unit: str, quantity: str, factor: Decimal) -> None:
    assert units.factor(unit, BY_NAME[quantity]) == factor


@pytest.mark.parametrize(
    ("unit", "quantity"),
    [
        ("", "active_power"),
        ("w", "active_power"),
        ("k", "active_power"),
        ("uW", "active_power"),
        ("W", "current"),
        ("kCel", "temperature"),
        ("km3", "volume"),
        ("kkg", "mass"),
        ("k1", "power_factor"),
    ],
)
def test_what_is_no_unit_of_the_quantity(unit: str, quantity: str) -> None:
    assert units.factor(unit, BY_NAME[quantity]) is None


def test_every_allowed_unit_is_one() -> None:
    for quantity in QUANTITIES:
        for unit in units.allowed(quantity).split(", "):
            assert units.factor(unit, quantity) is not None

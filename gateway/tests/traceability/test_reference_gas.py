"""A cylinder's certificate: typed in, judged at the time of its use, and never taken for an instrument's."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import papers
import pytest
import scenario
from scenario import START_MS

from meter_gateway.traceability import certificate as c
from meter_gateway.traceability import reference_gas
from meter_gateway.traceability.binding import Binding
from meter_gateway.traceability.certificate_file import load_certificate
from meter_gateway.traceability.mpe import load_tables
from meter_gateway.traceability.trust import check_bindings
from meter_gateway.validated_toml import ConfigError

DAY_MS = 86_400_000
HOUR_MS = 3_600_000

FILE = papers.gas_certificate(
    "GAS-1",
    papers.component(minimum_pressure_kpa=1000),
    papers.component(quantity="o2_fraction", fraction=5.01, u=0.03),
    calibrated="2025-12-01",
    due="2026-01-10",
)


VERIFIED = """[[result]]
type = "verification"
quantity = "voltage"
axis = { quantity = "voltage", unit = "V" }
mpe_table = "oiml-r46"
accuracy_class = "B"
passed = true
instrument = { manufacturer = "a", model = "b", serial = "c" }
"""


def load(folder: Path, text: str = FILE) -> c.Certificate:
    path = folder / "gas.toml"
    path.write_text(text, encoding="utf-8")
    return load_certificate(path, load_tables())


@pytest.fixture
def gas(tmp_path: Path) -> c.Certificate:
    return load(tmp_path)


def test_a_cylinder_and_its_components(gas: c.Certificate) -> None:
    assert gas.results == ()
    assert c.serials_of(gas) == {"D123456"}
    co2, o2 = gas.reference_gases
    # 12.03 cmol/mol are 120 300 µmol/mol; U is of two standard uncertainties.
    assert reference_gas.amount(co2) == (Decimal(120_300), Decimal(300))
    assert reference_gas.amount(o2) == (Decimal("5.01"), Decimal("0.015"))
    assert (co2.balance_gas, co2.minimum_pressure_kpa, o2.minimum_pressure_kpa) == ("nitrogen", 1000, None)
    assert reference_gas.of(gas, "o2_fraction") is o2
    assert reference_gas.of(gas, "co2_fraction", "D123456") is co2
    assert reference_gas.of(gas, "co2_fraction", "another") is None
    assert reference_gas.of(gas, "ch4_fraction") is None


LAST_MS = START_MS + 10 * DAY_MS
"""The first moment after 10 January 2026 in UTC."""


@pytest.mark.parametrize(
    ("to_ms", "offset_minutes", "codes"),
    [
        (LAST_MS - 1, 0, ()),
        (LAST_MS, 0, ("reference_gas_expired",)),
        (LAST_MS - 8 * HOUR_MS - 1, 480, ()),
        (LAST_MS - 8 * HOUR_MS, 480, ("reference_gas_expired",)),
    ],
)
def test_its_last_day_counts_whole(
    gas: c.Certificate, to_ms: int, offset_minutes: int, codes: tuple[str, ...]
) -> None:
    assert reference_gas.findings(gas, START_MS, to_ms, offset_minutes) == codes


def test_what_else_may_be_wrong_with_it(gas: c.Certificate) -> None:
    def found(**change: object) -> tuple[str, ...]:
        return reference_gas.findings(replace(gas, **change), START_MS, START_MS + 1000)  # type: ignore[arg-type]

    assert found() == ()
    assert found(due_on=None, due_source=None) == ("reference_gas_expired",)
    assert found(calibrated_on=date(2026, 1, 2)) == ("certificate_not_yet_valid",)
    assert found(ends=(scenario.end(c.EndKind.WITHDRAWN, START_MS + DAY_MS),)) == ("certificate_withdrawn",)
    assert found(ends=(scenario.end(c.EndKind.SUPERSEDED, START_MS + DAY_MS),)) == ()
    assert found(ends=(scenario.end(c.EndKind.SUPERSEDED, START_MS),)) == ("certificate_superseded",)
    assert found(findings=("certificate_unsigned",)) == ("certificate_unsigned",)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"co2_fraction"', '"voltage"', "result[0]: voltage is no component of a gas; write for example co2_fra"),
        (
            'unit = "%"',
            'unit = "kPa"',
            "result[0]: kPa is not a unit of co2_fraction; write one of [ppm], %",
        ),
        (
            "amount_fraction = 12.03",
            "amount_fraction = -1",
            "result[0].amount_fraction: must be 0 or more, not -1",
        ),
        ("U = 0.06", "U = 0", "result[0].U: must be more than 0, not 0; write for example U = 0.06"),
        ('cylinder = "D123456"', "", 'result[0].cylinder: is missing; add cylinder = "D123456"'),
        (
            '[[result]]\ntype = "reference_gas"\n',
            VERIFIED + '[[result]]\ntype = "reference_gas"\n',
            "is of instruments and of a reference gas; write a file for each",
        ),
    ],
)
def test_a_mistake_is_one_line_with_its_remedy(refusal: Any, old: str, new: str, told: str) -> None:
    assert refusal(lambda path: load_certificate(path, load_tables()), FILE, old, new).startswith(told)


def test_it_speaks_for_no_channel(gas: c.Certificate, tmp_path: Path) -> None:
    bound = Binding(scenario.THUMBPRINT, 1, "D123456", ("GAS-1",), START_MS, None)
    with pytest.raises(ConfigError) as error:
        check_bindings(tmp_path / "gateway.toml", [(tmp_path / "bindings.toml", [bound])], {"GAS-1": gas})
    told = "binding[0].certificates: GAS-1 is of a reference gas, which is no channel's instrument; take it out,"
    assert told in str(error.value)


def test_a_reference_gas_among_the_certificates_changes_no_finding(gas: c.Certificate) -> None:
    meter = scenario.Meter()
    messages = [*meter.start(), *scenario.intervals(meter, 3)]
    known = scenario.certificate()
    with_gas = scenario.trust([known, gas], scenario.bindings("CAL-1"))
    assert scenario.assess(messages, with_gas) == scenario.assess(messages)

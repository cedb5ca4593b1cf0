"""`carbonmeter budget`: the table of a stored reading, in both languages, and what has to be corrected."""

import hashlib
import json
import math
import re
from decimal import Decimal

import papers
import pytest

from meter_gateway.store import Store
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_tools.simulated_meter import SimulatedMeter

CERTIFICATE = papers.certificate(
    "JL-1",
    papers.calibration("active_energy_import", "SN-1 power", 100, 700, errors=(0.1, 0.1), u=0.2),
    papers.calibration(
        "voltage", "SN-1 power", 300, 400, axis=("voltage", "V"), error_unit="V", errors=(0.5, 0.5), u=1
    ),
)
TERMS = """
target = { U = 0.5, unit = "%" }
[[binding.contribution]]
source = "temperature"
half_width = 15
sensitivity = 0.02
unit = "%"
stated_by = "data sheet, table 3"
[[binding.contribution]]
source = "repeatability"
standard_uncertainty = 0.05
degrees_of_freedom = 9
unit = "%"
random = true
stated_by = "comparison of 2026-01-10"
"""


@pytest.fixture
def budgeted(gateway):
    meter = SimulatedMeter("SN-1")
    bindings = [papers.binding(meter, 1, "JL-1") + TERMS, papers.binding(meter, 5, "JL-1")]
    gateway.rest_on([CERTIFICATE], bindings)
    gateway.enrol(meter)
    gateway.fill(*meter.begin(), meter.readings(), meter.readings())
    return gateway


AT = ("--at", "2026-02-01")


def test_the_table_of_an_increase(budgeted) -> None:
    said = budgeted.ask("budget", "SN-1", "1", *AT)
    increase = int(re.search(r"(\d+) W\.h in the interval", said)[1])
    rows = {row[0]: row for row in map(str.split, said.splitlines()) if len(row) == 9}
    assert rows["calibration"][2:5] == ["normal", "0.10", f"{increase / 100:.4g}"]
    assert rows["temperature"][2:4] == ["rectangular", "8.7"]
    assert float(rows["temperature"][5]) == pytest.approx(increase * 0.003 / math.sqrt(3), rel=0.06)
    assert re.search(r"repeatability +\S+ +Student t +0\.050 .* 9\n", said)
    assert re.search(r"resolution +\S+ +triangular", said)
    assert "Error of indication at this point: " in said
    assert "temperature: data sheet, table 3" in said
    # 0.5 % is 23.6 of 4718 W.h, and the error of 0.1 % that nobody corrects counts as well.
    assert "larger than the target" in said
    wide = budgeted.ask("budget", "SN-1", "1", *AT, "--probability", "0.99")
    assert float(re.search(r"k = ([\d.]+)", wide)[1]) == 2.58
    chinese = budgeted.command("--lang", "zh", "budget", "SN-1", "1", *AT, "--config", budgeted.config).stdout
    assert re.search(r"校准 +\S+ +正态", chinese)
    assert "证书 JL-1 共有" in chinese


def test_its_numbers_are_those_of_the_signed_verdict(budgeted, tmp_path) -> None:
    record = tmp_path / "record.cbor"
    said = budgeted.ask("budget", "SN-1", "1", *AT, "--record", record)
    store = Store(budgeted.state / "gateway.sqlite")
    verdict = store.archive.messages(types=(t.READINGS,), newest_first=True)[0].verdict
    store.close()
    entry = next(each for each in verdict[f.VERDICT_UNCERTAINTY] if each[0] == 1)
    digest = hashlib.sha256(record.read_bytes()).digest()
    assert digest == verdict[f.VERDICT_BUDGET]
    assert digest.hex() in said
    parts = re.findall(r"^ +(?:common to .*|new in .*|resolution): ([\d.]+) W\.h$", said, re.MULTILINE)
    assert [Decimal(part) * 1000 for part in parts] == entry[1:]
    u = float(re.search(r"u_c = ([\d.]+)", said)[1])
    assert math.hypot(*entry[1:]) / 1000 == pytest.approx(u, rel=0.06)


def test_an_export_has_the_records_that_its_verdicts_name(budgeted, tmp_path) -> None:
    rows = json.loads(budgeted.ask("readings", "--format", "json", "--budgets", tmp_path / "budgets"))
    stated = [row for row in rows if row["u"] is not None]
    assert {row["channel"] for row in stated} == {1}
    assert {path.stem for path in (tmp_path / "budgets").iterdir()} == {row["budget"] for row in stated}
    for row in stated:
        parts = [Decimal(part) for part in row["u_parts"].split()]
        assert Decimal(row["u"]) == pytest.approx(Decimal(math.hypot(*parts)), abs=Decimal("0.001"))
    table = budgeted.ask("readings")
    assert re.search(r"\bu\b", table.splitlines()[1])


def test_the_monte_carlo_method_validates_it_or_says_by_how_much_not(budgeted) -> None:
    said = budgeted.ask("budget", "SN-1", "1", *AT, "--monte-carlo")
    u_c = float(re.search(r"u_c = ([\d.]+)", said)[1])
    trials, u = re.search(r"\(JCGM 101\), (\d+) trials: u = ([\d.]+) W\.h", said).groups()
    assert int(trials) >= 20_000
    assert float(u) == pytest.approx(u_c, rel=0.03)
    # A rectangular influence dominates, whose interval is narrower than a normal one's (JCGM 101, 9.2.4).
    assert re.search(r"the budget is not validated; U is too wide by up to [\d.]+ W\.h", said)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("SN-1", "5", *AT), "left the range that the certificate covers"),
        (("SN-1", "2", *AT), "No certificate is bound"),
        (("SN-1", "99", *AT), "no channel 99"),
        (("SN-1", "1", "--at", "2026-01-01T00:01:30Z"), "has no reading with a value before that time"),
        (("SN-1", "1", "--at", "2025-01-01"), "no parameter set"),
    ],
)
def test_what_has_to_be_corrected_is_one_line(budgeted, words, told) -> None:
    done = budgeted.command("budget", *words, "--config", budgeted.config)
    assert done.returncode == 2, done.stdout
    assert told in done.stderr
    assert done.stderr.count("\n") == 1

"""`carbonmeter budget`: the table of a stored reading, in both languages, and what has to be corrected."""

import re

import pytest

from meter_tools.simulated_meter import SimulatedMeter

CERTIFICATE = """
id = "JL-1"
calibrated = 2025-12-01
due = 2026-12-31
due_source = "owner"
[laboratory]
name = "City Laboratory"
[[result]]
type = "calibration"
quantity = "active_energy_import"
error_unit = "%"
instrument = { manufacturer = "x", model = "y", serial = "SN-1 power" }
axis = { quantity = "active_power", unit = "kW" }
point = [{ reference = 100, error = 0.1, U = 0.2, k = 2 }, { reference = 700, error = 0.1, U = 0.2, k = 2 }]
[[result]]
type = "calibration"
quantity = "voltage"
error_unit = "V"
instrument = { manufacturer = "x", model = "y", serial = "SN-1 power" }
axis = { quantity = "voltage", unit = "V" }
point = [{ reference = 300, error = 0.5, U = 1, k = 2 }, { reference = 400, error = 0.5, U = 1, k = 2 }]
"""


@pytest.fixture
def budgeted(gateway):
    meter = SimulatedMeter("SN-1")
    (gateway.folder / "own.toml").write_text(CERTIFICATE)
    (gateway.folder / "bindings.toml").write_text(
        "".join(
            f"[[binding]]\nmeter = '{meter.thumbprint.hex()}'\nchannel = {channel}\nserial = 'SN-1 power'\n"
            "certificates = ['JL-1']\nfrom = 2025-12-01T00:00:00Z\n"
            for channel in (1, 5)
        )
    )
    with gateway.config.open("a") as file:
        file.write("\n[traceability]\ncertificates = ['own.toml']\nbindings = ['bindings.toml']\n")
    gateway.enrol(meter)
    gateway.fill(*meter.begin(), meter.readings(), meter.readings())
    return gateway


AT = ("--at", "2026-02-01")


def test_the_table_of_an_increase(budgeted) -> None:
    said = budgeted.ask("budget", "SN-1", "1", *AT)
    increase = float(re.search(r"(\d+) W\.h in the interval", said)[1])
    u = float(re.search(r"calibration +\S+ +normal +([\d.]+)", said)[1])
    assert u == pytest.approx(increase * 0.001, rel=0.06)
    assert re.search(r"resolution +\S+ +triangular", said)
    assert "Error of indication at this point: " in said
    assert "Not known, and not in the budget" in said
    wide = budgeted.ask("budget", "SN-1", "1", *AT, "--probability", "0.99")
    assert float(re.search(r"k = ([\d.]+)", wide)[1]) == 2.58
    chinese = budgeted.command("--lang", "zh", "budget", "SN-1", "1", *AT, "--config", budgeted.config).stdout
    assert re.search(r"校准 +\S+ +正态", chinese)
    assert "未知且未计入" in chinese


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("SN-1", "5", *AT), "outside the calibrated points of JL-1"),
        (("SN-1", "2", *AT), "bound to no certificate"),
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

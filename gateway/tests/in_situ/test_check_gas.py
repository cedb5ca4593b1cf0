"""A zero or span check and its gas's certificate: what is taken from it, and what a bad gas does to readings."""

import secrets
import time
from pathlib import Path

import pytest
from plant import Plant

from meter_gateway.config import load_config
from meter_gateway.in_situ import comparison_folder
from meter_gateway.in_situ.check_gas import gas_of
from meter_gateway.in_situ.event import About, Reference, check_of
from meter_gateway.metrology.conformity import Outcome
from meter_gateway.model import GatewayTime
from meter_gateway.traceability import load_trust
from meter_protocol import comparison as cm
from meter_protocol import fields as f
from meter_protocol.quantities import BY_NAME
from meter_tools.simulated_meter import INTERVAL_MS, Channel, SimulatedMeter

CO2 = 1
HEAD = """
id = "{id}"
calibrated = {calibrated}
due = {due}
due_source = "producer"
[laboratory]
name = "Gas Reference Materials Ltd."
"""
COMPONENT = """
[[result]]
type = "reference_gas"
cylinder = "{cylinder}"
quantity = "{quantity}"
unit = "%"
amount_fraction = {fraction}
U = {U}
k = 3
balance_gas = "nitrogen"
"""
ANALYSER = """
[[result]]
type = "calibration"
quantity = "co2_fraction"
error_unit = "%"
instrument = { manufacturer = "x", model = "y", serial = "A-1 power" }
axis = { quantity = "co2_fraction", unit = "[ppm]" }
point = [{ reference = 10000, error = 0, U = 0.1, k = 2 }, { reference = 200000, error = 0, U = 0.1, k = 2 }]
"""
IN_FORCE = {"calibrated": "2020-01-01", "due": "2099-12-31"}
PERSON = ("--person", "N. N.")


def component(**change: object) -> str:
    said = {"cylinder": "D1", "quantity": "co2_fraction", "fraction": 12.03, "U": 0.06} | change
    return COMPONENT.format(**said)


class Stack:
    """The plant with an analyser of CO2 beside, and its gases."""

    def __init__(self, plant: Plant) -> None:
        self.plant, self.folder = plant, plant.gateway.folder
        self.meter = SimulatedMeter(
            "A-1", [Channel("co2_fraction", 0, 119_000, 121_000, "co2_fraction", 200_000, 0)]
        )
        (self.folder / "ANALYSER.toml").write_text(HEAD.format(id="ANALYSER", **IN_FORCE) + ANALYSER)
        since = "2020-01-01T00:00:00Z"
        place = f'meter = "{self.meter.thumbprint.hex()}"\nchannel = {CO2}\nfrom = {since}\n'
        with (self.folder / "bindings.toml").open("a") as file:
            file.write(f'[[binding]]\n{place}serial = "A-1 power"\ncertificates = ["ANALYSER"]\n')
        (self.folder / "checks.toml").write_text(
            f"[[plan]]\n{place}mpe_percent = 1\nzero_span = {{ limit = 500 }}\n"
        )
        config = plant.gateway.config
        names = "'ANALYSER.toml', 'GAS.toml', 'OTHER.toml', 'PORTABLE.toml']"
        config.write_text(config.read_text().replace("'PORTABLE.toml']", names))
        self.certify("GAS", component(), component(quantity="o2_fraction", fraction=5))
        self.certify("OTHER", component(cylinder="D2"), component(cylinder="D3", fraction=12.1))
        plant.gateway.enrol(self.meter)
        self.meter.time_ms = time.time_ns() // 1_000_000 // INTERVAL_MS * INTERVAL_MS - 60 * INTERVAL_MS
        plant.gateway.fill(*self.meter.begin())

    def certify(self, name: str, *components: str, **change: str) -> None:
        (self.folder / f"{name}.toml").write_text(HEAD.format(id=name, **IN_FORCE | change) + "".join(components))

    def check(self, *words: str) -> tuple[int, str]:
        """Exit code, and what was said."""
        asked = ("compare", "check", "A-1", str(CO2), *words, *PERSON, "--config", self.plant.gateway.config)
        done = self.plant.gateway.command(*asked)
        return done.returncode, done.stdout + done.stderr

    def check_at(self, at_ms: int, certificate: str, cylinder: str) -> None:
        """What `compare check` seals, at another time than now."""
        settings = load_config(self.plant.gateway.config)
        register, quantity = load_trust(settings).register, BY_NAME["co2_fraction"]
        gas = gas_of(register, register[certificate], quantity, cylinder, None, at_ms)
        about = About(
            run=secrets.token_bytes(8),
            kind=cm.SPAN,
            thumbprint=self.meter.thumbprint,
            channel=CO2,
            serial="A-1 power",
            quantity=quantity,
            reference=Reference(cm.TYPED_IN, cylinder, "span gas", ((certificate, None),)),
            conditions=(),
            person="N. N.",
        )
        now = GatewayTime(at_ms, f.CLOCK_SYNCHRONISED, 20)
        comparison_folder.seal(settings, *check_of(about, gas, gas.value, gas.value / 100, now))

    def measure(self, from_ms: int, count: int = 3) -> set[int]:
        """Sequences of readings from then on."""
        self.meter.time_ms = from_ms // INTERVAL_MS * INTERVAL_MS
        first = self.meter.sequence + 1
        self.plant.gateway.fill(*(self.meter.readings() for _ in range(count)))
        return set(range(first, first + count))

    def verdicts(self) -> dict[int, list[dict[int, object]]]:
        return Plant(self.plant.gateway, self.meter, self.meter).verdicts()

    def codes(self) -> dict[int, set[str]]:
        return Plant(self.plant.gateway, self.meter, self.meter).codes(CO2)


@pytest.fixture
def stack(plant: Plant) -> Stack:
    return Stack(plant)


def test_the_certificate_says_the_gas_and_its_uncertainty(stack: Stack) -> None:
    code, told = stack.check("span", "120500", "--certificate", "GAS")
    assert code == 0, told
    (event,) = stack.plant.events()
    (point,) = event.fields[cm.POINTS]
    unit = 10.0 ** event.fields[cm.EXPONENT]
    # 12.03 % and U = 0.06 %, k = 3: u = 200 ppm.
    assert point[cm.POINT_REFERENCE] * unit == 120_300
    assert point[cm.POINT_ERROR] * unit == 200
    assert point[cm.POINT_UNCERTAINTY] * unit == 400
    assert event.fields[cm.REFERENCE][cm.REFERENCE_SERIAL] == "D1"
    assert [each[cm.CERTIFICATE_ID] for each in event.fields[cm.REFERENCE][cm.REFERENCE_CERTIFICATES]] == ["GAS"]
    assert event.outcome is Outcome.PASSED
    agreeing = ("--gas", "120300.0", "--cylinder", "D1", "--certificate", "GAS")
    code, told = stack.check("span", "120801", *agreeing)
    assert (code, "[limit_exceeded]" in told) == (1, True)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--certificate", "GAS", "--cylinder", "D2"), "certificate GAS is about cylinder D1, not D2; read"),
        (
            ("--certificate", "GAS", "--gas", "120000"),
            "says 120000 [ppm], certificate GAS says 120300 [ppm]; leave",
        ),
        (("--certificate", "OTHER"), "OTHER is about several cylinders; give --cylinder, one of D2, D3"),
        (("--certificate", "AIR"), "AIR does not say the co2_fraction of that cylinder, only o2_fraction; name"),
        ((), "nobody says which cylinder; give --cylinder"),
        (("--certificate", "PORTABLE"), "nobody says which cylinder; give --cylinder"),
    ],
)
def test_a_gas_that_does_not_fit_is_one_line_and_nothing_is_sealed(
    stack: Stack, words: tuple[str, ...], told: str
) -> None:
    stack.certify("AIR", component(quantity="o2_fraction", fraction=20.9))
    config = stack.plant.gateway.config
    config.write_text(config.read_text().replace("'GAS.toml'", "'GAS.toml', 'AIR.toml'"))
    code, said = stack.check("span", "120300", *words)
    assert (code, said.count("\n")) == (2, 1), said
    assert told in said
    assert stack.plant.events() == []


def test_a_cylinder_of_several_is_named(stack: Stack) -> None:
    assert stack.check("span", "121000", "--certificate", "OTHER", "--cylinder", "D3")[0] == 0
    (event,) = stack.plant.events()
    assert event.fields[cm.POINTS][0][cm.POINT_ERROR] == 0


def test_a_reference_gas_is_no_reference_of_a_run(stack: Stack) -> None:
    words = ("compare", "start", "A-1", str(CO2), *PERSON, "--certificate", "GAS")
    done = stack.plant.gateway.command(*words, "--config", stack.plant.gateway.config)
    assert done.returncode == 2
    assert "use it with: carbonmeter compare check" in done.stderr


@pytest.mark.parametrize(
    ("change", "reason", "english", "chinese"),
    [
        ({"due": "2021-12-31"}, "reference_gas_expired", "after its last day", "已过有效期"),
        ({"calibrated": "2099-01-01"}, "certificate_not_yet_valid", "before its certificate's day", "之前使用"),
    ],
)
def test_a_gas_that_is_not_in_force_proves_nothing(
    stack: Stack, change: dict[str, str], reason: str, english: str, chinese: str
) -> None:
    """It is sealed as it was; readings say why until a check with a good gas, and not that the check failed."""
    stack.certify("GAS", component(), **change)
    code, told = stack.check("span", "130000", "--certificate", "GAS")
    assert code == 1
    assert "Sealed" in told
    (event,) = stack.plant.events()
    assert (event.outcome, event.fields[cm.REASONS]) == (Outcome.INCONCLUSIVE, [reason, "limit_exceeded"])
    gateway = stack.plant.gateway
    assert f"[{reason}] the gas was used {english}" in gateway.ask("compare", "show", event.run)
    shown = gateway.command("--lang", "zh", "compare", "show", event.run, "--config", gateway.config).stdout
    assert f"[{reason}]" in shown
    assert chinese in shown
    assert "无法判定" in shown
    # What was sealed stands, whatever the certificate says by now.
    stack.certify("GAS", component())
    (sequence, *_) = stack.measure(event.end_ms + 2 * INTERVAL_MS, 1)
    assert stack.codes()[sequence] >= {reason}
    assert "zero_span_failed" not in stack.codes()[sequence]


def test_a_gas_withdrawn_later_takes_its_check_from_exactly_the_readings_that_rested_on_it(stack: Stack) -> None:
    now_ms = time.time_ns() // 1_000_000
    stack.measure(now_ms - 30 * INTERVAL_MS)
    assert stack.check("span", "120300", "--certificate", "GAS")[0] == 0
    rested = stack.measure(now_ms + 10 * INTERVAL_MS)
    stack.check_at(now_ms + 20 * INTERVAL_MS, "OTHER", "D2")
    stack.measure(now_ms + 30 * INTERVAL_MS)
    stack.plant.ask("rejudge")
    before = stack.verdicts()
    assert not any("certificate_withdrawn" in found for found in stack.codes().values())
    stack.plant.ask("certificate", "revoke", "GAS", "--kind", "withdrawn", "--reason", "leak")
    stack.plant.ask("rejudge")
    after = stack.verdicts()
    assert {each for each in after if len(after[each]) > len(before[each])} == rested
    assert {each for each, found in stack.codes().items() if "certificate_withdrawn" in found} == rested
    assert all("certificate GAS changed" in str(after[each][-1][f.VERDICT_CAUSE]) for each in rested)
    # A corrected report in its place is one more way to lose it.
    path: Path = stack.folder / "GAS.toml"
    path.write_text(path.read_text().partition("[[end]]")[0])
    stack.certify("OTHER", component(cylinder="D2"))
    other = stack.folder / "OTHER.toml"
    other.write_text('replaces = ["GAS"]\n' + other.read_text())
    stack.plant.ask("rejudge")
    assert {each for each, found in stack.codes().items() if "certificate_superseded" in found} == rested

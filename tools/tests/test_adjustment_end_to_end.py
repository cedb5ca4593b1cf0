"""A meter that is scaled wrongly, from the comparison that finds it to the one that shows it mended.

Broker, gateway and the firmware itself run as in the demo; instruments are pymodbus servers. The reference is read
by the running gateway over a serial line (RTU on a pseudo-terminal), and all that a person does is a command.
"""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from meter_gateway.config import load_config
from meter_gateway.metrology.conformity import Outcome
from meter_gateway.register_map import load_register_map
from meter_gateway.store import Store
from meter_gateway.traceability import parameters
from meter_gateway.traceability.calibration import END_MS
from meter_gateway.traceability.comparison import Comparison
from meter_gateway.traceability.trust import load_events
from meter_gateway.values import parse_time
from meter_protocol import comparison as cm
from meter_protocol import events as ev
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_tools.demo.processes import ProcessFailed, all_stopped
from meter_tools.demo.scene import Channel, Instrument, Scene
from meter_tools.demo.world import World

PATIENCE_S = 90
PAIRS = 6
PERIOD_MS = 250
TRUE_W = 100_020
UNIT, REFERENCE_UNIT = 1, 7
SERIAL, REFERENCE_SERIAL = "N-01", "PS-9"

MAP = """
title = "{title}"
maker = "x"
model = "y"
source = "this test"
checked = "by this test"
[[register]]
name = "active_power"
quantity = "active_power"
function = "holding"
address = 0
type = "uint32"
unit = "W"
scale = {scale}
exponent = {exponent}
range = [0, 1000000]
[serial]
function = "holding"
address = 10
type = "text2"
"""
MAP_OF_THE_INSTRUMENT = MAP.format(title="Feeder", scale=10, exponent=0)
MAP_OF_THE_REFERENCE = MAP.format(title="Portable standard", scale="0.1", exponent=-1)

FAILED, SUSPECT = "comparison_failed", "suspect_since_comparison"
NEVER = {"chain_broken", "chain_fork", "context_mismatch", "sequence_gap"}

# Whoever wrote these down misread a plate: 1.7 % and 2 % too little.
RATIO, WRONG_RATIO = 60, 59
WRONG_MAP = MAP.format(title="Feeder", scale="9.8", exponent=-1)

CERTIFICATE = f"""
id = "REF"
calibrated = 2020-01-01
due = 2099-12-31
due_source = "owner"
[laboratory]
name = "Provincial Institute"
[[result]]
type = "calibration"
quantity = "active_power"
error_unit = "%"
instrument = {{ manufacturer = "x", model = "y", serial = "{REFERENCE_SERIAL}" }}
axis = {{ quantity = "active_power", unit = "W" }}
point = [
  {{ reference = 10000, error = 0, U = 0.05, k = 2 }},
  {{ reference = 700000, error = 0, U = 0.05, k = 2 }},
]
"""


def scene(kind: str, folder: Path) -> Scene:
    """One instrument with one channel of its power, scaled wrongly by its ratio or by its register map."""
    options, exponent, ratio = None, 0, WRONG_RATIO
    if kind == "register_map":
        (folder / "wrong.toml").write_text(WRONG_MAP)
        options, exponent, ratio = load_register_map(folder / "wrong.toml").rows(), -1, 1
    return Scene(
        title="a feeder and a portable standard beside it",
        instruments=[Instrument(kind, UNIT, SERIAL, options)],
        channels=[Channel(1, 0, "active_power", "active_power", False, exponent, ratio)],
        interval_s=1,
        sample_period_ms=250,
    )


def fixed(instrument: dict[str, Any], shown: int) -> dict[str, Any]:
    return instrument | {"source": {"kind": "fixed", "values": {"active_power": shown}}}


class Site(World):
    """The demo's world with a steady load, a standard on a serial line, and a plan for the channel."""

    def simulator(self) -> dict[str, Any]:
        instrument = self.scene.instruments[0]
        feeder = {"name": "feeder", "kind": instrument.kind, "unit": UNIT, "serial": SERIAL}
        standard = {"name": "standard", "kind": "register_map", "unit": REFERENCE_UNIT, "serial": REFERENCE_SERIAL}
        standard["register_map"] = self._map("standard", MAP_OF_THE_REFERENCE)
        shown = TRUE_W // RATIO
        if instrument.kind == "register_map":
            feeder["register_map"], shown = self._map("feeder", MAP_OF_THE_INSTRUMENT), TRUE_W
        buses: list[dict[str, Any]] = [
            {"name": "modbus0", "port": self.instrument_port, "instruments": [fixed(feeder, shown)]},
            {"name": "line0", "pty": True, "instruments": [fixed(standard, 10 * TRUE_W)]},
        ]
        return {"bus": [bus | {"framing": "rtu"} for bus in buses]}

    def _map(self, name: str, text: str) -> str:
        path = self.folder / f"{name}.toml"
        path.write_text(text)
        return str(path)

    def _write_gateway_config(self, software_id: str | None) -> None:
        super()._write_gateway_config(software_id)
        (self.gateway_folder / "comparisons").mkdir(exist_ok=True)
        ready = json.loads(self.instruments.wait_for('"ready"', 1))
        with self.gateway_config.open("a") as file:
            if software_id is not None:
                file.write('checks = ["checks.toml"]\n')
            file.write(
                '[comparisons]\nfolder = "comparisons"\n[[bus]]\nname = "line0"\nkind = "modbus"\n'
                f'port = "{ready["buses"]["line0"]["pty"]}"\nbaud = 19200\n'
            )

    def _approve_and_bind(self) -> None:
        (self.gateway_folder / "certificate-900.toml").write_text(CERTIFICATE)
        (self.gateway_folder / "checks.toml").write_text(
            f'[[plan]]\nmeter = "{self.thumbprint}"\nchannel = 1\nfrom = 2020-01-01T00:00:00Z\n'
            "interval_days = 180\nmpe_percent = 1\n"
        )
        super()._approve_and_bind()

    # What a person does

    def ask(self, *words: str | Path) -> str:
        return self.command(*words, "--config", self.gateway_config)

    def compare(self, kind: str) -> Comparison:
        """A run of some seconds; what was sealed."""
        self.ask(
            "compare", "start", self.thumbprint, "1", "--kind", kind, "--person", "N. N.", "--certificate", "REF",
            "--modbus", f"line0/{REFERENCE_UNIT}", "--map", self.folder / "standard.toml",
            "--indication", "active_power", "--period-ms", str(PERIOD_MS),
        )  # fmt: skip
        self.until(lambda: self.reference_readings() > (PAIRS + 3) * 1000 // PERIOD_MS, "the reference's readings")
        self.ask("compare", "finish")
        return load_events(load_config(self.gateway_config))[-1]

    def reference_readings(self) -> int:
        folder = self.gateway_folder / "state" / "comparisons"
        return sum(len(path.read_text().splitlines()) for path in folder.glob("*.readings"))

    # Looking on

    def until(self, done: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not done():
            assert time.monotonic() < deadline, f"waited in vain for {what}\n{self.gateway.text()}"
            self.check()
            time.sleep(0.3)

    def readings(self) -> list[dict[str, Any]]:
        """Whole intervals, the oldest first."""
        shown = json.loads(self.ask("readings", "--format", "json", "--limit", "10000"))
        return sorted((each for each in shown if each["kind"] == "regular"), key=lambda each: each["sequence"])

    def versions_applied(self) -> list[int]:
        """Of the sets in the chain's own events."""
        store = Store(self.gateway_folder / "state" / "gateway.sqlite")
        stored = store.archive.messages(bytes.fromhex(self.thumbprint), types=(t.EVENT,), limit=1000)
        events = [each.verified().fields for each in stored]
        store.close()
        applied = [each[f.DETAILS] for each in events if each[f.EVENT_CODE] == ev.PARAMETERS_APPLIED]
        sets = [parameters.decode(each[ev.PARAMETER_SET]) for each in applied]
        return [each.version for each in sets if each is not None]

    def findings(self, from_ms: int, to_ms: int) -> list[set[str]]:
        """Of the whole intervals that lie within."""
        return [
            set(each["findings"].split())
            for each in self.readings()
            if from_ms <= end_ms(each) - each["duration_ms"] and end_ms(each) <= to_ms
        ]


def end_ms(reading: dict[str, Any]) -> int:
    return parse_time(reading["time"])


def error_percent(run: Comparison) -> float:
    (point,) = run.fields[cm.POINTS]
    assert point[cm.POINT_COUNT] >= PAIRS
    return float(100 * point[cm.POINT_ERROR] / point[cm.POINT_REFERENCE])


@pytest.fixture(params=["register_map", "energy64"])
def site(tmp_path: Path, micropython: Path, request: pytest.FixtureRequest) -> Iterator[Site]:
    with all_stopped() as started:
        made = Site(tmp_path, scene(request.param, tmp_path), started)
        made.prepare()
        made.start_gateway()
        made.start_meter()
        made.commission()
        yield made


def test_a_wrong_scale_is_found_proposed_sealed_applied_and_shown_mended(site: Site) -> None:
    site.until(lambda: len(site.readings()) > 2, "readings")
    found = site.compare("as-found")
    wrong = -2.0 if site.scene.instruments[0].kind == "register_map" else 100 * (WRONG_RATIO / RATIO - 1)
    assert found.outcome is Outcome.FAILED
    assert error_percent(found) == pytest.approx(wrong, abs=0.01)
    site.until(lambda: all(SUSPECT in each for each in site.findings(0, found.end_ms)), "what was before")

    proposed, sealed = site.folder / "proposed.toml", site.folder / "proposed.cose"
    site.ask("compare", "propose", found.run, "--out", proposed)
    site.command("parameters", "seal", proposed, "--authority-key", site.folder / "authority.pem", "--out", sealed)
    site.ask("parameters", "send", site.thumbprint, sealed)
    site.until(lambda: site.versions_applied() == [1, 2], "the meter to apply it")
    with pytest.raises(ProcessFailed, match="another parameter set scaled it anew; compare again"):
        site.ask("compare", "propose", found.run, "--out", proposed)

    left = site.compare("as-left")
    assert left.outcome is Outcome.PASSED
    assert error_percent(left) == pytest.approx(0, abs=0.01)
    site.until(lambda: len(site.findings(left.end_ms, END_MS)) > 2, "readings after it")
    # The running gateway has judged anew what it had judged before it knew of the second run.
    site.until(lambda: all(FAILED not in each for each in site.findings(left.end_ms, END_MS)), "what is after")
    before, between = site.findings(0, found.end_ms), site.findings(found.end_ms, left.end_ms)
    after = site.findings(left.end_ms, END_MS)
    assert len(before) > PAIRS
    assert len(between) > PAIRS
    assert all(SUSPECT in each and FAILED not in each for each in before)
    assert all(FAILED in each and SUSPECT not in each for each in between)
    assert not any(each & {FAILED, SUSPECT} for each in after)
    assert not any(each & NEVER for each in before + between + after)
    values = [float(each["value"]) for each in site.readings()]
    assert values[0] == pytest.approx(TRUE_W * (1 + wrong / 100), abs=0.01)
    assert values[-1] == pytest.approx(TRUE_W, rel=2e-6)

    listed = [words for line in site.ask("compare", "list").splitlines() if (words := line.split())]
    assert [(words[0], words[-1]) for words in listed[-2:]] == [(found.run, left.run), (left.run, found.run)]
    assert f"As left: {left.run}" in site.ask("compare", "show", found.run)
    assert f"As found: {found.run}" in site.ask("compare", "show", left.run)

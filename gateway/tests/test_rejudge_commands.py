"""`rejudge`, `history`, and the running gateway that keeps its verdicts true by itself."""

import json
import os
import signal

import pytest

from meter_gateway import basis
from meter_gateway.store import Store
from meter_tools.simulated_meter import SimulatedMeter

pytestmark = pytest.mark.long

READINGS = 30
MESSAGES = READINGS + 3


@pytest.fixture
def filled(gateway):
    """What a gateway under the development scheme has judged."""
    meter = SimulatedMeter("SN-1")
    gateway.enrol(meter)
    gateway.fill(*meter.begin(), *(meter.readings() for _ in range(READINGS)))
    return gateway


def use_scheme(gateway, name: str) -> None:
    text = gateway.config.read_text()
    before = "house" if name == "development" else "development"
    gateway.config.write_text(text.replace(f'scheme = "{before}"', f'scheme = "{name}"'))


def schemes(gateway) -> set[tuple[str, int]]:
    shown = json.loads(gateway.ask("readings", "--format", "json"))
    return {(entry["scheme"], entry["revision"]) for entry in shown}


def test_a_dry_run_tells_and_records_nothing(filled) -> None:
    use_scheme(filled, "house")
    said = filled.ask("rejudge", "--dry-run")
    assert f"Would be revised: {MESSAGES} verdicts" in said
    assert schemes(filled) == {("development", 0)}


def test_verdicts_are_revised_once_and_their_history_is_shown(filled) -> None:
    use_scheme(filled, "house")
    assert f"{MESSAGES} verdicts revised, 0 newly accepted" in filled.ask("rejudge")
    assert schemes(filled) == {("house", 1)}
    assert " 0 verdicts revised" in filled.ask("rejudge")
    said = filled.ask("history", "SN-1/7")
    assert said.index("under scheme development, revision 0") < said.index("under scheme house, revision 1")
    assert "because: " in said
    assert "+ [certificate_missing] (Channel 1)" in said
    assert said.count("certificate_missing] (Channel 1)") == 1
    use_scheme(filled, "development")
    filled.ask("rejudge", "--meter", "SN-1", "--cause", "a test")
    assert "because: a test" in filled.ask("history", "SN-1/7")


def test_the_change_is_named_as_the_cause(filled) -> None:
    filled.ask("rejudge")
    use_scheme(filled, "house")
    filled.ask("rejudge")
    assert "because: scheme changed" in filled.ask("history", "SN-1/7")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("rejudge", "--cause", "x" * 65), "--cause takes 1 to 64 bytes"),
        (("rejudge", "--cause", ""), "--cause takes 1 to 64 bytes"),
        (("rejudge", "--meter", "none"), "none"),
        (("history", "SN-1"), "METER/SEQUENCE"),
        (("history", "SN-1/x"), "METER/SEQUENCE"),
        (("history", "SN-1/99"), "is not stored"),
        (("history", "SN-1/ffff/7"), "is not stored"),
    ],
)
def test_what_has_to_be_corrected_is_one_line(filled, words, told) -> None:
    done = filled.command(*words, "--config", filled.config)
    assert done.returncode == 2
    assert told in done.stderr
    assert done.stderr.count("\n") == 1


def test_while_a_gateway_runs_only_that_one_judges(filled) -> None:
    filled.start()
    done = filled.command("rejudge", "--config", filled.config)
    assert done.returncode == 2
    assert "another gateway uses it" in done.stderr
    filled.ask("rejudge", "--dry-run")


async def test_a_running_gateway_judges_again_when_it_is_told_to_reload(filled, until) -> None:
    filled.start()
    use_scheme(filled, "house")
    await until(lambda: filled.log.exists() and "gateway test runs" in filled.log.read_text())
    os.kill(filled.process.pid, signal.SIGHUP)
    await until(lambda: f"{MESSAGES} verdicts revised" in filled.log.read_text())
    await until(lambda: filled.status()["counts"]["revised"] == MESSAGES)
    assert schemes(filled) == {("house", 1)}
    assert "because: scheme changed" in filled.ask("history", "SN-1/7")


def basis_kept(gateway) -> basis.Basis:
    store = Store(gateway.state / "gateway.sqlite")
    kept = basis.load(store.database)
    store.close()
    return kept


async def test_what_changed_between_two_runs_is_noticed_at_the_start(filled, until) -> None:
    filled.start()
    await until(lambda: basis_kept(filled) != {})
    first = basis_kept(filled)
    assert filled.stop() == 0
    use_scheme(filled, "house")
    filled.start()
    await until(lambda: f"{MESSAGES} verdicts revised" in filled.log.read_text())
    # Kept at the end: what interrupts it before that is begun anew.
    await until(lambda: basis_kept(filled) != first)
    assert filled.stop() == 0
    filled.start()
    await until(lambda: filled.log.read_text().count("gateway test runs") == 3)
    assert filled.stop() == 0
    assert filled.log.read_text().count("judged again") == 1

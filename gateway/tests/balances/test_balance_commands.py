"""Balances between meters as people meet them: the running gateway, `rejudge`, `quality` and `history` agree."""

import json
import shutil
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from plant_of import DRIFTED, STEADY, quarter, registers

from meter_gateway.store import Store
from meter_gateway.traceability.plant_balance import CODE
from meter_protocol import fields as f
from meter_tools.simulated_meter import SimulatedMeter

Until = Callable[[Callable[[], bool]], Awaitable[None]]

FOUND = {("total", n) for n in (7, 8, 9, 10)} | {("part", n) for n in (7, 8, 9, 10)}
"""Serial and sequence: behind identity, parameters, boot and the first hour."""

BALANCE = """
[[plant_balance]]
name = "hall"
over = "hour"
tolerance_percent = 2
total = [{{ meter = "{total}", channel = 1 }}]
parts = [{{ meter = "{part}", channel = 1 }}]
"""


@pytest.fixture
def meters() -> list[SimulatedMeter]:
    return [SimulatedMeter(name, registers(STEADY)) for name in ("total", "part")]


@pytest.fixture
def filled(gateway: Any, meters: list[SimulatedMeter]) -> Any:
    """Two hours, the second out of balance, and the balance is configured."""
    total, part = meters
    with gateway.config.open("a") as file:
        file.write('\n[traceability]\nplausibility = ["plausible.toml"]\n')
    set_balance(gateway, meters)
    for meter in meters:
        gateway.enrol(meter)
        gateway.fill(*meter.begin())
    for of_part in [STEADY] * 4 + [DRIFTED] * 4 + [STEADY]:
        gateway.fill(quarter(total), quarter(part, of_part))
    return gateway


def set_balance(gateway: Any, meters: list[SimulatedMeter]) -> None:
    total, part = (meter.thumbprint.hex() for meter in meters)
    (gateway.folder / "plausible.toml").write_text(BALANCE.format(total=total, part=part))


def latest(gateway: Any, meters: list[SimulatedMeter]) -> dict[tuple[str, int], Any]:
    """Revision, cause and findings of every message."""
    store = Store(gateway.state / "gateway.sqlite")
    keys = f.VERDICT_REVISION, f.VERDICT_CAUSE, f.VERDICT_FINDINGS
    names = {meter.thumbprint: meter.name for meter in meters}
    found = {
        (names[each.thumbprint], each.sequence): [each.verdict[key] for key in keys]
        for each in store.archive.messages(limit=1000)
        if each.verdict is not None
    }
    store.close()
    return found


def violated(verdicts: dict[tuple[str, int], Any]) -> set[tuple[str, int]]:
    return {place for place, (_, _, findings) in verdicts.items() if [CODE, 1] in findings}


async def test_the_running_gateway_and_rejudge_come_to_the_same(
    filled: Any, meters: list[SimulatedMeter], tmp_path: Path, until: Until
) -> None:
    before = latest(filled, meters)
    assert not violated(before)
    kept = shutil.copytree(filled.state, tmp_path / "kept")
    # A store whose basis was kept before there was such an outcome, as after a night without the gateway.
    filled.ask("rejudge")
    by_command = latest(filled, meters)
    assert violated(by_command) == FOUND
    shutil.rmtree(filled.state)
    shutil.copytree(kept, filled.state)
    (filled.folder / "plausible.toml").write_text("")
    filled.ask("rejudge")
    assert latest(filled, meters) == before
    set_balance(filled, meters)
    filled.start()
    await until(lambda: "8 verdicts revised" in filled.log.read_text())
    await until(lambda: filled.status()["counts"]["revised"] == 8)
    assert filled.stop() == 0
    by_gateway = latest(filled, meters)
    assert violated(by_gateway) == FOUND
    changed = {place for place in before if before[place] != by_gateway[place]}
    assert changed == FOUND
    assert [by_gateway[place][::2] for place in sorted(FOUND)] == [
        by_command[place][::2] for place in sorted(FOUND)
    ]
    assert {by_gateway[place][1] for place in FOUND} == {"balance hall on 2026-01-01 violated and 1 more"}
    # The next start, and judging everything again by hand, find nothing else.
    assert " 0 verdicts revised" in filled.ask("rejudge")


async def test_readings_that_come_while_it_runs_are_looked_at_by_themselves(
    filled: Any, meters: list[SimulatedMeter], connect: Callable[[Any], Awaitable[Any]], until: Until
) -> None:
    total, part = meters
    filled.start()
    await until(lambda: "8 verdicts revised" in filled.log.read_text())
    line = await connect(filled)
    sent = [raw for _ in range(8) for raw in (quarter(total), quarter(part, DRIFTED))]
    line.send(*sent)
    await line.receipt(part.sequence)
    # Without a reload, within a few seconds: three quarters of the third hour are new, and all of the fourth.
    await until(lambda: filled.status()["counts"]["revised"] >= 8 + 16)
    line.close()
    # Each page is counted, and all of them are logged at the end.
    await until(lambda: "balance hall on 2026-01-01 violated: " in filled.log.read_text())
    shown = json.loads(filled.ask("readings", "--format", "json", "--meter", "part"))
    assert shown
    assert filled.stop() == 0
    found = {sequence for name, sequence in violated(latest(filled, meters)) if name == "part"}
    assert found == {*range(7, 19)}
    assert "because: balance hall on 2026-01-01 violated\n" in filled.ask("history", "part/18")
    said = filled.command("--lang", "zh", "history", "part/18", "--config", filled.config).stdout
    assert f"+ [{CODE}] (通道 1) 在本时段所属的小时或日内，应当平衡的各表累计量之差超过允差。" in said


async def test_a_balance_that_is_taken_out_of_the_file(
    filled: Any, meters: list[SimulatedMeter], until: Until
) -> None:
    filled.start()
    await until(lambda: filled.log.read_text().count("8 verdicts revised") == 1)
    (filled.folder / "plausible.toml").write_text("")
    filled.process.send_signal(signal.SIGHUP)
    await until(lambda: filled.log.read_text().count("8 verdicts revised") == 2)
    assert filled.stop() == 0
    verdicts = latest(filled, meters)
    assert not violated(verdicts)
    assert {verdicts[place][1] for place in FOUND} == {"balance hall on 2026-01-01 balanced and 1 more"}
    assert " 0 verdicts revised" in filled.ask("rejudge")


def test_a_dry_run_counts_and_keeps_nothing(filled: Any, meters: list[SimulatedMeter]) -> None:
    assert "Would be revised: 8 verdicts" in filled.ask("rejudge", "--dry-run")
    store = Store(filled.state / "gateway.sqlite")
    assert store.database.query(
        "SELECT (SELECT count(*) FROM counted), (SELECT count(*) FROM followed_chain)"
    ) == [(0, 0)]
    store.close()
    filled.ask("rejudge")
    filled.fill(*(raw for meter in meters for raw in [quarter(meter) for _ in range(3)]))
    # What was counted is taken over, and what came since is counted on.
    assert "Would be revised: 0 verdicts" in filled.ask("rejudge", "--dry-run")


def test_the_quality_report_tells_the_same_hours(filled: Any) -> None:
    def told(*words: str) -> list[list[str]]:
        done = filled.command("quality", *words, "--config", filled.config)
        return [line.split() for line in done.stdout.splitlines() if line.strip().startswith("hall")]

    (row,) = told("--to", "2026-01-01T03:00")
    assert row[:5] == ["hall", "2026-01-01", "01:00", "400000", "424000"]
    assert "out of balance" in " ".join(row)
    filled.ask("rejudge")
    assert told("--to", "2026-01-01T03:00") == [row]
    assert told("part", "--to", "2026-01-01T03:00") == [row]
    assert told("--to", "2026-01-01T01:00") == []
    assert told("--from", "2026-01-01T02:00", "--to", "2026-01-01T03:00") == []

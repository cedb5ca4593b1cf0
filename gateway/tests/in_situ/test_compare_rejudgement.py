"""A failed comparison reopens what was measured since the last that passed: by itself, and nothing else."""

import asyncio
import shutil
import signal
from collections.abc import Awaitable, Callable

from plant import Plant, channels

from meter_gateway.metrology.conformity import Outcome
from meter_protocol import fields as f
from meter_tools.simulated_meter import SimulatedMeter

Until = Callable[[Callable[[], bool]], Awaitable[None]]

START = "2026-01-01T00:00:00Z"
AFTER_TEN = "2026-01-01T00:10:00Z"
AFTER_TWENTY = "2026-01-01T00:20:00Z"


async def test_a_failed_run_makes_exactly_the_readings_since_the_last_pass_suspect(
    plant: Plant, until: Until
) -> None:
    plant.plan(interval_days=None)
    plant.measure(10)
    assert plant.compare().outcome is Outcome.PASSED
    plant.measure(10)
    plant.measure(10, shift_mw=15_000)
    plant.ask("rejudge")
    before = plant.verdicts()
    first = min(before)
    plant.gateway.start()
    failed = await asyncio.to_thread(plant.compare, since=AFTER_TWENTY)
    assert failed.outcome is Outcome.FAILED

    def is_done() -> bool:
        return plant.gateway.status()["counts"]["revised"] >= 20

    await until(is_done)
    plant.gateway.stop()
    codes = plant.codes()
    suspect = {sequence for sequence, found in codes.items() if "suspect_since_comparison" in found}
    # The first ten minutes were proven by the run that passed at their end.
    assert suspect == set(range(first + 10, first + 30))
    assert len(suspect) == 20
    after = plant.verdicts()
    changed = {sequence for sequence in after if len(after[sequence]) > len(before[sequence])}
    assert changed == suspect
    assert all(f"comparison {failed.run} added" in str(after[s][-1][f.VERDICT_CAUSE]) for s in suspect)


async def test_judging_again_gives_what_ingest_would_have_given(plant: Plant) -> None:
    """The same messages, stored when the comparisons were known already, have the same findings."""
    plant.measure(10)
    plant.compare()
    plant.measure(10, shift_mw=15_000)
    plant.compare(since=AFTER_TEN)
    plant.ask("rejudge")
    judged_again = plant.codes()
    shutil.rmtree(plant.gateway.state)
    meter = SimulatedMeter("M-1", channels(0))
    plant.gateway.enrol(meter)
    plant.gateway.fill(*meter.begin())
    for shift in (0, 15_000):
        meter.channels = channels(shift)
        plant.gateway.fill(*(meter.readings() for _ in range(10)))
    assert plant.codes() == judged_again
    assert any("suspect_since_comparison" in found for found in judged_again.values())
    assert any("comparison_missing" in found for found in judged_again.values())


async def test_a_folder_of_comparisons_that_came_with_a_reload_is_watched(plant: Plant, until: Until) -> None:
    config = plant.gateway.config
    told, without = config.read_text(), config.read_text().replace("[comparisons]\nfolder = 'comparisons'\n", "")
    assert told != without
    config.write_text(without)
    plant.measure(10, shift_mw=15_000)
    plant.gateway.start()
    config.write_text(told)
    plant.gateway.process.send_signal(signal.SIGHUP)
    await until(lambda: "loaded anew" in plant.gateway.log.read_text())
    failed = await asyncio.to_thread(plant.compare)
    assert failed.outcome is Outcome.FAILED
    await until(lambda: plant.gateway.status()["counts"]["revised"] >= 10)
    assert plant.gateway.stop() == 0
    assert all("suspect_since_comparison" in found for found in plant.codes().values())

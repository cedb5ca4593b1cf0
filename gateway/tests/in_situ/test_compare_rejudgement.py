"""A failed comparison reopens what was measured since the last that passed: by itself, and nothing else."""

import asyncio
import shutil
import signal
from collections.abc import Awaitable, Callable

import pytest
from plant import POWER, Plant, channels

from meter_gateway.metrology.conformity import Outcome
from meter_gateway.store import Store
from meter_gateway.traceability import budget_record, channel_budget
from meter_protocol import budgets as b
from meter_protocol import comparison as cm
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


WITHDRAWN = '[[end]]\nkind = "withdrawn"\nat = 2026-03-01T00:00:00Z\nreason = "wrong"\n'


@pytest.mark.parametrize(
    ("shift_mw", "before"),
    [(0, set()), (15_000, {"comparison_failed", "suspect_since_comparison"})],
)
def test_a_run_whose_reference_has_fallen_proves_nothing_any_more(
    plant: Plant, shift_mw: int, before: set[str]
) -> None:
    """Neither that the instrument was good nor that it was bad; what it began, it begins no more."""
    plant.plan(interval_days=180)
    plant.measure(20, shift_mw)
    run = plant.compare()
    plant.measure(10, shift_mw)
    plant.ask("rejudge")
    told = {"comparison_failed", "comparison_inconclusive", "comparison_missing", "suspect_since_comparison"}
    codes, last = plant.codes(), max(plant.codes())
    assert set().union(*codes.values()) & told - {"comparison_missing"} == before
    assert "comparison_missing" not in codes[last]
    path = plant.gateway.folder / "REF.toml"
    good = path.read_text()
    path.write_text(good + WITHDRAWN)
    plant.ask("rejudge")
    fallen = plant.codes()
    during = {sequence for sequence, found in fallen.items() if found & told == {"comparison_missing"}}
    after = {s for s, found in fallen.items() if found & told == {"comparison_missing", "comparison_inconclusive"}}
    assert (len(during), len(after), len(fallen)) == (20, 10, 30)
    assert "certificate REF changed" in str(plant.verdicts()[last][-1][f.VERDICT_CAUSE])
    assert run.run[:8] in plant.ask("compare", "list")
    path.write_text(good)
    plant.ask("rejudge")
    assert plant.codes() == codes


def repeatability_of(plant: Plant, sequence: int) -> channel_budget.Source | None:
    """As the budget record of the latest verdict has it."""
    store = Store(plant.gateway.state / "gateway.sqlite")
    digest = plant.verdicts()[sequence][-1][f.VERDICT_BUDGET]
    record = store.archive.budget(digest) if digest is not None else None
    store.close()
    known = budget_record.read(record).get(POWER) if record is not None else None
    return next((each for each in known.sources if each.name == "repeatability"), None) if known else None


def take_repeatability_of_power(plant: Plant) -> None:
    bindings = plant.gateway.folder / "bindings.toml"
    first, rest = bindings.read_text().split("[[binding]]", 2)[1:]
    bindings.write_text(f'[[binding]]{first}repeatability = "comparison"\n[[binding]]{rest}')


def test_repeatability_is_that_of_the_last_passed_run_and_unknown_before_the_first(plant: Plant) -> None:
    take_repeatability_of_power(plant)
    plant.measure(20)
    begin = min(plant.codes())
    assert all("uncertainty_unknown" in found for found in plant.codes().values())
    run = plant.compare()
    plant.ask("rejudge")
    # The run lasted from the first reading to the last.
    assert all("uncertainty_unknown" in found for found in plant.codes().values())
    plant.measure(10)
    after = {sequence for sequence, found in plant.codes().items() if "uncertainty_unknown" not in found}
    assert after == set(range(begin + 20, begin + 30))
    (point,) = run.fields[cm.POINTS]
    source = repeatability_of(plant, begin + 20)
    assert source is not None
    percent = 100 * point[cm.POINT_DEVIATION] / point[cm.POINT_REFERENCE]
    assert float(source.value) == pytest.approx(percent, rel=1e-12)
    assert percent > 0
    assert source.degrees_of_freedom == point[cm.POINT_COUNT] - 1 > 10
    assert (source.relative, source.common) == (True, b.COMMON_TO_NOTHING)
    assert source.stated_by == f"comparison {run.run}"
    assert f"comparison {run.run}" in plant.ask("budget", "M-1", str(POWER)).replace("\n", "")


def test_a_later_run_gives_the_repeatability_of_what_comes_after_it_and_of_nothing_before(plant: Plant) -> None:
    take_repeatability_of_power(plant)
    plant.measure(10)
    first = plant.compare()
    plant.measure(30)
    begin, before = min(plant.codes()), plant.verdicts()
    second = plant.compare(since=AFTER_TEN)
    assert {first.outcome, second.outcome} == {Outcome.PASSED}
    plant.ask("rejudge")
    assert plant.verdicts() == before
    plant.measure(1)
    named = [repeatability_of(plant, begin + index) for index in (9, 10, 39, 40)]
    told = [each and each.stated_by for each in named]
    assert told == [None, *[f"comparison {first.run}"] * 2, f"comparison {second.run}"]
    assert "uncertainty_unknown" in plant.codes()[begin + 9]
    # Found late, a run speaks for what was measured after it already.
    file = next(plant.gateway.folder.rglob(f"*{second.run}*.comparison"))
    hidden = file.rename(file.with_suffix(".hidden"))
    plant.ask("rejudge")
    assert getattr(repeatability_of(plant, begin + 40), "stated_by", None) == f"comparison {first.run}"
    hidden.rename(file)
    plant.ask("rejudge")
    assert getattr(repeatability_of(plant, begin + 40), "stated_by", None) == f"comparison {second.run}"
    assert len(plant.verdicts()[begin + 40]) == 3
    assert len(plant.verdicts()[begin + 39]) == len(before[begin + 39])


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

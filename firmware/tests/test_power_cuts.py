"""Power is cut before, inside and after flash operations; what was promised holds at every boot after it.

The scenarios (journal_scenario.py, app_scenario.py) run once on MicroPython, and the chip that each cut leaves is
made of the recording (flash_record.py). By default a sample of the operations is cut, spread over the whole
scenario; CI or EXHAUSTIVE cuts at every one. All processors take part.
"""

import os
import re
import subprocess
from pathlib import Path

import pytest

from meter_protocol import events

pytestmark = pytest.mark.long

PROJECT = Path(__file__).parents[2]
WORKER = Path(__file__).with_name("power_cut_worker.py")
PARTS = os.cpu_count() or 1
EXHAUSTIVE = bool(os.environ.get("CI") or os.environ.get("EXHAUSTIVE"))


def run_workers(micropython: Path, *arguments_of_each: list[str]) -> list[str]:
    search = [PROJECT / "protocol", PROJECT / "firmware", WORKER.parent, ".frozen"]
    environment = os.environ | {"MICROPYPATH": ":".join(map(str, search))}
    workers = [
        subprocess.Popen(
            [micropython, "-X", "heapsize=8m", WORKER, *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for arguments in arguments_of_each
    ]
    try:
        outputs = [worker.communicate()[0] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    for worker, output in zip(workers, outputs, strict=True):
        assert worker.returncode == 0, output
        print(output, end="")
    return outputs


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("scenario", "sample"), [("journal_small", 150), ("journal_board", 60), ("app", 50)])
def test_single_cuts(micropython: Path, scenario: str, sample: int) -> None:
    wanted = [] if EXHAUSTIVE else [str(sample)]
    outputs = run_workers(
        micropython, *([scenario, "single", str(part), str(PARTS), *wanted] for part in range(PARTS))
    )
    counts = [re.search(r"^(\d+) cuts at (\d+) operations$", output, re.MULTILINE) for output in outputs]
    cuts = sum(int(count[1]) for count in counts if count)
    operations = {int(count[2]) for count in counts if count}
    assert len(operations) == 1, "the scenario is not the same at every run"
    assert cuts == 2 * operations.pop() + 1 or not EXHAUSTIVE
    assert cuts > sample


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("scenario", "count"), [("journal_small", 60), ("journal_board", 20), ("app", 20)])
def test_double_cuts(micropython: Path, scenario: str, count: int) -> None:
    share = str((10 * count if EXHAUSTIVE else count) // PARTS)
    run_workers(micropython, *([scenario, "double", share, str(20261123 + part)] for part in range(PARTS)))


def test_an_event_is_said_once_although_power_fails_again_before_that_is_noted(micropython: Path) -> None:
    """The boot that finds it said notes that before it adds anything to the chain."""
    run_workers(micropython, ["app", "event", str(events.FIRMWARE_UPDATED)])

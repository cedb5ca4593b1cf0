"""What `make hil` makes of an emulator that fails: no verdict about the firmware, and another attempt."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from hil_tests.platforms import PlatformError, qemu
from hil_tests.suite_run import Outcome
from meter_tools.boards import emulator
from meter_tools.mpycross import PROJECT

pytestmark = pytest.mark.long

SUITE = "sampling"
PATIENCE_S = 180
NAME_LENGTH = 15
"""What Linux keeps of a process's name."""


def emulators_below(process: int) -> list[int]:
    """The QEMU processes that this one has started, or those that it has started."""
    parents, names = {}, {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            head, _, rest = status.read_text().rpartition(") ")
            parents[int(status.parent.name)] = int(rest.split()[1])
            names[int(status.parent.name)] = head.partition("(")[2]
    return [
        number
        for number, name in names.items()
        if name == emulator.QEMU[:NAME_LENGTH] and process in ancestors(parents, number)
    ]


def ancestors(parents: dict[int, int], number: int) -> list[int]:
    found = []
    while number in parents:
        number = parents[number]
        found.append(number)
    return found


def abort_emulators(run: "subprocess.Popen[str]", folder: Path, count: int) -> None:
    """As one after the other of them has begun to run the firmware."""
    killed: set[int] = set()
    console = folder / "console.log"
    deadline = time.monotonic() + PATIENCE_S
    while len(killed) < count:
        assert time.monotonic() < deadline, f"{len(killed)} emulators were there"
        fresh = [number for number in emulators_below(run.pid) if number not in killed]
        if fresh and console.exists() and console.stat().st_size:
            os.kill(fresh[0], signal.SIGABRT)
            killed.add(fresh[0])
        time.sleep(0.02)


def run_while_emulators_die(output: Path, count: int) -> tuple[int, str, dict[str, Any]]:
    """Exit code, what was printed, and the suite's verdict."""
    command: list[str | Path] = [sys.executable, "-m", "hil_tests.run", "--suite", SUITE, "--output", output]
    folder = output / "qemu" / SUITE
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as run:
        abort_emulators(run, folder, count)
        said, _ = run.communicate(timeout=PATIENCE_S)
    return run.returncode, said, json.loads((folder / "verdict.json").read_text())


@pytest.fixture(autouse=True)
def image() -> None:
    try:
        qemu.prepare()
    except PlatformError as error:
        pytest.skip(f"the image is missing: {error}")


def test_an_emulator_that_dies_is_counted_and_its_suite_is_run_once_more(tmp_path: Path) -> None:
    code, said, verdict = run_while_emulators_die(tmp_path, 1)
    assert code == 0, said
    assert verdict["status"] == "passed"
    (failure,) = verdict["emulator_failures"]
    assert "qemu-system-arm ended with code -6" in failure
    assert f"failures of the emulator itself: 1\n  {SUITE}: {failure}" in said
    first = json.loads((tmp_path / "qemu" / f"{SUITE}.attempt-1" / "verdict.json").read_text())
    assert first["emulator_failure"] == failure


def test_an_emulator_that_dies_twice_leaves_no_verdict_about_the_firmware(tmp_path: Path) -> None:
    code, said, verdict = run_while_emulators_die(tmp_path, 2)
    assert code == 3, said
    assert verdict["status"] == "no verdict"
    assert len(verdict["emulator_failures"]) == 2
    assert "0 failed" in said


def test_a_run_that_ran_nothing_is_no_success(tmp_path: Path) -> None:
    command: list[str | Path] = [sys.executable, "-m", "hil_tests.run", "--suite", SUITE, "--output", tmp_path]
    command += ["--test", "no such case"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout


def test_a_suite_whose_cases_were_all_skipped_has_not_failed() -> None:
    """Robot says of such a suite that it has not passed."""
    skipped = {"name": "one", "status": "SKIP", "message": "Skipped in parent suite setup:\nno image"}
    assert Outcome("chips", verdict={"passed": False, "cases": [skipped, skipped]}).status == "skipped"
    assert Outcome("chips", verdict={"passed": False, "cases": [skipped, {"status": "PASS"}]}).status == "failed"


def test_why_a_suite_was_skipped_is_said_and_nothing_else_is_no_success(tmp_path: Path) -> None:
    command: list[str | Path] = [sys.executable, "-m", "hil_tests.run", "--suite", SUITE, "--output", tmp_path]
    done = subprocess.run(
        [*command, "--settag", "any", "--skip", "any"], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "1 skipped" in done.stdout
    assert done.stdout.count("            skipped: ") == 1


def test_a_platform_that_is_missing_is_one_line() -> None:
    command = [sys.executable, "-m", "hil_tests.run", "--emulator", "none"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1

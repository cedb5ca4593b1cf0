"""The Robot suites under pytest: each case is an item, and fails with the case's own message.

A suite runs in a robot of its own. Meters mostly wait for their next sample, so several suites run at once.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from robot.api import ExecutionResult
from robot.api import TestSuite as RobotSuite

SUITES = Path(__file__).parents[1]
PROJECT = SUITES.parent
OUTPUT = PROJECT / "build" / "hil" / os.environ.get("PYTEST_XDIST_WORKER", "")
AT_ONCE = 8
LIMIT_S = 200
"""Of one suite; each wait inside has a far shorter limit of its own."""

TO_END_S = 30

Outcome = tuple[str, str]
"""Robot's status of a case, and its message."""


def cases() -> list[Any]:
    return [
        pytest.param(source, case.name, id=f"{source.stem}: {case.name}")
        for source in sorted(SUITES.glob("*.robot"))
        for case in RobotSuite.from_file_system(source).tests
    ]


def run_suite(source: Path) -> dict[str, Outcome]:
    """Case name -> outcome; RuntimeError with what robot said if it did not get to the end."""
    name = source.stem
    files = ["--output", f"{name}.xml", "--log", f"{name}.html", "--report", "NONE"]
    robot = subprocess.Popen(
        [sys.executable, "-m", "robot", "--pythonpath", PROJECT, "--outputdir", OUTPUT, *files, source],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        said, _ = robot.communicate(timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        # Robot then runs the teardowns and ends the meter; a killed one would leave it running.
        robot.send_signal(signal.SIGTERM)
        said, _ = robot.communicate(timeout=TO_END_S)
    try:
        suite = ExecutionResult(OUTPUT / f"{name}.xml").suite
    except Exception as error:  # noqa: BLE001 - whatever is wrong with its output, robot's own words say why
        raise RuntimeError(f"{error}\n{said}") from None
    return {case.name: (case.status, case.message) for case in suite.tests}


@pytest.fixture(scope="session")
def runs(request: pytest.FixtureRequest, micropython: Path) -> Iterator[dict[Path, Future[dict[str, Outcome]]]]:
    """Every suite of which some case was asked for, running."""
    OUTPUT.mkdir(parents=True, exist_ok=True)
    asked = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    sources = dict.fromkeys(params["source"] for params in asked if "source" in params and "case" in params)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {source: pool.submit(run_suite, source) for source in sources}


@pytest.mark.parametrize(("source", "case"), cases())
def test_robot_case(source: Path, case: str, runs: dict[Path, Future[dict[str, Outcome]]]) -> None:
    status, message = runs[source].result()[case]
    if status == "SKIP":
        pytest.skip(message)
    if status != "PASS":
        pytest.fail(f"{message}\nSee {OUTPUT / source.stem} and {OUTPUT / source.stem}.html", pytrace=False)


def test_the_bench_judges_by_the_public_protocol_alone() -> None:
    """Neither the firmware's code nor the gateway's stands behind a verdict, not even through another import.

    The simulated instruments, at the other end of the line, read the register maps that the gateway reads.
    """
    judges = ("artefacts", "forgeries", "judgements", "link_end", "meter_chain", "signing", "verification")
    program = (
        f"import sys, {', '.join(f'hil_tests.keywords.{judge}' for judge in judges)};"
        "print(*(name for name in sys.modules if name.split('.')[0] in ('meter_firmware', 'meter_gateway')))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert not done.stdout.split()

"""The Robot suites on the unix board, under pytest: each case is an item, and fails with the case's own message.

On an emulated board `make hil` runs them. Meters mostly wait for their next sample, so several suites run at once.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from hil_tests.platforms import unix
from hil_tests.suite_run import Outcome, cases_of, run_suite, sources
from meter_tools.mpycross import PROJECT

pytestmark = pytest.mark.long

PLATFORM = "unix"
OUTPUT = PROJECT / "build" / "hil" / PLATFORM / os.environ.get("PYTEST_XDIST_WORKER", "")
AT_ONCE = 4


def cases() -> list[Any]:
    return [
        pytest.param(source, case.name, id=f"{source.stem}: {case.name}")
        for source in sources()
        for case in cases_of(source)
        if not case.tags.match(unix.LACKS)
    ]


@pytest.fixture(scope="session")
def runs(request: pytest.FixtureRequest, micropython: Path) -> Iterator[dict[Path, Future[Outcome]]]:
    """Every suite of which some case was asked for, running."""
    OUTPUT.mkdir(parents=True, exist_ok=True)
    asked = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    chosen = dict.fromkeys(params["source"] for params in asked if "source" in params and "case" in params)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {source: pool.submit(run_suite, source, PLATFORM, OUTPUT) for source in chosen}


@pytest.mark.parametrize(("source", "case"), cases())
def test_robot_case(source: Path, case: str, runs: dict[Path, Future[Outcome]]) -> None:
    outcome = runs[source].result()
    found = [entry for entry in outcome.cases if entry["name"] == case]
    if not found:
        pytest.fail(outcome.said, pytrace=False)
    if found[0]["status"] == "SKIP":
        pytest.skip(found[0]["message"])
    if found[0]["status"] != "PASS":
        where = f"See {OUTPUT / source.stem} and {OUTPUT / source.stem}.html"
        pytest.fail(f"{found[0]['message']}\n{where}", pytrace=False)


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

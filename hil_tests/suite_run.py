"""One suite in a robot of its own, and once more where it was the emulator that failed.

A failure of the emulator is no verdict about the firmware. It is counted, what it left is kept beside the second
attempt's artefacts, and a suite whose second attempt fails by its emulator too has no verdict.
"""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from robot.api import TestSuite as RobotSuite

from hil_tests.keywords.artefacts import VERDICT
from hil_tests.platforms import module_of, patience_of
from meter_tools.mpycross import PROJECT

SUITES = Path(__file__).parent
ATTEMPTS = 2
LIMIT_S = 300
"""Of one attempt; each wait inside has a far shorter limit of its own."""

TO_END_S = 30


@dataclass
class Outcome:
    suite: str
    seconds: float = 0.0
    verdict: dict[str, Any] = field(default_factory=dict)
    said: str = ""
    """Robot's own words."""

    emulator_failures: list[str] = field(default_factory=list)

    @property
    def cases(self) -> list[dict[str, Any]]:
        return list(self.verdict.get("cases", []))

    @property
    def status(self) -> str:
        """passed, failed, skipped, or no verdict: the emulator failed at each attempt."""
        if self.verdict.get("emulator_failure"):
            return "no verdict"
        statuses = {case["status"] for case in self.cases}
        if statuses == {"SKIP"}:
            return "skipped"
        if not self.verdict.get("passed") or "FAIL" in statuses or not statuses:
            return "failed"
        return "passed"


def sources(names: Sequence[str] = ()) -> list[Path]:
    """All suites, or those that are named; the long ones first."""
    found = {path.stem: path for path in sorted(SUITES.glob("*.robot"))}
    unknown = [name for name in names if name not in found]
    if unknown:
        raise ValueError(f"no suite {', '.join(unknown)}; there are {', '.join(found)}")
    chosen = [found[name] for name in names] or list(found.values())
    return sorted(chosen, key=lambda path: not any("long" in case.tags for case in cases_of(path)))


def cases_of(source: Path) -> list[Any]:
    return list(RobotSuite.from_file_system(source).tests)


def runs_on(source: Path, platform: str) -> bool:
    """Whether the platform can run any case of it."""
    lacks = module_of(platform).LACKS
    return any(not case.tags.match(lacks) for case in cases_of(source))


def run_suite(source: Path, platform: str, output: Path, arguments: Sequence[str] = ()) -> Outcome:
    """`arguments` are robot's."""
    outcome = Outcome(source.stem)
    started = time.monotonic()
    for kept in output.glob(f"{source.stem}.attempt-*"):
        shutil.rmtree(kept)
    for attempt in range(1, ATTEMPTS + 1):
        outcome.said = _robot(source, platform, output, arguments)
        outcome.verdict = _verdict(output / source.stem)
        failure = outcome.verdict.get("emulator_failure")
        if failure is None:
            break
        outcome.emulator_failures.append(failure)
        if attempt < ATTEMPTS:
            (output / source.stem).rename(output / f"{source.stem}.attempt-{attempt}")
    outcome.seconds = time.monotonic() - started
    _note(output / source.stem, outcome)
    return outcome


def _robot(source: Path, platform: str, output: Path, arguments: Sequence[str]) -> str:
    name = source.stem
    shutil.rmtree(output / name, ignore_errors=True)
    files = ["--output", f"{name}.xml", "--log", f"{name}.html", "--report", "NONE"]
    excluded = [word for tag in module_of(platform).LACKS for word in ("--exclude", tag)]
    robot = subprocess.Popen(
        [
            *(sys.executable, "-m", "robot", "--pythonpath", PROJECT, "--outputdir", output),
            *(*files, "--variable", f"PLATFORM:{platform}", *excluded, "--runemptysuite", *arguments, source),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        said, _ = robot.communicate(timeout=LIMIT_S * patience_of(platform))
    except subprocess.TimeoutExpired:
        # Robot then runs the teardowns and ends the meter; a killed one would leave it running.
        robot.send_signal(signal.SIGTERM)
        said, _ = robot.communicate(timeout=TO_END_S)
    return said


def _verdict(folder: Path) -> dict[str, Any]:
    """What the suite left; nothing if it did not get so far."""
    try:
        verdict: dict[str, Any] = json.loads((folder / VERDICT).read_text())
    except FileNotFoundError:
        return {}
    return verdict


def _note(folder: Path, outcome: Outcome) -> None:
    if outcome.verdict:
        outcome.verdict |= {
            "status": outcome.status,
            "emulator_failures": outcome.emulator_failures,
            "seconds": round(outcome.seconds, 1),
        }
        (folder / VERDICT).write_text(json.dumps(outcome.verdict, indent=1, ensure_ascii=False) + "\n")

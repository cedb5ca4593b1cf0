"""Runs what `make test`, `make test-firmware` and `make lint` promise, stage after stage, and times each.

The first stage that fails ends the run; a closing table names it and gives the minutes of all. pytest comes
last, so that its own summary is the last that a test runner says.
"""

import os
import subprocess
import sys
import time
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from meter_tools.mpycross import HOST_ONLY, PROJECT

SCRIPTS = Path(sys.executable).parent
MICROPYTHON_STUBS = Path(sys.prefix) / "micropython-stubs"
"""A folder for each port whose modules PyPI's stubs describe."""

BOARD_FILE = "board.toml"
PORTS_WITH_STUBS = ("esp32", "stm32", "unix")

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
PROCESSES = min(CORES + 1, 4)
"""A test waits as long as it computes, so there is one process more than there are cores. No more: the time of the
emulated boards is the computer's."""

AT_ONCE = (f"--numprocesses={PROCESSES}", "--dist=loadfile", "--no-loadscope-reorder")
"""A file keeps to one process, for what its tests share, and files begin in the order of conftest.py: xdist's own
begins those of few tests last, and they are the longest. ARGS='-n 0' is for a debugger."""


@dataclass(frozen=True)
class Stage:
    title: str
    command: Sequence[str | Path]
    environment: Mapping[str, str] = field(default_factory=dict)

    def run(self) -> int:
        environment = os.environ | self.environment
        return subprocess.run(self.command, cwd=PROJECT, env=environment, check=False).returncode


def lint_stages() -> list[Stage]:
    return [
        Stage("format (ruff)", [SCRIPTS / "ruff", "format", "--check", "."]),
        Stage("lint (ruff)", [SCRIPTS / "ruff", "check", "."]),
        Stage("types on CPython (mypy strict)", [SCRIPTS / "mypy"]),
        Stage(
            "import contracts (import-linter)",
            [SCRIPTS / "lint-imports", "--no-logo"],
            {"PYTHONPATH": "firmware"},
        ),
        *board_stages(),
    ]


def board_stages() -> list[Stage]:
    """What is checked of the code that runs on boards before it runs."""
    return [
        *board_type_stages(),
        Stage("board compiler (mpy-cross)", [sys.executable, "-m", "meter_tools.mpycross"]),
    ]


def board_type_stages() -> list[Stage]:
    """One stage per board, over the firmware and the board's own files, whose names are the same on each."""
    return [board_type_stage(main.parent) for main in sorted((PROJECT / "boards").glob("*/main.py"))]


def board_type_stage(board: Path) -> Stage:
    """The stubs hold the file systems of vfs for abstract, so that check is off."""
    stubs = stubs_of(board)
    return Stage(
        f"types on MicroPython, board {board.name} (mypy strict)",
        [
            SCRIPTS / "mypy",
            "--custom-typeshed-dir",
            stubs,
            "--cache-dir",
            PROJECT / ".mypy_cache" / board.name,
            "--disable-error-code=abstract",
            PROJECT / "firmware" / "meter_sampling",
            PROJECT / "firmware" / "meter_firmware",
            PROJECT / "firmware" / "meter_loader",
            *(path for path in sorted(board.glob("*.py")) if path.name not in HOST_ONLY),
        ],
        {"MYPYPATH": f"{PROJECT / 'firmware'}:{board}:{stubs}"},
    )


def stubs_of(board: Path) -> Path:
    """Those of the board's port; a port of our own has the Unix port's, and its own modules beside board.py."""
    port: str = tomllib.loads((board / BOARD_FILE).read_text(encoding="utf-8"))["port"]
    return MICROPYTHON_STUBS / (port if port in PORTS_WITH_STUBS else "unix")


def test_stage(arguments: Sequence[str]) -> Stage:
    return Stage("tests (pytest)", [SCRIPTS / "pytest", *AT_ONCE, "--junitxml=build/junit.xml", *arguments])


def run_all(stages: Sequence[Stage]) -> int:
    """Runs the stages until one fails; returns its exit code, or 0."""
    seconds_by_title: dict[str, float] = {}
    status, failed = 0, ""
    for stage in stages:
        print(f"\n── {stage.title}", flush=True)
        started = time.monotonic()
        status = stage.run()
        seconds_by_title[stage.title] = time.monotonic() - started
        print(f"── {'FAILED' if status else 'done'} in {seconds_by_title[stage.title]:.1f} s", flush=True)
        if status:
            failed = f"; FAILED: {stage.title}"
            break
    print("\nMinutes per stage:")
    for title, seconds in seconds_by_title.items():
        print(f"  {seconds / 60:6.2f}  {title}")
    print(f"  {sum(seconds_by_title.values()) / 60:6.2f}  in all{failed}")
    return status


def main(arguments: Sequence[str]) -> int:
    what, *rest = arguments
    stages = {
        "all": lambda: [*lint_stages(), test_stage(rest)],
        "firmware": lambda: [*board_stages(), test_stage(["firmware", "protocol", *rest])],
        "lint": lint_stages,
    }
    return run_all(stages[what]())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

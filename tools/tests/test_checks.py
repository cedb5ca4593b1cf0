"""A stage that fails must end the run, be named, and give its exit code."""

import sys

import pytest

from meter_tools.checks import Stage, run_all


def exits_with(title: str, code: int) -> Stage:
    return Stage(title, [sys.executable, "-c", f"raise SystemExit({code})"])


def test_first_failure_ends_the_run_and_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_all([exits_with("first", 0), exits_with("second", 3), exits_with("third", 0)]) == 3
    printed = capsys.readouterr().out
    assert "third" not in printed
    assert printed.splitlines()[-1].endswith("in all; FAILED: second")


def test_all_passed_is_exit_0_and_every_stage_is_timed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_all([exits_with("first", 0), exits_with("second", 0)]) == 0
    titles = [
        line.split()[-1] for line in capsys.readouterr().out.partition("Minutes per stage:")[2].splitlines()[1:]
    ]
    assert titles == ["first", "second", "all"]


def test_a_stage_sees_its_own_environment() -> None:
    command = [sys.executable, "-c", "import os; raise SystemExit(os.environ['GREETING'] != 'hello')"]
    assert Stage("greet", command, {"GREETING": "hello"}).run() == 0

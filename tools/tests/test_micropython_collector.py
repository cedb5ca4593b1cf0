"""The collector of conftest.py tells us that a test failed on MicroPython; here its own failing is shown.

Each case is a file of tests laid under build/ and run by a pytest of its own, with the project's conftest.py.
"""

import os
import subprocess
import sys
import tempfile
import textwrap
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from meter_tools.mpycross import PROJECT

Outcomes = dict[str, str]
RunFile = Callable[..., Outcomes]


@pytest.fixture
def run_file(micropython: Path) -> Iterator[RunFile]:
    """Runs a file's text; gives each function's outcome: "passed", or the text of its failure."""
    (PROJECT / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=PROJECT / "build") as folder:

        def run(source: str, *options: str, name: str = "mp_test_case.py", **environment: str) -> Outcomes:
            Path(folder, name).write_text(textwrap.dedent(source))
            command = [
                sys.executable,
                "-m",
                "pytest",
                "-q",
                "--junitxml",
                f"{folder}/case.xml",
                *options,
                folder,
            ]
            inherited = {
                key: value for key, value in os.environ.items() if key not in ("CI", "PYTEST_XDIST_WORKER")
            }
            subprocess.run(
                command, cwd=PROJECT, env=inherited | environment, stdout=subprocess.DEVNULL, check=False
            )
            return {case.attrib["name"]: outcome(case) for case in ET.parse(f"{folder}/case.xml").iter("testcase")}

        yield run


def outcome(case: ET.Element) -> str:
    for kind in ("failure", "error", "skipped"):
        found = case.find(kind)
        if found is not None:
            return f"{kind}: {found.text or found.attrib['message']}"
    return "passed"


def test_each_function_runs_on_micropython_and_is_judged_alone(run_file: RunFile) -> None:
    outcomes = run_file(
        """
        import asyncio
        import sys

        def test_interpreter():
            assert sys.implementation.name == "micropython"

        def test_fails():
            expected = 3
            assert expected == 4, "three is not four"

        async def test_async():
            await asyncio.sleep_ms(1)

        async def test_async_fails():
            await asyncio.sleep_ms(1)
            raise ValueError("late")

        def test_exit():
            raise SystemExit(0)

        def helper():
            raise RuntimeError("never called")

        def test_project_on_path():
            import meter_protocol.cbor
            import meter_firmware
        """
    )
    failed = {name: text for name, text in outcomes.items() if text != "passed"}
    assert set(outcomes) - set(failed) == {"test_interpreter", "test_async", "test_project_on_path"}
    assert set(failed) == {"test_fails", "test_async_fails", "test_exit"}
    assert "AssertionError: three is not four" in failed["test_fails"]
    assert 'assert expected == 4, "three is not four"' in failed["test_fails"]
    assert "ValueError: late" in failed["test_async_fails"]


def test_a_file_that_does_not_load_fails_all_of_its_tests(run_file: RunFile) -> None:
    outcomes = run_file("import no_such_module\ndef test_a(): pass\ndef test_b(): pass\n")
    assert set(outcomes) == {"test_a", "test_b"}
    assert all("no module named 'no_such_module'" in text for text in outcomes.values())


def test_a_dead_interpreter_fails_what_was_left(run_file: RunFile) -> None:
    outcomes = run_file(
        """
        import os

        def test_before(): pass
        def test_dies(): os.system("kill -9 $PPID")
        def test_after(): pass
        """
    )
    assert outcomes["test_before"] == "passed"
    assert "ended with code -9 in test_dies" in outcomes["test_dies"]
    assert "ended with code -9 in test_dies" in outcomes["test_after"]


def test_a_hanging_function_is_stopped_and_fails_what_was_left(run_file: RunFile) -> None:
    outcomes = run_file(
        """
        def test_hangs():
            print("waiting for rain")
            while True: pass
        def test_after(): pass
        """,
        "--timeout=1",
    )
    assert "Timeout" in outcomes["test_hangs"]
    assert "waiting for rain" in outcomes["test_hangs"]
    assert "stopped in test_hangs" in outcomes["test_after"]


def test_working_folder_is_fresh_for_a_file_and_the_same_within_it(run_file: RunFile) -> None:
    source = """
        import os
        def test_empty():
            assert os.listdir() == []
            os.mkdir("seen")
        def test_kept():
            assert os.listdir() == ["seen"]
        """
    assert set(run_file(source).values()) == {"passed"}
    assert set(run_file(source).values()) == {"passed"}


@pytest.mark.parametrize(("environment", "kind"), [({}, "skipped"), ({"CI": "true"}, "error")])
def test_missing_shared_data_fails_in_ci_only(run_file: RunFile, environment: dict[str, str], kind: str) -> None:
    outcomes = run_file(
        "def test_needs(shared): pass\n",
        name="test_case.py",
        CARBONMETER_SHARED="/nonexistent",
        **environment,
    )
    assert outcomes["test_needs"].startswith(kind)


def test_a_skip_for_another_reason_stays_a_skip_in_ci(run_file: RunFile) -> None:
    outcomes = run_file(
        "import pytest\ndef test_a(): pytest.skip('root may write anywhere')\n", name="test_case.py", CI="1"
    )
    assert outcomes["test_a"].startswith("skipped")

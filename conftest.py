"""Fixtures of every folder's tests, and a collector that runs `mp_test_*.py` on the real MicroPython.

Each `test_*` function of such a file, plain or async, is one pytest item. One interpreter serves a file, in a
working folder of its own; tools/micropython_runner.py is what it runs. A failure shows MicroPython's
traceback with the source lines that it does not carry. An interpreter that dies fails what was left to run.

Where CI is set, a test whose input or program is missing fails instead of being skipped.
"""

import ast
import contextlib
import linecache
import os
import re
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from _pytest._code.code import TerminalRepr

from meter_tools.demo.processes import hold_port
from meter_tools.mpycross import interpreter

# A busy computer is slow, and no test is about that.
hypothesis.settings.register_profile(
    "busy computer", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("busy computer")

# A shell has what it runs in the background ignore SIGINT, and programs that tests end by it would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

PROJECT = Path(__file__).parent
RUNNER = PROJECT / "tools" / "micropython_runner.py"
SHARED = Path(os.environ.get("CARBONMETER_SHARED") or PROJECT.parent / "shared")
MISSING_INPUT = re.compile(r"CARBONMETER_SHARED|\.\./shared|is missing")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared data: CARBONMETER_SHARED, or shared/ beside the project."""
    if not SHARED.is_dir():
        pytest.skip("the folder of shared data is missing: set CARBONMETER_SHARED")
    return SHARED


@pytest.fixture(scope="session")
def micropython() -> Path:
    """The real MicroPython's interpreter."""
    found = interpreter()
    if found is None:
        pytest.skip("micropython is missing")
    return found


@pytest.fixture(scope="session")
def mosquitto() -> Path:
    """The mosquitto broker's program; a test starts its own on a port of its own."""
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip("mosquitto is missing")
    return Path(found)


@pytest.fixture
def free_port() -> Iterator[Callable[[], int]]:
    """Gives a loopback TCP port that nothing listens on, another at each call; the test's own until it ends."""
    with contextlib.ExitStack() as held:

        def pick() -> int:
            port: int = held.enter_context(hold_port()).getsockname()[1]
            return port

        yield pick


class MicroPythonFailure(Exception):
    """A test function failed on MicroPython, or its interpreter did; the text is what is shown."""


class Interpreter:
    """One MicroPython process that has loaded one test file and runs its functions as they are asked for."""

    def __init__(self, program: Path, test_file: Path, working_folder: Path) -> None:
        self._mark = uuid.uuid4().hex
        self._gone = ""
        search = [PROJECT / "protocol", PROJECT / "firmware", test_file.parent, ".frozen"]
        self._process = subprocess.Popen(
            [program, RUNNER, self._mark, test_file.stem],
            cwd=working_folder,
            env=os.environ | {"MICROPYPATH": ":".join(map(str, search)), "CARBONMETER_SHARED": str(SHARED)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        try:
            self._outcome("loading the file")
        except MicroPythonFailure as failure:
            self._gone = str(failure)

    def run(self, name: str, kind: str) -> str:
        """What the function printed; raises MicroPythonFailure if it failed or the interpreter is gone."""
        if self._gone:
            raise MicroPythonFailure(self._gone)
        assert self._process.stdin
        with contextlib.suppress(BrokenPipeError):  # an end of the process shows when its answer is read
            print(kind, name, file=self._process.stdin, flush=True)
        return self._outcome(name)

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _outcome(self, what: str) -> str:
        """Reads up to the verdict. Whatever else ends the wait, a timeout too, ends the interpreter."""
        printed: list[str] = []
        verdict = ""
        assert self._process.stdout
        try:
            for line in self._process.stdout:
                text, _, verdict = line.partition(self._mark)
                printed.append(text)
                if verdict:
                    break
        except BaseException as stop:
            self._gone = f"the interpreter was stopped in {what}"
            self._process.kill()
            stop.add_note("".join(printed))
            raise
        if not verdict:
            self._gone = f"the interpreter ended with code {self._process.wait()} in {what}"
            printed.append(self._gone)
        if verdict.strip() != "passed":
            raise MicroPythonFailure("".join(printed))
        return "".join(printed)


class MicroPythonFile(pytest.File):
    """A file of tests that run on MicroPython."""

    interpreter: Interpreter | None = None
    working_folder: tempfile.TemporaryDirectory[str] | None = None

    def collect(self) -> Iterator["MicroPythonTest"]:
        for node in ast.parse(self.path.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                test: MicroPythonTest = MicroPythonTest.from_parent(self, name=node.name)
                test.line_number = node.lineno
                test.kind = "async" if isinstance(node, ast.AsyncFunctionDef) else "plain"
                yield test

    def setup(self) -> None:
        program = interpreter()
        if program is None:
            pytest.skip("micropython is missing")
        self.working_folder = tempfile.TemporaryDirectory(prefix=self.path.stem)
        self.interpreter = Interpreter(program, self.path, Path(self.working_folder.name))

    def teardown(self) -> None:
        if self.interpreter:
            self.interpreter.close()
        if self.working_folder:
            self.working_folder.cleanup()


class MicroPythonTest(pytest.Item):
    """One function of such a file."""

    parent: MicroPythonFile
    line_number: int
    kind: str

    def runtest(self) -> None:
        assert self.parent.interpreter
        printed = self.parent.interpreter.run(self.name, self.kind)
        self.add_report_section("call", "stdout", printed)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> str | TerminalRepr:
        if isinstance(excinfo.value, MicroPythonFailure):
            return readable(str(excinfo.value))
        if isinstance(excinfo.value, pytest.fail.Exception):
            return "\n".join([str(excinfo.value), *excinfo.value.__notes__])
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, self.line_number - 1, self.name


def readable(output: str) -> str:
    """The failure's last line first, for pytest's summary; then all, with the text of each source line named.

    The runner's own frames say nothing about the test and are left out.
    """

    def quote(place: re.Match[str]) -> str:
        if place[1] == str(RUNNER):
            return ""
        return f"{place[0]}    {linecache.getline(place[1], int(place[2])).strip()}\n"

    last_line = output.rstrip().rpartition("\n")[2]
    quoted = re.sub(r'^ +File "(.+)", line (\d+), in .+\n', quote, output, flags=re.MULTILINE)
    return f"{last_line}\n\n{quoted}"


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    if file_path.name.startswith("mp_test_") and file_path.suffix == ".py":
        collector: MicroPythonFile = MicroPythonFile.from_parent(parent, path=file_path)
        return collector
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first; all others as they were collected."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


class NotForCPython(pytest.Module):
    """pytest imports a file named on its command line itself, whatever its name: here that finds nothing."""

    def collect(self) -> list[pytest.Item | pytest.Collector]:
        return []


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    if module_path.name.startswith("mp_test_"):
        module: NotForCPython = NotForCPython.from_parent(parent, path=module_path)
        return module
    return None


def fail_if_input_is_missing(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.skipped and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if MISSING_INPUT.search(reason):
            report.outcome = "failed"
            report.longrepr = f"with CI set this may not be skipped: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    fail_if_input_is_missing(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    fail_if_input_is_missing(report)
    return report

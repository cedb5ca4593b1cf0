"""Renode's monitor: its commands, one at a time, through the server that Renode has for Robot Framework (XML-RPC).

`renode-test` has started such a Renode and names its port in robot's variable PORT_NUMBER; otherwise one is
started here. Renode deletes every `renode-*` of its temporary folder that bears no live process's number: it gets
a folder of its own.
"""

import atexit
import contextlib
import http.client
import os
import re
import shutil
import signal
import tempfile
import threading
import time
import xmlrpc.client
from functools import cache
from pathlib import Path
from typing import Any

from robot.libraries.BuiltIn import BuiltIn, RobotNotRunningError

from hil_tests.platforms import HOST, PlatformError
from hil_tests.platforms.debugger import Debugger
from meter_tools.demo.processes import Process, ProcessFailed

RENODE = "renode"
INSTALL = "renode is missing: install Renode 1.15 or newer (https://renode.io) and put `renode` on PATH"
LISTENS = "remote server is listening on port "
START_S = 60
ANSWER_S = 60
STANDSTILL_S = 30
TIME_LOOK_S = 5
ELAPSED = re.compile(r"Elapsed Virtual Time: (\d+):(\d+):([\d.]+)")
LOOK_S = 0.1

WIDTHS = {1: "Byte", 2: "Word", 4: "DoubleWord", 8: "QuadWord"}


class _Transport(xmlrpc.client.Transport):
    """A Renode that hangs is one that failed."""

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        connection = super().make_connection(host)
        connection.timeout = ANSWER_S
        return connection


class Monitor:
    def __init__(self, port: int, process: Process | None = None) -> None:
        self._process = process
        self._asking = threading.Lock()
        """What answers for the gateway asks what time it is, whatever the suite is doing."""

        self._server = xmlrpc.client.ServerProxy(f"http://{HOST}:{port}", transport=_Transport())
        deadline = time.monotonic() + START_S
        while not self._answers():
            self.check()
            if time.monotonic() > deadline:
                raise PlatformError(f"renode does not answer on port {port}")
            time.sleep(LOOK_S)

    def _answers(self) -> bool:
        try:
            self._server.get_keyword_names()
        except OSError:
            return False
        return True

    @property
    def pid(self) -> int | None:
        """None where renode-test has started it."""
        return None if self._process is None else self._process.pid

    def check(self) -> None:
        code = None if self._process is None else self._process.exit_code()
        if self._process is not None and code is not None:
            raise PlatformError(f"renode ended with code {code}: {self._process.last_line()}")

    def time_ms(self) -> int:
        return self.time_us() // 1000

    def time_us(self) -> int:
        """Virtual time of the machine, since it was made."""
        found = ELAPSED.search(self.do("machine ElapsedVirtualTime"))
        if found is None:
            raise PlatformError("renode does not say what time it is")
        hours, minutes, seconds = found.groups()
        return round(1_000_000 * (3600 * int(hours) + 60 * int(minutes) + float(seconds)))

    def do(self, command: str) -> str:
        """What it printed; PlatformError if it refused."""
        try:
            with self._asking:
                answer = self._server.run_keyword("ExecuteCommand", [command])
        except (OSError, xmlrpc.client.Error) as error:
            raise PlatformError(f"renode did not answer {command!r}: {error}") from None
        if not isinstance(answer, dict) or answer["status"] != "PASS":
            raise PlatformError(f"renode refused {command!r}: {answer!r}")
        return str(answer.get("return", "")).strip()


class MonitorDebugger(Debugger):
    """The same for the machine that runs in this Renode, without GDB's protocol."""

    def __init__(self, monitor: Monitor) -> None:
        self._do = monitor.do
        self.halted_at_us = 0
        self.connecting_us = 0

    def close(self) -> None:
        pass

    def halt(self) -> None:
        self._do("pause")
        self.halted_at_us = time.monotonic_ns() // 1000

    def go_on(self) -> None:
        self._do("start")

    def program_counter(self) -> int:
        return int(self._do("sysbus.cpu PC"), 16)

    def read(self, address: int, size: int) -> int:
        return int(self._do(f"sysbus Read{WIDTHS[size]} {address:#x}"), 16)

    def write(self, address: int, value: int, size: int) -> None:
        self._do(f"sysbus Write{WIDTHS[size]} {address:#x} {value:#x}")

    def write_and_go_on(self, address: int, value: int, size: int) -> None:
        self.write(address, value, size)
        self.go_on()


class Progress:
    """Of the machine that runs: virtual time that stands still is the emulator's failure."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._newest_ms = -1
        self._looked_at = self._moved_at = time.monotonic()

    def check(self) -> None:
        now = time.monotonic()
        if now - self._looked_at < TIME_LOOK_S:
            return
        self._looked_at = now
        newest_ms = self._monitor.time_ms()
        if newest_ms != self._newest_ms:
            self._newest_ms, self._moved_at = newest_ms, now
        elif now - self._moved_at > STANDSTILL_S:
            raise PlatformError(f"renode's virtual time stands still at {newest_ms} ms")


def monitor() -> Monitor:
    """Of the one Renode of this run; a new one where the last has died."""
    try:
        found = _monitor()
        found.check()
    except PlatformError:
        _monitor.cache_clear()
        found = _monitor()
    return found


def must_be_installed() -> None:
    if _port_of_renode_test() is None and shutil.which(RENODE) is None:
        raise PlatformError(INSTALL)


@cache
def _monitor() -> Monitor:
    port = _port_of_renode_test()
    if port is not None:
        return Monitor(port)
    must_be_installed()
    folder = Path(tempfile.mkdtemp(prefix="carbonmeter-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    number = folder / "pid"
    command = [RENODE, "--disable-xwt", "--plain", "--robot-server-port", "0", "--pid-file", str(number)]
    process = Process(RENODE, command, folder / "renode.log", environment={"TMPDIR": str(folder)}, folder=folder)
    atexit.register(_end, process, number)
    try:
        # A port that we had found free might be another Renode's by now.
        said = process.wait_for(LISTENS, START_S)
    except ProcessFailed as error:
        raise PlatformError(str(error)) from None
    return Monitor(int(said.split(LISTENS)[1]), process)


def _end(process: Process, number: Path) -> None:
    """`renode` is a script, and what it started would outlive it."""
    if number.exists():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(number.read_text()), signal.SIGKILL)
    process.stop()


def _port_of_renode_test() -> int | None:
    try:
        port = BuiltIn().get_variable_value("${PORT_NUMBER}")
    except RobotNotRunningError:
        return None
    return None if port is None else int(port)

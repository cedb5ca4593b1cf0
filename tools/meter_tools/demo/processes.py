"""Real processes for a while: each has its log file, and each is ended by its own process id."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

STOP_S = 10


class ProcessFailed(Exception):
    """A process ended by itself; the message names its log and its last words."""


class Process:
    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        log: Path,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    def exit_code(self) -> int | None:
        return self._popen.poll()

    def check(self) -> None:
        """ProcessFailed if it is no longer running."""
        code = self.exit_code()
        if code is not None:
            raise ProcessFailed(f"{self.name} ended with code {code}: {self.last_line()} (see {self.log})")

    def wait(self, timeout_s: float) -> int:
        return self._popen.wait(timeout_s)

    def signal(self, number: signal.Signals) -> None:
        self._popen.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, as a power cut would be: nothing in the process runs after it."""
        self._popen.kill()
        self._popen.wait()

    def stop(self) -> None:
        if self.exit_code() is None:
            self._popen.send_signal(signal.SIGTERM)
            try:
                self._popen.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.kill()

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def last_line(self) -> str:
        lines = self.text().strip().splitlines()
        return lines[-1] if lines else "no output"

    def wait_for(self, words: str, timeout_s: float) -> str:
        """The first whole line of the log that contains `words`."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            for line in self.text().splitlines(keepends=True):
                if words in line and line.endswith("\n"):
                    return line.rstrip("\n")
            self.check()
            time.sleep(0.02)
        raise ProcessFailed(f"{self.name} did not say {words!r} in {timeout_s:.0f} s (see {self.log})")


@contextlib.contextmanager
def all_stopped() -> Iterator[list[Process]]:
    """Whatever is put into the list is stopped at the end, the last one first."""
    started: list[Process] = []
    try:
        yield started
    finally:
        for process in reversed(started):
            process.stop()


def hold_port() -> socket.socket:
    """A loopback port that nobody else is given as long as this socket is open.

    It is bound and does not listen: a server that sets SO_REUSEADDR, as all here do, may listen beside it, end and
    listen again. Of a port that was only free a moment ago, any connection on this computer may be the other end.
    """
    keeper = socket.socket()
    keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    keeper.bind(("127.0.0.1", 0))
    return keeper


_held: list[socket.socket] = []


def free_port() -> int:
    """A loopback port that is held until this process ends."""
    _held.append(hold_port())
    port: int = _held[-1].getsockname()[1]
    return port


def wait_for_port(process: Process, port: int, timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        process.check()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        time.sleep(0.02)
    raise ProcessFailed(f"{process.name} does not listen on port {port} (see {process.log})")


def start_broker(folder: Path, port: int) -> Process:
    """mosquitto where it is installed, else the embedded amqtt: `name` says which."""
    mosquitto = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin")
    if mosquitto:
        config = folder / "mosquitto.conf"
        config.write_text(
            f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nset_tcp_nodelay true\n"
        )
        broker = Process("mosquitto", [mosquitto, "-c", config], folder / "broker.log")
    else:
        config = folder / "amqtt.yaml"
        config.write_text(
            f"listeners:\n  default:\n    type: tcp\n    bind: 127.0.0.1:{port}\n"
            "plugins:\n  amqtt.plugins.authentication.AnonymousAuthPlugin:\n    allow_anonymous: true\n"
        )
        broker = Process("amqtt", [Path(sys.executable).parent / "amqtt", "-c", config], folder / "broker.log")
    wait_for_port(broker, port)
    return broker

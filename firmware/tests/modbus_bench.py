"""A simulator of Modbus instruments and the drivers on MicroPython, each a process, joined by a real line."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[2]

NONSENSE = {"short_reply", "bad_crc", "bad_header", "wrong_function", "trailing_bytes", "wrong_unit"}
"""The reasons that drivers give for an instrument that talks nonsense."""

LATE = {"no_response", "wrong_transaction"}
"""What is said as well where the nonsense comes late, or late again."""


PATIENCE_S = 60
"""On a busy computer; nothing takes so long by itself."""


def patiently(
    ask: Callable[[], dict[str, Any]], is_it: Callable[[dict[str, Any]], object], late: Collection[str] = LATE
) -> dict[str, Any]:
    """The first outcome that is so. On a busy machine an answer may be late before; nothing else may be.

    `late` is what is said of a question whose answer is late, or that hears the one before it late.
    """
    deadline = time.monotonic() + PATIENCE_S
    while not is_it(outcome := ask()):
        assert outcome.get("error") in late, outcome
        assert time.monotonic() < deadline, outcome
    return outcome


class Bench:
    """A simulator process and a MicroPython process, connected."""

    def __init__(self, folder: Path, micropython: Path) -> None:
        self._folder = folder
        self._micropython = micropython
        self._simulator: subprocess.Popen[str] | None = None
        self._reader: subprocess.Popen[str] | None = None
        self.port: int | None = None
        self.clock_file = folder / "clock"
        self.fault_file = folder / "faults.json"

    def start_simulator(self, line: str, instruments: list[dict[str, Any]], clock: bool = False) -> None:
        bus = {
            "name": "bus",
            "framing": "tcp" if line == "tcp" else "rtu",
            "pty": line == "pty",
            "port": self.port or 0,
            "instruments": instruments,
        }
        configuration = {"bus": [bus], "fault_file": "faults.json"} | ({"clock_file": "clock"} if clock else {})
        path = self._folder / "simulator.json"
        path.write_text(json.dumps(configuration))
        self._simulator = subprocess.Popen(
            [sys.executable, "-m", "meter_tools.simulator", path], stdout=subprocess.PIPE, text=True
        )
        assert self._simulator.stdout
        where = json.loads(self._simulator.stdout.readline())["buses"]["bus"]
        self.port = where["port"]
        self._bus = {"port": where["pty"]} if line == "pty" else {"tcp_port": self.port, "framing": line}

    def start_reader(self, instruments: dict[str, dict[str, Any]], timeout_ms: int = 5000) -> None:
        spec = {
            "buses": {"bus": self._bus},
            "timeout_ms": timeout_ms,
            "instruments": {name: {"bus": "bus"} | entry for name, entry in instruments.items()},
        }
        path = self._folder / "reader.json"
        path.write_text(json.dumps(spec))
        search = f"{PROJECT / 'protocol'}:{PROJECT / 'firmware'}:.frozen"
        self._reader = subprocess.Popen(
            [self._micropython, Path(__file__).with_name("read_instruments.py"), path],
            env=os.environ | {"MICROPYPATH": search},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, command: str, name: str) -> Any:
        assert self._reader
        assert self._reader.stdin
        assert self._reader.stdout
        print(command, name, file=self._reader.stdin, flush=True)
        return json.loads(self._reader.stdout.readline())

    def read(self, name: str) -> Any:
        return self.ask("read", name)

    def values(self, name: str) -> dict[str, Any]:
        """What it shows; asked again if the time for an answer was over."""
        shown: dict[str, Any] = patiently(lambda: self.read(name), lambda outcome: "values" in outcome)["values"]
        return shown

    def read_again(self, name: str) -> Any:
        """The first answer that is none of a fault just past, nor of a machine that is busy with other tests."""
        deadline = time.monotonic() + PATIENCE_S
        while "error" in (outcome := self.read(name)) and time.monotonic() < deadline:
            time.sleep(0.02)
        return outcome

    def stop_simulator(self) -> None:
        if self._simulator:
            self._simulator.send_signal(signal.SIGTERM)
            self._simulator.communicate(timeout=60)
            assert self._simulator.returncode == 0
            self._simulator = None

    def close(self) -> None:
        for process in (self._reader, self._simulator):
            if process:
                process.kill()
                process.communicate()

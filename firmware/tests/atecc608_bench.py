"""On CPython: a simulated ATECC608 behind a socket, and the MicroPython process that signs with it.

The bus's time is virtual: it goes on with each byte on the wire (90 us at 100 kHz) and as far as the driver
waits, so a chip that hangs costs no test a second. `bench.bus` holds the trace of all that went over the bus.
"""

import json
import os
import socketserver
import subprocess
import threading
from pathlib import Path
from typing import Any

from meter_tools.simulator import atecc608_zone
from meter_tools.simulator.atecc608 import Chip

FIRMWARE = Path(__file__).parents[1]
BYTE_US = 90


class Bus(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        bench: AteccBench = self.server.bench  # type: ignore[attr-defined]
        for line in self.rfile:
            self.wfile.write(bench.transact(line.decode().split()).encode() + b"\n")


class AteccBench:
    def __init__(self, micropython: Path) -> None:
        self._micropython = micropython
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Bus)
        self._server.daemon_threads = True
        self._server.bench = self  # type: ignore[attr-defined]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.now_us = 0
        self.trace: list[tuple[str, int, bytes | None]] = []
        self.chip = Chip(bytes(atecc608_zone.for_meter()))

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def transact(self, words: list[str]) -> str:
        match words:
            case ["S", us]:
                self.now_us += int(us)
                return "A"
            case ["W", address, *frame]:
                sent = bytes.fromhex("".join(frame))
                self.now_us += BYTE_US * (1 + len(sent))
                self.trace.append(("write", int(address), sent))
                return "A" if self.chip.write(int(address), sent, self.now_us) else "N"
            case ["R", address, count]:
                received = self.chip.read(int(address), int(count), self.now_us)
                self.now_us += BYTE_US * (1 + (int(count) if received else 0))
                self.trace.append(("read", int(address), received))
                return "N" if received is None else received.hex()
        raise AssertionError(words)

    def written(self) -> list[tuple[int, bytes]]:
        """What the driver put on the bus."""
        return [(address, frame or b"") for direction, address, frame in self.trace if direction == "write"]

    def run(self, *words: str) -> list[Any]:
        """The lines that use_atecc608.py says."""
        done = subprocess.run(
            [
                self._micropython,
                FIRMWARE / "tests" / "use_atecc608.py",
                str(self._server.server_address[1]),
                *words,
            ],
            env=os.environ
            | {"MICROPYPATH": f"{FIRMWARE}:{FIRMWARE.parent / 'protocol'}:{FIRMWARE / 'tests'}:.frozen"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def error(self, *words: str) -> tuple[str, int | None]:
        """What the signer failed with; it must fail."""
        last = self.run(*words)[-1]
        return last["error"], last["code"]

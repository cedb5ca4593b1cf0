"""The `unix` board: the firmware on this host's MicroPython. A power cut is SIGKILL.

SIGKILL loses what the firmware had not yet written; it tears no write of the host's. Cuts inside a flash
operation are the business of firmware/tests/test_power_cuts.py.
"""

import json
from pathlib import Path

from hil_tests.platforms import HOST, PlatformError, Wiring
from meter_tools.demo.processes import Process
from meter_tools.mpycross import PROJECT, interpreter

JOURNAL_BYTES = 1 << 18
RESTART_CODE = 3
"""What the process ends with when a board would start itself anew (boards/unix/README.md)."""

FIRMWARE = ":".join([".frozen", *(str(PROJECT / part) for part in ("protocol", "firmware", "boards/unix"))])


class Board:
    key_protection = "software"

    def __init__(self, folder: Path, wiring: Wiring) -> None:
        micropython = interpreter()
        if micropython is None:
            raise PlatformError("micropython is missing: make setup installs it, or put one on PATH")
        self._log = folder / "console.log"
        self._log.touch()
        self._process: Process | None = None
        self._log_start = 0
        configuration = folder / "meter.json"
        configuration.write_text(
            json.dumps(
                {
                    "serial": wiring.serial,
                    "flash": str(folder / "flash.bin"),
                    "journal_bytes": JOURNAL_BYTES,
                    "authority_keys": [key.hex() for key in wiring.authority_keys],
                    "buses": {"modbus0": {"host": HOST, "tcp_port": wiring.bus_port, "framing": "rtu"}},
                    "link": {"type": "serial", "host": HOST, "tcp_port": wiring.link_port},
                },
                indent=1,
            )
        )
        self._command = [micropython, PROJECT / "boards" / "unix" / "main.py", configuration]

    def power_on(self) -> None:
        self._log_start = self._log.stat().st_size
        self._start()

    def _start(self) -> None:
        self._process = Process("meter", self._command, self._log, {"MICROPYPATH": FIRMWARE})

    def cut_power(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process = None

    def console(self) -> str:
        return self._log.read_bytes()[self._log_start :].decode(errors="replace")

    def check(self) -> None:
        code = None if self._process is None else self._process.exit_code()
        if code == RESTART_CODE:
            self._start()
        elif code is not None:
            raise AssertionError(f"the firmware ended by itself:\n{self.console()}")

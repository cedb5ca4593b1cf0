"""The `unix` board: the firmware on this host's MicroPython. A power cut is SIGKILL.

SIGKILL loses what the firmware had not yet written; it tears no write of the host's. Cuts inside a flash
operation are the business of firmware/tests/test_power_cuts.py, and of the platforms that can tear one.
"""

import json
import shutil
from pathlib import Path
from typing import Any

from hil_tests.platforms import HOST, PlatformError, Wiring
from meter_tools.demo.processes import Process
from meter_tools.mpycross import PROJECT, interpreter

LACKS = ("renode", "torn", "watchdog")

JOURNAL_BYTES = 1 << 18
SMALLEST_SHARE = 2
"""A journal has no less than eight segments of 16 KiB."""

RESTART_CODE = 3
"""What the process ends with when a board would start itself anew (boards/unix/README.md)."""

SOURCES = tuple(PROJECT / part for part in ("protocol", "firmware", "boards/unix"))
CURVE = Path("meter_firmware", "p256.py")
CURVE_B, DAMAGED_B = "_B = 0x5AC6", "_B = 0x5AC7"
"""How the line begins that has the curve's b."""


def prepare() -> None:
    """PlatformError, one line with the remedy, where there is no interpreter."""
    if interpreter() is None:
        raise PlatformError("micropython is missing: make setup installs it, or put one on PATH")


class Board:
    model = "unix"
    key_protection = "software"

    def __init__(self, folder: Path, wiring: Wiring) -> None:
        prepare()
        self._log = folder / "console.log"
        self._log.touch()
        self._process: Process | None = None
        self._log_start = 0
        self._damaged_software = folder / "damaged"
        self._sources: tuple[Path, ...] = SOURCES
        self.flash = folder / "flash.bin"
        self._ahead_file = folder / "ahead"
        self._ahead_file.touch()
        configuration = folder / "meter.json"
        configuration.write_text(json.dumps(self._configuration(wiring), indent=1))
        self._command = [interpreter() or "", PROJECT / "boards" / "unix" / "main.py", configuration]

    def _configuration(self, wiring: Wiring) -> dict[str, Any]:
        return {
            "serial": wiring.serial,
            "flash": str(self.flash),
            "journal_bytes": JOURNAL_BYTES // min(wiring.flash_share, SMALLEST_SHARE),
            "authority_keys": [key.hex() for key in wiring.authority_keys],
            "update_keys": [key.hex() for key in wiring.update_keys],
            "buses": {name: _bus(name, port) for name, port in wiring.bus_ports.items()},
            "link": {"type": "serial", "host": HOST, "tcp_port": wiring.link_port},
            "ahead_file": str(self._ahead_file),
        }

    def power_on(self) -> None:
        self._log_start = self._log.stat().st_size
        self._start()

    def _start(self) -> None:
        self._ahead_ms = 0
        self.advance(0)
        path = ":".join([".frozen", *map(str, self._sources)])
        self._process = Process("meter", self._command, self._log, {"MICROPYPATH": path})

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

    @property
    def has_failed(self) -> bool:
        code = None if self._process is None else self._process.exit_code()
        return code not in (None, RESTART_CODE)

    def advance(self, milliseconds: int) -> None:
        self._ahead_ms += milliseconds
        # In one write and without truncation: the meter may read at any moment.
        with self._ahead_file.open("r+b") as file:
            file.write(self._ahead_ms.to_bytes(8, "big"))

    def lost_ms(self) -> int:
        return 0

    def tear_flash_operation(self, number: int, size: int) -> None:
        raise PlatformError("the unix board tears no write")

    @property
    def is_cut(self) -> bool:
        return False

    def hang(self) -> None:
        raise PlatformError("the unix board has no watchdog")

    def damage_software(self) -> None:
        shutil.copytree(PROJECT / "firmware" / "meter_firmware", self._damaged_software / "meter_firmware")
        curve = self._damaged_software / CURVE
        curve.write_text(curve.read_text().replace(CURVE_B, DAMAGED_B))
        self._sources = (self._damaged_software, *SOURCES)

    def repair_software(self) -> None:
        self._sources = SOURCES


def _bus(name: str, port: int) -> dict[str, Any]:
    line = {"host": HOST, "tcp_port": port}
    return line | ({"framing": "rtu"} if name.startswith("modbus") else {"kind": "serial"})

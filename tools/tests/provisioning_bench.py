"""A maker's bench: a CA, an authority, settings, and boards whose provisioning line ends in a pseudo terminal.

The board is the shipping firmware, on this host's MicroPython or in QEMU. The line is two pseudo terminals with a
cable between them: `Cable.cut()` pulls it, at once or after so many bytes.
"""

import json
import os
import re
import select
import subprocess
import threading
import time
import tty
from collections.abc import Iterable
from pathlib import Path

from click.testing import Result
from typer.testing import CliRunner

from meter_tools.cli import app
from meter_tools.demo.processes import Process
from meter_tools.mpycross import PROJECT

RESTART_CODE = 3
START_S = 60
PASSPHRASES = {"CARBONMETER_CA_PASSPHRASE": "of the CA", "CARBONMETER_LANG": "en"}
MICROPYPATH = ":".join([".frozen", *(str(PROJECT / part) for part in ("protocol", "firmware", "boards/unix"))])

DEFAULT_SET = """
version = 1
interval_s = 60
sample_period_ms = 1000
receipt_keys = ["receipt.pub.pem"]
clock_keys = ["clock.pub.pem"]

[[instrument]]
name = "main"
driver = "energy64"
bus = "modbus0"
address = 1

[[channel]]
id = 1
instrument = "main"
indication = "active_energy_import"
quantity = "active_energy_import"
kind = "register"
exponent = 0
modulus = 1000000000000
"""


class Cable:
    """Bytes from one end to the other; `board` and `tool` are the devices to open."""

    def __init__(self) -> None:
        self._ends = [os.openpty(), os.openpty()]
        for _, slave in self._ends:
            tty.setraw(slave)
        self.board, self.tool = (os.ttyname(slave) for _, slave in self._ends)
        self._is_plugged = threading.Event()
        self._is_plugged.set()
        self._is_over = False
        self.bytes_to_cut: int | None = None
        """Of what the tool sends: the cable is pulled after so many."""

        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()

    def plug(self) -> None:
        self.bytes_to_cut = None
        self._is_plugged.set()

    def close(self) -> None:
        self._is_over = True
        self._thread.join()
        for master, slave in self._ends:
            os.close(master)
            os.close(slave)

    def _carry(self) -> None:
        board, tool = (master for master, _ in self._ends)
        while not self._is_over:
            ready, _, _ = select.select([board, tool], [], [], 0.05)
            for end in ready:
                octets = os.read(end, 4096)
                if end == tool and self.bytes_to_cut is not None:
                    octets, self.bytes_to_cut = octets[: self.bytes_to_cut], self.bytes_to_cut - len(octets)
                    if self.bytes_to_cut <= 0:
                        self._is_plugged.clear()
                if self._is_plugged.is_set() or (end == tool and octets):
                    os.write(tool if end == board else board, octets)


FILL = """
import board_base
from meter_firmware.memory import Memory
from meter_firmware import signer_boot
from board import board
root = board_base.mount()
memory = Memory(root + "/memory")
made = board()
signer_boot.open_sealer(made, memory)
number = 0
for size in (65536, 4096, 700, 60):
    try:
        while True:
            number += 1
            with open(root + "/rest%d" % number, "wb") as file:
                file.write(b"r" * size)
    except OSError:
        pass
"""
"""Run in the board's place: its key is made, and then the flash is filled to the last block."""


class UnixBoard:
    """Starts itself anew when it wants to, as a board does."""

    def __init__(
        self,
        folder: Path,
        micropython: Path,
        cable: Cable,
        fill_flash: bool = False,
        own_link: bool = True,
    ) -> None:
        """`fill_flash`: something else has taken all the room. Without a link of its own it takes the record's."""
        self.folder = folder
        folder.mkdir()
        link = {"link": {"type": "serial", "host": "127.0.0.1", "tcp_port": 9}} if own_link else {}
        configuration = folder / "meter.json"
        configuration.write_text(
            json.dumps(
                {
                    "flash": str(folder / "flash.bin"),
                    "journal_bytes": 1 << 18,
                    "image_bytes": 1 << 14,
                    "buses": {"modbus0": {"host": "127.0.0.1", "tcp_port": 9, "framing": "tcp"}},
                    **link,
                    "provisioning": {"port": cable.board},
                }
            )
        )
        self._command = [micropython, PROJECT / "boards/unix/main.py", configuration]
        self._log = folder / "console.log"
        self._log.touch()
        if fill_flash:
            (folder / "fill.py").write_text(FILL)
            command = [micropython, folder / "fill.py", configuration]
            subprocess.run(command, env={**os.environ, "MICROPYPATH": MICROPYPATH}, check=True, timeout=60)
        self._said_before = 0
        self._is_on = False
        self.process: Process | None = None
        self._thread = threading.Thread(target=self._supervise, daemon=True)

    def power_on(self) -> None:
        self._said_before = len(self.console())
        self._is_on = True
        self._start()
        if not self._thread.is_alive():
            self._thread = threading.Thread(target=self._supervise, daemon=True)
            self._thread.start()

    def wait_until_it_listens(self) -> None:
        """What is asked of it before is lost, and is asked again when the command's patience is over."""
        deadline = time.monotonic() + START_S
        while "thumbprint" not in self.console()[self._said_before :]:
            assert time.monotonic() < deadline, self.console()
            time.sleep(0.02)

    def cut_power(self) -> None:
        self._is_on = False
        if self._thread.is_alive():
            self._thread.join()
        if self.process is not None:
            self.process.kill()

    def console(self) -> str:
        return self._log.read_text(errors="replace")

    def _start(self) -> None:
        self.process = Process("board", self._command, self._log, {"MICROPYPATH": MICROPYPATH})

    def _supervise(self) -> None:
        while self._is_on:
            if self.process is not None and self.process.exit_code() == RESTART_CODE:
                self._start()
            time.sleep(0.05)


class Bench:
    """The maker's files in one folder, and his command."""

    def __init__(self, folder: Path, models: Iterable[str] = ("unix",), protection: str = "software") -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.must("ca", "init", folder / "ca", "--maker", "carbonmeter")
        self.must("authority", "init", folder / "authority.pem")
        for role in ("receipt", "clock"):
            self.must("authority", "init", folder / f"{role}.pem")
        (folder / "default.toml").write_text(DEFAULT_SET)
        boards = "".join(f'[boards.{model}]\nkey_protection = "{protection}"\n' for model in models)
        (folder / "provision.toml").write_text(
            'ca = "ca"\nauthority_key = "authority.pem"\ndatabase = "factory.sqlite"\n'
            'parameters = "default.toml"\n[label]\nfolder = "labels"\n' + boards
        )

    def command(self, *arguments: str | Path, **environment: str) -> Result:
        words = [str(argument) for argument in arguments]
        if words[0] == "provision" and "--settings" not in words:
            words += ["--settings", str(self.folder / "provision.toml")]
        return CliRunner().invoke(app, words, env={**PASSPHRASES, **environment})

    def must(self, *arguments: str | Path, **environment: str) -> str:
        ended = self.command(*arguments, **environment)
        assert ended.exit_code == 0, ended.output
        return ended.stdout

    def refused(self, *arguments: str | Path, **environment: str) -> str:
        """The one line of an error that the user has to correct."""
        ended = self.command(*arguments, **environment)
        assert (ended.exit_code, len(ended.stderr.strip().splitlines())) == (2, 1), ended.output
        return ended.stderr.strip()

    def provision(self, port: str, *options: str | Path) -> str:
        return self.must("provision", "--port", port, *options)


def thumbprint_of(said: str) -> str:
    found = re.search(r"thumbprint ([0-9a-f]{64})", said)
    assert found, said
    return found[1]

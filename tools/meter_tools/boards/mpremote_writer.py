"""Boards that keep their official MicroPython image: the firmware's files go onto their file system, by mpremote.

The journal and the key lie on the same board and are no files of the firmware, so they are not touched. main.py
goes first and comes back last: a watchdog that the running firmware has started cannot be stopped, so the board
is reset without main.py before the copying, and a half-copied firmware is never started.
"""

import hashlib
import json
import re
import time
from collections.abc import Sequence
from pathlib import Path

from meter_tools import board_build
from meter_tools.boards import ports, program
from meter_tools.boards.board_files import MAIN
from meter_tools.boards.description import Board
from meter_tools.boards.program import Outcome
from meter_tools.boards.writer import FlashError, Progress, Writer

ASK = "import sys; print('machine', sys.implementation._machine)"
_MACHINE = re.compile(r"^machine (.*?)\r?$", re.MULTILINE)
_COPIED = re.compile(r"^cp ", re.MULTILINE)

REMOVE_MAIN = f"""
import os
try:
    os.remove({MAIN!r})
except OSError:
    pass
"""
TIDY = """
import os
def walk(folder):
    for name, kind in [row[:2] for row in os.ilistdir(folder)]:
        path = folder + '/' + name
        if kind & 0x4000:
            walk(path)
        elif path not in wanted:
            os.remove(path)
for folder in folders:
    try:
        os.mkdir(folder)
    except OSError:
        pass
for folder in packages:
    walk(folder)
for name in others:
    try:
        os.remove(name)
    except OSError:
        pass
"""
"""A module that is no longer part of the firmware, or a .py beside its .mpy, would be imported all the same."""

HASH = """
import hashlib
for name in names:
    digest = hashlib.sha256()
    with open(name, 'rb') as file:
        while True:
            chunk = file.read(512)
            if not chunk:
                break
            digest.update(chunk)
    print('sha256', ''.join('%02x' % byte for byte in digest.digest()), name)
"""
_HASHED = re.compile(r"^sha256 ([0-9a-f]{64}) (\S+)\r?$", re.MULTILINE)

ANSWER_S = 10
"""mpremote itself waits for ever for a board that does not answer."""

RESTART_S = 3
"""A board is back on USB by then; a port that is a chip's of its own never went away."""


class MpremoteWriter(Writer):
    no_candidate = "board.no_repl"
    reads_back = True

    def __init__(self, board: Board, output: Path) -> None:
        super().__init__(board, output)
        (self._files,) = self.needs(board_build.FILES)
        self._program = program.find("mpremote", "board.no_flash_program")

    def candidates(self) -> list[ports.Candidate]:
        return ports.serial_candidates(self.board.description.port)

    def commands(self, port: str) -> list[list[str]]:
        return [self._mpremote(port, "exec", ASK), *self._steps(port)]

    def _mpremote(self, port: str, *words: str) -> list[str]:
        return [self._program, "connect", port, *words]

    def _steps(self, port: str) -> list[list[str]]:
        return [
            self._mpremote(port, "exec", REMOVE_MAIN, "reset"),
            self._mpremote(port, "exec", self._tidy(), *self._copies()),
            self._mpremote(port, "exec", f"names = {json.dumps(self._names())}\n{HASH}"),
            self._mpremote(port, "cp", MAIN, f":{MAIN}", "+", "reset"),
        ]

    def _names(self) -> list[str]:
        """Of all files but main.py, as they are on the board."""
        found = (path.relative_to(self._files).as_posix() for path in self._files.rglob("*") if path.is_file())
        return sorted(name for name in found if name != MAIN)

    def _tidy(self) -> str:
        names = self._names()
        folders = sorted({parent.as_posix() for name in names for parent in Path(name).parents} - {"."})
        told = {
            "wanted": [name for name in names if "/" in name],
            "folders": folders,
            "packages": [folder for folder in folders if "/" not in folder],
            "others": [f"{name.removesuffix('.mpy')}.py" for name in names if "/" not in name],
        }
        return "\n".join([*(f"{name} = {json.dumps(value)}" for name, value in told.items()), TIDY])

    def _copies(self) -> list[str]:
        """One `cp` for each folder; mpremote leaves out what is there already, by its SHA-256."""
        by_folder: dict[str, list[str]] = {}
        for name in self._names():
            by_folder.setdefault(Path(name).parent.as_posix(), []).append(name)
        words: list[str] = []
        for name in by_folder.pop(".", []):
            words += ["+", "cp", name, f":{name}"]
        for folder, names in by_folder.items():
            words += ["+", "cp", *names, f":{folder}/"]
        return words

    def identify(self, port: str, discard: bool) -> str:
        ports.check(port)
        outcome = program.run(self._mpremote(port, "exec", ASK), silent_s=ANSWER_S)
        found = _MACHINE.search(outcome.text)
        if outcome.code or not found:
            raise FlashError("board.no_answer_repl", port=port, words=outcome.last_words)
        if not is_chip(self.board.description.chip, found[1]):
            raise self.wrong_chip(found[1], port)
        return found[1]

    def write(self, port: str, progress: Progress) -> None:
        total, done = len(self._names()) + 1, 0

        def hear(piece: str) -> None:
            nonlocal done
            done += len(_COPIED.findall(piece))
            progress(min(done, total), total)

        remove, copy, verify, start = self._steps(port)
        self._run(port, remove)
        self._await(port)
        self._run(port, copy, hear)
        self._compare(port, self._run(port, verify))
        self._run(port, start)
        progress(total, total)

    def _run(self, port: str, command: Sequence[str], hear: program.Hear = program.deaf) -> Outcome:
        outcome = program.run(command, hear, self._files)
        if outcome.code:
            raise self.half_written(port, outcome)
        return outcome

    def _compare(self, port: str, outcome: Outcome) -> None:
        """What the board reads back, file by file."""
        read = {name: digest for digest, name in _HASHED.findall(outcome.text)}
        for name in self._names():
            if read.get(name) != hashlib.sha256((self._files / name).read_bytes()).hexdigest():
                raise self.half_written(port, Outcome(0, f"{name} reads back otherwise"))

    def _await(self, port: str) -> None:
        """Until the port is there again after the reset; mpremote says what is wrong if it never is."""
        until = time.monotonic() + RESTART_S
        while time.monotonic() < until:
            time.sleep(0.5)
            try:
                ports.check(port)
            except ports.PortError:
                continue
            return


def is_chip(chip: str, machine: str) -> bool:
    """Whether `NUCLEO-F429ZI with STM32F429xx` is a STM32F429ZI: an x in the machine's name is any character."""
    name = machine.rpartition(" with ")[2].strip().upper()
    pattern = re.sub("X", ".", re.escape(name))
    return bool(name) and re.fullmatch(f"{pattern}.*", chip.upper().replace("-", "")) is not None

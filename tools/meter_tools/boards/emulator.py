"""An emulated board in QEMU, by hand: its image as it was built, its flash and console kept in a folder.

The board's four lines become pseudo-terminals, which `board console`, `simulate` and a gateway take like any other
serial port. hil_tests/platforms/qemu.py starts the same machine for the suites, with sockets in their place.
"""

import contextlib
import fcntl
import os
import re
import select
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from meter_tools import board_build, toolchain
from meter_tools.boards.console_text import SILENCE_S, ConsoleText, Describe
from meter_tools.boards.description import Board
from meter_tools.told import ToolError

QEMU = "qemu-system-arm"
MACHINE = {"emulated_stm32": "netduinoplus2"}
"""By board; `netduinoplus2` is QEMU's STM32F405."""

LINES = {"emulated_stm32": ("console", "link", "modbus0", "serial0")}
"""The board's UARTs, in the order in which QEMU counts them."""

FLASH_FILE, FLASH_BYTES = "flash.bin", 4 << 20
SLOTS_FILE, SLOTS_BYTES, SLOTS_ADDRESS = "slots.bin", 512 << 10, 0x08080000
"""Slots A and B: the upper half of the processor's own flash, which QEMU loads at power-on."""

CONSOLE, CONSOLE_LOG = "console", "console.log"
CHUNK = 4096

_PTY = re.compile(r"char device redirected to (\S+) \(label (\w+)\)")


class EmulatorError(ToolError):
    """The emulator cannot start, or has ended by itself."""


def machine(name: str, image: Path, arguments: str = "") -> list[str]:
    """QEMU with the board's processor, image and slots; `arguments` of the semihosting are the firmware's."""
    words = [QEMU, "-machine", MACHINE[name], "-kernel", str(image), "-nodefaults", "-display", "none"]
    words += ["-device", f"loader,file={SLOTS_FILE},addr={SLOTS_ADDRESS:#x},force-raw=on"]
    return [*words, "-semihosting-config", f"enable=on,target=native{arguments}"]


def command(board: Board, log: str = CONSOLE_LOG) -> list[str]:
    """`log`: the file in which QEMU writes down all that the board says on its console."""
    if board.name not in MACHINE:
        raise EmulatorError("board.not_emulated", board=board.name, known=", ".join(MACHINE))
    words = machine(board.name, image_of(board.name))
    for line in LINES[board.name]:
        # What the board says before anybody looks is in the log.
        logged = f",logfile={log},logappend=on" if line == CONSOLE else ""
        words += ["-chardev", f"pty,id={line}{logged}", "-serial", f"chardev:{line}"]
    return words


def image_of(name: str) -> Path:
    return board_build.OUTPUT / name / "firmware.elf"


def make_flash(folder: Path) -> None:
    """What is not there yet, erased."""
    for name, size in ((FLASH_FILE, FLASH_BYTES), (SLOTS_FILE, SLOTS_BYTES)):
        if not (folder / name).exists():
            (folder / name).write_bytes(b"\xff" * size)


def run(board: Board, folder: Path, started: Callable[[dict[str, str]], None], describe: Describe) -> int:
    """Runs until it ends or is interrupted; its exit code. `started` gets each line's pseudo-terminal.

    What the board says on its console is appended to a log, frames as lines that `describe` gives.
    """
    command(board)  # before anything is made: whether it is emulated at all
    image = image_of(board.name)
    if not image.exists():
        raise EmulatorError("board.no_image", board=board.name, path=image)
    if shutil.which(QEMU) is None:
        raise EmulatorError("board.missing", programs=QEMU, packages=" ".join(toolchain.EMULATOR[QEMU]))
    folder.mkdir(parents=True, exist_ok=True)
    make_flash(folder)
    # Ended by a signal it ends the emulator, too, as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # The lock is the emulator's as well: two boards on one flash would destroy it.
    with (
        _locked(folder / FLASH_FILE) as lock,
        _readable_log(folder / CONSOLE_LOG, ConsoleText(describe)) as log,
        subprocess.Popen(
            command(board, f"/dev/fd/{log}"),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            pass_fds=(lock.fileno(), log),
        ) as process,
    ):
        try:
            return _watch(process, LINES[board.name], started)
        except KeyboardInterrupt:
            return 0
        finally:
            process.terminate()


def _locked(flash: Path) -> BinaryIO:
    file = flash.open("rb")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise EmulatorError("board.runs_already", folder=flash.parent) from None
    return file


@contextlib.contextmanager
def _readable_log(path: Path, text: ConsoleText) -> Iterator[int]:
    """The end of a pipe; what is written to it is appended to the file, readable."""
    ours, theirs = os.pipe()
    thread = threading.Thread(target=_follow, args=(ours, path, text))
    thread.start()
    try:
        yield theirs
    finally:
        os.close(theirs)
        thread.join()


def _follow(pipe: int, path: Path, text: ConsoleText) -> None:
    """Closed where the file cannot be written, too: nobody waits for a reader then."""
    with os.fdopen(pipe), path.open("ab", buffering=0) as file:
        while True:
            if not select.select([pipe], [], [], SILENCE_S if text.is_holding else None)[0]:
                file.write(text.give_up())
                continue
            said = os.read(pipe, CHUNK)
            file.write(text.feed(said) if said else text.give_up())
            if not said:
                return


def _watch(
    process: subprocess.Popen[str], lines: tuple[str, ...], started: Callable[[dict[str, str]], None]
) -> int:
    ptys: dict[str, str] = {}
    last = ""
    for said in process.stdout or ():
        last = said.strip()
        if found := _PTY.search(said):
            ptys[found[2]] = found[1]
            if len(ptys) == len(lines):
                started(ptys)
    code = process.wait()
    raise EmulatorError("board.emulator_ended", program=QEMU, code=code, words=last)

"""An emulated board in QEMU, by hand: its image as it was built, its flash and console kept in a folder.

The board's four lines become pseudo-terminals, which `board console`, `simulate` and a gateway take like any other
serial port. hil_tests/platforms/qemu.py starts the same machine for the suites, with sockets in their place.
"""

import fcntl
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from meter_tools import board_build, toolchain
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

_PTY = re.compile(r"char device redirected to (\S+) \(label (\w+)\)")


class EmulatorError(ToolError):
    """The emulator cannot start, or has ended by itself."""


def machine(name: str, image: Path, arguments: str = "") -> list[str]:
    """QEMU with the board's processor, image and slots; `arguments` of the semihosting are the firmware's."""
    words = [QEMU, "-machine", MACHINE[name], "-kernel", str(image), "-nodefaults", "-display", "none"]
    words += ["-device", f"loader,file={SLOTS_FILE},addr={SLOTS_ADDRESS:#x},force-raw=on"]
    return [*words, "-semihosting-config", f"enable=on,target=native{arguments}"]


def command(board: Board) -> list[str]:
    if board.name not in MACHINE:
        raise EmulatorError("board.not_emulated", board=board.name, known=", ".join(MACHINE))
    words = machine(board.name, image_of(board.name))
    for line in LINES[board.name]:
        # What the board says before anybody looks is in the log.
        log = f",logfile={CONSOLE_LOG},logappend=on" if line == CONSOLE else ""
        words += ["-chardev", f"pty,id={line}{log}", "-serial", f"chardev:{line}"]
    return words


def image_of(name: str) -> Path:
    return board_build.OUTPUT / name / "firmware.elf"


def make_flash(folder: Path) -> None:
    """What is not there yet, erased."""
    for name, size in ((FLASH_FILE, FLASH_BYTES), (SLOTS_FILE, SLOTS_BYTES)):
        if not (folder / name).exists():
            (folder / name).write_bytes(b"\xff" * size)


def run(board: Board, folder: Path, started: Callable[[dict[str, str]], None]) -> int:
    """Runs until it ends or is interrupted; its exit code. `started` gets each line's pseudo-terminal."""
    words = command(board)
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
        subprocess.Popen(
            words,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            pass_fds=(lock.fileno(),),
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

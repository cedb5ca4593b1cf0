"""An emulated board in QEMU, by hand: its image as it was built, its flash and console kept in a folder.

The board's four lines become pseudo-terminals, which `board console`, `simulate` and a gateway take like any other
serial port. hil_tests/platforms/qemu.py starts the same machine for the suites, with sockets in their place.
"""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

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


def command(board: Board) -> list[str]:
    if board.name not in MACHINE:
        raise EmulatorError("board.not_emulated", board=board.name, known=", ".join(MACHINE))
    image = board_build.OUTPUT / board.name / "firmware.elf"
    words = [QEMU, "-machine", MACHINE[board.name], "-kernel", str(image), "-nodefaults", "-display", "none"]
    words += ["-device", f"loader,file={SLOTS_FILE},addr={SLOTS_ADDRESS:#x},force-raw=on"]
    words += ["-semihosting-config", "enable=on,target=native"]
    for line in LINES[board.name]:
        # What the board says before anybody looks is in the log.
        log = f",logfile={CONSOLE_LOG},logappend=on" if line == CONSOLE else ""
        words += ["-chardev", f"pty,id={line}{log}", "-serial", f"chardev:{line}"]
    return words


def run(board: Board, folder: Path, started: Callable[[dict[str, str]], None]) -> int:
    """Runs until it ends or is interrupted; its exit code. `started` gets each line's pseudo-terminal."""
    words = command(board)
    image = Path(words[words.index("-kernel") + 1])
    if not image.exists():
        raise EmulatorError("board.no_image", board=board.name, path=image)
    if shutil.which(QEMU) is None:
        raise EmulatorError("board.missing", programs=QEMU, packages=" ".join(toolchain.EMULATOR[QEMU]))
    folder.mkdir(parents=True, exist_ok=True)
    for name, size in ((FLASH_FILE, FLASH_BYTES), (SLOTS_FILE, SLOTS_BYTES)):
        if not (folder / name).exists():
            (folder / name).write_bytes(b"\xff" * size)
    with subprocess.Popen(
        words,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            return _watch(process, LINES[board.name], started)
        except KeyboardInterrupt:
            return 0
        finally:
            process.terminate()


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

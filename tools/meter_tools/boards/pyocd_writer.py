"""STM32 boards behind a debug probe, through pyOCD (Apache-2.0, run as a program).

The chip is asked before anything else: DBGMCU_IDCODE at 0xE0042000 holds its family (RM0033, RM0090: "MCU device
ID code"). Only the image's sectors are erased.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path

from meter_tools.boards import ports, program
from meter_tools.boards.description import Board
from meter_tools.boards.writer import FlashError, Progress, Writer

IMAGE = "firmware.elf"
IDCODE = 0xE0042000
DEVICE_ID = {
    0x411: re.compile(r"STM32F2[01][57]"),
    0x413: re.compile(r"STM32F4[01][57]"),
    0x419: re.compile(r"STM32F4[23][79]"),
}
"""The lowest twelve bits of the register, and the parts that have them."""

_READ = re.compile(r"^e0042000:\s+([0-9a-f]{8})\b", re.MULTILINE | re.IGNORECASE)
_PERCENT = re.compile(r"(\d+)%")


class PyocdWriter(Writer):
    no_candidate = "board.no_probe"

    def __init__(self, board: Board, output: Path) -> None:
        super().__init__(board, output)
        (self._image,) = self.needs(IMAGE)
        self._program = program.find("pyocd", "board.no_flash_program")

    def candidates(self) -> Sequence[ports.Candidate]:
        return probes(program.run([self._program, "json", "--probes"]).text)

    def commands(self, port: str) -> list[list[str]]:
        # The last letters of a part number are package and temperature range; pyOCD writes x for the package.
        chip = self.board.description.chip.lower()
        target = f"{chip[:9]}x{chip[10]}" if len(chip) > 10 else chip
        ask = ["commander", "--target", "cortex_m", "--uid", port, "--command", f"read32 0x{IDCODE:X}"]
        write = ["load", "--target", target, "--uid", port, "--erase", "sector", str(self._image)]
        return [[self._program, *ask], [self._program, *write]]

    def identify(self, port: str, discard: bool) -> str:
        outcome = program.run(self.commands(port)[0])
        found = _READ.search(outcome.text)
        if outcome.code or not found:
            raise FlashError("board.no_answer_probe", port=port, words=outcome.last_words)
        device = int(found[1], 16) & 0xFFF
        if device not in DEVICE_ID or not DEVICE_ID[device].match(self.board.description.chip):
            raise self.wrong_chip(f"DEV_ID 0x{device:03X}", port)
        return f"DEV_ID 0x{device:03X}"

    def write(self, port: str, progress: Progress) -> None:
        def hear(piece: str) -> None:
            if percents := _PERCENT.findall(piece):
                progress(int(percents[-1]), 100)

        outcome = program.run(self.commands(port)[1], hear)
        if outcome.code:
            raise self.half_written(port, outcome)
        progress(100, 100)


def probes(said: str) -> list[ports.Candidate]:
    """Of `pyocd json --probes`."""
    boards = json.loads(said).get("boards", [])
    return [ports.Candidate(found["unique_id"], str(found.get("info", ""))) for found in boards]

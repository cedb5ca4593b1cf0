"""STM32 boards in the chip's own USB boot loader (DFU), through dfu-util: a program of its own, under the GPL.

The boot loader does not say which chip it is in. It says how its flash is divided (AN3156: the name of alternate
setting 0), and that is compared with the chip's sectors (RM0090, "Flash module organization"). Only the sectors of
the image are erased: MicroPython's file system in between, and a chip of its own with the journal, stay.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from meter_tools.boards import ports, program
from meter_tools.boards.description import Board
from meter_tools.boards.writer import FlashError, Progress, Writer

USB_ID = "0483:df11"
IMAGE = "firmware.dfu"

_FOUND = re.compile(
    r'^Found DFU: \[0483:df11\].*?alt=0, name="@Internal Flash\s*/([^"]*)", serial="([^"]*)"', re.MULTILINE
)
_PERCENT = re.compile(r"(\d+)%")
_PART = re.compile(r"STM32F4(?:05|07|15|17|27|29|37|39).([EGI])", re.IGNORECASE)

BASE = "0x08000000"
BANK = ["04*016Kg", "01*064Kg"]
LAYOUTS = {
    "E": [*BANK, "03*128Kg"],
    "G": [*BANK, "07*128Kg"],
    "I": [*BANK, "07*128Kg", *BANK, "07*128Kg"],
}
"""By the letter of the part number that gives the size: 512 KiB, 1 MiB, 2 MiB."""


class DfuWriter(Writer):
    no_candidate = "board.no_dfu"

    def __init__(self, board: Board, output: Path) -> None:
        super().__init__(board, output)
        (self._image,) = self.needs(IMAGE)
        self._program = program.find("dfu-util", "board.no_dfu_util")
        self._seen: dict[str, str] = {}

    def candidates(self) -> Sequence[ports.Candidate]:
        self._look()
        return [ports.Candidate(serial, f"{USB_ID} {layout}") for serial, layout in self._seen.items()]

    def _look(self) -> None:
        said = program.run([self._program, "--list"]).text
        if "LIBUSB_ERROR_ACCESS" in said:
            raise FlashError("board.dfu_forbidden")
        self._seen = devices(said)

    def commands(self, port: str) -> list[list[str]]:
        write = [self._program, "--device", USB_ID, "--serial", port, "--alt", "0"]
        return [[self._program, "--list"], [*write, "--dfuse-address", ":leave", "--download", str(self._image)]]

    def identify(self, port: str, discard: bool) -> str:
        if port not in self._seen:
            there = ", ".join(self._seen) or "-"
            raise FlashError("board.no_dfu_there", port=port, ports=there)
        layout = self._seen[port]
        if layout != layout_of(self.board.description.chip):
            raise self.wrong_chip(layout, port)
        return layout

    def write(self, port: str, progress: Progress) -> None:
        def hear(piece: str) -> None:
            if percents := _PERCENT.findall(piece):
                progress(int(percents[-1]), 100)

        outcome = program.run(self.commands(port)[1], hear)
        # With :leave the chip starts the image, and may be gone before its last status was fetched.
        if outcome.code and "File downloaded successfully" not in outcome.text:
            raise self.half_written(port, outcome)
        progress(100, 100)


def devices(said: str) -> dict[str, str]:
    """Serial number -> layout of the flash, of each chip that `dfu-util --list` names."""
    return {serial: layout.strip() for layout, serial in _FOUND.findall(said)}


def layout_of(chip: str) -> str | None:
    """As the boot loader tells it; None for a chip that this file does not know."""
    part = _PART.match(chip)
    return None if part is None else f"{BASE}/{','.join(LAYOUTS[part[1].upper()])}"

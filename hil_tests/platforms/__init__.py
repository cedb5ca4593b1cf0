"""What a meter under test runs on: one module here per emulator, named as robot's variable PLATFORM names it.

The bench hands a platform two TCP ports: the gateway's end of the meter's serial line and the instruments' bus
(RTU). An emulator's serial ports connect to them as they are. Nothing else of the suites knows what runs the
firmware, so a new emulator is one more file with a class `Board`.
"""

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Wiring:
    """What is soldered and sealed: serial number, the authorities' COSE_Keys, the port at the end of each line."""

    serial: str
    authority_keys: tuple[bytes, ...]
    link_port: int
    bus_port: int
    update_keys: tuple[bytes, ...] = ()


class PlatformError(Exception):
    """The emulator itself is missing or broken: no verdict about the firmware."""


class Board(Protocol):
    """A board with its flash in a folder; it is made without power."""

    key_protection: str
    """As its identity must state it: software, native or secure element."""

    def power_on(self) -> None: ...

    def cut_power(self) -> None:
        """At once and without a warning; the flash keeps what was written to it."""

    def console(self) -> str:
        """What the board has said since its power was switched on."""

    def check(self) -> None:
        """AssertionError if the firmware ended by itself while its power is on."""


def make_board(platform: str, folder: Path, wiring: Wiring) -> Board:
    """`folder` keeps the flash and the console log."""
    try:
        module = importlib.import_module(f"{__name__}.{platform}")
    except ModuleNotFoundError as error:
        raise PlatformError(f"there is no platform {platform!r}: {error}") from None
    board: Board = module.Board(folder, wiring)
    return board

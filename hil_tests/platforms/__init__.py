"""What a meter under test runs on: one module here per platform, named as robot's variable PLATFORM names it.

The bench hands a platform TCP ports: the gateway's end of the meter's serial line, and a bus of instruments for
each line of the board. An emulator's serial ports connect to them as they are. Nothing else of the suites knows
what runs the firmware, so a new platform is one more file with

    Board      a board on it, as below
    LACKS      the tags of the cases that it cannot run
    prepare()  its set-up, once before all suites; PlatformError is one line with the remedy
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Wiring:
    """What is soldered and sealed: serial number, the authorities' COSE_Keys, the port at the end of each line."""

    serial: str
    authority_keys: tuple[bytes, ...]
    link_port: int
    bus_ports: Mapping[str, int]
    """By the name that a parameter set has for the bus."""

    update_keys: tuple[bytes, ...] = ()
    flash_share: int = 1
    """The board's chip is so many times smaller than the usual one, and its journal too."""


class PlatformError(Exception):
    """The emulator itself is missing or broken: no verdict about the firmware."""

    ROBOT_EXIT_ON_FAILURE = True
    """What robot would still run of the suite would say nothing."""


class Board(Protocol):
    """A board with its flash in a folder; it is made without power."""

    model: str
    """As its identity must state it."""

    key_protection: str
    """Likewise: software, native or secure element."""

    flash: Path
    """The content of its flash; what is there may be changed while the power is off."""

    def power_on(self) -> None: ...

    def cut_power(self) -> None:
        """At once and without a warning; the flash keeps what was written to it."""

    def console(self) -> str:
        """What the board has said since its power was switched on."""

    def check(self) -> None:
        """AssertionError if the firmware ended by itself while its power is on."""

    @property
    def has_failed(self) -> bool:
        """Whether the firmware ended by itself in an error, since the power was switched on."""

    def advance(self, milliseconds: int) -> None:
        """The board's own clock, with everything on it that waits, goes on by so much at once."""

    def lost_ms(self) -> int:
        """By how much the board's time has fallen behind real time, leaps apart; nothing where it keeps up."""

    def tear_flash_operation(self, number: int, size: int) -> None:
        """The power fails in this write or erase, counted from the next as 0, after so many bytes of it."""

    @property
    def is_cut(self) -> bool:
        """Whether the torn operation has come."""

    def hang(self) -> None:
        """The firmware stops in an endless loop, interrupts on, and its watchdog's time is over."""

    def damage_software(self) -> None:
        """A bit flips wherever the software keeps the equation of P-256; without power only."""

    def repair_software(self) -> None: ...


def module_of(platform: str) -> Any:
    """PlatformError if there is none of this name."""
    try:
        return importlib.import_module(f"{__name__}.{platform}")
    except ModuleNotFoundError as error:
        raise PlatformError(f"there is no platform {platform!r}: {error}") from None


def patience_of(platform: str) -> float:
    """How much longer than for a board of its speed a test waits; 1 unless the platform says so."""
    patience: float = getattr(module_of(platform), "PATIENCE", 1)
    return patience


def make_board(platform: str, folder: Path, wiring: Wiring) -> Board:
    """`folder` keeps the flash and the console log."""
    board: Board = module_of(platform).Board(folder, wiring)
    return board

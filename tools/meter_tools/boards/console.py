"""A board's console on this terminal: what is typed to it, and what it says also into a log file, until Ctrl-].

The standard input may be no terminal, as in a script: its end is not the console's, which then only listens.
"""

import contextlib
import os
import select
import sys
import termios
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import serial

from meter_tools.boards import ports
from meter_tools.boards.console_text import SILENCE_S, ConsoleText, Describe
from meter_tools.told import Tell

LEAVE = b"\x1d"
"""Ctrl-]."""

CHUNK = 4096


def find(asked: str | None) -> str:
    """The port that was named, else the only USB serial port of this machine."""
    return ports.choose(asked, ports.usb_serial(), "board.no_console")


def watch(port: str, baud: int, log: Path | None, tell: Tell, describe: Describe) -> None:
    """Until Ctrl-]; PortError when the board goes."""
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(log.open("ab", buffering=0)) if log else None
        board = stack.enter_context(ports.open_port(port, baud))
        tell("board.console", port=port)
        stack.enter_context(_raw(sys.stdin.fileno()))
        _pump(board, file, ConsoleText(describe))


@contextlib.contextmanager
def _raw(terminal: int) -> Iterator[None]:
    """Keys come at once and unseen, Ctrl-C too, which is the board's; nothing of a pipe."""
    if not os.isatty(terminal):
        yield
        return
    before = termios.tcgetattr(terminal)
    tty.setraw(terminal, termios.TCSANOW)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _pump(board: serial.Serial, log: BinaryIO | None, text: ConsoleText) -> None:
    keys, screen = sys.stdin.fileno(), sys.stdout.fileno()
    watched = [board.fileno(), keys]
    while True:
        ready, _, _ = select.select(watched, [], [], SILENCE_S if text.is_holding else None)
        if board.fileno() in ready or not ready:
            said = text.feed(_read(board)) if ready else text.give_up()
            if log:
                log.write(said)
            os.write(screen, said)
        if keys in ready:
            typed = os.read(keys, CHUNK)
            before, leave, _ = typed.partition(LEAVE)
            if before:
                os.write(board.fileno(), before)
            if leave:
                return
            if not typed:
                watched.remove(keys)


def _read(board: serial.Serial) -> bytes:
    try:
        said = os.read(board.fileno(), CHUNK)
    except OSError as error:
        raise ports.PortError("board.cable_pulled", port=board.name, words=error.strerror) from None
    if not said:
        raise ports.PortError("board.cable_pulled", port=board.name, words="EOF")
    return said

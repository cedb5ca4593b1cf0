"""Which serial port or USB device is meant: the one that was named, else the only one that can be the board.

USB identifiers are from the makers' lists: Espressif (its own USB), Silicon Labs, WCH and FTDI (the bridges on
ESP32 boards), ST (ST-LINK's serial port) and MicroPython's own on STM32 (ports/stm32, usbd_desc).
"""

import contextlib
import errno
import fcntl
import os
import stat
import termios
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import serial
from serial.tools import list_ports
from serial.tools.list_ports_common import ListPortInfo

from meter_tools.boards.description import Port
from meter_tools.told import ToolError

ESPRESSIF, SILICON_LABS, WCH, FTDI, ST, MICROPYTHON = 0x303A, 0x10C4, 0x1A86, 0x0403, 0x0483, 0xF055
VENDORS: dict[Port, frozenset[int]] = {
    "esp32": frozenset({ESPRESSIF, SILICON_LABS, WCH, FTDI}),
    "stm32": frozenset({ST, MICROPYTHON}),
    "own": frozenset({ST, MICROPYTHON}),
    "unix": frozenset(),
}


class PortError(ToolError):
    """No port, or none that is clear, or one that cannot be opened."""


@dataclass(frozen=True)
class Candidate:
    name: str
    """What `--port` takes: a serial port, or a device's or probe's serial number."""

    description: str

    def __str__(self) -> str:
        return f"{self.name} ({self.description})"


def serial_candidates(port: Port) -> list[Candidate]:
    """USB serial ports that can be a board of this port."""
    return [_candidate(found) for found in list_ports.comports() if found.vid in VENDORS[port]]


def usb_serial() -> list[Candidate]:
    return [_candidate(found) for found in list_ports.comports() if found.vid is not None]


def _candidate(found: ListPortInfo) -> Candidate:
    return Candidate(found.device, f"{found.vid:04X}:{found.pid:04X} {found.description}")


def choose(asked: str | None, candidates: Sequence[Candidate], remedy: str) -> str:
    """PortError unless it is clear; `remedy` is the key that says how a board comes to be seen."""
    if asked is not None:
        return asked
    if not candidates:
        raise PortError(remedy)
    if len(candidates) > 1:
        raise PortError("board.several_ports", ports=listed(candidates))
    return candidates[0].name


def listed(candidates: Iterable[Candidate]) -> str:
    return ", ".join(map(str, candidates))


def open_port(name: str, baud: int = 115200) -> serial.Serial:
    """For this process alone; PortError in one line with the remedy."""
    with _told(name):
        return serial.Serial(name, baud, timeout=0, exclusive=True)


def look(name: str) -> None:
    """PortError where open_port would raise it; for a dry run, which opens nothing for writing."""
    with _told(name):
        if not os.access(name, os.R_OK | os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        handle = os.open(name, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            termios.tcgetattr(handle)
            # Whoever has it as open_port gives it has locked it.
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        finally:
            os.close(handle)


@contextlib.contextmanager
def _told(name: str) -> Iterator[None]:
    try:
        if not stat.S_ISCHR(Path(name).stat().st_mode):
            raise PortError("board.no_serial_port", port=name)
        yield
    except FileNotFoundError:
        there = ", ".join(sorted(found.device for found in list_ports.comports())) or "-"
        raise PortError("board.no_port_there", port=name, ports=there) from None
    except (OSError, termios.error) as error:
        raise PortError(_KEYS.get(_number(error), "board.port_fails"), port=name, words=error) from None


_KEYS = {
    errno.EACCES: "board.port_forbidden",
    errno.EPERM: "board.port_forbidden",
    errno.EBUSY: "board.port_busy",
    errno.EAGAIN: "board.port_busy",
    errno.ENOTTY: "board.no_serial_port",
}


def _number(error: Exception) -> int:
    """pyserial puts some errors into words; what it caught has the number, which termios names nowhere."""
    for found in (error, error.__context__):
        if isinstance(found, OSError | termios.error) and found.args and isinstance(found.args[0], int):
            return found.args[0]
    return 0


def check(name: str) -> None:
    """That a program of its own could open the port now."""
    open_port(name).close()

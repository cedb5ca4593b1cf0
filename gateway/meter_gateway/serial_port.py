"""A serial port, raw and ours alone: 8 data bits, one stop bit."""

import fcntl
import os
import stat
import termios
import tty
from pathlib import Path
from typing import Literal

Parity = Literal["none", "even", "odd"]

_PARITY = {"none": 0, "even": termios.PARENB, "odd": termios.PARENB | termios.PARODD}


def open_raw(port: Path, baud: int, parity: Parity = "none") -> int:
    """Its descriptor, which does not block; OSError or termios.error if it cannot be had."""
    descriptor = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        if not stat.S_ISCHR(os.fstat(descriptor).st_mode):
            raise OSError(f"{port} is not a serial port")
        _set_raw(descriptor, baud, parity)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _set_raw(descriptor: int, baud: int, parity: Parity) -> None:
    fcntl.ioctl(descriptor, termios.TIOCEXCL)
    tty.setraw(descriptor)
    attributes = termios.tcgetattr(descriptor)
    speed = getattr(termios, f"B{baud}")
    attributes[2] |= termios.CLOCAL | termios.CREAD  # no modem lines: a three-wire cable has none
    attributes[2] |= _PARITY[parity]
    attributes[4] = attributes[5] = speed
    termios.tcsetattr(descriptor, termios.TCSANOW, attributes)

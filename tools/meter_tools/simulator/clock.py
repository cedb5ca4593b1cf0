"""The time at which a simulated instrument is asked: now, or the virtual time of a replay."""

import time
from collections.abc import Callable
from pathlib import Path

Clock = Callable[[], int]
"""UTC in milliseconds since 1970."""

CLOCK_FILE_LENGTH = 8


def real_clock() -> int:
    return time.time_ns() // 1_000_000


class FileClock:
    """Virtual UTC that somebody else owns: 8 bytes, big-endian, signed, in a file, read at each use."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self) -> int:
        content = self._path.read_bytes()
        if len(content) != CLOCK_FILE_LENGTH:
            raise ValueError(f"{self._path} holds {len(content)} bytes; a clock file holds 8")
        return int.from_bytes(content, "big", signed=True)


def write_clock_file(path: Path, utc_ms: int) -> None:
    path.write_bytes(utc_ms.to_bytes(CLOCK_FILE_LENGTH, "big", signed=True))

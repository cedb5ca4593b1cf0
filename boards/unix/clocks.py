"""Time that a file drives. Without one the unix board's clock is that of every board, board_clock.py.

In a replay the meter owns virtual time. It writes the virtual UTC in milliseconds to a file, eight bytes
big-endian, whenever it would have slept; simulated instruments and the gateway read that file. A replay
then runs as fast as the machine allows, and every interval ends exactly where the trace says.

Or a test owns time, and writes to a file in the same form by how many milliseconds the board is ahead of real
time.
"""

import asyncio

from meter_firmware import monotonic
from meter_firmware.board_clock import BoardClock

LOOK_MS = 20
"""How soon a leap is noticed by who waits."""


class DrivenClock:
    """Virtual time in `path`, which never passes `until_ms`.

    While `holds()` says that somebody waits for an answer in real time, virtual time stands still, so that a
    round trip costs a replay no virtual hours.
    """

    def __init__(self, path: str, until_ms: int, pace_ms: int) -> None:
        self._path = path
        self._until_ms = until_ms
        self._pace_ms = pace_ms
        self._now_ms = self._read()
        self._boot_ms = self._now_ms
        self.holds = _never

    @property
    def ended(self) -> bool:
        return self._now_ms >= self._until_ms

    def ticks_ms(self) -> int:
        return self._now_ms - self._boot_ms

    async def sleep_until(self, ticks: int, wake: asyncio.Event) -> None:
        while self.holds() and not wake.is_set():
            await asyncio.sleep_ms(5)
        # Links, receipts and the console get their turn in every virtual sleep.
        await asyncio.sleep_ms(self._pace_ms)
        if wake.is_set():
            return
        if self.ended:
            await asyncio.sleep_ms(20)
            return
        self._now_ms = min(max(self._now_ms, ticks + self._boot_ms), self._until_ms)
        with open(self._path, "r+b") as file:
            file.write(self._now_ms.to_bytes(8, "big"))

    def _read(self) -> int:
        with open(self._path, "rb") as file:
            return int.from_bytes(file.read(8), "big")


class Ahead:
    """Monotonic milliseconds with the leaps that the file at `path` tells; they never go back."""

    def __init__(self, path: str) -> None:
        self._path = path

    def now_ms(self) -> int:
        with open(self._path, "rb") as file:
            return monotonic.now_ms() + int.from_bytes(file.read(8), "big")

    def clock(self) -> BoardClock:
        return BoardClock(self.now_ms, LOOK_MS)


def _never() -> bool:
    return False

"""The clock of a board that runs in real time: monotonic milliseconds, and sleeping until one of them."""

import asyncio

from meter_firmware import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

LONGEST_WAIT_MS = 3600000
"""MicroPython's event loop cannot wait for six days, nor may the counter of milliseconds go unseen for twelve."""


class BoardClock:
    def __init__(
        self, now_ms: "Callable[[], int]" = monotonic.now_ms, longest_wait_ms: int = LONGEST_WAIT_MS
    ) -> None:
        self.holds = _never
        self.ticks_ms = now_ms
        self._longest_wait_ms = longest_wait_ms

    async def sleep_until(self, ticks: int, wake: asyncio.Event) -> None:
        """Return at `ticks` or as soon as `wake` is set."""
        while not wake.is_set():
            rest = ticks - self.ticks_ms()
            if rest <= 0:
                return
            try:
                await asyncio.wait_for_ms(wake.wait(), min(rest, self._longest_wait_ms))
            except asyncio.TimeoutError:
                # The rest of it, if there is any.
                pass


def _never() -> bool:
    return False

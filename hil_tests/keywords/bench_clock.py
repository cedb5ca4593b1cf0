"""The bench's time: UTC, which a test may set going faster than real time, and which a gateway may have wrong.

An emulator that keeps a time of its own takes the whole bench with it (`Board.lost_ms`).
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator


class BenchClock:
    def __init__(self) -> None:
        self._ahead_ms = 0
        self.lost_ms: Callable[[], int] = _nothing
        """By how much the board's time is behind real time."""

        self.gateway_error_ms = 0
        """By how much the gateway's clock is ahead of the bench's."""

        self._leaping = threading.Lock()

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self._ahead_ms - self.lost_ms()

    def gateway_ms(self) -> int:
        """Never while the world's clock has leapt and the meter's has not."""
        with self._leaping:
            return self.now_ms() + self.gateway_error_ms

    @contextlib.contextmanager
    def leap(self, milliseconds: int) -> Iterator[None]:
        """Made when it is entered; whoever else's clock leaps along does so inside."""
        with self._leaping:
            self._ahead_ms += milliseconds
            yield


def _nothing() -> int:
    return 0

"""The bench's time: UTC, which a test may set going faster than real time, and which a gateway may have wrong."""

import time


class BenchClock:
    def __init__(self) -> None:
        self._ahead_ms = 0
        self.gateway_error_ms = 0
        """By how much the gateway's clock is ahead of the bench's."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self._ahead_ms

    def gateway_ms(self) -> int:
        return self.now_ms() + self.gateway_error_ms

    def advance(self, milliseconds: int) -> None:
        self._ahead_ms += milliseconds

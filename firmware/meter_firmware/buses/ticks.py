"""Time as the exchanges on a bus see it: how long ago, and waiting without blocking. A test has its own."""

import asyncio

from meter_firmware import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable


class Ticks:
    def __init__(self, now_ms: "Callable[[], int]" = monotonic.now_ms) -> None:
        self.now = now_ms

    def since(self, earlier: int) -> int:
        """Milliseconds since an instant that `now` gave."""
        return self.now() - earlier

    async def pause_ms(self, span_ms: int) -> None:
        await asyncio.sleep_ms(span_ms)

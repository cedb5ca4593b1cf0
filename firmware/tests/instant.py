"""asyncio without waiting: where every task sleeps, time jumps to the first that wakes.

Only for tests in which nothing waits for a file or a socket. Runs of the same tasks see the same times.
"""

import asyncio.core
import time

_AHEAD_MS = 3600000
"""asyncio's C part puts tasks that are ready at the host's own time: that must always be past."""


class Instant:
    def __init__(self):
        self.now_ms = 0

    def __enter__(self):
        self.begin()
        asyncio.new_event_loop()
        return self

    def __exit__(self, *_):
        self.end()
        asyncio.new_event_loop()

    def begin(self):
        """In a loop that runs and has one task."""
        self._real = (asyncio.core.ticks, asyncio.core.IOQueue.wait_io_event)
        start = time.ticks_add(time.ticks_ms(), _AHEAD_MS)

        def skip(_, wait_ms):
            assert wait_ms >= 0, "everybody waits for somebody else"
            self.now_ms += wait_ms

        asyncio.core.ticks = lambda: time.ticks_add(start, self.now_ms)
        asyncio.core.IOQueue.wait_io_event = skip

    def end(self):
        asyncio.core.ticks, asyncio.core.IOQueue.wait_io_event = self._real

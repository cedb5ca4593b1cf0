"""What the buses of chips have in common: one exchange at a time, and waiting.

An exchange of several steps runs inside `async with bus`, so that no other instrument speaks between a command
and its answer. Waiting for a chip is the driver's, by `ticks`.
"""

import asyncio

from meter_firmware.buses.ticks import Ticks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class ChipBus:
    def __init__(self, ticks: "Any" = None) -> None:
        self.ticks: "Any" = Ticks() if ticks is None else ticks
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> None:
        await self._lock.acquire()

    async def __aexit__(self, *_: object) -> None:
        self._lock.release()

"""The one bounded queue between all listeners and the ingest loop.

What waits here is in memory only and may be lost: the meter keeps everything until it holds a signed receipt.
A line (serial, TCP) is read no faster than its payloads are taken. MQTT has nothing to slow a meter down
with, so what does not fit is dropped there and counted. Each peer has a rate, so none fills the queue alone.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable

from meter_gateway.model import Received
from meter_gateway.rate import Rates

MAX_WAITING_BYTES = 32 * 1024 * 1024
RATE_PAUSE_S = 0.05
"""Seconds that a line waits before it asks again for the rate that it has used up."""

OVERSIZE = "oversize"
RATE = "rate"
FULL = "queue_full"
CLOSED = "stopping"

_MESSAGE_START = b"\xd2\x84\x58"
"""Tag 18, array of 4, a protected header of 24 to 255 bytes: how every message of SPEC §3 begins."""


def message_count(raw: bytes) -> int:
    """How many signatures these bytes can cost, unparsed: what begins otherwise is refused unchecked."""
    return max(1, raw.count(_MESSAGE_START))


class Inbox:
    """Belongs to one event loop; `monotonic` gives seconds."""

    def __init__(
        self,
        max_payload_bytes: int,
        messages_per_second: int,
        monotonic: Callable[[], float],
        max_waiting_bytes: int = MAX_WAITING_BYTES,
    ) -> None:
        self._max_payload_bytes = max_payload_bytes
        self._monotonic = monotonic
        self._max_waiting_bytes = max_waiting_bytes
        self._waiting: deque[tuple[Received, int]] = deque()
        self._waiting_bytes = 0
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._rates: Rates[str] = Rates(messages_per_second, messages_per_second)
        self._is_closed = False
        self.dropped: Counter[str] = Counter()
        """Payloads that nobody looked at, by reason."""

    @property
    def is_empty(self) -> bool:
        return not self._waiting

    @property
    def known_peers(self) -> int:
        return len(self._rates)

    def offer(self, received: Received) -> bool:
        """Take it or drop it, at once."""
        reason = self._obstacle(received)
        if reason is None:
            return True
        self.dropped[reason] += 1
        return False

    async def put(self, received: Received) -> bool:
        """Take it as soon as there is room and rate for it; drop it only if it is too large."""
        while (reason := self._obstacle(received)) is not None:
            if reason in (OVERSIZE, CLOSED):
                self.dropped[reason] += 1
                return False
            if reason == RATE:
                await asyncio.sleep(RATE_PAUSE_S)
            else:
                self._room.clear()
                await self._room.wait()
        return True

    def close(self) -> None:
        """Take nothing more in."""
        self._is_closed = True
        self._room.set()

    async def take(self, max_messages: int) -> list[Received]:
        """Everything that waits, up to `max_messages`; a lone payload is handed out the moment it arrives."""
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        return self.take_waiting(max_messages)

    def take_waiting(self, max_messages: int) -> list[Received]:
        """What waits at this moment, up to `max_messages`; maybe nothing."""
        group: list[Received] = []
        room = max_messages
        while self._waiting and (not group or self._waiting[0][1] <= room):
            received, count = self._waiting.popleft()
            group.append(received)
            room -= count
            self._waiting_bytes -= len(received.raw)
        self._room.set()
        return group

    def _obstacle(self, received: Received) -> str | None:
        """The reason why it cannot be taken now, or None once it was taken."""
        if self._is_closed:
            return CLOSED
        size = len(received.raw)
        if size > self._max_payload_bytes:
            return OVERSIZE
        # Bounded even if one payload is larger than the bound: an empty queue takes anything of legal size.
        if self._waiting and self._waiting_bytes + size > self._max_waiting_bytes:
            return FULL
        count = message_count(received.raw)
        if not self._rates.take(received.peer, count, self._monotonic()):
            return RATE
        self._waiting.append((received, count))
        self._waiting_bytes += size
        self._arrived.set()
        return None

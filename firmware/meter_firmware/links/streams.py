"""A byte stream under asyncio, over anything of MicroPython's that reads and writes without blocking.

Sockets, TLS sockets and `machine.UART` fit as they are. Reading waits in the event loop's poll. Writing tries
and, while the peer takes nothing, tries again every few milliseconds: this keeps no stream registered for
writing, so that a stream can be closed under a waiting writer, and it is all that a TLS handshake needs.
"""

import asyncio
import time

from meter_firmware.links import LinkError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

RETRY_MS = 5


class ByteStream:
    def __init__(self, raw: "Any") -> None:
        self._raw = raw
        self._reader = asyncio.StreamReader(raw)
        self._closed = False

    async def wait(self) -> None:
        """Until there is something to read, or the stream has ended; nothing is taken."""
        await self._reader.readinto(bytearray())

    async def read_into(self, buffer: memoryview) -> int:
        """Wait for bytes and say how many came; LinkError `peer_closed` at the end of the stream."""
        while True:
            count = await self._reader.readinto(buffer)
            if count:
                return int(count)
            if count is not None:
                raise LinkError("peer_closed")

    async def write_all(self, data: "bytes | memoryview", timeout_ms: int) -> None:
        """LinkError `write_stalled` if it takes longer; part of the data may be out by then."""
        deadline = time.ticks_add(time.ticks_ms(), timeout_ms)
        view = memoryview(data)
        done = 0
        while True:
            if self._closed:
                raise LinkError("stream_closed")
            count = self._write_some(view[done:])
            done += count
            if done == len(view):
                return
            if time.ticks_diff(deadline, time.ticks_ms()) <= 0:
                raise LinkError("write_stalled")
            await asyncio.sleep_ms(0 if count else RETRY_MS)

    def write_now(self, data: bytes) -> None:
        """What goes out at once, goes; used for a farewell that nobody waits for."""
        try:
            self._write_some(memoryview(data))
        except (LinkError, OSError):
            return

    def close(self) -> None:
        """No task may be reading any more; writers end by themselves."""
        self._closed = True
        self._raw.close()

    def _write_some(self, view: memoryview) -> int:
        return self._raw.write(view) or 0

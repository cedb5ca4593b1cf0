"""A serial line to the gateway, or the TCP stream that stands in for one: framed as SPEC §9 says.

A line has no peer that could be seen to be there, so `connected` means that it is open, and a frame is handed
over when it is written. What noise destroyed is sent again because no receipt comes for it.
"""

import asyncio
import time

from meter_firmware.links import LinkError
from meter_firmware.links.link import MAX_PAYLOAD, Link
from meter_firmware.links.session import Session
from meter_protocol import framing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Awaitable, Callable

    from meter_firmware.links.backoff import Backoff
    from meter_firmware.links.streams import ByteStream

READ_SIZE = 256
MAX_WAITING = 4
"""Senders that may wait for the line; one more is told so at once."""

WRITE_TIMEOUT_MS = 10000
"""Eight KiB take 8.5 s at 9,600 baud."""


class SerialLink(Link):
    frame_bytes = 1024
    """A line is no faster with more in one frame, and a heap in use may have no larger hole."""

    def __init__(
        self,
        open_stream: "Callable[[], Awaitable[ByteStream]]",
        backoff: "Backoff",
        max_payload: int = MAX_PAYLOAD,
        write_timeout_ms: int = WRITE_TIMEOUT_MS,
        on_trouble: "Callable[[str], None] | None" = None,
    ) -> None:
        super().__init__(open_stream, backoff, on_trouble)
        self._max_payload = max_payload
        self._write_timeout_ms = write_timeout_ms
        self._chunk = bytearray(READ_SIZE)
        self._write_lock = asyncio.Lock()
        self._waiting = 0
        self._stream: "ByteStream | None" = None
        self._session = Session()
        self.discarded = 0

    @property
    def connected(self) -> bool:
        return self._stream is not None

    async def send(self, frame: bytes) -> bool:
        if len(frame) > self._max_payload:
            raise LinkError("frame_too_large")
        stream = self._stream
        session = self._session
        if stream is None or self._waiting >= MAX_WAITING:
            return False
        self._waiting += 1
        try:
            async with self._write_lock:
                deadline = time.ticks_add(time.ticks_ms(), self._write_timeout_ms)
                for piece in framing.pieces(frame):
                    await stream.write_all(piece, max(0, time.ticks_diff(deadline, time.ticks_ms())))
        except (LinkError, OSError) as error:
            # A TCP peer that vanished without a word shows only here; reopening does a real line no harm.
            session.end(error)
            return False
        finally:
            self._waiting -= 1
        self._backoff.reset()
        return True

    async def _serve(self, stream: "ByteStream") -> None:
        self._stream = stream
        self._session = Session()
        try:
            await self._session.run([self._read_loop(stream)])
        finally:
            self._stream = None

    async def _read_loop(self, stream: "ByteStream") -> None:
        deframer = framing.Deframer(self._max_payload)
        chunk = memoryview(self._chunk)
        discarded_before = self.discarded
        while True:
            count = await stream.read_into(chunk)
            payloads = deframer.feed(bytes(chunk[:count]))
            self.discarded = discarded_before + deframer.discarded
            for payload in payloads:
                self._deliver(payload)

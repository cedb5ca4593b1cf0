"""What every bus over a line of bytes has in common: one request at a time, waiting, giving up, reconnecting.

Rules
- A frame ends where its own header says, never at a pause, so a slow instrument is not cut short.
- A late reply is never taken for the answer to the next request: after any failed exchange the bus listens
  and discards for `quarantine_ms` before it asks again. A reply later than timeout + quarantine cannot be
  recognised by most protocols, so the timeout of a bus must exceed what its slowest instrument needs.
- A line that went away comes back by itself: attempts to reconnect back off up to BACKOFF_MAX_MS, and reads
  in between fail at once.
"""

import asyncio

from meter_sampling import ticks
from meter_sampling.instrument_error import InstrumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Awaitable, Callable, Protocol, TypeVar

    Answer = TypeVar("Answer")
    # What ticks_ms gives: only ticks_diff may look into it.
    Ticks = Any

    class Line(Protocol):
        @property
        def is_open(self) -> bool: ...
        async def reconnect(self) -> None: ...
        async def write(self, frame: bytes) -> None: ...
        async def read_some(self, timeout_ms: int) -> bytes: ...
        def drain(self) -> None: ...
        def close(self) -> None: ...


BACKOFF_MIN_MS = 100
BACKOFF_MAX_MS = 5000

SILENT_LIMIT = 3
"""So many unanswered requests in a row open the line anew: the far end of a dead TCP connection never says so."""

MAX_HEARD = 1024
"""No reply with its echo and its preamble is longer; more is a line that babbles, and must not fill the heap."""

ANSWERED_REASONS = ("modbus_exception", "instrument_refused")
"""The instrument's own refusals: its reply has come, so nothing is late."""


class LineBus:
    """`quarantine_ms` is as long as the timeout unless given.

    `ticks_ms` is that of ticks.py unless a test has its own.
    """

    def __init__(
        self,
        line: "Line",
        timeout_ms: int = 500,
        quarantine_ms: "int | None" = None,
        ticks_ms: "Callable[[], Ticks] | None" = None,
    ) -> None:
        self._line = line
        self._timeout_ms = timeout_ms
        self._quarantine_ms = timeout_ms if quarantine_ms is None else quarantine_ms
        self._ticks_ms: "Callable[[], Ticks]" = ticks.ticks_ms if ticks_ms is None else ticks_ms
        self._lock = asyncio.Lock()
        self._suspect_since: "Ticks | None" = None
        self._backoff_ms = 0
        self._refused_at: "Ticks" = 0
        self._silent = 0

    async def _alone(self, exchange: "Callable[[], Awaitable[Answer]]") -> "Answer":
        """What `exchange` gives, with the line to itself and open."""
        await self._lock.acquire()
        try:
            try:
                answer = await self._attempt(exchange)
            finally:
                self._lock.release()
        except InstrumentError as error:
            self._count_silence(error)
            raise
        self._silent = 0
        return answer

    async def _attempt(self, exchange: "Callable[[], Awaitable[Answer]]") -> "Answer":
        """Once, and once more where the line had been closed behind our back: many servers drop an idle client."""
        was_open = self._line.is_open
        await self._connect()
        try:
            return await exchange()
        except OSError:
            self._line.close()
            if not was_open:
                raise InstrumentError("disconnected")
        await self._connect()
        try:
            return await exchange()
        except OSError:
            self._line.close()
            raise InstrumentError("disconnected")

    def _count_silence(self, error: InstrumentError) -> None:
        self._silent = self._silent + 1 if error.reason == "no_response" else 0
        if self._silent >= SILENT_LIMIT:
            self._silent = 0
            self._line.close()

    async def _connect(self) -> None:
        if self._line.is_open:
            return
        if self._backoff_ms and 0 <= self._elapsed_ms(self._refused_at) < self._backoff_ms:
            raise InstrumentError("not_connected")
        try:
            await self._line.reconnect()
        except OSError:
            self._refused_at = self._ticks_ms()
            self._backoff_ms = min(max(2 * self._backoff_ms, BACKOFF_MIN_MS), BACKOFF_MAX_MS)
            raise InstrumentError("not_connected")
        self._backoff_ms = 0

    async def _ask(self, request: bytes, parse: "Callable[[bytes], Answer | None]") -> "Answer":
        """Send a request; the answer is the first that `parse` makes of all that has come since."""
        await self._quarantine()
        self._line.drain()
        # Suspect until the exchange has succeeded: it may also end by cancellation.
        self._suspect_since = started = self._ticks_ms()
        await self._line.write(request)
        heard = b""
        received: "bytes | None" = None
        answer = None
        try:
            while answer is None:
                heard += await self._receive(started, heard if received is None else received)
                received = self._without_echo(heard, request)
                if received is not None:
                    answer = parse(received)
                if answer is None and len(heard) > MAX_HEARD:
                    raise InstrumentError("no_frame")
        except InstrumentError as error:
            if error.reason in ANSWERED_REASONS:
                self._suspect_since = None
            raise
        self._suspect_since = None
        return answer

    def _without_echo(self, heard: bytes, request: bytes) -> "bytes | None":
        """The reply so far; None while all of it may be an echo that is still coming."""
        return heard

    async def _quarantine(self) -> None:
        """Discard what arrives until the instrument of a failed exchange has had its time to answer.

        The span runs from the failed request's timeout, not from the failure: a wrong early reply may
        be followed by the right one.
        """
        if self._suspect_since is None:
            return
        span_ms = self._timeout_ms + self._quarantine_ms
        while True:
            remaining_ms = span_ms - self._elapsed_ms(self._suspect_since)
            if not 0 < remaining_ms <= span_ms:
                break
            await self._line.read_some(remaining_ms)
        self._suspect_since = None

    async def _receive(self, started: "Ticks", received: bytes, stale: bool = False) -> bytes:
        remaining_ms = self._timeout_ms - self._elapsed_ms(started)
        chunk = await self._line.read_some(remaining_ms) if remaining_ms > 0 else b""
        if chunk:
            return chunk
        if received:
            raise InstrumentError("short_reply")
        raise InstrumentError("wrong_transaction" if stale else "no_response")

    def _elapsed_ms(self, since: "Ticks") -> int:
        return ticks.ticks_diff(self._ticks_ms(), since)

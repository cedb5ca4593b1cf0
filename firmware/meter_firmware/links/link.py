"""What every link has in common: it is opened again and again for ever, and its faults stay inside it.

The app sets `receive`, starts `run()` as a task and calls `send()` from another. A subclass serves one open
stream until that ends. Timeouts here are real time also while a replay accelerates the meter's clock.
"""

import asyncio
import gc

from meter_firmware.links import LinkError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Awaitable, Callable

    from meter_firmware.links.backoff import Backoff
    from meter_firmware.links.streams import ByteStream

MAX_PAYLOAD = 8192
"""The largest frame in either direction unless the board says otherwise: one largest message of SPEC fits."""


class Link:
    frame_bytes = 4096
    """Of messages sent together: about a dozen, small enough for a board's TLS record."""

    def __init__(
        self,
        open_stream: "Callable[[], Awaitable[ByteStream]]",
        backoff: "Backoff",
        on_trouble: "Callable[[str], None] | None" = None,
    ) -> None:
        """`on_trouble` hears each reason of `links.REASONS` as it comes up, for a log."""
        self._open_stream = open_stream
        self._backoff = backoff
        self._on_trouble = on_trouble
        self.receive: "Callable[[bytes], None]" = _discard
        self.last_trouble: "str | None" = None
        self.last_fault: "Exception | None" = None

    @property
    def connected(self) -> bool:
        """Whether `send` has a chance just now."""
        raise NotImplementedError

    async def send(self, frame: bytes) -> bool:
        """Hand one frame over; False on any trouble, in bounded time. LinkError only for misuse."""
        raise NotImplementedError

    async def _serve(self, stream: "ByteStream") -> None:
        """Use the stream until it ends, and then raise the reason."""
        raise NotImplementedError

    async def run(self) -> None:
        """Keep the link up until this task is cancelled; nothing else ends it."""
        while True:
            # A TLS handshake needs kilobytes in one piece; what the last session left is garbage by now.
            gc.collect()
            await self._one_session()
            await asyncio.sleep_ms(self._backoff.next_delay_ms())

    async def _one_session(self) -> None:
        stream = None
        try:
            stream = await self._open_stream()
            await self._serve(stream)
        except LinkError as error:
            self._note(error.reason)
        except OSError:
            self._note("peer_lost")
        except MemoryError:
            self._note("out_of_memory")
        except Exception as fault:  # noqa: BLE001  a bug on the way to the gateway must not stop the measuring
            self.last_fault = fault
            self._note("internal_fault")
        finally:
            if stream is not None:
                stream.close()

    def _deliver(self, payload: bytes) -> None:
        try:
            self.receive(payload)
        except Exception as fault:  # noqa: BLE001  what one payload does to the app must not cost the link
            self.last_fault = fault
            self._note("receive_failed")

    def _note(self, reason: str) -> None:
        self.last_trouble = reason
        if self._on_trouble is None:
            return
        try:
            self._on_trouble(reason)
        except Exception as fault:  # noqa: BLE001  a log that cannot be written must not cost the link either
            self.last_fault = fault


def _discard(payload: bytes) -> None:
    """The app has not said yet where inbound payloads go; a gateway repeats what matters."""

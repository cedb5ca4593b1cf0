"""A byte stream under TLS, apart from the others: a board on a serial line has no heap for more."""

import asyncio

from meter_firmware.links import LinkError
from meter_firmware.links.streams import ByteStream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_NOTHING = bytearray(0)
"""Reading into it waits for bytes and takes none."""


class TlsStream(ByteStream):
    """The handshake runs in steps inside the first writes and reads; a bad certificate is refused there.

    Waiting is left to the socket beneath: the Unix port takes a millisecond for every turn of the event loop
    while a TLS socket is registered, because that has no descriptor. Mbed TLS may hold bytes that the socket
    no longer shows, so reading comes before waiting.
    """

    def __init__(self, secured: "Any", connection: "Any") -> None:
        super().__init__(secured)
        self._connection = connection
        self._beneath = asyncio.StreamReader(connection)

    async def read_into(self, buffer: memoryview) -> int:
        while True:
            try:
                count = self._raw.readinto(buffer)
            except (ValueError, OSError) as error:
                raise _tls_error(error)
            if count:
                # A peer that never stops sending must not keep the loop to itself.
                await asyncio.sleep_ms(0)
                return int(count)
            if count is not None:
                raise LinkError("peer_closed")
            await self._beneath.readinto(_NOTHING)

    def _write_some(self, view: memoryview) -> int:
        try:
            return super()._write_some(view)
        except (ValueError, OSError) as error:
            raise _tls_error(error)

    def close(self) -> None:
        super().close()
        # After a failed handshake MicroPython has let go of the socket without closing it.
        self._connection.close()


def _tls_error(error: Exception) -> LinkError:
    """A certificate that does not verify is a ValueError here; Mbed TLS's own codes are negative."""
    if isinstance(error, ValueError):
        return LinkError("tls_certificate_refused")
    if isinstance(error, OSError) and error.errno is not None and error.errno < 0:
        return LinkError("tls_failed")
    return LinkError("peer_lost")

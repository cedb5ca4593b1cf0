"""Opens a TCP connection, with TLS or without, while the event loop goes on.

What still blocks: `getaddrinfo` on a name waits for the resolver, on every port of MicroPython. Addresses are
therefore kept until several attempts in a row have failed, and an IP address in the configuration never
blocks (with TLS, the certificate's name is given separately). Each step of a TLS handshake blocks for its
arithmetic only.
"""

import asyncio
import errno
import select
import socket
import time

from meter_firmware.links import LinkError
from meter_firmware.links.streams import ByteStream
from meter_firmware.links.tls_stream import TlsStream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from meter_firmware.links.tls_settings import TlsSettings

CONNECT_TIMEOUT_MS = 10000
POLL_MS = 5

RESOLVE_AGAIN_AFTER = 5
"""Failed attempts before a name is looked up anew."""

# Not every port has the names; the numbers are IANA's and, on every port so far, the same.
_IPPROTO_TCP = 6
_TCP_NODELAY = 1


class TcpTarget:
    def __init__(
        self,
        host: str,
        port: int,
        tls_settings: "TlsSettings | None" = None,
        timeout_ms: int = CONNECT_TIMEOUT_MS,
    ) -> None:
        self._host = host
        self._port = port
        self._tls_settings = tls_settings
        self._timeout_ms = timeout_ms
        self._addresses: "list[Any]" = []
        self._failures = 0

    async def open(self) -> ByteStream:
        """A connected stream, or a LinkError with the reason."""
        if self._failures >= RESOLVE_AGAIN_AFTER:
            self._addresses = []
        if not self._addresses:
            self._addresses = self._resolve()
            self._failures = 0
        try:
            stream = await self._connect(self._addresses[0])
        except (LinkError, OSError):
            self._failures += 1
            # A name may have an IPv6 and an IPv4 address while the peer listens on one of them.
            self._addresses.append(self._addresses.pop(0))
            raise
        self._failures = 0
        return stream

    def _resolve(self) -> "list[Any]":
        try:
            return list(socket.getaddrinfo(self._host, self._port, 0, socket.SOCK_STREAM))
        except OSError:
            raise LinkError("name_unresolved")

    async def _connect(self, address: "Any") -> ByteStream:
        connection = socket.socket(address[0], address[1])
        # MicroPython's sockets have no finaliser: whatever ends this attempt, a cancellation too, must close.
        kept = False
        try:
            connection.setblocking(False)
            try:
                connection.connect(address[-1])
            except OSError as error:
                if error.errno != errno.EINPROGRESS:
                    raise LinkError("connect_refused")
            await self._wait_until_connected(connection)
            _send_at_once(connection)
            stream = self._wrap(connection)
            kept = True
            return stream
        finally:
            if not kept:
                connection.close()

    async def _wait_until_connected(self, connection: "Any") -> None:
        """A poller of its own: asyncio's is not public, and a wait that is cancelled must leave no trace."""
        poller = select.poll()
        poller.register(connection, select.POLLOUT)
        deadline = time.ticks_add(time.ticks_ms(), self._timeout_ms)
        while True:
            for _, events in poller.poll(0):
                if events & (select.POLLERR | select.POLLHUP):
                    raise LinkError("connect_refused")
                if events & select.POLLOUT:
                    return
            if time.ticks_diff(deadline, time.ticks_ms()) <= 0:
                raise LinkError("connect_timeout")
            await asyncio.sleep_ms(POLL_MS)

    def _wrap(self, connection: "Any") -> ByteStream:
        settings = self._tls_settings
        if settings is None:
            return ByteStream(connection)
        # do_handshake_on_connect would block the whole meter until a silent peer speaks, that is, for ever.
        secured = settings.context.wrap_socket(
            connection, server_hostname=settings.server_hostname, do_handshake_on_connect=False
        )
        secured.setblocking(False)
        return TlsStream(secured, connection)


def _send_at_once(connection: "Any") -> None:
    """Switch Nagle's algorithm off: it holds a frame of two TLS records back for a delayed ACK, some 40 ms."""
    try:
        connection.setsockopt(_IPPROTO_TCP, _TCP_NODELAY, 1)
    except (OSError, ValueError):
        # A port without the option is slower, not wrong.
        return

"""Bytes for bytes with a simulator, answered while the meter waits: what stands in for a bus of the board.

A connection that fails or is late is closed, so that no late answer is taken for the next one, and is opened again
by the next request.
"""

import errno
import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Exchange:
    def __init__(self, host: str, tcp_port: int, timeout_s: float = 1.0) -> None:
        self._where = (host, tcp_port)
        self._timeout_s = timeout_s
        self._socket: "Any" = None

    def tell(self, request: bytes, length: int) -> bytes:
        """An answer of `length` bytes; OSError after which nothing of it is believed."""
        try:
            if self._socket is None:
                self._open()
            self._socket.write(request)
        except OSError:
            self.close()
            raise
        return self.more(length)

    def more(self, length: int) -> bytes:
        """What follows in the answer."""
        try:
            received: bytes = self._socket.read(length) if length else b""
            if received is None or len(received) != length:
                raise OSError(errno.ECONNRESET)
        except OSError:
            self.close()
            raise
        return received

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _open(self) -> None:
        self._socket = socket.socket()
        self._socket.settimeout(self._timeout_s)
        self._socket.connect(socket.getaddrinfo(self._where[0], self._where[1])[0][-1])

"""The gateway's end of the meter's serial line. A TCP port stands for the line; a thread listens to it."""

import contextlib
import socket
import threading
from collections.abc import Callable

from hil_tests.platforms import HOST
from meter_protocol import framing

CHUNK = 4096


class LinkEnd:
    """Plugged in from the start; `receive` is called with each intact payload, in the line's thread."""

    def __init__(self, receive: Callable[[bytes], None]) -> None:
        self._receive = receive
        self._connection: socket.socket | None = None
        self.is_plugged_in = True
        self._sending = threading.Lock()
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = self._listen()

    def send(self, payload: bytes) -> bool:
        """False if nobody is at the other end."""
        connection = self._connection
        if connection is None:
            return False
        try:
            # Answers leave from the line's thread, what a suite sends from its own.
            with self._sending:
                connection.sendall(framing.frame(payload))
        except OSError:
            return False
        return True

    @property
    def is_connected(self) -> bool:
        return self._connection is not None

    def unplug(self) -> None:
        """The meter finds nobody there. The port stays ours, bound and deaf."""
        self.close()
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((HOST, self.port))

    def plug_in(self) -> None:
        self.is_plugged_in = True
        self._listener.listen()
        self._thread = self._listen()

    def close(self) -> None:
        self.is_plugged_in = False
        # Only a shutdown wakes a thread that waits in accept or recv; closing does not.
        for end in (self._listener, self._connection):
            if end is not None:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _listen(self) -> threading.Thread:
        thread = threading.Thread(target=self._serve, args=(self._listener,), daemon=True)
        thread.start()
        return thread

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._connection = connection
                # Accepted while it was being unplugged: nobody would shut this one down.
                if self.is_plugged_in:
                    with contextlib.suppress(OSError):
                        self._read(connection)
                self._connection = None

    def _read(self, connection: socket.socket) -> None:
        deframer = framing.Deframer()
        while chunk := connection.recv(CHUNK):
            for payload in deframer.feed(chunk):
                self._receive(payload)

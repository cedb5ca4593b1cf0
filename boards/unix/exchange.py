"""Bytes for bytes with a simulator, answered while the meter waits: what stands in for a bus of the board."""

from remote_buses import Wire


class Exchange(Wire):
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
            return self._receive(length)
        except OSError:
            self.close()
            raise

"""The interpreter's own console as a byte stream, where it is no UART object: USB of the esp32 port.

MicroPython's `sys.stdin.buffer` waits until it has all the bytes that were asked for, so they are taken one by
one, each after a poll.
"""

import io
import select

from meter_firmware.links.streams import ByteStream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_POLL = 3
"""MP_STREAM_POLL of MicroPython's py/stream.h."""


class _Console(io.IOBase):
    def __init__(self, source: "Any", sink: "Any") -> None:
        self._source = source
        self._sink = sink
        self._poller = select.poll()
        self._poller.register(source, select.POLLIN)

    def ioctl(self, request: int, argument: int) -> int:
        if request != _POLL:
            return -1
        ready = argument & select.POLLOUT
        if argument & select.POLLIN and self._poller.poll(0):
            ready |= select.POLLIN
        return ready

    def readinto(self, buffer: "memoryview") -> "int | None":
        """None if nothing waits; 0 where the console has an end."""
        count = 0
        while count < len(buffer) and self._poller.poll(0):
            byte = self._source.read(1)
            if not byte:
                return count
            buffer[count] = byte[0]
            count += 1
        return count or None

    def write(self, content: "bytes | memoryview") -> "int | None":
        written: "int | None" = self._sink.write(content)
        return written


class ConsoleStream(ByteStream):
    def close(self) -> None:
        # The console outlives every session on it.
        self._closed = True


class Console:
    """`source` and `sink` are sys.stdin.buffer and sys.stdout.buffer."""

    def __init__(self, source: "Any", sink: "Any") -> None:
        self._console = _Console(source, sink)

    async def open(self) -> ByteStream:
        return ConsoleStream(self._console)

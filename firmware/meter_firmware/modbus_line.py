"""The lines a bus talks over: a TCP connection or a serial port, behind one small seam.

A line only moves bytes. It knows nothing of frames and never retries; the bus decides when to reconnect.
Whatever the environment does to it is an OSError. How a stream is opened is shared with the ways to the
gateway (`links/tcp`, `links/tty`); a board hands StreamLine a target that wraps its machine.UART the same way.
"""

import asyncio
import errno

from meter_firmware.links import LinkError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from meter_firmware.links.streams import ByteStream

    class Target(Protocol):
        async def open(self) -> ByteStream: ...


CONNECT_TIMEOUT_MS = 2000
WRITE_TIMEOUT_MS = 1000
BUFFER_LENGTH = 256
"""Nearly all of the longest RTU frame (256 bytes) or MBAP frame (260 bytes) in one piece."""


class StreamLine:
    def __init__(self, target: "Target") -> None:
        self._target = target
        self._stream: "ByteStream | None" = None
        self._buffer = bytearray(BUFFER_LENGTH)

    @property
    def is_open(self) -> bool:
        return self._stream is not None

    async def reconnect(self) -> None:
        self.close()
        try:
            self._stream = await self._target.open()
        except LinkError:
            raise OSError(errno.ENOTCONN)

    async def write(self, frame: bytes) -> None:
        try:
            await self._opened().write_all(frame, WRITE_TIMEOUT_MS)
        except LinkError:
            raise OSError(errno.ECONNRESET)

    async def read_some(self, timeout_ms: int) -> bytes:
        """What has arrived, b"" on timeout; OSError when the other end has closed."""
        try:
            count: int = await asyncio.wait_for_ms(self._opened().read_into(memoryview(self._buffer)), timeout_ms)
        except asyncio.TimeoutError:
            return b""
        except LinkError:
            raise OSError(errno.ECONNRESET)
        return bytes(memoryview(self._buffer)[:count])

    def drain(self) -> None:
        """Discard what has already arrived, without waiting."""
        raw = self._opened()._raw
        while raw.read(BUFFER_LENGTH):
            pass

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _opened(self) -> "ByteStream":
        if self._stream is None:
            raise OSError(errno.ENOTCONN)
        return self._stream


def tcp_line(host: str, port: int) -> StreamLine:
    """Modbus TCP, or what a serial device server carries over TCP."""
    from meter_firmware.links.tcp import TcpTarget  # not every board has sockets

    return StreamLine(TcpTarget(host, port, None, CONNECT_TIMEOUT_MS))


def serial_line(path: str, baud: int, parity: str = "none") -> StreamLine:
    """A tty of the Unix port: 8 data bits, one stop bit."""
    from meter_firmware.links.tty import Tty

    return StreamLine(Tty(path, baud, parity))

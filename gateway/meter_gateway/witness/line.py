"""The line to instruments that are not Modbus: a serial port, or a TCP connection to a serial device server.

It moves bytes, knows nothing of frames and never retries; the bus decides when to reconnect. Whatever the
environment does to it is an OSError.
"""

import asyncio
import contextlib
import errno
import os
import termios
from pathlib import Path

from meter_gateway import serial_port
from meter_gateway.config import BusSection

MAX_UNREAD = 4096
"""A line that babbles while nobody asks must not fill the memory; what is old is worth least."""

READ_SIZE = 1024


class InstrumentLine:
    def __init__(self, section: BusSection) -> None:
        self._section = section
        self._unread = bytearray()
        self._arrived = asyncio.Event()
        self._end: _TcpEnd | _PortEnd | None = None

    @property
    def is_open(self) -> bool:
        return self._end is not None

    async def reconnect(self) -> None:
        self.close()
        if self._section.tcp is None:
            try:
                self._end = _PortEnd(self._section, self)
            except termios.error as error:
                raise OSError(errno.EIO, str(error)) from error
            return
        loop, (host, port) = asyncio.get_running_loop(), self._section.tcp
        async with asyncio.timeout(self._section.timeout_ms / 1000):
            transport, end = await loop.create_connection(lambda: _TcpEnd(self), host, port)
        end.transport = transport
        self._end = end

    async def write(self, frame: bytes) -> None:
        self._opened().write(frame)

    async def read_some(self, timeout_ms: int) -> bytes:
        """What has arrived, b"" on timeout; OSError when the other end has closed."""
        if not self._unread:
            self._opened()
            self._arrived.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_ms / 1000):
                    await self._arrived.wait()
        octets = bytes(self._unread)
        if not octets:
            self._opened()
        self._unread.clear()
        return octets

    def drain(self) -> None:
        self._opened()
        self._unread.clear()

    def close(self) -> None:
        if self._end is not None:
            self._end.close()
        self._end = None
        self._unread.clear()

    def take(self, octets: bytes) -> None:
        """From an end: it has heard this."""
        self._unread += octets
        del self._unread[:-MAX_UNREAD]
        self._arrived.set()

    def lose(self, end: "_TcpEnd | _PortEnd") -> None:
        """From an end: it is closed from the other side."""
        if end is self._end:
            self._end = None
            self._arrived.set()

    def _opened(self) -> "_TcpEnd | _PortEnd":
        if self._end is None:
            raise OSError(errno.ENOTCONN, "the line is closed")
        return self._end


class _TcpEnd(asyncio.Protocol):
    transport: asyncio.Transport
    """From `reconnect`, before anybody writes."""

    def __init__(self, line: InstrumentLine) -> None:
        self._line = line

    def data_received(self, data: bytes) -> None:
        self._line.take(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._line.lose(self)

    def write(self, frame: bytes) -> None:
        self.transport.write(frame)

    def close(self) -> None:
        self.transport.abort()


class _PortEnd:
    def __init__(self, section: BusSection, line: InstrumentLine) -> None:
        self._line = line
        self._descriptor = serial_port.open_raw(Path(section.port or ""), section.baud, section.parity)
        asyncio.get_running_loop().add_reader(self._descriptor, self._hear)

    def write(self, frame: bytes) -> None:
        # A request is some dozen bytes, less than a port holds.
        os.write(self._descriptor, frame)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)

    def _hear(self) -> None:
        try:
            octets = os.read(self._descriptor, READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            octets = b""
        if octets:
            self._line.take(octets)
        else:
            self._line.lose(self)
            self.close()

"""Meters on a line: a serial port, or its TCP stand-in where each connection is a line of its own.

One line is one peer. Frames come in and answers go out on the same line; a frame that noise has spoilt is
counted and forgotten, because the meter sends again until it holds a receipt.
"""

import asyncio
import contextlib
import logging
import os
import random
import termios
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from meter_gateway import backoff, serial_port
from meter_gateway.config import SerialListener as Section
from meter_gateway.listener.inbox import Inbox
from meter_gateway.model import Received
from meter_protocol import framing

MAX_LINES = 256
"""TCP connections at once at one listener."""

MAX_UNSENT_BYTES = 64 * 1024
"""A peer that does not read its answers loses them instead of filling the gateway's memory."""

READ_SIZE = 16384

_log = logging.getLogger(__name__)


class SerialListener:
    def __init__(self, section: Section, inbox: Inbox, now_ms: Callable[[], int]) -> None:
        self._section = section
        self._inbox = inbox
        self._now_ms = now_ms
        self._lines: dict[str, asyncio.StreamWriter] = {}
        self._listening = False
        self.lost: Counter[str] = Counter()
        """Frames and answers that went nowhere, by reason."""
        if section.tcp is not None:
            self.name = f"tcp:{section.tcp[0]}:{section.tcp[1]}/"
        else:
            self.name = f"serial:{section.port}/"

    @property
    def connected(self) -> bool:
        return self._listening

    async def run(self) -> None:
        waits = backoff.delays(random.uniform)
        while True:
            try:
                if self._section.tcp is not None:
                    await self._serve_tcp(*self._section.tcp)
                else:
                    await self._serve_port(Path(self._section.port or ""))
                waits = backoff.delays(random.uniform)
                reason = "line closed"
            except (OSError, termios.error) as error:
                reason = str(error)
            wait = next(waits)
            _log.warning("%s %s; again in %.1f s", self.name, reason, wait)
            await asyncio.sleep(wait)

    def send(self, peer: str, kid: bytes, raw: bytes) -> bool:
        if not peer.startswith(self.name):
            return False
        writer = self._lines.get(peer)
        if writer is None or writer.transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            self.lost["answer"] += 1
        else:
            writer.write(framing.frame(raw))
        return True

    def peers_for(self, kid: bytes) -> list[str]:
        """A cable has whoever is at its end; TCP connections may be many, and each says by itself who it is."""
        return [] if self._section.tcp is not None else list(self._lines)

    async def flush(self) -> None:
        for writer in list(self._lines.values()):
            with contextlib.suppress(OSError):
                await writer.drain()

    async def _serve_tcp(self, host: str, port: int) -> None:
        server = await asyncio.start_server(self._serve_connection, host, port, limit=READ_SIZE)
        _log.info("listening at %s", self.name)
        self._listening = True
        try:
            async with server:
                await server.serve_forever()
        finally:
            self._listening = False

    async def _serve_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = writer.get_extra_info("peername")[:2]
        try:
            if len(self._lines) >= MAX_LINES:
                self.lost["line"] += 1
            else:
                await self._serve_line(f"{self.name}{host}:{port}", reader, writer)
        except asyncio.CancelledError:
            # This task is the connection's own and ends here; asyncio 3.11 would log its cancellation as an error.
            pass
        except OSError as error:
            _log.info("%s%s:%s: %s", self.name, host, port, error)
        finally:
            writer.close()

    async def _serve_port(self, port: Path) -> None:
        async with _open_port(port, self._section.baud) as (reader, writer):
            _log.info("listening at %s", self.name)
            self._listening = True
            try:
                await self._serve_line(self.name + "line", reader, writer)
            finally:
                self._listening = False

    async def _serve_line(self, peer: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._lines[peer] = writer
        deframer = framing.Deframer()
        try:
            while octets := await reader.read(READ_SIZE):
                for payload in deframer.feed(octets):
                    await self._inbox.put(Received(payload, peer, self._now_ms()))
                self.lost["frame"] += deframer.discarded
                deframer.discarded = 0
        finally:
            del self._lines[peer]


@contextlib.asynccontextmanager
async def _open_port(port: Path, baud: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """The port in raw mode, ours alone, as streams."""
    loop = asyncio.get_running_loop()
    descriptor = serial_port.open_raw(port, baud)
    with (
        os.fdopen(descriptor, "rb", buffering=0) as incoming,
        os.fdopen(os.dup(descriptor), "wb", buffering=0) as out,
    ):
        reader = asyncio.StreamReader(limit=READ_SIZE)
        source, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), incoming)
        sink, protocol = await loop.connect_write_pipe(
            lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader()), out
        )
        writer = asyncio.StreamWriter(sink, protocol, None, loop)
        try:
            yield reader, writer
        finally:
            sink.abort()
            source.close()

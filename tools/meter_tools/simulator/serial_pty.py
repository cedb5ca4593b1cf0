"""A bus as a serial line: a pseudo-terminal whose other end is the bus's TCP server.

A pty carries bytes, not time: no baud rate, no parity error, no silence between frames. What a real RS-485
line adds in these is not simulated.
"""

import asyncio
import os
import tty
from dataclasses import dataclass

CHUNK = 256


@dataclass
class PtyLine:
    path: str
    controller: int
    """The end that is the instruments'."""

    device: int | None
    """The meter's end, where it is ours to keep open."""

    writer: asyncio.StreamWriter
    pump: asyncio.Task[None]

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.controller)
        self.pump.cancel()
        self.writer.close()
        os.close(self.controller)
        if self.device is not None:
            os.close(self.device)


async def open_pty_line(host: str, port: int) -> PtyLine:
    controller, device = os.openpty()
    # Raw already before the meter opens it, and held open, so that the meter may come and go.
    tty.setraw(device)
    return await join(host, port, os.ttyname(device), controller, device)


async def join(host: str, port: int, path: str, controller: int, device: int | None = None) -> PtyLine:
    """Carries bytes between the open line and the bus's server; at the line's end there is no more to carry."""
    reader, writer = await asyncio.open_connection(host, port)
    loop = asyncio.get_running_loop()

    async def pump() -> None:
        while chunk := await reader.read(CHUNK):
            os.write(controller, chunk)

    def hear() -> None:
        try:
            chunk = os.read(controller, CHUNK)
        except OSError:
            chunk = b""
        if chunk:
            writer.write(chunk)
        else:
            loop.remove_reader(controller)

    loop.add_reader(controller, hear)
    return PtyLine(path, controller, device, writer, asyncio.create_task(pump()))

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
    device: int
    writer: asyncio.StreamWriter
    pump: asyncio.Task[None]

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.controller)
        self.pump.cancel()
        self.writer.close()
        os.close(self.controller)
        os.close(self.device)


async def open_pty_line(host: str, port: int) -> PtyLine:
    controller, device = os.openpty()
    # Raw already before the meter opens it, and held open, so that the meter may come and go.
    tty.setraw(device)
    reader, writer = await asyncio.open_connection(host, port)

    async def pump() -> None:
        while chunk := await reader.read(CHUNK):
            os.write(controller, chunk)

    asyncio.get_running_loop().add_reader(controller, lambda: writer.write(os.read(controller, CHUNK)))
    return PtyLine(os.ttyname(device), controller, device, writer, asyncio.create_task(pump()))

"""A simulator that is a process of its own: it says its port, and serves until it is told to end."""

import asyncio
import json
import signal
from collections.abc import Awaitable, Callable

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def serve_until_ended(serve: Serve, port: int) -> None:
    """On loopback; port 0 is any that is free."""
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    server = await asyncio.start_server(serve, "127.0.0.1", port)
    print(json.dumps({"simulator": "ready", "port": server.sockets[0].getsockname()[1]}), flush=True)
    await ended.wait()
    server.close()

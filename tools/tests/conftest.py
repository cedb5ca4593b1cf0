"""Fixtures of the tools' tests."""

import asyncio
import os
from collections.abc import Awaitable, Callable

import pytest

from meter_tools.simulator import Simulation


@pytest.fixture
def ask_over_pty() -> Callable[[Simulation, str, int], Awaitable[str]]:
    """A request over the pseudo terminal of `bus`, and so many bytes of what comes back, both in hexadecimal."""

    async def ask(simulation: Simulation, request: str, reply_bytes: int) -> str:
        path = simulation.buses["bus"].pty
        assert path is not None
        device = os.open(path, os.O_RDWR | os.O_NOCTTY)
        try:
            os.write(device, bytes.fromhex(request))
            reply = b""
            while len(reply) < reply_bytes:
                reply += await asyncio.to_thread(os.read, device, reply_bytes)
            return reply.hex().upper()
        finally:
            os.close(device)

    return ask

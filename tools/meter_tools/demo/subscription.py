"""The far end's own connection to the broker: it comes back whenever the broker does."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import aiomqtt

from meter_protocol import topics

AGAIN_S = 0.2


@contextlib.asynccontextmanager
async def subscribed(port: int, take: Callable[[bytes], None]) -> AsyncIterator[None]:
    """Every envelope goes to `take`; the first subscription stands before the body begins."""
    ready = asyncio.Event()

    async def receive() -> None:
        while True:
            with contextlib.suppress(aiomqtt.MqttError):
                async with aiomqtt.Client("127.0.0.1", port, identifier="far-end") as client:
                    await client.subscribe(topics.VERIFIED_FILTER, qos=1)
                    ready.set()
                    async for message in client.messages:
                        take(bytes(message.payload))
            await asyncio.sleep(AGAIN_S)

    receiver = asyncio.create_task(receive())
    await ready.wait()
    try:
        yield
    finally:
        receiver.cancel()

"""Outbox to an MQTT broker: each envelope is a QoS 1 publish, and sent means that the broker acknowledged it.

The outbox is the queue and survives everything; this file only empties it, oldest first. A whole window of
publishes is under way at once. When a connection fails inside a window, what was acknowledged up to the first
gap is marked and the rest goes again: at least once, in order, and the far end drops what it has by identity.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from itertools import takewhile
from typing import Any, TypeVar

import aiomqtt

from meter_gateway import backoff, broker
from meter_gateway.config import UplinkMqtt as Section
from meter_gateway.outbox import Envelope, Outbox
from meter_gateway.store import StoreUnavailable
from meter_protocol import topics

WINDOW = 256
"""Publishes under way: some 200 KB, and a round trip is paid once for all of them."""

LOOK_AGAIN_S = 2.0
"""What another process put into the outbox (`uplink resend`) wakes nobody here."""

Result = TypeVar("Result")

_log = logging.getLogger(__name__)


class MqttUplink:
    def __init__(self, section: Section, outbox: Outbox, threads: Executor) -> None:
        self._section = section
        self._outbox = outbox
        self._threads = threads
        self._work = asyncio.Event()
        self.connected = False
        self.sent = 0
        """Envelopes that the broker acknowledged since the start."""

    def notify(self) -> None:
        """There is something new in the outbox."""
        self._work.set()

    async def run(self) -> None:
        waits = backoff.delays(random.uniform)
        while True:
            sent_before = self.sent
            try:
                async with broker.client(self._section, inflight=WINDOW) as client:
                    _log.info("uplink to broker %s", broker.address(self._section))
                    self.connected = True
                    await self._send_while_connected(client)
            except (aiomqtt.MqttError, StoreUnavailable) as error:
                # A broker that accepts connections and nothing else does not start the back-off anew.
                if self.sent > sent_before:
                    waits = backoff.delays(random.uniform)
                wait = next(waits)
                _log.warning("uplink to %s: %s; again in %.1f s", broker.address(self._section), error, wait)
            finally:
                self.connected = False
            await asyncio.sleep(wait)

    async def _send_while_connected(self, client: aiomqtt.Client) -> None:
        """Window after window; ends with the error that ended the connection."""
        gone = asyncio.create_task(_until_disconnected(client))
        try:
            while not gone.done():
                self._work.clear()
                window = await self._call(self._outbox.pending, WINDOW)
                if window:
                    await self._send_window(client, window, gone)
                else:
                    await self._wait_for_work(gone)
            gone.result()
        finally:
            gone.cancel()

    async def _send_window(
        self, client: aiomqtt.Client, window: Sequence[Envelope], gone: "asyncio.Task[None]"
    ) -> None:
        # Tasks start in the order in which they are made, and a publish is on its way before its first wait.
        publishes = [
            asyncio.create_task(client.publish(topics.verified(envelope.kid), envelope.raw, qos=1))
            for envelope in window
        ]
        whole = asyncio.gather(*publishes, return_exceptions=True)
        try:
            await asyncio.wait((whole, gone), return_when=asyncio.FIRST_COMPLETED)
            acknowledged = list(takewhile(_is_acknowledged, publishes))
            sent = [envelope.verdict for envelope, _ in zip(window, acknowledged, strict=False)]
            await self._call(self._outbox.mark_sent, sent)
            self.sent += len(sent)
            if not gone.done() and len(sent) < len(window):
                await publishes[len(sent)]
        finally:
            whole.cancel()

    async def _wait_for_work(self, gone: "asyncio.Task[None]") -> None:
        work = asyncio.create_task(self._work.wait())
        await asyncio.wait((work, gone), timeout=LOOK_AGAIN_S, return_when=asyncio.FIRST_COMPLETED)
        work.cancel()

    async def _call(self, function: Callable[..., Result], *arguments: Any) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)


def _is_acknowledged(publish: "asyncio.Task[None]") -> bool:
    return publish.done() and not publish.cancelled() and publish.exception() is None


async def _until_disconnected(client: aiomqtt.Client) -> None:
    """Nothing is subscribed, so this iterator only ends, with an error, when the connection does."""
    async for _ in client.messages:
        pass

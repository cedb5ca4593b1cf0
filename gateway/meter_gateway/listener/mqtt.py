"""Meters behind an MQTT broker: one subscription for all, answers on each meter's own topic.

The broker's PUBACK to a meter proves nothing, and neither does ours to the broker: aiomqtt gives it before
the bytes are stored. Only the signed receipt lets a meter free its journal, so a clean session is enough.
"""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable

import aiomqtt

from meter_gateway import backoff, broker
from meter_gateway.config import MqttListener as Section
from meter_gateway.listener.inbox import Inbox
from meter_gateway.model import Received
from meter_protocol import topics

MAX_PENDING_ANSWERS = 4096

_log = logging.getLogger(__name__)
_SUBACK_FAILURE = 0x80


class MqttListener:
    def __init__(self, section: Section, inbox: Inbox, now_ms: Callable[[], int]) -> None:
        self.name = f"mqtt:{broker.address(section)}/"
        self._section = section
        self._inbox = inbox
        self._now_ms = now_ms
        self._client: aiomqtt.Client | None = None
        self._publishing: set[asyncio.Task[None]] = set()
        self.lost: Counter[str] = Counter()
        """Payloads and answers that went nowhere, by reason."""

    @property
    def connected(self) -> bool:
        return self._client is not None

    async def run(self) -> None:
        waits = backoff.delays(random.uniform)
        while True:
            try:
                async with broker.client(self._section, self._deliver_at_once()) as client:
                    await self._subscribe(client)
                    self._client = client
                    _log.info("listening at broker %s", broker.address(self._section))
                    waits = backoff.delays(random.uniform)
                    # Payloads never reach this iterator: it ends with an error when the connection does.
                    async for _ in client.messages:
                        pass
            except aiomqtt.MqttError as error:
                wait = next(waits)
                _log.warning(
                    "broker %s: %s; again in %.1f s", broker.address(self._section), error or "gone", wait
                )
            finally:
                self._client = None
            await asyncio.sleep(wait)

    def send(self, peer: str, kid: bytes, raw: bytes) -> bool:
        if not peer.startswith(self.name):
            return False
        if self._client is None or len(self._publishing) >= MAX_PENDING_ANSWERS:
            self.lost["answer"] += 1
            return True
        task = asyncio.create_task(self._publish(self._client, topics.down(kid), raw))
        self._publishing.add(task)
        task.add_done_callback(self._publishing.discard)
        return True

    def peers_for(self, kid: bytes) -> list[str]:
        return [self.name + kid.hex()]

    async def flush(self) -> None:
        await asyncio.gather(*self._publishing, return_exceptions=True)

    async def _publish(self, client: aiomqtt.Client, topic: str, raw: bytes) -> None:
        try:
            await client.publish(topic, raw, qos=1)
        except aiomqtt.MqttError:
            self.lost["answer"] += 1

    async def _subscribe(self, client: aiomqtt.Client) -> None:
        for code in await client.subscribe(topics.UP_FILTER, qos=1):
            if int(str(getattr(code, "value", code))) >= _SUBACK_FAILURE:
                raise aiomqtt.MqttError(
                    f"refuses the subscription to {topics.UP_FILTER}; allow it in its access list"
                )

    def _deliver_at_once(self) -> type[asyncio.Queue[aiomqtt.Message]]:
        """aiomqtt's queue would be a second one, unbounded or dropping unseen: this hands everything on."""
        deliver = self._deliver

        class Direct(asyncio.Queue[aiomqtt.Message]):
            def put_nowait(self, item: aiomqtt.Message) -> None:
                deliver(item)

        return Direct

    def _deliver(self, message: aiomqtt.Message) -> None:
        kid = _kid_of(str(message.topic))
        if kid is None or not isinstance(message.payload, bytes) or not message.payload:
            self.lost["topic"] += 1
            return
        self._inbox.offer(Received(message.payload, self.name + kid, self._now_ms()))


def _kid_of(topic: str) -> str | None:
    """The kid in hexadecimal as `topics.up` writes it; any other topic under the filter is no meter's."""
    name = topic.split("/")[-2]
    try:
        return name if topics.up(bytes.fromhex(name)) == topic and len(name) == 16 else None
    except ValueError:
        return None

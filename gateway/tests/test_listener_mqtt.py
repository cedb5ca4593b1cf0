"""Meters behind a broker: real mosquitto, and amqtt, which the demo embeds."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import aiomqtt
from amqtt.broker import Broker

from meter_gateway.config import MqttListener as Section
from meter_gateway.listener.inbox import Inbox
from meter_gateway.listener.mqtt import MqttListener
from meter_protocol import topics

PATIENCE_S = 60
"""On a busy computer; nothing takes so long by itself."""

KID = bytes.fromhex("0123456789abcdef")


@asynccontextmanager
async def running(port: int, max_payload: int = 262_144) -> AsyncIterator[tuple[MqttListener, Inbox]]:
    inbox = Inbox(max_payload, 20_000, asyncio.get_running_loop().time)
    listener = MqttListener(Section(type="mqtt", host="127.0.0.1", port=port), inbox, lambda: 1234)
    task = asyncio.create_task(listener.run())
    try:
        yield listener, inbox
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def exchange(port: int, until) -> None:
    """A payload up, its answer down, verbatim."""
    async with running(port) as (listener, inbox), aiomqtt.Client("127.0.0.1", port) as meter:
        await until(lambda: listener.connected)
        await meter.subscribe(topics.down(KID), qos=1)
        await meter.publish(topics.up(KID), bytes(range(256)), qos=1)
        (received,) = await asyncio.wait_for(inbox.take(10), PATIENCE_S)
        assert (received.raw, received.received_ms) == (bytes(range(256)), 1234)
        assert [received.peer] == listener.peers_for(KID)
        assert listener.send(received.peer, KID, b"answer")
        answer = await asyncio.wait_for(anext(aiter(meter.messages)), PATIENCE_S)
        assert (str(answer.topic), answer.payload) == (topics.down(KID), b"answer")
        assert not listener.send("serial:/dev/ttyS0/line", KID, b"answer")


async def test_exchange_through_mosquitto(broker, until) -> None:
    await exchange(broker.port, until)


async def test_exchange_through_amqtt(free_port: Callable[[], int], until) -> None:
    port = free_port()
    embedded = Broker({"listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}}})
    await embedded.start()
    try:
        await exchange(port, until)
    finally:
        await embedded.shutdown()


async def test_other_topics_and_empty_payloads_are_nobodys(broker, until) -> None:
    async with running(broker.port) as (listener, inbox), aiomqtt.Client("127.0.0.1", broker.port) as stranger:
        await until(lambda: listener.connected)
        for name in ("0123456789ABCDEF", "0123", "xyz", "01 23456789abcdef"):
            await stranger.publish(f"{topics.ROOT}{name}/up", b"payload", qos=1)
        await stranger.publish(topics.up(KID), b"", qos=1)
        await stranger.publish(topics.up(KID), b"meant", qos=1)
        (received,) = await asyncio.wait_for(inbox.take(10), PATIENCE_S)
        assert received.raw == b"meant"
        assert listener.lost["topic"] == 5


async def test_too_large_a_publish_is_dropped_and_counted(broker, until) -> None:
    async with (
        running(broker.port, 8192) as (listener, inbox),
        aiomqtt.Client("127.0.0.1", broker.port) as meter,
    ):
        await until(lambda: listener.connected)
        await meter.publish(topics.up(KID), bytes(8193), qos=1)
        await meter.publish(topics.up(KID), bytes(8192), qos=1)
        (received,) = await asyncio.wait_for(inbox.take(10), PATIENCE_S)
        assert len(received.raw) == 8192
        assert inbox.dropped == {"oversize": 1}


async def test_the_broker_may_die_and_come_back(broker, until) -> None:
    async with running(broker.port) as (listener, inbox):
        await until(lambda: listener.connected)
        broker.kill()
        await until(lambda: not listener.connected)
        assert listener.send(*listener.peers_for(KID), KID, b"lost")
        assert listener.lost["answer"] == 1
        broker.start()
        await until(lambda: listener.connected)
        async with aiomqtt.Client("127.0.0.1", broker.port) as meter:
            await meter.publish(topics.up(KID), b"after", qos=1)
        (received,) = await asyncio.wait_for(inbox.take(10), PATIENCE_S)
        assert received.raw == b"after"


async def test_no_broker_yet(broker, until) -> None:
    broker.kill()
    async with running(broker.port) as (listener, _):
        await asyncio.sleep(0.3)
        assert not listener.connected
        broker.start()
        await until(lambda: listener.connected)

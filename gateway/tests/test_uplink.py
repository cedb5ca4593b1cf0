"""The uplink towards a broker that acknowledges what it likes: sent is what was acknowledged, in order."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from meter_gateway.config import SCHEMES, UplinkMqtt
from meter_gateway.ingest import Ingest
from meter_gateway.model import GatewayTime, Received
from meter_gateway.policy import load_scheme
from meter_gateway.sealing import Sealers
from meter_gateway.store import Store
from meter_gateway.uplink.mqtt import MqttUplink
from meter_gateway.workers import Inline
from meter_protocol import fields as f
from meter_tools.simulated_meter import START_MS, SimulatedMeter, trust_in

CONNECT, PUBLISH = 1, 3


class StingyBroker:
    """Enough of MQTT 3.1.1 to take QoS 1 publishes; each connection acknowledges so many and then hangs up."""

    def __init__(self, allowances: list[int]) -> None:
        self._allowances = allowances
        self.received: list[list[bytes]] = []
        """Payloads by connection."""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[int]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with server:
            yield server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        allowance = self._allowances.pop(0)
        payloads: list[bytes] = []
        self.received.append(payloads)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                kind, body = await self._packet(reader)
                if kind == CONNECT:
                    writer.write(b"\x20\x02\x00\x00")
                elif kind == PUBLISH:
                    if allowance == 0:
                        break
                    allowance -= 1
                    topic_end = 2 + int.from_bytes(body[:2], "big")
                    payloads.append(body[topic_end + 2 :])
                    writer.write(b"\x40\x02" + body[topic_end : topic_end + 2])
            # Without the half-close the unread publishes would reset the connection, and the last answers with it.
            writer.write_eof()
            while await reader.read(65536):
                pass
        writer.close()

    async def _packet(self, reader: asyncio.StreamReader) -> tuple[int, bytes]:
        (first,) = await reader.readexactly(1)
        size = shift = 0
        while True:
            (octet,) = await reader.readexactly(1)
            size |= (octet & 0x7F) << shift
            shift += 7
            if octet < 0x80:
                return first >> 4, await reader.readexactly(size)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Forty verdicts in the outbox."""
    store = Store(tmp_path / "store")
    meter = SimulatedMeter("SN-1")
    judge = load_scheme(SCHEMES / "development.toml").judge
    ingest = Ingest(store, Sealers.generate(), Inline(), trust_in([meter]), judge)
    store.registry.enrol(SimulatedMeter("SN-1").identity(), "thumbprint", 0)
    raws = [*meter.begin(), *(meter.readings() for _ in range(37))]
    now = GatewayTime(START_MS + 86_400_000, f.CLOCK_SYNCHRONISED, 20)
    for raw in raws:
        ingest.process([Received(raw, "here", now.time_ms)], now)
    return store


@asynccontextmanager
async def running(port: int, store: Store) -> AsyncIterator[MqttUplink]:
    with ThreadPoolExecutor(1) as thread:
        uplink = MqttUplink(UplinkMqtt(host="127.0.0.1", port=port), store.outbox, thread)
        task = asyncio.create_task(uplink.run())
        yield uplink
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_what_was_acknowledged_is_sent_and_the_rest_follows_in_order(store: Store, until) -> None:
    sealed = [envelope.raw for envelope in store.outbox.pending(100)]
    broker = StingyBroker([7, 0, 12, 1000])
    async with broker.serving() as port, running(port, store) as uplink:
        # Counted after it is marked in the store.
        await until(lambda: uplink.sent == 40)
        assert store.outbox.count() == 0
    first, nothing, second, rest = broker.received
    assert (first, nothing) == (sealed[:7], [])
    assert second == sealed[7:19]
    assert rest == sealed[19:]


async def test_nothing_is_marked_that_was_not_acknowledged(store: Store, until) -> None:
    broker = StingyBroker([5] + [0] * 50)
    async with broker.serving() as port, running(port, store) as uplink:
        await until(lambda: uplink.sent == 5 and len(broker.received) > 2)
        assert store.outbox.count() == 35

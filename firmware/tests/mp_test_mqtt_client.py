"""The MQTT link against a broker that the test plays itself, to the byte, over a stream in memory.

Time is the test's own too (instant.py): what is in time is so on every computer.
"""

import asyncio
import gc

from instant import Instant

from meter_firmware.links import LinkError
from meter_firmware.links.backoff import Backoff
from meter_firmware.links.mqtt import MqttLink
from meter_firmware.links.mqtt_client import MAX_IN_FLIGHT, MAX_SILENT_PUBLISHES

CONNACK = b"\x20\x02\x00\x00"
PINGREQ = b"\xc0\x00"
TIMEOUT_MS = 400
SOON_MS = 3000
SHORTEST_DELAY_MS = 2
LONGEST_DELAY_MS = 8


class MemoryStream:
    """The meter's end of a connection; `say` is the broker talking, `heard` what it was told so far."""

    def __init__(self):
        self.heard = b""
        self.closed = False
        self.stalled = False
        self._incoming = b""
        self._news = asyncio.Event()

    async def read_into(self, buffer):
        while not self._incoming:
            self._news.clear()
            await self._news.wait()
        if self._incoming is EOF:
            raise LinkError("peer_closed")
        count = min(len(buffer), len(self._incoming))
        buffer[:count] = self._incoming[:count]
        self._incoming = self._incoming[count:]
        return count

    async def write_all(self, data, timeout_ms):
        if self.stalled:
            await asyncio.sleep_ms(timeout_ms)
            raise LinkError("write_stalled")
        self.heard += bytes(data)

    def write_now(self, data):
        self.heard += bytes(data)

    def close(self):
        self.closed = True

    def say(self, wire):
        self._incoming = wire if wire is EOF else self._incoming + wire
        self._news.set()

    async def hear(self, count):
        """Take the next `count` bytes that the meter sent."""
        await until(lambda: len(self.heard) >= count)
        wire, self.heard = self.heard[:count], self.heard[count:]
        return wire


EOF = b"the end of the stream"


async def until(condition):
    for _ in range(SOON_MS):
        if condition():
            return
        await asyncio.sleep_ms(1)
    raise AssertionError("it never came true")


class Rig:
    """A link with its task, the streams it opened, and everything that it said."""

    def __init__(self, max_payload=200, keepalive_s=60):
        self.streams = []
        self.troubles = []
        self.received = []
        self.backoff = Backoff(lambda n: 0, SHORTEST_DELAY_MS, LONGEST_DELAY_MS)
        self.link = MqttLink(
            self.open,
            self.backoff,
            "m1",
            "a/up",
            "a/down",
            username="me",
            password="secret",
            keepalive_s=keepalive_s,
            max_payload=max_payload,
            timeout_ms=TIMEOUT_MS,
            on_trouble=self.troubles.append,
        )
        self.link.receive = self.received.append

    async def open(self):
        self.streams.append(MemoryStream())
        return self.streams[-1]

    async def __aenter__(self):
        self._instant = Instant()
        self._instant.begin()
        self.task = asyncio.create_task(self.link.run())
        await until(lambda: len(self.streams) == 1)
        return self

    async def __aexit__(self, kind, error, trace):
        self.task.cancel()
        try:
            await self.task
        except asyncio.CancelledError:
            return
        finally:
            self._instant.end()

    @property
    def now_ms(self):
        return self._instant.now_ms

    @property
    def broker(self):
        return self.streams[-1]

    async def log_in(self):
        connect = b"\x10\x1a\x00\x04MQTT\x04\xc2\x00\x3c\x00\x02m1\x00\x02me\x00\x06secret"
        assert await self.broker.hear(len(connect)) == connect
        self.broker.say(CONNACK)
        subscribe = await self.broker.hear(13)
        assert subscribe[:2] == b"\x82\x0b"
        assert subscribe[4:] == b"\x00\x06a/down\x01"
        self.broker.say(b"\x90\x03" + subscribe[2:4] + b"\x01")
        await until(lambda: self.link.connected)

    async def hear_publish(self, payload):
        """The packet identifier of the PUBLISH that must come now."""
        wire = await self.broker.hear(2 + 2 + 4 + 2 + len(payload))
        assert wire[:8] == b"\x32" + bytes((8 + len(payload),)) + b"\x00\x04a/up", wire
        assert wire[10:] == payload
        return wire[8:10]


def inbound(payload, topic=b"a/down", packet_id=9):
    body = len(topic).to_bytes(2, "big") + topic + packet_id.to_bytes(2, "big") + payload
    assert len(body) < 16384
    length = bytes((len(body),)) if len(body) < 128 else bytes((len(body) & 127 | 128, len(body) >> 7))
    return b"\x32" + length + body


async def test_a_frame_is_handed_over_when_the_broker_acknowledged_it():
    async with Rig() as rig:
        assert not rig.link.connected
        assert not await rig.link.send(b"too early")
        await rig.log_in()
        sending = asyncio.create_task(rig.link.send(b"frame"))
        packet_id = await rig.hear_publish(b"frame")
        await asyncio.sleep_ms(TIMEOUT_MS // 4)
        assert not sending.done()
        rig.broker.say(b"\x40\x02" + packet_id)
        assert await sending
        assert rig.troubles == []


async def test_acknowledgements_may_come_in_any_order():
    async with Rig() as rig:
        await rig.log_in()
        frames = [b"one", b"two", b"three"]
        sending = [asyncio.create_task(rig.link.send(frame)) for frame in frames]
        ids = []
        for frame in frames:
            ids.append(await rig.hear_publish(frame))  # noqa: PERF401  MicroPython awaits in no comprehension
        for index in (2, 0, 1):
            rig.broker.say(b"\x40\x02" + ids[index])
            assert await sending[index]
            assert [task.done() for task in sending].count(True) == (2, 0, 1).index(index) + 1


async def test_a_late_acknowledgement_does_not_count_for_the_next_frame():
    async with Rig() as rig:
        await rig.log_in()
        asked_ms = rig.now_ms
        assert not await rig.link.send(b"first")
        assert rig.now_ms - asked_ms == TIMEOUT_MS
        late = await rig.hear_publish(b"first")
        sending = asyncio.create_task(rig.link.send(b"again"))
        own = await rig.hear_publish(b"again")
        assert own != late
        rig.broker.say(b"\x40\x02" + late)
        await asyncio.sleep_ms(TIMEOUT_MS // 4)
        assert not sending.done()
        rig.broker.say(b"\x40\x02" + own)
        assert await sending
        assert rig.link.connected
        assert len(rig.streams) == 1


async def test_one_frame_more_than_may_be_in_flight_is_refused_at_once():
    async with Rig() as rig:
        await rig.log_in()
        sending = [asyncio.create_task(rig.link.send(b"x")) for _ in range(MAX_IN_FLIGHT)]
        await asyncio.sleep_ms(1)
        refused = asyncio.create_task(rig.link.send(b"y"))
        await asyncio.sleep_ms(1)
        assert refused.done()
        assert not await refused
        for task in sending:
            assert not await task


async def test_a_broker_that_never_acknowledges_is_given_up():
    async with Rig() as rig:
        await rig.log_in()
        for _ in range(MAX_SILENT_PUBLISHES):
            assert not await rig.link.send(b"x")
        await until(lambda: len(rig.streams) == 2)
        assert rig.troubles == ["mqtt_puback_timeout"]
        assert rig.streams[0].closed


async def test_a_broker_that_acknowledges_now_and_then_is_kept():
    async with Rig() as rig:
        await rig.log_in()
        for _ in range(2):
            for _ in range(MAX_SILENT_PUBLISHES - 1):
                assert not await rig.link.send(b"x")
                await rig.hear_publish(b"x")
            sending = asyncio.create_task(rig.link.send(b"y"))
            rig.broker.say(b"\x40\x02" + await rig.hear_publish(b"y"))
            assert await sending
        assert rig.troubles == []


async def test_the_first_acknowledgement_ends_the_growing_of_the_delays():
    async with Rig() as rig:
        for streams in (2, 3, 4):
            rig.broker.say(EOF)
            await until(lambda expected=streams: len(rig.streams) == expected)
        assert rig.backoff.next_delay_ms() == LONGEST_DELAY_MS // 2
        await rig.log_in()
        sending = asyncio.create_task(rig.link.send(b"x"))
        rig.broker.say(b"\x40\x02" + await rig.hear_publish(b"x"))
        assert await sending
        assert rig.backoff.next_delay_ms() == SHORTEST_DELAY_MS // 2


async def test_a_frame_in_flight_fails_as_soon_as_the_connection_does():
    async with Rig() as rig:
        await rig.log_in()
        sending = asyncio.create_task(rig.link.send(b"x"))
        await rig.hear_publish(b"x")
        rig.broker.say(EOF)
        await asyncio.sleep_ms(TIMEOUT_MS // 4)
        assert sending.done()
        assert not await sending
        await until(lambda: len(rig.streams) == 2)
        assert rig.troubles == ["peer_closed"]
        await rig.log_in()


async def test_a_stalled_write_ends_the_session():
    async with Rig() as rig:
        await rig.log_in()
        rig.broker.stalled = True
        assert not await rig.link.send(b"x")
        await until(lambda: len(rig.streams) == 2)
        assert rig.troubles == ["write_stalled"]


async def test_a_sender_that_gave_up_half_way_ends_the_session():
    async with Rig() as rig:
        await rig.log_in()
        rig.broker.stalled = True
        sending = asyncio.create_task(rig.link.send(b"x"))
        await asyncio.sleep_ms(5)
        sending.cancel()
        await until(lambda: len(rig.streams) == 2)
        assert rig.troubles == ["send_cancelled"]


async def test_a_silent_broker_is_found_out_by_ping():
    async with Rig(keepalive_s=1) as rig:
        connect = await rig.broker.hear(28)
        assert connect[10:12] == b"\x00\x01"
        rig.broker.say(CONNACK)
        rig.broker.say(b"\x90\x03" + (await rig.broker.hear(13))[2:4] + b"\x01")
        assert await rig.broker.hear(2) == PINGREQ
        rig.broker.say(b"\xd0\x00")
        assert await rig.broker.hear(2) == PINGREQ
        assert rig.troubles == []
        await until(lambda: len(rig.streams) == 2)
        assert rig.troubles == ["mqtt_ping_timeout"]


async def test_a_payload_is_delivered_and_then_acknowledged():
    async with Rig() as rig:
        await rig.log_in()
        rig.broker.say(inbound(b"receipt", packet_id=258))
        assert await rig.broker.hear(4) == b"\x40\x02\x01\x02"
        rig.broker.say(b"\x30\x0a\x00\x06a/downhi")
        await until(lambda: len(rig.received) == 2)
        assert rig.received == [b"receipt", b"hi"]
        await asyncio.sleep_ms(2)
        assert rig.broker.heard == b""


async def test_what_came_before_the_subscription_was_granted_is_delivered():
    async with Rig() as rig:
        await rig.broker.hear(28)
        rig.broker.say(CONNACK)
        subscribe = await rig.broker.hear(13)
        rig.broker.say(inbound(b"retained") + b"\x90\x03" + subscribe[2:4] + b"\x00")
        await until(lambda: rig.link.connected)
        assert rig.received == [b"retained"]


async def test_useless_payloads_are_acknowledged_and_cost_nothing():
    async with Rig(max_payload=100) as rig:
        await rig.log_in()
        rig.broker.say(inbound(b"x" * 300, packet_id=1) + inbound(b"x", topic=b"a/other", packet_id=2))
        rig.broker.say(inbound(b"x" * 100, packet_id=3))
        assert await rig.broker.hear(12) == b"\x40\x02\x00\x01\x40\x02\x00\x02\x40\x02\x00\x03"
        assert rig.received == [b"x" * 100]
        assert rig.troubles == ["inbound_too_large", "inbound_topic"]
        assert len(rig.streams) == 1


async def test_a_payload_that_the_app_chokes_on_does_not_end_the_link():
    def choke(payload):
        raise KeyError(payload)

    async with Rig() as rig:
        await rig.log_in()
        rig.link.receive = choke
        rig.broker.say(inbound(b"bad"))
        assert await rig.broker.hear(4) == b"\x40\x02\x00\x09"
        assert rig.troubles == ["receive_failed"]
        assert isinstance(rig.link.last_fault, KeyError)
        assert rig.link.connected


ANSWERS_TO_CONNECT = (
    (b"\x20\x02\x00\x01", "mqtt_refused"),
    (b"\x20\x02\x00\x02", "mqtt_refused"),
    (b"\x20\x02\x00\x03", "mqtt_refused"),
    (b"\x20\x02\x00\x04", "mqtt_login_refused"),
    (b"\x20\x02\x00\x05", "mqtt_login_refused"),
    (b"\x20\x02\x01\x00", "mqtt_flags"),  # a session, although a clean one was asked for
    (b"\xd0\x00", "mqtt_out_of_turn"),
    (inbound(b"x"), "mqtt_out_of_turn"),
    (b"\xe0\x00", "mqtt_packet_type"),
    (b"HTTP/1.1 400 Bad Request\r\n", "mqtt_flags"),
    (EOF, "peer_closed"),
    (b"", "mqtt_no_answer"),
)


async def test_every_wrong_answer_to_connect_has_its_reason():
    for answer, reason in ANSWERS_TO_CONNECT:
        async with Rig() as rig:
            rig.broker.say(answer)
            await until(lambda: len(rig.streams) == 2)
            assert rig.troubles == [reason], (answer, rig.troubles)
            assert rig.streams[0].closed


async def test_every_wrong_answer_to_subscribe_has_its_reason():
    for answer, reason in (
        (b"\x90\x03ID\x80", "mqtt_subscribe_refused"),
        (b"\x90\x03\xff\xff\x01", "mqtt_packet_id"),
        (CONNACK, "mqtt_out_of_turn"),
    ):
        async with Rig() as rig:
            await rig.broker.hear(28)
            rig.broker.say(CONNACK)
            subscribe = await rig.broker.hear(13)
            rig.broker.say(answer.replace(b"ID", subscribe[2:4]))
            await until(lambda: len(rig.streams) == 2)
            assert rig.troubles == [reason], (answer, rig.troubles)


async def test_a_second_log_in_answer_or_a_malformed_packet_ends_the_session():
    for wire, reason in ((CONNACK, "mqtt_out_of_turn"), (b"\x30\x02\x00\x00", "mqtt_topic")):
        async with Rig() as rig:
            await rig.log_in()
            rig.broker.say(wire)
            await until(lambda: len(rig.streams) == 2)
            assert rig.troubles == [reason]
            await rig.log_in()


async def test_what_is_too_large_for_any_buffer_is_misuse():
    async with Rig(max_payload=100) as rig:
        await rig.log_in()
        try:
            await rig.link.send(b"x" * 101)
        except LinkError as error:
            assert error.reason == "frame_too_large"
        else:
            raise AssertionError("it was taken")


async def test_a_link_that_is_stopped_says_good_bye():
    async with Rig() as rig:
        await rig.log_in()
    assert rig.broker.heard == b"\xe0\x00"
    assert rig.broker.closed
    assert not rig.link.connected


async def test_packet_identifiers_come_round_without_zero():
    async with Rig() as rig:
        await rig.log_in()
        rig.link._client._last_packet_id = 0xFFFE
        for expected in (b"\xff\xff", b"\x00\x01", b"\x00\x02"):
            sending = asyncio.create_task(rig.link.send(b"x"))
            packet_id = await rig.hear_publish(b"x")
            assert packet_id == expected
            rig.broker.say(b"\x40\x02" + packet_id)
            assert await sending


async def test_sending_and_reconnecting_leave_nothing_on_the_heap():
    async def exercise(rounds):
        for _ in range(rounds):
            await rig.log_in()
            for _ in range(10):
                sending = asyncio.create_task(rig.link.send(b"x" * 50))
                rig.broker.say(b"\x40\x02" + await rig.hear_publish(b"x" * 50))
                assert await sending
                rig.broker.say(inbound(b"y" * 50))
                await rig.broker.hear(4)
            rig.received.clear()
            rig.troubles.clear()
            stream = rig.streams.pop()
            stream.say(EOF)
            await until(lambda: len(rig.streams) == 1)
        gc.collect()
        gc.collect()
        return gc.mem_alloc()

    async with Rig() as rig:
        before = await exercise(5)
        grown = await exercise(40) - before
        assert grown < 1024, grown

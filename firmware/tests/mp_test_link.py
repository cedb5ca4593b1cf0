"""What all links share: back-off, reconnecting for ever, streams that take bytes in bits, serial framing."""

import asyncio
import os

from meter_firmware import links
from meter_firmware.links import LinkError
from meter_firmware.links.backoff import Backoff
from meter_firmware.links.link import Link
from meter_firmware.links.serial import MAX_WAITING, SerialLink
from meter_firmware.links.session import Session
from meter_firmware.links.streams import ByteStream
from meter_firmware.links.tcp import RESOLVE_AGAIN_AFTER, TcpTarget
from meter_firmware.links.tls_settings import TlsSettings
from meter_firmware.links.tls_stream import TlsStream
from meter_protocol import framing


def test_delays_double_up_to_the_limit_and_half_of_each_is_random():
    for share, expected in ((0, [250, 500, 1000, 1500, 1500]), (1, [500, 1000, 2000, 3000, 3000])):
        backoff = Backoff(lambda n: (n - 1) * share, base_ms=500, limit_ms=3000)  # noqa: B023  used in this turn
        assert [backoff.next_delay_ms() for _ in range(5)] == expected
    backoff.reset()
    assert backoff.next_delay_ms() == 500


def test_every_reason_in_the_source_is_a_listed_one():
    folder = links.__path__
    if not isinstance(folder, str):
        folder = folder[0]
    used = set()
    for name in os.listdir(folder):
        if name.endswith(".py") and name != "__init__.py":
            with open(folder + "/" + name) as file:
                source = file.read()
            # wifi.py keeps the driver's numbers in a table.
            for opening in ('LinkError("', 'note("', ': "wifi_'):
                for rest in source.split(opening)[1:]:
                    used.add((opening + rest)[opening.find('"') + 1 :].split('"')[0])
    assert used == set(links.REASONS), used ^ set(links.REASONS)


class NeverOpen:
    """Opening fails in one way after the other, and then for ever in the first."""

    def __init__(self, failures):
        self._failures = failures
        self.attempts = 0

    async def open(self):
        failure = self._failures[min(self.attempts, len(self._failures) - 1)]
        self.attempts += 1
        await asyncio.sleep_ms(0)
        raise failure


async def test_whatever_goes_wrong_with_opening_the_link_tries_again():
    failures = [
        LinkError("connect_refused"),
        OSError(5),
        MemoryError(),
        ValueError("a bug"),
        LinkError("peer_lost"),
    ]
    target = NeverOpen(failures)
    troubles = []
    link = Link(target.open, Backoff(lambda n: 0, base_ms=2, limit_ms=2), troubles.append)
    task = asyncio.create_task(link.run())
    while target.attempts < 7:
        await asyncio.sleep_ms(1)
    task.cancel()
    assert troubles[:5] == ["connect_refused", "peer_lost", "out_of_memory", "internal_fault", "peer_lost"]
    assert link.last_trouble == "peer_lost"
    assert isinstance(link.last_fault, ValueError)


class Sink:
    """A MicroPython stream that takes at most so many bytes at a time, or raises; None means not now."""

    def __init__(self, takes):
        self._takes = takes
        self.taken = b""
        self.closed = False

    def write(self, data):
        step = self._takes.pop(0) if self._takes else None
        if isinstance(step, Exception):
            raise step
        if step:
            self.taken += bytes(data[:step])
            return min(step, len(data))
        return step

    def close(self):
        self.closed = True


async def refusal(awaitable):
    try:
        await awaitable
    except LinkError as error:
        return error.reason
    return None


async def test_writing_goes_on_where_it_stopped():
    sink = Sink([3, None, 0, 1, 100])
    await ByteStream(sink).write_all(b"0123456789", 1000)
    assert sink.taken == b"0123456789"


async def test_writing_to_a_peer_that_takes_nothing_ends_in_time():
    sink = Sink([4])
    assert await refusal(ByteStream(sink).write_all(b"0123456789", 20)) == "write_stalled"
    assert sink.taken == b"0123"


async def test_a_writer_ends_when_its_stream_is_closed_under_it():
    sink = Sink([4])
    stream = ByteStream(sink)
    writing = asyncio.create_task(refusal(stream.write_all(b"0123456789", 10000)))
    await asyncio.sleep_ms(1)
    stream.close()
    assert await writing == "stream_closed"
    assert await refusal(stream.write_all(b"more", 10000)) == "stream_closed"
    assert sink.closed


async def test_faults_of_tls_have_their_reasons():
    for fault, reason in (
        (ValueError("The certificate is not correctly signed"), "tls_certificate_refused"),
        (OSError(-0x7780, "MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE"), "tls_failed"),
        (OSError(104), "peer_lost"),
    ):
        assert await refusal(TlsStream(Sink([fault]), None).write_all(b"x", 1000)) == reason


class Flood:
    """A peer that never stops sending."""

    def readinto(self, buffer):
        return len(buffer)


async def test_a_peer_that_never_stops_sending_does_not_keep_the_loop_to_itself():
    async def sample():
        while True:
            samples.append(1)
            await asyncio.sleep_ms(0)

    samples = []
    sampling = asyncio.create_task(sample())
    stream = TlsStream(Flood(), None)
    for _ in range(100):
        await stream.read_into(memoryview(bytearray(8)))
    sampling.cancel()
    assert len(samples) >= 99, len(samples)


def test_tls_without_its_files_or_a_name_is_refused_at_start():
    for arguments in (("no/such.pem", "gateway"), ("empty.pem", "gateway"), ("empty.pem", "")):
        with open("empty.pem", "w") as file:
            file.write("-----BEGIN nothing")
        try:
            TlsSettings(*arguments)
        except LinkError as error:
            assert error.reason == "tls_files"
        else:
            raise AssertionError(arguments)


async def test_a_port_where_nobody_listens_refuses():
    assert await refusal(TcpTarget("127.0.0.1", 1).open()) == "connect_refused"


async def test_refused_attempts_leave_no_descriptor_open():
    target = TcpTarget("127.0.0.1", 1)
    before = len(os.listdir("/dev/fd"))
    for _ in range(10):
        await refusal(target.open())
    assert len(os.listdir("/dev/fd")) == before


class ManyAddresses(TcpTarget):
    """A name with two addresses, and nobody at either."""

    lookups = 0

    def _resolve(self):
        self.lookups += 1
        return ["first", "second"]

    async def _connect(self, address):
        raise LinkError("connect_refused " + address)


async def test_all_addresses_of_a_name_are_tried_and_it_is_seldom_looked_up():
    target = ManyAddresses("gateway", 1)
    tried = []
    for _ in range(2 * RESOLVE_AGAIN_AFTER):
        reason = await refusal(target.open())
        tried.append(reason.split()[1])
    assert tried[:4] == ["first", "second", "first", "second"]
    assert target.lookups == 2


async def test_the_first_reason_for_the_end_of_a_session_is_the_one_told():
    session = Session()
    session.end(LinkError("write_stalled"))
    session.end(LinkError("stream_closed"))
    assert await refusal(session.run([])) == "write_stalled"


async def test_a_name_that_nobody_knows_is_said_so():
    assert await refusal(TcpTarget("meter-gateway.invalid", 1).open()) == "name_unresolved"


class Line(Sink):
    """A serial line in memory; `put` is the other end talking."""

    def __init__(self, takes=None):
        super().__init__(takes or [])
        self._endless = takes is None
        self._incoming = []
        self._news = asyncio.Event()

    def write(self, data):
        if self._endless:
            self._takes = [len(data)]
        return super().write(data)

    def put(self, wire):
        self._incoming.append(wire)
        self._news.set()


class LineStream(ByteStream):
    async def read_into(self, buffer):
        while not self._raw._incoming:
            self._raw._news.clear()
            await self._raw._news.wait()
        wire = self._raw._incoming.pop(0)
        if not wire:
            raise LinkError("peer_closed")
        buffer[: len(wire)] = wire
        return len(wire)


class SerialRig:
    def __init__(self, **settings):
        self.lines = []
        self.received = []
        self.takes = None
        self.link = SerialLink(self.open, Backoff(lambda n: 0, base_ms=2, limit_ms=2), **settings)
        self.link.receive = self.received.append

    async def open(self):
        self.lines.append(Line(self.takes))
        return LineStream(self.lines[-1])

    async def __aenter__(self):
        self.task = asyncio.create_task(self.link.run())
        while not self.link.connected:
            await asyncio.sleep_ms(1)
        return self

    async def __aexit__(self, kind, error, trace):
        self.task.cancel()
        await asyncio.sleep_ms(1)


async def test_a_serial_frame_goes_out_framed_and_comes_in_whole():
    async with SerialRig() as rig:
        assert await rig.link.send(b"up\x00up")
        assert rig.lines[0].taken == framing.frame(b"up\x00up")
        wire = framing.frame(b"one") + b"noise" + framing.frame(b"two") + framing.frame(b"three")[:-3]
        for start in range(0, len(wire), 7):
            rig.lines[0].put(wire[start : start + 7])
        rig.lines[0].put(b"\x00" + framing.frame(b"four"))
        await asyncio.sleep_ms(5)
        assert rig.received == [b"one", b"two", b"four"]
        assert rig.link.discarded == 2


async def test_a_serial_line_that_ends_is_opened_again():
    async with SerialRig() as rig:
        rig.lines[0].put(framing.frame(b"half")[:4])
        rig.lines[0].put(b"")
        while len(rig.lines) < 2 or not rig.link.connected:
            await asyncio.sleep_ms(1)
        assert rig.lines[0].closed
        assert rig.link.last_trouble == "peer_closed"
        rig.lines[1].put(framing.frame(b"whole"))
        await asyncio.sleep_ms(5)
        assert rig.received == [b"whole"]


async def test_a_serial_line_that_takes_nothing_fails_in_time_and_is_opened_again():
    rig = SerialRig(write_timeout_ms=30)
    rig.takes = [2]
    async with rig:
        rig.takes = None
        sending = [asyncio.create_task(rig.link.send(b"x")) for _ in range(MAX_WAITING + 1)]
        await asyncio.sleep_ms(1)
        assert sending[MAX_WAITING].done()
        for task in sending:
            assert not await task
        while len(rig.lines) < 2 or not rig.link.connected:
            await asyncio.sleep_ms(1)
        assert rig.link.last_trouble == "write_stalled"
        assert await rig.link.send(b"y")


async def test_a_frame_too_large_for_the_line_is_misuse():
    async with SerialRig(max_payload=100) as rig:
        assert await rig.link.send(b"x" * 100)
        assert await refusal(rig.link.send(b"x" * 101)) == "frame_too_large"

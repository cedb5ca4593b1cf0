"""Whatever comes over a link: whole payloads or a counted refusal, bounded buffers, and the next session works."""

import asyncio
import random

from corruption import damaged, hostile, noise
from fuzzing import INPUTS, campaign

from meter_firmware.links import REASONS, LinkError, mqtt_packets
from meter_firmware.links.backoff import Backoff
from meter_firmware.links.mqtt import MqttLink
from meter_firmware.links.serial import SerialLink
from meter_protocol import framing

# The last is what noise may well make of itself: the CRC-32 of four bytes FF is FFFFFFFF.
PAYLOADS = (
    b"",
    b"\x00",
    b"\xd2\x84receipt",
    bytes(300),
    bytes(range(256)) * 3,
    noise(2000),
    noise(7900),
    b"\xff" * 4,
)
FRAMES = [framing.frame(payload) for payload in PAYLOADS]
TOO_LARGE = framing.frame(noise(8100) + noise(200))

TOPIC = b"carbonmeter/1/down"
MAX_PAYLOAD = 2048
CONNACK = b"\x20\x02\x00\x00"
PINGRESP = b"\xd0\x00"


def test_the_whole_campaign_is_more_than_a_million_inputs():
    assert sum(INPUTS.values()) >= 1000000


def publish(topic, payload, qos=1):
    body = len(topic).to_bytes(2, "big") + topic + (b"\x00\x07" if qos else b"") + payload
    size = len(body)
    length = bytearray()
    while size > 127:
        length.append(size & 127 | 128)
        size >>= 7
    length.append(size)
    return bytes((0x30 | qos << 1,)) + bytes(length) + body


PACKETS = (
    CONNACK,
    b"\x90\x03\x00\x01\x01",
    PINGRESP,
    b"\x40\x02\x00\x01",
    publish(TOPIC, b"receipt"),
    publish(TOPIC, b"time", 0),
    publish(TOPIC, bytes(300)),
    publish(b"another/topic", b"x"),
    publish(TOPIC, bytes(MAX_PAYLOAD + 100)),
)


def in_pieces(stream):
    """The stream, cut anywhere."""
    pieces = []
    while stream:
        size = random.choice((1, 3, 20, 300))
        pieces.append(stream[:size])
        stream = stream[size:]
    return pieces


# The codecs alone


def _serial_stream():
    stream = b""
    for _ in range(random.randrange(1, 4)):
        frame = random.choice(FRAMES[:5] + FRAMES[:5] + FRAMES + [TOO_LARGE])
        stream += hostile(frame, FRAMES) if random.getrandbits(2) else frame
    if random.randrange(20) == 0:
        # Somebody who never comes to an end.
        stream += b"\x55" * random.randrange(20000)
    return stream


async def test_a_deframer_gives_what_was_sent_or_nothing():
    deframer = framing.Deframer(8192)
    found = []

    async def attack():
        taken = deframer.feed(_serial_stream())
        for payload in taken:
            assert payload in PAYLOADS, payload[:40]
        found.extend([1] * (len(taken) if len(found) < 9 else 0))
        assert len(deframer._buffer) <= 8192 + 40
        return 1

    await campaign("serial frames", attack)
    assert found
    assert deframer.discarded > 10
    # The frame's own first delimiter ends whatever has come before it.
    assert deframer.feed(FRAMES[4])[-1:] == [PAYLOADS[4]]


def _parsed(parser, pieces):
    """What the packets were, and the reason for which the stream is given up, if it is."""
    found = []
    parser.reset()
    try:
        for piece in pieces:
            while piece:
                space = parser.space()
                count = min(len(space), len(piece))
                assert count, "no room and no packet: it would wait for ever"
                space[:count] = piece[:count]
                piece = piece[count:]
                parser.advance(count)
                packet = parser.next_packet()
                while packet is not None:
                    found.append((type(packet), sorted(packet.__dict__.items())))
                    packet = parser.next_packet()
    except LinkError as error:
        return found, error.reason
    return found, None


async def test_an_mqtt_parser_gives_packets_or_a_listed_reason():
    """The same ones however the stream is cut, and whatever the buffer still holds of the stream before."""
    size = MAX_PAYLOAD + len(TOPIC) + mqtt_packets.LARGEST_OVERHEAD
    parser, other = mqtt_packets.Parser(size), mqtt_packets.Parser(size)
    refused = {}
    given = {}

    async def attack():
        stream = b""
        for _ in range(random.randrange(1, 4)):
            packet = random.choice(PACKETS)
            stream += hostile(packet, PACKETS) if random.getrandbits(1) else packet
        found, reason = _parsed(parser, in_pieces(stream))
        assert (found, reason) == _parsed(other, [stream])
        for kind, _ in found:
            given[kind] = True
        refused[reason] = True
        return 1

    await campaign("mqtt packets", attack)
    assert len(given) == 5
    assert len(refused) >= 6, refused
    for reason in refused:
        assert reason is None or reason in REASONS, reason
    assert _parsed(parser, [PACKETS[4]])[0][0][1][1] == ("payload", b"receipt")


# Links at work: sessions that are opened, talk and break, one after the other


class Stream:
    """What a peer says, a piece at a time; then it hangs up."""

    def __init__(self, said):
        self._pieces = in_pieces(said)

    async def read_into(self, buffer):
        await asyncio.sleep_ms(0)
        if not self._pieces:
            raise LinkError("peer_closed")
        piece = self._pieces.pop(0)
        count = min(len(buffer), len(piece))
        buffer[:count] = piece[:count]
        if count < len(piece):
            self._pieces.insert(0, piece[count:])
        return count

    async def write_all(self, frame, timeout_ms):
        await asyncio.sleep_ms(0)

    def write_now(self, frame):
        pass

    def close(self):
        pass


class Broker(Stream):
    """Answers log-in and subscription, wrongly now and then, and says what it has to say after them."""

    def __init__(self, said, is_genuine=False):
        super().__init__(b"")
        self._said = said
        self._is_genuine = is_genuine
        self._asked = asyncio.Event()

    async def write_all(self, frame, timeout_ms):
        await asyncio.sleep_ms(0)
        if frame[0] == mqtt_packets.CONNECT:
            self._say(CONNACK)
        elif frame[0] == mqtt_packets.SUBSCRIBE:
            self._say(b"\x90\x03" + bytes(frame[2:4]) + b"\x01")
            self._pieces += in_pieces(self._said)
        elif frame[0] & 0xF0 == mqtt_packets.PUBLISH and random.getrandbits(1):
            self._say(b"\x40\x02" + bytes(frame[-4:-2]))

    def _say(self, packet):
        if not self._is_genuine and random.randrange(8) == 0:
            packet = damaged(packet, PACKETS)
        self._pieces.append(packet)


class Peer:
    """Every attempt of a link to connect ends here; `taken` are the payloads that got through."""

    def __init__(self, make_stream):
        self._make_stream = make_stream
        self.genuine = None
        self.is_quiet = False
        self.taken = []
        self.troubles = {}
        self.opened = asyncio.Event()

    async def open(self):
        self.opened.set()
        genuine, self.genuine = self.genuine, None
        if self.is_quiet:
            return Stream(b"")
        return genuine or self._make_stream()

    async def sessions(self, count):
        """So many have been opened, and the ones before them are over."""
        for _ in range(count):
            self.opened.clear()
            await self.opened.wait()

    async def rest(self):
        self.is_quiet = True
        await self.sessions(3)
        self.is_quiet = False

    def note(self, reason):
        assert reason in REASONS, reason
        self.troubles[reason] = True

    def receive(self, payload):
        self.taken.append(payload)


def no_pause():
    return Backoff(lambda below: 0, 0, 0)


async def attack_link(way, link, peer, check, genuine, up):
    """Sessions with a hostile peer while the meter sends; then a genuine one."""
    link.receive = peer.receive
    running = asyncio.create_task(link.run())

    async def attack():
        await peer.sessions(1)
        if random.getrandbits(1):
            assert await link.send(up) in (True, False)
        for payload in peer.taken:
            check(payload)
        peer.taken = []
        return 1

    await campaign(way, attack, rest=peer.rest)
    assert not running.done()
    peer.taken = []
    peer.genuine = genuine
    await peer.sessions(2)
    running.cancel()
    assert link.last_fault is None
    for reason in ("internal_fault", "receive_failed", "out_of_memory"):
        assert reason not in peer.troubles
    return peer.taken


async def test_a_serial_link_outlives_whatever_the_line_says():
    peer = Peer(lambda: Stream(_serial_stream()))
    link = SerialLink(peer.open, no_pause(), on_trouble=peer.note)

    def check(payload):
        assert payload in PAYLOADS, payload[:40]

    genuine = Stream(FRAMES[2] + FRAMES[4])
    taken = await attack_link("live serial link", link, peer, check, genuine, bytes(500))
    assert PAYLOADS[2] in taken
    assert PAYLOADS[4] in taken


def _broker():
    said = b""
    for _ in range(random.randrange(1, 5)):
        packet = random.choice(PACKETS[2:])
        said += hostile(packet, PACKETS) if random.randrange(3) == 0 else packet
    return Broker(said)


async def test_an_mqtt_link_outlives_whatever_a_broker_says():
    peer = Peer(_broker)
    link = MqttLink(
        peer.open,
        no_pause(),
        "m1",
        "carbonmeter/1/up",
        TOPIC.decode(),
        max_payload=MAX_PAYLOAD,
        timeout_ms=200,
        on_trouble=peer.note,
    )

    def check(payload):
        # The parser's buffer has room for the head of our own topics.
        assert isinstance(payload, bytes)
        assert len(payload) <= MAX_PAYLOAD + mqtt_packets.LARGEST_OVERHEAD

    genuine = Broker(publish(TOPIC, b"genuine"), True)
    taken = await attack_link("live mqtt link", link, peer, check, genuine, bytes(500))
    assert b"genuine" in taken
    assert len(peer.troubles) >= 6, peer.troubles

"""The MQTT codec, fed with what a broker may send, must not send, and with noise."""

from meter_firmware.links import LinkError, mqtt_packets
from meter_firmware.links.mqtt_packets import Connack, Parser, Pingresp, Puback, Publish, Suback

SIZE = 64
TOPIC = b"a/down"


def parse(wire, size=SIZE, step=None):
    """All packets of the bytes, given `step` at a time."""
    parser = Parser(size)
    packets = []
    given = 0
    while True:
        packet = parser.next_packet()
        if packet is not None:
            packets.append(packet)
            continue
        if given == len(wire):
            return packets
        space = parser.space()
        assert len(space) > 0
        count = min(step or len(space), len(space), len(wire) - given)
        space[:count] = wire[given : given + count]
        parser.advance(count)
        given += count


def refusal(wire, size=SIZE):
    try:
        parse(wire, size)
    except LinkError as error:
        return error.reason
    return None


def publish(payload, qos=1, topic=TOPIC, packet_id=7):
    """A broker's PUBLISH; the codec under test writes only a client's."""
    body = len(topic).to_bytes(2, "big") + topic
    if qos:
        body += packet_id.to_bytes(2, "big")
    body += payload
    length = bytearray()
    value = len(body)
    while value > 127:
        length.append(value & 127 | 128)
        value >>= 7
    length.append(value)
    return bytes((0x30 | qos << 1,)) + bytes(length) + body


def describe(packets):
    out = []
    for packet in packets:
        kind = type(packet)
        if kind is Publish:
            out.append(("publish", packet.topic, packet.packet_id, packet.payload))
        elif kind is Puback:
            out.append(("puback", packet.packet_id))
        elif kind is Suback:
            out.append(("suback", packet.packet_id, packet.return_code))
        elif kind is Connack:
            out.append(("connack", packet.session_present, packet.return_code))
        else:
            assert kind is Pingresp
            out.append(("pingresp",))
    return out


STREAM = (
    b"\x20\x02\x00\x00"
    b"\x90\x03\x00\x01\x01"
    + publish(b"first")
    + b"\xd0\x00"
    + publish(b"", qos=0)
    + publish(b"\x00" * 40)
    + b"\x40\x02\xff\xff"
    + publish(b"last", packet_id=65535)
)
MEANING = [
    ("connack", False, 0),
    ("suback", 1, 1),
    ("publish", TOPIC, 7, b"first"),
    ("pingresp",),
    ("publish", TOPIC, None, b""),
    ("publish", TOPIC, 7, b"\x00" * 40),
    ("puback", 65535),
    ("publish", TOPIC, 65535, b"last"),
]


def test_a_stream_cut_anywhere_gives_the_same_packets():
    for step in range(1, len(STREAM) + 1):
        assert describe(parse(STREAM, step=step)) == MEANING, step


def test_a_packet_as_large_as_the_buffer_fits_and_one_byte_more_is_skipped():
    wire = publish(b"x" * (SIZE - 2 - 2 - len(TOPIC) - 2))
    assert len(wire) == SIZE
    assert describe(parse(wire))[0][3] == b"x" * (SIZE - 12)
    larger = publish(b"x" * (SIZE - 11))
    assert describe(parse(larger + b"\xd0\x00")) == [("publish", TOPIC, 7, None), ("pingresp",)]


def test_skipping_a_large_publish_finds_the_next_packet_however_it_is_cut():
    wire = publish(b"y" * 1000) + publish(b"z" * 200, qos=0) + publish(b"after")
    for step in (1, 3, 13, 63, 64):
        assert describe(parse(wire, step=step)) == [
            ("publish", TOPIC, 7, None),
            ("publish", TOPIC, None, None),
            ("publish", TOPIC, 7, b"after"),
        ], step


def test_a_publish_of_the_largest_length_is_skipped_without_being_stored():
    parser = Parser(SIZE)
    head = b"\x32\xff\xff\xff\x7f" + b"\x00\x06" + TOPIC + b"\x00\x07"
    parser.space()[: len(head)] = head
    parser.advance(len(head))
    assert describe([parser.next_packet()]) == [("publish", TOPIC, 7, None)]
    for _ in range(100):
        parser.advance(len(parser.space()))
        assert parser.next_packet() is None


MALFORMED = (
    # (bytes, reason): MQTT 3.1.1 clause
    (b"\x20\x03\x00\x00\x00", "mqtt_length"),  # §3.2.1
    (b"\x20\x01\x00", "mqtt_length"),
    (b"\x21\x02\x00\x00", "mqtt_flags"),  # §2.2.2
    (b"\x20\x02\x02\x00", "mqtt_flags"),  # §3.2.2.1 reserved bit
    (b"\x20\x02\x01\x05", "mqtt_flags"),  # MQTT-3.2.2-4: session present, yet refused
    (b"\x20\x02\x00\x06", "mqtt_return_code"),  # §3.2.2.3
    (b"\x40\x02\x00\x00", "mqtt_packet_id"),  # MQTT-2.3.1-1
    (b"\x40\x03\x00\x01\x00", "mqtt_length"),
    (b"\x42\x02\x00\x01", "mqtt_flags"),
    (b"\x90\x02\x00\x01", "mqtt_length"),
    (b"\x90\x04\x00\x01\x01\x01", "mqtt_length"),
    (b"\x90\x03\x00\x00\x01", "mqtt_packet_id"),
    (b"\x90\x03\x00\x01\x02", "mqtt_return_code"),  # more than was asked for
    (b"\x90\x03\x00\x01\x81", "mqtt_return_code"),
    (b"\xd0\x01\x00", "mqtt_length"),
    (b"\xd4\x00", "mqtt_flags"),
    (b"\x30\x00", "mqtt_length"),
    (b"\x30\x01\x00", "mqtt_length"),
    (b"\x30\x02\x00\x00", "mqtt_topic"),
    (b"\x30\x03\x00\x05a", "mqtt_length"),  # the topic is longer than the packet
    (b"\x32\x04\x00\x01a\x00", "mqtt_length"),  # half a packet identifier
    (b"\x32\x05\x00\x01a\x00\x00", "mqtt_packet_id"),
    (b"\x34\x05\x00\x01a\x00\x01", "mqtt_flags"),  # QoS 2 was not asked for
    (b"\x36\x05\x00\x01a\x00\x01", "mqtt_flags"),  # MQTT-3.3.1-4
    (b"\x38\x03\x00\x01a", "mqtt_flags"),  # MQTT-3.3.1-2: DUP at QoS 0
    (b"\xd0\x80\x00", "mqtt_length"),  # not the shortest
    (b"\x30\xff\xff\xff\xff\x01", "mqtt_length"),  # §2.2.3: five bytes
    (b"\x90\xff\x7f", "mqtt_length"),
    (b"\x4f", "mqtt_flags"),  # the first byte is enough
    (b"\x32\xff\x7f\x40\x00", "mqtt_too_large"),  # a topic that no buffer of ours holds
    (b"\x00\x00", "mqtt_packet_type"),
    (b"\x10\x00", "mqtt_packet_type"),  # CONNECT, to a client
    (b"\x50\x02\x00\x01", "mqtt_packet_type"),  # PUBREC: QoS 2
    (b"\x82\x00", "mqtt_packet_type"),
    (b"\xb0\x02\x00\x01", "mqtt_packet_type"),  # UNSUBACK without UNSUBSCRIBE
    (b"\xc0\x00", "mqtt_packet_type"),
    (b"\xe0\x00", "mqtt_packet_type"),
    (b"\xf0\x00", "mqtt_packet_type"),
)


def test_every_malformed_packet_is_refused_with_its_reason():
    for wire, reason in MALFORMED:
        assert refusal(wire) == reason, (wire, reason, refusal(wire))


def test_a_malformed_packet_is_refused_also_behind_good_ones():
    for wire, reason in MALFORMED:
        assert refusal(STREAM + wire) == reason, wire


def test_connect_says_what_the_standard_says():
    assert mqtt_packets.connect(b"m1", None, None, True, 30) == (b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x1e\x00\x02m1")
    assert mqtt_packets.connect(b"m1", b"u", b"pw", False, 65535) == (
        b"\x10\x15\x00\x04MQTT\x04\xc0\xff\xff\x00\x02m1\x00\x01u\x00\x02pw"
    )


def misuse(call, *arguments):
    try:
        call(*arguments)
    except ValueError:
        return True
    return False


def test_what_cannot_be_said_is_our_misuse():
    assert misuse(mqtt_packets.connect, b"m", None, b"pw", True, 30)
    assert misuse(mqtt_packets.connect, b"m", None, None, True, 65536)
    assert misuse(mqtt_packets.subscribe, 1, b"t" * 65536)
    assert misuse(mqtt_packets.put_publish, bytearray(20), b"topic", 1, b"x" * 12)
    assert not misuse(mqtt_packets.put_publish, bytearray(20), b"topic", 1, b"x" * 9)


def test_publish_and_the_other_packets_of_a_client():
    buffer = bytearray(300)
    end = mqtt_packets.put_publish(buffer, b"a/up", 513, b"z" * 200)
    assert bytes(buffer[:end]) == b"\x32\xd0\x01\x00\x04a/up\x02\x01" + b"z" * 200
    assert describe(parse(bytes(buffer[:end]), size=300)) == [("publish", b"a/up", 513, b"z" * 200)]
    assert mqtt_packets.subscribe(2, b"a/+") == b"\x82\x08\x00\x02\x00\x03a/+\x01"
    assert mqtt_packets.puback(65535) == b"\x40\x02\xff\xff"

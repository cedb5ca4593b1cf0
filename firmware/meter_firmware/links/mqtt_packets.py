"""MQTT 3.1.1 (OASIS, 2014) as far as a meter needs it: bytes in, packets out, and the other way. No I/O.

A client that subscribes to one topic at QoS 1 may be sent CONNACK, PUBLISH, PUBACK, SUBACK and PINGRESP. The
parser refuses everything else with a reason: other packet types, reserved flags, wrong lengths, packet
identifier 0, QoS 2 and 3, and a remaining length that is not the shortest (3.1.1 tolerates it, 5.0 does not).
A topic is compared as bytes with the one subscribed to, so its UTF-8 is deliberately not checked.

Sizes are bounded by the buffer that the parser is given once. A longer PUBLISH is skipped without being
stored, and reported, so that nobody can throw a meter off its broker by publishing something big.
"""

from meter_firmware.links import LinkError

CONNECT = 0x10
CONNACK = 0x20
PUBLISH = 0x30
PUBACK = 0x40
SUBSCRIBE = 0x82
SUBACK = 0x90
PINGRESP = 0xD0

PINGREQ_PACKET = b"\xc0\x00"
DISCONNECT_PACKET = b"\xe0\x00"

SUBACK_FAILURE = 0x80
QOS_1 = 0x02
MAX_LENGTH_BYTES = 4
MAX_REMAINING_LENGTH = 0x0FFFFFFF
LARGEST_OVERHEAD = 1 + MAX_LENGTH_BYTES + 2 + 2
"""Bytes of a PUBLISH beside topic and payload."""

_PROTOCOL = b"\x00\x04MQTT\x04"
_CLEAN_SESSION = 0x02
_HAS_PASSWORD = 0x40
_HAS_USERNAME = 0x80
_RETURN_CODES = 6

_TYPE = 0xF0
_DUP = 0x08
_QOS = 0x06
_LENGTHS = {CONNACK: 2, PUBACK: 2, SUBACK: 3, PINGRESP: 0}
"""Remaining length of what is not a PUBLISH; a SUBACK answers one topic."""


class Connack:
    def __init__(self, session_present: bool, return_code: int) -> None:
        self.session_present = session_present
        self.return_code = return_code


class Publish:
    """`packet_id` is None at QoS 0. `payload` is None if it was too large and skipped."""

    def __init__(self, topic: bytes, packet_id: "int | None", payload: "bytes | None") -> None:
        self.topic = topic
        self.packet_id = packet_id
        self.payload = payload


class Puback:
    def __init__(self, packet_id: int) -> None:
        self.packet_id = packet_id


class Suback:
    def __init__(self, packet_id: int, return_code: int) -> None:
        self.packet_id = packet_id
        self.return_code = return_code


class Pingresp:
    pass


def connect(
    client_id: bytes,
    username: "bytes | None",
    password: "bytes | None",
    clean_session: bool,
    keepalive_s: int,
) -> bytes:
    """CONNECT (§3.1) without a will: a meter's silence is judged by its chain, not by a broker's word."""
    if password is not None and username is None:
        raise ValueError("a password needs a username")  # MQTT-3.1.2-22
    flags = _CLEAN_SESSION if clean_session else 0
    body = bytearray(_PROTOCOL)
    body.append(0)
    body.extend(_uint16(keepalive_s))
    body.extend(_string(client_id))
    if username is not None:
        flags |= _HAS_USERNAME
        body.extend(_string(username))
    if password is not None:
        flags |= _HAS_PASSWORD
        body.extend(_string(password))
    body[len(_PROTOCOL)] = flags
    return _packet(CONNECT, body)


def subscribe(packet_id: int, topic: bytes) -> bytes:
    """SUBSCRIBE (§3.8) to one topic at QoS 1."""
    return _packet(SUBSCRIBE, _uint16(packet_id) + _string(topic) + b"\x01")


def puback(packet_id: int) -> bytes:
    return _packet(PUBACK, _uint16(packet_id))


def put_publish(buffer: bytearray, topic: bytes, packet_id: int, payload: bytes) -> int:
    """Put a PUBLISH (§3.3) at QoS 1 into the buffer; its length. One piece, so that Nagle never waits."""
    remaining = 2 + len(topic) + 2 + len(payload)
    head = bytearray((PUBLISH | QOS_1,))
    head.extend(_length(remaining))
    head.extend(_string(topic))
    head.extend(_uint16(packet_id))
    end = len(head) + len(payload)
    if end > len(buffer):
        raise ValueError("larger than the buffer")
    buffer[: len(head)] = head
    buffer[len(head) : end] = payload
    return end


class Parser:
    """Packets out of a byte stream that is cut anywhere. `space` is filled, `advance` says how far."""

    def __init__(self, size: int) -> None:
        self._buffer = memoryview(bytearray(size))
        self.reset()

    def reset(self) -> None:
        """For a new connection."""
        self._start = 0
        self._end = 0
        self._skip = 0

    def space(self) -> memoryview:
        """Where the next bytes belong; never empty after `next_packet` gave None."""
        if self._start:
            count = self._end - self._start
            self._buffer[:count] = self._buffer[self._start : self._end]
            self._start = 0
            self._end = count
        return self._buffer[self._end :]

    def advance(self, count: int) -> None:
        self._end += count
        if self._skip:
            skipped = min(self._skip, self._end - self._start)
            self._skip -= skipped
            self._start += skipped

    def next_packet(self) -> "Connack | Publish | Puback | Suback | Pingresp | None":
        """The next packet, None if more bytes are needed, or a LinkError that spoils the stream."""
        start = self._start
        if self._skip or start == self._end:
            return None
        kind = self._buffer[start]
        _require_kind(kind)
        remaining, head = self._remaining_length(start + 1)
        if head == 0:
            return None
        if remaining != _LENGTHS.get(kind, remaining):
            raise LinkError("mqtt_length")
        body = start + 1 + head
        end = body + remaining
        if end - start > len(self._buffer):
            return self._skip_publish(kind, body, end)
        if end > self._end:
            return None
        self._start = end
        return self._parse(kind, body, end)

    def _remaining_length(self, start: int) -> "tuple[int, int]":
        """§2.2.3: (value, bytes it takes), or (0, 0) if they are not all here yet."""
        value = 0
        for index in range(MAX_LENGTH_BYTES):
            if start + index >= self._end:
                return 0, 0
            byte = self._buffer[start + index]
            value |= (byte & 0x7F) << (7 * index)
            if not byte & 0x80:
                if byte == 0 and index:
                    break
                return value, index + 1
        raise LinkError("mqtt_length")

    def _parse(self, kind: int, body: int, end: int) -> "Connack | Publish | Puback | Suback | Pingresp":
        if kind == PUBACK:
            return Puback(self._packet_id(body))
        if kind == PINGRESP:
            return Pingresp()
        if kind == CONNACK:
            return self._connack(self._buffer[body], self._buffer[body + 1])
        if kind == SUBACK:
            return self._suback(self._packet_id(body), self._buffer[body + 2])
        topic, packet_id, payload = self._publish_head(kind, body, end)
        return Publish(topic, packet_id, bytes(self._buffer[payload:end]))

    def _connack(self, flags: int, return_code: int) -> Connack:
        """§3.2.2: seven reserved bits, six return codes, and no session where the connection was refused."""
        if flags > 1 or (flags and return_code):
            raise LinkError("mqtt_flags")
        if return_code >= _RETURN_CODES:
            raise LinkError("mqtt_return_code")
        return Connack(flags == 1, return_code)

    def _suback(self, packet_id: int, return_code: int) -> Suback:
        """§3.9.3, for one topic asked for at QoS 1: more than that cannot be granted."""
        if return_code not in (0, 1, SUBACK_FAILURE):
            raise LinkError("mqtt_return_code")
        return Suback(packet_id, return_code)

    def _publish_head(self, kind: int, body: int, end: int) -> "tuple[bytes, int | None, int]":
        """§3.3: (topic, packet identifier, where the payload starts)."""
        qos = kind & _QOS
        if body + 2 > end:
            raise LinkError("mqtt_length")
        after_topic = body + 2 + self._uint16(body)
        if after_topic == body + 2:
            raise LinkError("mqtt_topic")
        after_head = after_topic + (2 if qos else 0)
        if after_head > end:
            raise LinkError("mqtt_length")
        packet_id = self._packet_id(after_topic) if qos else None
        return bytes(self._buffer[body + 2 : after_topic]), packet_id, after_head

    def _skip_publish(self, kind: int, body: int, end: int) -> "Publish | None":
        """Take the head of a PUBLISH that the buffer cannot hold, and drop the rest as it comes."""
        if body + 2 > self._end:
            return None
        if 2 + self._uint16(body) + 2 > len(self._buffer) - (body - self._start):
            raise LinkError("mqtt_too_large")
        if body + 2 + self._uint16(body) + 2 > self._end:
            return None
        topic, packet_id, _ = self._publish_head(kind, body, end)
        self._skip = end - self._end
        self._start = self._end
        return Publish(topic, packet_id, None)

    def _packet_id(self, start: int) -> int:
        packet_id = self._uint16(start)
        if packet_id == 0:  # MQTT-2.3.1-1
            raise LinkError("mqtt_packet_id")
        return packet_id

    def _uint16(self, start: int) -> int:
        return self._buffer[start] << 8 | self._buffer[start + 1]


def _require_kind(kind: int) -> None:
    """Judge a packet by its first byte (§2.2): a peer that talks something else is found out by it."""
    if kind & _TYPE == PUBLISH:
        qos = kind & _QOS
        if qos > QOS_1 or (kind & _DUP and not qos):  # MQTT-3.3.1-2, MQTT-3.3.1-4
            raise LinkError("mqtt_flags")
    elif kind & _TYPE not in _LENGTHS:
        raise LinkError("mqtt_packet_type")
    elif kind not in _LENGTHS:
        raise LinkError("mqtt_flags")


def _packet(kind: int, body: "bytes | bytearray") -> bytes:
    return bytes((kind,)) + _length(len(body)) + body


def _length(value: int) -> bytes:
    if value > MAX_REMAINING_LENGTH:
        raise ValueError("larger than MQTT can say")
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _uint16(value: int) -> bytes:
    if not 0 <= value <= 0xFFFF:
        raise ValueError("not a 16-bit number")
    return value.to_bytes(2, "big")


def _string(value: bytes) -> bytes:
    return _uint16(len(value)) + value

"""The gateway's fast reading of bytes. It accepts and refuses exactly what `meter_protocol` does.

Nearly every message is a readings message in its usual outer form, so that form has a fast path here. All
else, and every doubt, goes to `meter_protocol`, which accepts it or raises with its reason: whatever this file
does not recognise costs time, never an opinion. The tests hold both against each other.

A deterministic encoding of a fixed schema is a regular language, so one regular expression checks at once that
every integer is in its shortest form, every key in its place and every reading in one of its shapes (SPEC §5).
What is not regular is checked on the decoded value: channels ascend, the map is as long as it says, and
minimum <= mean <= maximum.
"""

import re
from typing import Any, NamedTuple

import cbor2

from meter_gateway.model import Fields
from meter_protocol import cose, messages
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_protocol.errors import ProtocolError


class Parts(NamedTuple):
    """One COSE_Sign1 taken apart; nothing in it is believed yet."""

    raw: bytes
    protected: bytes
    payload: bytes
    signature: bytes
    to_be_signed: bytes


Refused = tuple[bytes, str]
"""Bytes and the reason why they are not a message."""

_SIGN1_LONG = b"\xd2\x84\x58"
_SIG_STRUCTURE = b"\x84\x6aSignature1"
_SIGNATURE_HEAD = b"\x58\x40"
_SHORTEST_USUAL = 160
"""No message with a place in a chain is shorter."""


def split(message: bytes) -> Parts:
    """The parts of one message and its Sig_structure (RFC 9052 §4.4); ProtocolError as `cose.split`."""
    cut = _cut(message, 0)
    if cut is not None and cut[2] == len(message) <= t.MAX_MESSAGE:
        return _parts(message, cut)
    parts = cose.split(message)
    to_be_signed = cose.to_be_signed(parts.protected, parts.payload)
    return Parts(message, parts.protected, parts.payload, parts.signature, to_be_signed)


def split_sequence(payload: bytes) -> tuple[list[Parts], list[Refused]]:
    """The messages of a frame or publish (RFC 8742), and what in it is none.

    One broken message must not cost the good ones before it: they are signed and stand alone.
    """
    messages_of: list[Parts] = []
    start, size = 0, len(payload)
    while start < size:
        if len(messages_of) == cose.MAX_MESSAGES:
            return messages_of, [(payload[start:], "cose_too_many_messages")]
        cut = _cut(payload, start)
        if cut is None or cut[2] - start > t.MAX_MESSAGE:
            return messages_of, _split_unusual(messages_of, payload[start:])
        messages_of.append(_parts(payload, cut, start))
        start = cut[2]
    return messages_of, []


def _split_unusual(messages_of: list[Parts], rest: bytes) -> list[Refused]:
    """No message that SPEC allows comes here: its header alone is longer than what `_cut` does not take."""
    refused: list[Refused] = []
    try:
        sequence = cose.split_sequence(rest)
    except ProtocolError as error:
        return [(rest, error.reason)]
    for raw in sequence:
        if len(messages_of) == cose.MAX_MESSAGES:
            refused.append((raw, "cose_too_many_messages"))
            continue
        try:
            messages_of.append(split(raw))
        except ProtocolError as error:
            refused.append((raw, error.reason))
    return refused


Cut = tuple[int, int, int]
"""Where the protected header ends, where the payload starts, and where the message ends."""

_TAIL = len(_SIGNATURE_HEAD) + cose.SIGNATURE_SIZE


def _parts(data: bytes, cut: Cut, start: int = 0) -> Parts:
    header_end, payload_start, end = cut
    payload_end = end - _TAIL
    # The byte strings' heads are the same in the message and in its Sig_structure, so both are copied as one.
    return Parts(
        data[start:end],
        data[start + 4 : header_end],
        data[payload_start:payload_end],
        data[end - cose.SIGNATURE_SIZE : end],
        _SIG_STRUCTURE + data[start + 2 : header_end] + b"\x40" + data[header_end + 1 : payload_end],
    )


def _cut(data: bytes, start: int) -> Cut | None:
    """A message in its usual outer form, of which only the lengths were looked at."""
    if data[start : start + 3] != _SIGN1_LONG or len(data) - start < _SHORTEST_USUAL or data[start + 3] < 24:
        return None
    header_end = start + 4 + data[start + 3]
    if header_end + 4 > len(data):
        return None
    heads = data[header_end : header_end + 2]
    if heads == b"\xa0\x59":
        size = (data[header_end + 2] << 8) | data[header_end + 3]
        payload_start, shortest = header_end + 4, 0x100
    elif heads == b"\xa0\x58":
        size = data[header_end + 2]
        payload_start, shortest = header_end + 3, 24
    else:
        return None
    payload_end = payload_start + size
    end = payload_end + _TAIL
    if size < shortest or data[payload_end : payload_end + 2] != _SIGNATURE_HEAD:
        return None
    if end > len(data) or end - start < _SHORTEST_USUAL:
        return None
    return header_end, payload_start, end


def decode(typ: str, payload: bytes) -> Fields:
    """The fields of a payload; ProtocolError as `messages.decode`."""
    if typ == t.READINGS and len(payload) <= t.MAX_MESSAGE and _READINGS.fullmatch(payload):
        fields = _readings_fields(payload)
        if fields is not None:
            return fields
    return messages.decode(typ, payload)


def _readings_fields(payload: bytes) -> Fields | None:
    """The decoded value if it is one that the expression meant; None leaves the answer to meter_protocol."""
    try:
        # A null behind the payload comes back as the pair's second item only if the payload ends where its own
        # counts say: cbor2 itself neither minds bytes that follow nor tells where it stopped.
        fields, end = cbor2.loads(b"\x82" + payload + b"\xf6", allow_duplicate_keys=False)
    except cbor2.CBORDecodeError:
        return None
    readings = fields[f.READINGS]
    channels = list(readings)
    if end is not None or channels != sorted(channels):
        return None
    if _EXTREMES_HEAD in payload and not all(map(_extremes_hold, readings.values())):
        return None
    return fields  # type: ignore[no-any-return]


def _extremes_hold(reading: list[Any]) -> bool:
    return len(reading) < 7 or reading[1] == 0 or reading[5] <= reading[3] <= reading[6]


# The grammar below is read with DOTALL: `.` is any byte.
_UNSIGNED = (
    rb"(?:[\x00-\x17]"
    rb"|\x18[\x18-\xff]"
    rb"|\x19(?!\x00).{2}"
    rb"|\x1a(?!\x00\x00).{4}"
    rb"|\x1b(?!\x00{4})[\x00-\x7f].{7})"
)
_SIGNED = (
    rb"(?:[\x00-\x17\x20-\x37]"
    rb"|[\x18\x38][\x18-\xff]"
    rb"|[\x19\x39](?!\x00).{2}"
    rb"|[\x1a\x3a](?!\x00\x00).{4}"
    rb"|[\x1b\x3b](?!\x00{4})[\x00-\x7f].{7})"
)
_POSITIVE = _UNSIGNED.replace(rb"\x00-\x17", rb"\x01-\x17", 1)
_SEVERAL = _UNSIGNED.replace(rb"\x00-\x17", rb"\x02-\x17", 1)
_STATUS = rb"(?:[\x00-\x17]|\x18[\x18-\xff]|\x19[\x01-\x07].)"
_FAULT = rb"(?:[\x01-\x17]|\x18[\x18-\xff]|\x19[\x01-\x07].)"
_CHANNEL = rb"(?:[\x01-\x17]|\x18[\x18-\xff]|\x19(?!\x00).{2})"
_NULL = rb"\xf6"
_EXTREMES_HEAD = b"\x87"
_SHAPES = (
    (rb"\x82", _STATUS, _UNSIGNED),
    (rb"\x82", _FAULT, _NULL),
    (rb"\x83", _STATUS, _UNSIGNED, _UNSIGNED),
    (rb"\x84", _FAULT, _NULL, _UNSIGNED, _UNSIGNED),
    (rb"\x85", _STATUS, _SEVERAL, _UNSIGNED, _SIGNED, _UNSIGNED),
    (rb"\x85", _STATUS, rb"\x01", _UNSIGNED, _SIGNED, _NULL),
    (rb"\x85", _FAULT, rb"\x00", _UNSIGNED, _NULL, _NULL),
    (rb"\x87", _STATUS, _SEVERAL, _UNSIGNED, _SIGNED, _UNSIGNED, _SIGNED, _SIGNED),
    (rb"\x87", _STATUS, rb"\x01", _UNSIGNED, _SIGNED, _NULL, _SIGNED, _SIGNED),
    (rb"\x87", _FAULT, rb"\x00", _UNSIGNED, _NULL, _NULL, _NULL, _NULL),
)
_READING = rb"(?:" + rb"|".join(map(b"".join, _SHAPES)) + rb")"
_FIELDS = (
    rb"\xad\x00\x01",  # thirteen keys; version 1
    rb"\x01\x48.{8}",  # epoch
    rb"\x02" + _POSITIVE,  # sequence: 0 is the identity's
    rb"\x03" + _UNSIGNED,  # boot
    rb"\x04\x58\x20.{32}",  # previous
    rb"\x05\x50.{16}",  # context
    rb"\x06" + _SIGNED,  # time_ms
    # clock_status and its uncertainty: who has a time scale states one
    rb"(?:\x07[\x01\x02]\x08" + _UNSIGNED + rb"|\x07[\x00\x03]\x08" + _NULL + rb")",
    rb"\x0a[\x00-\x02]",  # kind
    rb"\x0b(?:" + _UNSIGNED + rb"|" + _NULL + rb")",  # duration_ms
    rb"\x0c(?:[\xa1-\xb7]|\xb8[\x18-\x40])(?:" + _CHANNEL + _READING + rb")+",  # readings
    rb"\x0d" + _UNSIGNED,  # jitter_ms
)
_READINGS = re.compile(b"".join(_FIELDS), re.DOTALL)

"""decode.py accepts and refuses exactly what meter_protocol does, with the same value or the same reason."""

from collections.abc import Callable
from itertools import product
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meter_gateway import decode
from meter_gateway.model import Fields
from meter_protocol import cbor, cose, messages
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_protocol.errors import ProtocolError

UINT63 = st.one_of(st.integers(0, 300), st.integers(0, (1 << 63) - 1))
INT64 = st.one_of(st.integers(-300, 300), st.integers(-(1 << 63), (1 << 63) - 1))
STATUS = st.one_of(st.integers(0, 300), st.integers(0, f.STATUS_ALL))
FAULT = st.one_of(st.integers(1, 300), st.integers(1, f.STATUS_ALL))
SEVERAL = st.one_of(st.integers(2, 30), st.integers(2, (1 << 63) - 1))


def mean_with_extremes(status: int, n: int, expected: int, values: list[int], s: int) -> list[int]:
    low, mean, high = sorted(values)
    return [status, n, expected, mean, s, low, high]


READING = st.one_of(
    st.tuples(STATUS, UINT63),
    st.tuples(FAULT, st.none()),
    st.tuples(STATUS, UINT63, UINT63),
    st.tuples(FAULT, st.none(), UINT63, UINT63),
    st.tuples(STATUS, SEVERAL, UINT63, INT64, UINT63),
    st.tuples(STATUS, st.just(1), UINT63, INT64, st.none()),
    st.tuples(FAULT, st.just(0), UINT63, st.none(), st.none()),
    st.builds(mean_with_extremes, STATUS, SEVERAL, UINT63, st.lists(INT64, min_size=3, max_size=3), UINT63),
    st.tuples(FAULT, st.just(0), UINT63, st.none(), st.none(), st.none(), st.none()),
).map(list)
CLOCK = st.one_of(
    st.tuples(st.sampled_from((f.CLOCK_INFORMATIVE, f.CLOCK_SYNCHRONISED)), UINT63),
    st.tuples(st.sampled_from((f.CLOCK_UNKNOWN, f.CLOCK_RELATIVE)), st.none()),
)


@st.composite
def readings_fields(draw: st.DrawFn) -> Fields:
    """A readings message that SPEC allows."""
    status, uncertainty_ms = draw(CLOCK)
    return {
        f.VERSION: f.PROTOCOL_VERSION,
        f.EPOCH: draw(st.binary(min_size=8, max_size=8)),
        f.SEQUENCE: draw(UINT63.filter(bool)),
        f.BOOT: draw(UINT63),
        f.PREVIOUS: draw(st.binary(min_size=32, max_size=32)),
        f.CONTEXT: draw(st.binary(min_size=16, max_size=16)),
        f.TIME_MS: draw(INT64),
        f.CLOCK_STATUS: status,
        f.CLOCK_UNCERTAINTY_MS: uncertainty_ms,
        f.KIND: draw(st.integers(0, 2)),
        f.DURATION_MS: draw(st.none() | UINT63),
        f.READINGS: draw(st.dictionaries(st.integers(1, 0xFFFF), READING, min_size=1, max_size=64)),
        f.JITTER_MS: draw(UINT63),
    }


def outcome(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a decoder says: its value, or the reason why there is none."""
    try:
        return function(*arguments)
    except ProtocolError as error:
        return error.reason


def same_for(payload: bytes) -> None:
    assert outcome(decode.decode, t.READINGS, payload) == outcome(messages.decode, t.READINGS, payload)


@given(readings_fields())
def test_what_spec_allows_takes_the_fast_path(fields: Fields) -> None:
    payload = messages.encode(t.READINGS, fields)
    fast = decode._readings_fields(payload) if decode._READINGS.fullmatch(payload) else None
    assert fast == fields
    assert decode.decode(t.READINGS, payload) == fields


@settings(max_examples=200)
@given(readings_fields(), st.data())
def test_damaged_payloads(fields: Fields, data: st.DataObject) -> None:
    payload = bytearray(messages.encode(t.READINGS, fields))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(payload)))
        removed = data.draw(st.integers(0, 3))
        payload[at : at + removed] = data.draw(st.binary(max_size=3))
    same_for(bytes(payload))


@settings(max_examples=200)
@given(readings_fields(), st.data())
def test_wrong_values_in_well_formed_payloads(fields: Fields, data: st.DataObject) -> None:
    anything = st.one_of(
        st.none(), st.booleans(), INT64, st.binary(max_size=40), st.floats(), st.integers(1 << 63, 1 << 70)
    )
    readings = fields[f.READINGS]
    reading = readings[data.draw(st.sampled_from(sorted(readings)))]
    target, key = data.draw(
        st.sampled_from([(fields, key) for key in fields] + [(reading, i) for i in range(len(reading))])
    )
    target[key] = data.draw(anything)
    same_for(cbor2.dumps(dict(sorted(fields.items()))))


@given(readings_fields(), st.randoms(use_true_random=False))
def test_channels_in_any_order(fields: Fields, random: Any) -> None:
    channels = list(fields[f.READINGS].items())
    random.shuffle(channels)
    fields[f.READINGS] = dict(channels)
    same_for(cbor2.dumps(fields))


ROW = b"\x01\x82\x00\x05"
JITTER = bytes((f.JITTER_MS, 5))


HEADER: Fields = {
    f.VERSION: 1,
    f.EPOCH: bytes(8),
    f.SEQUENCE: 1,
    f.BOOT: 1,
    f.PREVIOUS: bytes(32),
    f.CONTEXT: bytes(16),
    f.TIME_MS: 1,
    f.CLOCK_STATUS: f.CLOCK_INFORMATIVE,
    f.CLOCK_UNCERTAINTY_MS: 1,
    f.KIND: 0,
    f.DURATION_MS: 1,
}


@pytest.mark.parametrize(
    "readings",
    [
        b"\xa1" + ROW,
        b"\xa2" + ROW,  # announces one more than there is
        b"\xa1" + ROW + b"\x02\x82\x00\x05",  # announces one less
        b"\xa2" + ROW + ROW,  # the same channel twice
        b"\xb8\x01" + ROW,  # a count not in its shortest form
        b"\xbf" + ROW + b"\xff",  # no count
        b"\xa1\x00\x82\x00\x05",  # channel 0
        b"\xa1\x01\x82\x00\xf6",  # nothing read, and called good
        b"\xa1\x01\x82\x00\x1b\x80\x00\x00\x00\x00\x00\x00\x00",  # beyond int64
        b"\xa1\x01\x82\x00\xc2\x41\x05",  # a bignum
        b"\xa1\x01\x82\x00\xf9\x45\x00",  # 5.0
        b"\xa1\x01\x82\x00\x18\x05",  # 5, two bytes long
        b"\xa1\x01\x82\x18\x00\x05",  # status 0, two bytes long
        b"\xa1\x01\x82\x19\x07\xff\x05",  # every status
        b"\xa1\x01\x82\x19\x07\xff\xf6",
        b"\xa1\x01\x82\x19\x08\x00\x05",  # one that does not exist
        b"\xa1\x01\x82\x19\x00\xff\x05",  # status 255, three bytes long
        b"\xa1\x01\x82\x19\x00\xff\xf6",
        b"\xa2" + ROW + b"\x0d\x82\x00\x05",  # a channel with the number of the key that follows
        b"\xa1" + ROW + b"\x0e\x82\x00\x05",  # announces one less: channel 14 becomes a fourteenth key
        b"\xa1\x01\x85\x00\x02\x02\x05\xf6",  # two samples and no s
        b"\xa1\x01\x85\x00\x01\x01\x05\x00",  # one sample and an s
        b"\xa1\x01\x86\x00\x02\x02\x05\x01\x04",  # six items
        b"\xa1\x01\x87\x00\x02\x02\x05\x01\x06\x07",  # minimum above the mean
        b"\xa1\x01\x87\x00\x02\x02\x05\x01\x04\x04",  # maximum below it
        b"\xa1\x01\x87\x00\x01\x01\x05\xf6\x05\x05",
        b"\xa0",
    ],
)
def test_each_rule_that_the_expression_or_the_value_must_hold(readings: bytes) -> None:
    before = cbor2.dumps(HEADER)[1:]
    same_for(b"\xad" + before + bytes((f.READINGS,)) + readings + JITTER)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {f.VERSION: 0},
        {f.VERSION: 2},
        {f.EPOCH: bytes(7)},
        {f.SEQUENCE: 0},
        {f.SEQUENCE: 24},
        {f.SEQUENCE: -1},
        {f.BOOT: 0},
        {f.BOOT: -1},
        {f.PREVIOUS: bytes(33)},
        {f.CONTEXT: bytes(15)},
        {f.TIME_MS: -1},
        {f.CLOCK_STATUS: f.CLOCK_UNKNOWN},
        {f.CLOCK_STATUS: f.CLOCK_RELATIVE},
        {f.CLOCK_STATUS: f.CLOCK_RELATIVE, f.CLOCK_UNCERTAINTY_MS: None},
        {f.CLOCK_STATUS: f.CLOCK_SYNCHRONISED, f.CLOCK_UNCERTAINTY_MS: None},
        {f.CLOCK_STATUS: 4},
        {f.CLOCK_UNCERTAINTY_MS: -1},
        {f.KIND: 2},
        {f.KIND: 3},
        {f.DURATION_MS: None},
        {f.DURATION_MS: -1},
        {f.DURATION_MS: (1 << 63) - 1},
        {f.DURATION_MS: 1 << 63},
        {f.JITTER_MS: None},
        {f.JITTER_MS: -1},
        {f.JITTER_MS: (1 << 63) - 1},
        {f.JITTER_MS: 1 << 63},
        {f.JITTER_MS + 1: 0},
    ],
)
def test_each_field_at_the_edges_of_its_range(change: Fields) -> None:
    same_for(cbor2.dumps(HEADER | {f.READINGS: {1: [0, 5]}, f.JITTER_MS: 5} | change))


@pytest.mark.parametrize("length", range(1, 9))
def test_every_small_reading(length: int) -> None:
    """Each place of an array takes each of these values, in all combinations."""
    values = (None, -1, 0, 1, 2) if length <= 5 else (None, 0, 2)
    for reading in product((0, 1, f.STATUS_ALL, f.STATUS_ALL + 1), *[values] * (length - 1)):
        same_for(cbor2.dumps(HEADER | {f.READINGS: {1: list(reading)}, f.JITTER_MS: 5}))


@given(readings_fields(), st.binary(max_size=4))
def test_bytes_behind_the_payload(fields: Fields, more: bytes) -> None:
    same_for(messages.encode(t.READINGS, fields) + more)


# Messages and sequences

HEADERS = [cose.protected_header(cose.ES256, bytes(8), typ) for typ in t.ROLE_OF_TYPE]
PROTECTED = st.sampled_from(HEADERS) | st.binary(max_size=300)
MESSAGE = st.builds(cose.assemble, PROTECTED, st.binary(max_size=700), st.binary(min_size=64, max_size=64))


def sign1(payload: bytes) -> bytes:
    return cose.assemble(cose.protected_header(cose.ES256, bytes(8), t.READINGS), payload, bytes(64))


def parts_of(message: bytes) -> tuple[bytes, ...]:
    parts = cose.split(message)
    to_be_signed = cose.to_be_signed(parts.protected, parts.payload)
    return message, parts.protected, parts.payload, parts.signature, to_be_signed


@settings(max_examples=200)
@given(MESSAGE, st.data())
def test_messages_come_apart_as_in_the_protocol(message: bytes, data: st.DataObject) -> None:
    if data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(message) - 1))
        message = message[:at] + data.draw(st.binary(max_size=2)) + message[at + 1 :]
    expected = outcome(parts_of, message)
    found = outcome(decode.split, message)
    # The header is read where the keys are known (verify.KeyRing), so what is wrong with it is found there.
    if isinstance(expected, str) and not isinstance(found, str):
        assert outcome(cose.parse_protected, found.protected) == expected or expected == "cose_too_large"
    else:
        assert found == expected


@settings(max_examples=200)
@given(st.lists(MESSAGE, max_size=4), st.binary(max_size=200))
def test_sequences_are_cut_as_in_the_protocol_up_to_the_first_fault(whole: list[bytes], rest: bytes) -> None:
    payload = b"".join(whole) + rest
    found, refused = decode.split_sequence(payload)
    expected = outcome(cose.split_sequence, payload)
    if isinstance(expected, str):
        assert refused[-1][1] == expected
        assert payload.endswith(refused[-1][0])
    else:
        assert sorted([parts.raw for parts in found] + [raw for raw, _ in refused]) == sorted(expected)
    for parts in found:
        assert outcome(decode.split, parts.raw) == parts


def test_what_stands_before_a_break_is_taken_and_nothing_behind_it() -> None:
    message = sign1(bytes(200))
    found, refused = decode.split_sequence(message + b"\xd2\x85" + message)
    assert [parts.raw for parts in found] == [message]
    assert refused == [(b"\xd2\x85" + message, "cose_structure")]


def test_no_more_messages_than_the_protocol_allows() -> None:
    message = sign1(bytes(200))
    found, refused = decode.split_sequence(message * (cose.MAX_MESSAGES + 3))
    assert len(found) == cose.MAX_MESSAGES
    assert refused == [(message * 3, "cose_too_many_messages")]


@pytest.mark.parametrize("part", [b"p" * 60, b"h" * 50])
def test_heads_that_are_longer_than_they_need_be(part: bytes) -> None:
    message = cose.assemble(b"h" * 50, b"p" * 60, bytes(64))
    longer = message.replace(b"\x58" + bytes((len(part),)) + part, b"\x59\x00" + bytes((len(part),)) + part)
    assert len(longer) == len(message) + 1
    assert outcome(decode.split, longer) == outcome(cose.split, longer) == "cbor_non_shortest"


def test_the_largest_message_and_one_byte_more() -> None:
    room = t.MAX_MESSAGE - len(sign1(bytes(256))) + 256
    assert len(sign1(bytes(room))) == t.MAX_MESSAGE
    assert decode.split(sign1(bytes(room))).payload == bytes(room)
    larger = sign1(bytes(room + 1))
    assert outcome(decode.split, larger) == outcome(cose.split, larger) == "cose_too_large"
    assert decode.split_sequence(larger) == ([], [(larger, "cose_too_large")])


def test_every_other_type_is_the_protocol_s_own() -> None:
    payload = cbor.dumps({f.VERSION: 2})
    for typ in t.ROLE_OF_TYPE:
        assert outcome(decode.decode, typ, payload) == outcome(messages.decode, typ, payload) == "unknown_version"

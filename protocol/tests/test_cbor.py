"""The codec against RFC 8949 appendix A and, in both directions, against cbor2."""

import itertools
import json
from pathlib import Path
from typing import Any

import cbor2
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from untidy_cbor import untidy_items

from meter_protocol import cbor
from meter_protocol.errors import EncodeError, ProtocolError

# RFC 8949 appendix A: what lies outside the subset, by how its encoding begins.
OUTSIDE = (
    ("f9", "cbor_float"),
    ("fa", "cbor_float"),
    ("fb", "cbor_float"),
    ("c", "cbor_tag"),
    ("d", "cbor_tag"),
    ("f7", "cbor_simple_value"),
    ("f0", "cbor_simple_value"),
    ("f8", "cbor_simple_value"),
    ("5f", "cbor_indefinite_length"),
    ("7f", "cbor_indefinite_length"),
    ("9f", "cbor_indefinite_length"),
    ("bf", "cbor_indefinite_length"),
    ("83018202039f", "cbor_indefinite_length"),
    ("83019f", "cbor_indefinite_length"),
    ("826161bf", "cbor_indefinite_length"),
    ("1bffffffffffffffff", "cbor_integer_range"),
    ("3bffffffffffffffff", "cbor_integer_range"),
    ("a26161", "cbor_key_type"),
    ("a56161", "cbor_key_type"),
    ("826161a1", "cbor_key_type"),
)


def reason_of(data: bytes, max_size: int = cbor.MAX_SIZE) -> str | None:
    try:
        cbor.loads(data, max_size)
    except ProtocolError as error:
        return error.reason
    return None


def test_appendix_a(shared: Path) -> None:
    vectors = json.loads((shared / "data/vectors/cbor_rfc8949_appendix_a.json").read_text())
    inside = 0
    for vector in vectors:
        encoded = bytes.fromhex(vector["hex"])
        expected = next((reason for start, reason in OUTSIDE if vector["hex"].startswith(start)), None)
        assert reason_of(encoded) == expected, vector
        if expected is None:
            inside += 1
            value = cbor.loads(encoded)
            assert value == vector.get("decoded", cbor2.loads(encoded))
            assert cbor.dumps(value) == encoded
    assert (inside, len(vectors)) == (32, 82)


# The same rules a second time, on cbor2.


def reference_dumps(value: Any) -> bytes:
    """RFC 8949 §4.2.1. cbor2's own `canonical` sorts keys by length first, which is RFC 7049."""
    if isinstance(value, dict):
        pairs = sorted((cbor2.dumps(key), reference_dumps(value[key])) for key in value)
        return head_of(0xA0, len(pairs)) + b"".join(key + item for key, item in pairs)
    if isinstance(value, list):
        return head_of(0x80, len(value)) + b"".join(map(reference_dumps, value))
    return cbor2.dumps(value)


def head_of(major: int, count: int) -> bytes:
    """An unsigned integer's head is every major type's head, but for the three top bits."""
    encoded = bytearray(cbor2.dumps(count))
    encoded[0] |= major
    return bytes(encoded)


def in_subset(value: Any, depth: int = 0) -> bool:
    if depth > cbor.MAX_DEPTH:
        return False
    if isinstance(value, bool) or value is None or isinstance(value, (bytes, str)):
        return True
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    if isinstance(value, list):
        return all(in_subset(item, depth + 1) for item in value)
    if isinstance(value, dict):
        return all(
            type(key) is int and in_subset(key, depth + 1) and in_subset(value[key], depth + 1) for key in value
        )
    return False


def reference_accepts(data: bytes) -> bool:
    try:
        value = cbor2.loads(data)
        return len(data) <= cbor.MAX_SIZE and in_subset(value) and reference_dumps(value) == data
    except Exception:  # noqa: BLE001  cbor2 raises many; what it does not decode, nobody may
        return False


int64s = st.integers(-(2**63), 2**63 - 1)
scalars = st.none() | st.booleans() | int64s | st.integers(-300, 300) | st.binary() | st.text()
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(int64s | st.integers(-30, 30), inner, max_size=4),
    max_leaves=12,
)


def depth_of(value: Any) -> int:
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    return 1 + max(map(depth_of, inner), default=0) if isinstance(value, (dict, list)) else 0


@given(values)
def test_dumps_is_what_cbor2_gives(value: Any) -> None:
    if not in_subset(value):
        with pytest.raises(EncodeError):
            cbor.dumps(value)
        return
    encoded = cbor.dumps(value)
    assert encoded == reference_dumps(value)
    assert cbor.loads(encoded, len(encoded)) == value


def test_keys_sort_bytewise_and_not_by_length() -> None:
    keys = {24: 0, -1: 0, 23: 0, 256: 0, -25: 0, 65536: 0, 2**32: 0, -257: 0, 0: 0}
    order = [0, 23, 24, 256, 65536, 2**32, -1, -25, -257]
    assert sorted(keys, key=cbor.key_order) == order == sorted(keys, key=cbor2.dumps)
    assert cbor.dumps({24: 0, -1: 0}) == bytes.fromhex("a2 1818 00 20 00")
    assert cbor2.dumps({24: 0, -1: 0}, canonical=True) == bytes.fromhex("a2 20 00 1818 00")


@settings(max_examples=500)
@given(untidy_items)
@example(bytes.fromhex("a20000f500"))
@example(bytes.fromhex("a201 00 f5 00"))
@example(b"\x81" * 8 + b"\x00")
@example(b"\x81" * 9 + b"\x00")
@example(b"\xa1\x00" * 8 + b"\xa0")
def test_loads_accepts_what_cbor2_reencodes_alike(data: bytes) -> None:
    assert (reason_of(data) is None) == reference_accepts(data)


@given(values.map(reference_dumps), st.data())
def test_loads_of_damaged_items(encoded: bytes, data: st.DataObject) -> None:
    damaged = bytearray(encoded)
    place = data.draw(st.integers(0, len(encoded) - 1))
    action = data.draw(st.sampled_from(["flip", "cut", "insert", "remove", "append"]))
    if action == "flip":
        damaged[place] ^= 1 << data.draw(st.integers(0, 7))
    elif action == "cut":
        del damaged[place:]
    elif action == "insert":
        damaged.insert(place, data.draw(st.integers(0, 255)))
    elif action == "remove":
        del damaged[place]
    else:
        damaged.append(data.draw(st.integers(0, 255)))
    assert (reason_of(bytes(damaged)) is None) == reference_accepts(bytes(damaged))


@given(st.binary(max_size=30))
def test_loads_of_noise(data: bytes) -> None:
    assert (reason_of(data) is None) == reference_accepts(data)


def test_utf8_at_every_boundary() -> None:
    """CPython's own strict decoder is the reference; MicroPython's is not one."""
    leads = bytes.fromhex("00 7f 80 bf c0 c1 c2 df e0 e1 ec ed ee ef f0 f1 f3 f4 f5 ff")
    tails = bytes.fromhex("00 7f 80 8f 90 9f a0 bf c0 ff")
    for size in range(1, 5):
        for text in map(bytes, itertools.product(leads, *[tails] * (size - 1))):
            try:
                text.decode()
                expected = None
            except UnicodeDecodeError:
                expected = "cbor_invalid_utf8"
            assert reason_of(head_of(0x60, size) + text) == expected, text.hex()


def test_limits_are_exact() -> None:
    largest = b"\x59\x1f\xfd" + bytes(8189)
    assert len(largest) == cbor.MAX_SIZE
    assert reason_of(largest) is None
    assert reason_of(largest + b"\x00") == "cbor_too_large"
    assert reason_of(largest, cbor.MAX_SIZE - 1) == "cbor_too_large"
    value: Any = 0
    for _ in range(cbor.MAX_DEPTH):
        value = [value]
    assert cbor.loads(cbor.dumps(value)) == value
    with pytest.raises(EncodeError):
        cbor.dumps([value])
    for edge in (2**63 - 1, -(2**63)):
        assert cbor.loads(cbor.dumps(edge)) == edge
    for beyond in (2**63, -(2**63) - 1):
        with pytest.raises(EncodeError):
            cbor.dumps(beyond)


def test_object_limit_is_exact_and_reads_only_heads() -> None:
    three = cbor.dumps([b"\x9f\x9f", "ab", {1: 2}, 5, None])
    cbor.limit_objects(three, 4)
    with pytest.raises(ProtocolError, match="cbor_too_many_objects"):
        cbor.limit_objects(three, 3)


@pytest.mark.parametrize("refused_by_loads", ["1c", "ff80", "43", "9fff", "1817", "bf80"])
def test_object_limit_leaves_what_is_not_well_formed_to_loads(refused_by_loads: str) -> None:
    data = bytes.fromhex(refused_by_loads)
    cbor.limit_objects(data, 1)
    assert reason_of(data)


class Stranger:
    pass


@given(
    st.recursive(
        scalars | st.floats() | st.text(alphabet="\ud800a") | st.just(Stranger()) | st.integers(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(scalars | st.floats(), inner, max_size=3),
        max_leaves=6,
    )
)
def test_dumps_of_anything_gives_bytes_or_encode_error(value: Any) -> None:
    try:
        encoded = cbor.dumps(value)
    except EncodeError:
        return
    assert cbor.dumps(cbor.loads(encoded, len(encoded))) == encoded

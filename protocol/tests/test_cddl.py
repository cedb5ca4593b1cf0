"""meter.cddl and the code say the same: about every vector, about random payloads and about broken ones."""

import itertools
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import strategies
from cddl_verifier import Validator
from hypothesis import given, settings
from hypothesis import strategies as st

from meter_protocol import budgets, cbor, messages, rules
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_protocol.errors import EncodeError, ProtocolError

pytestmark = pytest.mark.long

PROTOCOL = Path(__file__).parents[1]
# A refusal is an answer here; reporting each at length takes longer than finding it.
logging.getLogger("cddl_verifier").setLevel(logging.CRITICAL)

CDDL = Validator((PROTOCOL / "meter.cddl").read_text())
VECTORS = json.loads((PROTOCOL / "vectors" / "v1.json").read_text())
EXAMPLES = int(os.environ.get("CARBONMETER_EXAMPLES", "25"))

TYPES = sorted(t.ROLE_OF_TYPE)


def rule_of(typ: str) -> str:
    return typ.removeprefix(t.PREFIX)


def cddl_accepts(rule: str, encoded: bytes) -> bool:
    """cddl-verifier's own decoder also tells whether the encoding is RFC 8949's deterministic one."""
    return bool(CDDL.validate(encoded, root_type=rule, require_deterministic=True).valid)


@pytest.mark.parametrize("vector", VECTORS["messages"], ids=lambda vector: vector["name"])
def test_vectors_of_messages(vector: dict[str, Any]) -> None:
    raw = bytes.fromhex(vector["message"])
    assert cddl_accepts("message", raw)
    assert [typ for typ in TYPES if cddl_accepts(rule_of(typ) + "-message", raw)] == [vector["typ"]]
    assert cddl_accepts(rule_of(vector["typ"]), bytes.fromhex(vector["payload"]))


def test_vectors_of_the_uplink() -> None:
    for vector in VECTORS["uplink"]["verdicts"]:
        assert cddl_accepts("verdict", bytes.fromhex(vector["bytes"]))
    assert cddl_accepts("envelope", bytes.fromhex(VECTORS["uplink"]["envelope"]["bytes"]))


def test_vectors_of_keys() -> None:
    for vector in VECTORS["keys"]:
        assert cddl_accepts("cose-key", bytes.fromhex(vector["cose_key"]))
    for vector in VECTORS["refused"]:
        is_prime = vector["name"].endswith("that is the prime")
        if vector["decoder"] == "key" and vector["reason"] == "cose_key" and not is_prime:
            assert not cddl_accepts("cose-key", bytes.fromhex(vector["bytes"][0][0])), vector["name"]


def test_vectors_of_hello_requests() -> None:
    for vector in VECTORS["hello_requests"]:
        assert cddl_accepts("hello-request", bytes.fromhex(vector["bytes"]))
    for vector in VECTORS["refused"]:
        if vector["decoder"] == "hello-request":
            encoded = b"".join(bytes.fromhex(piece) * times for piece, times in vector["bytes"])
            assert not cddl_accepts("hello-request", encoded), vector["name"]


def code_accepts(rule: str, fields: Any) -> bool:
    try:
        if rule == "verdict":
            messages.encode_verdict(fields)
        elif rule == "budget":
            budgets.encode(fields)
        elif rule == "envelope":
            messages.encode_envelope(fields)
        else:
            messages.check(t.PREFIX + rule, fields)
    except (ProtocolError, EncodeError):
        return False
    return True


def beyond_cddl(rule: str, fields: Any) -> bool:
    """Whether a rule that meter.cddl names as beyond CDDL is what forbids these fields."""
    if rule == "parameter-set":
        ids = [channel[f.CHANNEL_ID] for channel in fields[f.CHANNELS]]
        instruments = len(fields[f.INSTRUMENTS])
        known = all(channel[f.CHANNEL_INSTRUMENT] < instruments for channel in fields[f.CHANNELS])
        return len(set(ids)) < len(ids) or not known
    if rule == "readings":
        extremes = [reading[3:4] + reading[5:] for reading in fields[f.READINGS].values() if len(reading) == 7]
        return any(None not in three and not three[1] <= three[0] <= three[2] for three in extremes)
    if rule == "budget":
        return any(
            source[budgets.COMMON] >= budgets.FIRST_CERTIFICATE + len(entry[budgets.CERTIFICATES])
            for entry in fields[budgets.CHANNELS]
            for source in entry[budgets.SOURCES]
        )
    if rule == "update-manifest":
        chunks = -(-fields[f.IMAGE_SIZE] // fields[f.CHUNK_SIZE])
        return len(fields[f.CHUNK_DIGESTS]) != chunks * 16
    return False


BEYOND_CDDL = {
    "mean above the maximum",
    "channel id twice",
    "channel of no instrument",
    "a digest too few",
    "a digest too many",
}


def test_vectors_of_refused_payloads() -> None:
    """What the schema refuses, CDDL refuses, except for the rules that it cannot say."""
    taken = set()
    for vector in VECTORS["refused"]:
        decoder = vector["decoder"]
        if decoder in (*TYPES, "verdict", "envelope") and not vector["reason"].startswith("cbor_"):
            encoded = b"".join(bytes.fromhex(piece) * times for piece, times in vector["bytes"])
            if cddl_accepts(rule_of(decoder), encoded):
                taken.add(vector["name"])
    assert taken == BEYOND_CDDL


OWN_HEADER = ("identity", "readings", "receipt", "comparison")
"""Rules whose header fields are tried; those of the others are the same."""


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key or index) of everything inside, one member of each list and of each map of readings."""
    if isinstance(value, dict):
        for key in value:
            yield value, key
            yield from places(value[key])
    elif isinstance(value, list):
        yield from ((value, index) for index in range(len(value)))
        if value:
            yield from places(value[0])


def examples() -> list[Any]:
    """A message of each type and of each event, cut short where the rest would only repeat."""
    chosen = {}
    for vector in VECTORS["messages"]:
        fields = messages.decode(vector["typ"], bytes.fromhex(vector["payload"]))
        if vector["typ"] == t.READINGS:
            fields[f.READINGS] = {1: [0, 5]}
        if vector["typ"] == t.PARAMETER_SET:
            fields.update({key: fields[key][:1] for key in (f.INSTRUMENTS, f.CHANNELS)})
        kind = vector["typ"], fields[f.EVENT_CODE] if vector["typ"] == t.EVENT else 0
        chosen[kind] = pytest.param(rule_of(vector["typ"]), fields, id=vector["name"])
    return list(chosen.values())


def edges_near(right: Any) -> list[Any]:
    near = [right - 1, right + 1] if type(right) is int and abs(right) < 2**63 - 1 else []
    return near + strategies.EDGES


@pytest.mark.parametrize(("rule", "fields"), examples())
def test_each_field_with_each_odd_value(rule: str, fields: dict[int, Any]) -> None:
    for container, place in list(places(fields)):
        right = container[place]
        if container is fields and place < 10 and rule not in OWN_HEADER:
            continue
        for odd in edges_near(right):
            container[place] = odd
            by_cddl = cddl_accepts(rule, cbor.dumps(fields))
            assert code_accepts(rule, fields) == (by_cddl and not beyond_cddl(rule, fields)), (place, odd)
        container[place] = right


@pytest.mark.parametrize(
    "right",
    [
        [0, 5],
        [0, 5, 6],
        [1, None],
        [1, None, 5, 6],
        [1, 0, 15, None, None],
        [0, 1, 15, -3, None],
        [0, 2, 15, -3, 4],
        [1, 0, 15, None, None, None, None],
        [0, 1, 15, -3, None, -4, 2],
        [0, 255, 255, -3, 4, -(2**63), 2**63 - 1],
    ],
    ids=str,
)
def test_each_item_of_a_reading_with_each_odd_value(right: list[Any]) -> None:
    """Two items at once too: which items may be null together is what tells the shapes apart."""
    assert rules.is_reading(right)
    assert cddl_accepts("reading", cbor.dumps(right))
    for first, second in itertools.combinations_with_replacement(range(len(right)), 2):
        seconds = [right[second]] if first == second else [None, 0]
        for odd, other in itertools.product(edges_near(right[first]), seconds):
            reading = list(right)
            reading[second] = other
            reading[first] = odd
            by_cddl = cddl_accepts("reading", cbor.dumps(reading))
            beyond = by_cddl and beyond_cddl("readings", {f.READINGS: {1: reading}})
            assert rules.is_reading(reading) == (by_cddl and not beyond), reading


STRATEGIES = {
    **{rule_of(typ): strategies.payloads(typ) for typ in TYPES},
    "verdict": strategies.verdicts,
    "budget": strategies.budget_records,
    "envelope": strategies.envelopes,
}


@pytest.mark.parametrize("rule", sorted(STRATEGIES))
@settings(max_examples=EXAMPLES)
@given(data=st.data())
def test_valid_payloads(rule: str, data: st.DataObject) -> None:
    fields = data.draw(STRATEGIES[rule])
    assert code_accepts(rule, fields)
    encoded = cbor.dumps(fields)
    assert cddl_accepts(rule, encoded)
    assert cbor.loads(encoded, len(encoded)) == fields


@pytest.mark.parametrize("rule", sorted(STRATEGIES))
@settings(max_examples=3 * EXAMPLES)
@given(data=st.data())
def test_changed_payloads(rule: str, data: st.DataObject) -> None:
    """One change: either both still take it, or both refuse it, or the rule is one that CDDL cannot say."""
    fields = data.draw(STRATEGIES[rule].flatmap(strategies.mutations))
    by_cddl = cddl_accepts(rule, cbor.dumps(fields))
    by_code = code_accepts(rule, fields)
    assert by_code == (by_cddl and not beyond_cddl(rule, fields))

"""Tables, types and limits of the schema: complete, apart from each other, and never an error of another kind."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import strategies
from hypothesis import given, settings
from hypothesis import strategies as st
from untidy_cbor import untidy_items

from meter_protocol import budgets, cbor, cose, keys, messages, schema
from meter_protocol import comparison as cm
from meter_protocol import comparison_schema as cs
from meter_protocol import events as ev
from meter_protocol import fields as f
from meter_protocol import first_contact as fc
from meter_protocol import first_contact_schema as fs
from meter_protocol import types as t
from meter_protocol.errors import REASONS, EncodeError, ProtocolError

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "v1.json").read_text())
ALIKE = {frozenset((t.TIME_REQUEST, t.TIME_REPLY))}
"""Types whose payloads have the same fields: only the signed `typ` and the key's role tell them apart."""

INT64_MAX = 2**63 - 1
TABLES = {typ: messages.table_of(typ) for typ in schema.types()}
COMPARISON_TABLES = {
    "": cs.TABLE[len(fs.ABOUT_METER) :],
    "REFERENCE_": cs.REFERENCE,
    "CERTIFICATE_": cs.CERTIFICATE,
    "CONDITION_": cs.CONDITION,
    "DECISION_": cs.DECISION,
    "POINT_": cs.POINT,
    "ACCURACY_": cs.ACCURACY,
    "RAW_": cs.RAW,
    "READING_": cs.READING,
    "PAIR_": cs.PAIR,
    "SETTING_": cs.SETTING,
}
EVENT_TABLES = {code: schema.event_table(code) for code in ev.NAMES}


def test_every_type_has_a_table_and_a_role() -> None:
    assert set(TABLES) | set(fs.TABLES) | {t.COMPARISON} == set(t.ROLE_OF_TYPE)
    assert set(fs.TABLES) == set(t.FIRST_CONTACT_TYPES)
    assert set(ev.NAMES) == set(range(1, len(ev.NAMES) + 1))
    assert len(schema._EVENTS) == len(ev.NAMES)


def test_tables_name_each_key_once() -> None:
    tables = [
        *TABLES.values(),
        *fs.TABLES.values(),
        fs.LINK,
        *COMPARISON_TABLES.values(),
        *EVENT_TABLES.values(),
        schema.VERDICT,
        schema.ENVELOPE,
        budgets.BUDGET,
        budgets.CHANNEL_BUDGET,
        budgets.SOURCE,
    ]
    tables += [schema.INSTRUMENT, schema.CHANNEL]
    for table in tables:
        for column in (0, 1):
            values = [row[column] for row in table]
            assert len(set(values)) == len(values)


def test_keys_are_those_of_the_constants_of_their_name() -> None:
    """They are literals in the tables, so that these lie in a board's flash."""
    prefixes = {
        id(schema.INSTRUMENT): "INSTRUMENT_",
        id(schema.CHANNEL): "CHANNEL_",
        id(schema.VERDICT): "VERDICT_",
    }
    prefixes[id(schema.ENVELOPE)] = "ENVELOPE_"
    for table in (*TABLES.values(), schema.INSTRUMENT, schema.CHANNEL, schema.VERDICT, schema.ENVELOPE):
        for key, name, _ in table:
            prefix = prefixes.get(id(table), "")
            known = getattr(f, prefix + name.upper(), None)
            if known is None:
                known = f.EVENT_CODE if name == "event" else getattr(f, name.upper())
            if name == "image_digest" and table[-1][1] != "software_version":
                known = f.DIGEST
            assert key == known, name
    for table in EVENT_TABLES.values():
        for key, name, _ in table:
            assert key == getattr(ev, name.upper()), name
    for typ, table in fs.TABLES.items():
        prefix = typ.removeprefix(t.PREFIX).removeprefix("factory-").upper() + "_"
        for key, name, _ in table[len(fs.ABOUT_METER) :]:
            assert key == getattr(fc, "COMMAND" if name == "command" else prefix + name.upper()), name
    for table in (budgets.BUDGET, budgets.CHANNEL_BUDGET, budgets.SOURCE):
        for key, name, _ in table:
            assert key == getattr(budgets, name.upper()), name
    for key, name, _ in fs.LINK:
        assert key == getattr(fc, "LINK_" + name.upper()), name
    for prefix, table in COMPARISON_TABLES.items():
        for key, name, _ in table:
            assert key == getattr(cm, prefix + name.upper()), name


def test_limits_are_those_of_the_constants() -> None:
    rules = {(typ, name): rule for typ, table in TABLES.items() for _, name, rule in table}
    assert rules[t.EVENT, "event"] == ("uint", 1, max(ev.NAMES))
    assert rules[t.READINGS, "kind"] == ("uint", 0, f.KIND_PARTIAL)
    assert rules[t.READINGS, "clock_status"] == ("uint", 0, f.CLOCK_RELATIVE)
    assert rules[t.IDENTITY, "key_protection"] == ("uint", 0, f.KEY_SECURE_ELEMENT)
    assert rules[t.IDENTITY, "serial"] == ("text", schema.MAX_TEXT)
    assert rules[t.PARAMETER_SET, "channels"] == ("list", 0, schema.MAX_CHANNELS, "channel_entry")
    assert rules[t.PARAMETER_SET, "receipt_keys"] == ("list", 0, schema.MAX_KEYS, "cose_key")
    assert rules[t.UPDATE_MANIFEST, "image_size"] == ("uint", 1, schema.MAX_CHUNKS * schema.MAX_CHUNK)
    assert rules[t.UPDATE_MANIFEST, "chunk_digests"] == ("bytes", 1, schema.MAX_CHUNKS * schema.CHUNK_DIGEST_SIZE)
    assert rules[t.IMAGE_CHUNK, "chunk"] == ("bytes", 1, schema.MAX_CHUNK)
    assert rules[t.IMAGE_CHUNK, "chunk_index"] == ("uint", 0, schema.MAX_CHUNKS - 1)
    details = {name: rule for table in EVENT_TABLES.values() for _, name, rule in table}
    assert details["parameter_set"] == ("bytes", 1, t.MAX_PARAMETER_SET)
    assert details["manifest"] == ("bytes", 1, t.MAX_UPDATE_MANIFEST)
    assert details["last_receipt"] == ("null", ("bytes", 1, t.MAX_STANDALONE))
    assert details["time_reply"] == ("bytes", 1, t.MAX_STANDALONE)
    outer = {name: rule for table in (schema.VERDICT, schema.ENVELOPE) for _, name, rule in table}
    assert outer["findings"] == ("list", 0, schema.MAX_FINDINGS, "finding")
    assert outer["message"] == ("bytes", 1, t.MAX_MESSAGE)
    assert outer["verdict"] == ("bytes", 1, schema.MAX_VERDICT)


def test_keys_take_one_byte() -> None:
    for table in (*TABLES.values(), *EVENT_TABLES.values(), schema.INSTRUMENT, schema.CHANNEL):
        assert all(0 <= key < 24 for key, _, _ in table)


def test_payload_of_one_type_is_refused_by_every_other() -> None:
    payloads = {vector["typ"]: bytes.fromhex(vector["payload"]) for vector in VECTORS["messages"]}
    for typ, consumer in itertools.permutations(t.ROLE_OF_TYPE, 2):
        if frozenset((typ, consumer)) in ALIKE:
            assert t.ROLE_OF_TYPE[typ] != t.ROLE_OF_TYPE[consumer]
            continue
        with pytest.raises(ProtocolError) as refused:
            messages.decode(consumer, payloads[typ])
        assert refused.value.reason in ("field_missing", "field_value", "field_unknown"), (typ, consumer)


@settings(max_examples=300)
@given(data=st.binary(max_size=60) | untidy_items)
def test_any_bytes_give_a_value_or_a_protocol_error(data: bytes) -> None:
    for decode in (
        cbor.loads,
        cose.split,
        cose.split_sequence,
        cose.parse_protected,
        keys.thumbprint,
        messages.decode_verdict,
        messages.decode_envelope,
        budgets.decode,
        *(lambda payload, typ=typ: messages.decode(typ, payload) for typ in [*t.ROLE_OF_TYPE, "", "x"]),
    ):
        reason = REASONS[0]
        try:
            decode(data)
        except ProtocolError as error:
            reason = error.reason
        assert reason in REASONS


@settings(max_examples=300)
@given(data=st.data())
def test_any_fields_give_bytes_or_an_encode_error(data: st.DataObject) -> None:
    """Our own misuse too has one error: odd types, keys that are no integers, lone surrogates."""
    odd = st.sampled_from([1.0, {"x": [0, 1]}, {None: 1}, {1.5: None}, "\ud800", {1: [0, "\ud800"]}, object(), ()])
    typ = data.draw(st.sampled_from(sorted(t.ROLE_OF_TYPE)))
    fields = data.draw(strategies.payloads(typ).flatmap(strategies.mutations))
    if isinstance(fields, dict) and fields and data.draw(st.booleans()):
        fields[data.draw(st.sampled_from(sorted(fields)))] = data.draw(odd)
    try:
        payload = messages.encode(typ, fields)
    except EncodeError:
        return
    assert messages.encode(typ, messages.decode(typ, payload)) == payload


def fields_of(name: str) -> dict[int, Any]:
    vector = next(vector for vector in VECTORS["messages"] if vector["name"] == name)
    fields: dict[int, Any] = messages.decode(vector["typ"], bytes.fromhex(vector["payload"]))
    return fields


def sealed_size(typ: str, fields: dict[int, Any]) -> int:
    protected = cose.protected_header(cose.ES256, bytes(8), typ)
    return len(cose.assemble(protected, messages.encode(typ, fields), bytes(64)))


def test_largest_chain_messages_fit() -> None:
    """Whatever the schema allows in the chain can be sealed: a full size limit never stops a meter."""
    top = {f.TIME_MS: -INT64_MAX, f.CLOCK_UNCERTAINTY_MS: INT64_MAX, f.SEQUENCE: INT64_MAX, f.BOOT: INT64_MAX}
    mean = [f.STATUS_ALL, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, -INT64_MAX, INT64_MAX]
    full = dict.fromkeys(range(65472, 65536), mean)
    readings = {**fields_of("readings"), **top, f.READINGS: full, f.DURATION_MS: INT64_MAX, f.JITTER_MS: INT64_MAX}
    assert sealed_size(t.READINGS, readings) < t.MAX_MESSAGE
    event = {**fields_of("event boot"), **top, f.CLOCK_STATUS: f.CLOCK_SYNCHRONISED}
    totals = dict.fromkeys(full, INT64_MAX)
    text, receipt = "x" * 64, bytes(t.MAX_STANDALONE)
    for code, details in (
        (ev.PARAMETERS_APPLIED, {ev.PARAMETER_SET: bytes(t.MAX_PARAMETER_SET)}),
        (ev.JOURNAL_OVERFLOW, {ev.LAST_RECEIPT: receipt, ev.TOTALS_BEFORE: totals}),
        (
            ev.JOURNAL_RESUMED,
            {ev.SPAN_START_MS: INT64_MAX, ev.TOTALS_BEFORE: totals, ev.TOTALS_AFTER: totals},
        ),
        (ev.JOURNAL_QUARANTINED, {ev.SEGMENTS: [text] * 64}),
    ):
        assert sealed_size(t.EVENT, {**event, f.EVENT_CODE: code, f.DETAILS: details}) < t.MAX_MESSAGE
    identity = {**fields_of("identity"), f.SERIAL: text, f.MAKER: text, f.MODEL: text, f.CERTIFICATE: bytes(2048)}
    assert sealed_size(t.IDENTITY, identity) < t.MAX_MESSAGE


def test_largest_standalone_messages_fit() -> None:
    top = {f.TIME_MS: -INT64_MAX, f.CLOCK_UNCERTAINTY_MS: INT64_MAX}
    for name, typ in (
        ("receipt", t.RECEIPT),
        ("refusal", t.REFUSAL),
        ("resend-request", t.RESEND_REQUEST),
        ("time-reply", t.TIME_REPLY),
        ("verdict-batch", t.VERDICT_BATCH),
    ):
        fields = {**fields_of(name), **top}
        if f.SEQUENCE in fields:
            fields[f.SEQUENCE] = INT64_MAX
        if typ == t.REFUSAL:
            fields[f.REASON] = "x" * 64
        assert sealed_size(typ, fields) <= t.MAX_STANDALONE / 1.5, name


def test_largest_verdict_and_envelope_fit() -> None:
    verdict = messages.decode_verdict(bytes.fromhex(VECTORS["uplink"]["verdicts"][0]["bytes"]))
    verdict[f.VERDICT_FINDINGS] = [["x" * 64, 65535]] * schema.MAX_FINDINGS
    verdict[f.VERDICT_SCHEME] = verdict[f.VERDICT_CAUSE] = "x" * 64
    verdict[f.SEQUENCE] = verdict[f.TIME_MS] = verdict[f.VERDICT_REVISION] = INT64_MAX
    parts = [INT64_MAX] * (3 + schema.MAX_CERTIFICATES)
    verdict[f.VERDICT_UNCERTAINTY] = [[channel, *parts] for channel in range(65472, 65536)]
    assert messages.decode_verdict(messages.encode_verdict(verdict)) == verdict
    envelope = {
        f.VERSION: 1,
        f.ENVELOPE_MESSAGE: bytes(t.MAX_MESSAGE),
        f.ENVELOPE_VERDICT: bytes(schema.MAX_VERDICT),
        f.ENVELOPE_BATCH: bytes(t.MAX_STANDALONE),
        f.ENVELOPE_INDEX: INT64_MAX,
        f.ENVELOPE_PATH: [bytes(32)] * 32,
    }
    assert messages.decode_envelope(messages.encode_envelope(envelope)) == envelope


def test_parameter_set_is_bounded_in_bytes_and_in_objects() -> None:
    """A set that can be signed can be sealed into an event, and a board can decode it."""
    fields = fields_of("parameter-set")
    instrument = fields[f.INSTRUMENTS][0]

    def with_options(rows: list[Any]) -> dict[int, Any]:
        return {**fields, f.INSTRUMENTS: [{**instrument, f.INSTRUMENT_OPTIONS: rows}] * 2}

    size = sealed_size(t.PARAMETER_SET, with_options([["x" * 64] * 6] * 8))
    assert 6800 < size <= t.MAX_PARAMETER_SET
    with pytest.raises(EncodeError, match="larger"):
        messages.encode(t.PARAMETER_SET, with_options([["x" * 64] * 6] * 10))
    messages.encode(t.PARAMETER_SET, with_options([[5] * 8] * 64))
    messages.encode(t.PARAMETER_SET, with_options([["a"] * 8] * 54))
    with pytest.raises(EncodeError, match="cbor_too_many_objects"):
        messages.encode(t.PARAMETER_SET, with_options([["a"] * 8] * 56))


def test_overhead_is_that_of_the_longest_type() -> None:
    longest = max(t.ROLE_OF_TYPE, key=len)
    protected = cose.protected_header(cose.ES256, bytes(8), longest)
    assert len(cose.assemble(protected, bytes(300), bytes(64))) - 300 == cose.OVERHEAD
    assert len(protected) < cose.MAX_PROTECTED


def test_kid_is_the_beginning_of_the_thumbprint() -> None:
    thumbprint = keys.thumbprint(keys.encode_p256(bytes(range(64))))
    assert (len(thumbprint), keys.kid_of(thumbprint)) == (32, thumbprint[:8])
    for wrong in (bytes(63), bytes(65)):
        with pytest.raises(EncodeError):
            keys.encode_p256(wrong)
    with pytest.raises(EncodeError):
        keys.encode_ed25519(bytes(31))

"""Hypothesis strategies of valid payloads: one per field of the schema's tables, chosen by name.

Written beside the schema and not from it, so that the two can disagree; a field without a strategy fails.
"""

from typing import Any

from hypothesis import strategies as st

from meter_protocol import budgets, chain, keys, messages, schema
from meter_protocol import comparison_schema as cs
from meter_protocol import events as ev
from meter_protocol import fields as f
from meter_protocol import first_contact_schema as fs
from meter_protocol import types as t

Strategy = st.SearchStrategy[Any]

int64s = st.integers(-(2**63), 2**63 - 1)
counts = st.integers(0, 2**63 - 1)
channel_ids = st.integers(1, 65535)


def texts(limit: int) -> Strategy:
    return st.text(min_size=1, max_size=limit).filter(lambda text: len(text.encode()) <= limit)


def byte_strings(limit: int) -> Strategy:
    return st.binary(min_size=1, max_size=min(limit, 40)) | st.just(b"\xa5" * limit)


def exactly(size: int) -> Strategy:
    return st.binary(min_size=size, max_size=size)


def or_null(strategy: Strategy) -> Strategy:
    return st.none() | strategy


# The first byte keeps a coordinate below the prime.
coordinates = exactly(31).map(lambda rest: b"\x7f" + rest)
cose_keys = st.tuples(coordinates, coordinates).map(lambda both: keys.encode_p256(both[0] + both[1])) | exactly(
    32
).map(keys.encode_ed25519)

statuses = st.integers(0, 2047)
faults = st.integers(1, 2047)


@st.composite
def means(draw: st.DrawFn) -> list[Any]:
    n, expected = draw(st.integers(0, 3) | counts), draw(counts)
    low, mean, high = sorted(draw(st.tuples(int64s, int64s, int64s)))
    reading = [
        draw(statuses if n else faults),
        n,
        expected,
        mean if n else None,
        draw(counts) if n > 1 else None,
    ]
    return reading + draw(st.sampled_from([[], [low, high] if n else [None, None]]))


registers = (
    st.tuples(statuses, counts)
    | st.tuples(statuses, counts, counts)
    | st.tuples(faults, st.none())
    | st.tuples(faults, st.none(), counts, counts)
).map(list)

readings = st.dictionaries(channel_ids, registers | means(), min_size=1, max_size=5)
totals = st.dictionaries(channel_ids, or_null(counts), max_size=4)

BY_NAME: dict[str, Strategy] = {
    "version": st.just(1),
    "epoch": exactly(8),
    "sequence": counts,
    "boot": counts,
    "previous": exactly(32),
    "context": exactly(16),
    "time_ms": int64s,
    "meter": exactly(32),
    "kind": st.integers(0, 2),
    "duration_ms": or_null(counts),
    "readings": readings,
    "jitter_ms": counts,
    "public_key": cose_keys,
    "serial": texts(64),
    "maker": texts(64),
    "model": texts(64),
    "key_protection": st.integers(0, 2),
    "software_id": exactly(32),
    "certificate": or_null(byte_strings(2048)),
    "hash": exactly(32),
    "digest": exactly(32),
    "reason": texts(64),
    "nonce": exactly(16),
    "set_version": counts,
    "interval_s": st.integers(1, 86400),
    "sample_period_ms": st.integers(1, 86400000),
    "receipt_keys": st.lists(cose_keys, max_size=8),
    "clock_keys": st.lists(cose_keys, max_size=8),
    "root": exactly(32),
    "count": st.integers(1, 2**32 - 1),
    # Events
    "last_receipt": or_null(byte_strings(512)),
    "parameter_set": byte_strings(7680),
    "old_time_ms": int64s,
    "new_time_ms": int64s,
    "time_reply": byte_strings(512),
    "last_epoch": or_null(exactly(8)),
    "last_sequence": or_null(counts),
    "last_hash": or_null(exactly(32)),
    "first_sequence": counts,
    "channel": channel_ids,
    "total_before": counts,
    "raw_before": counts,
    "raw_after": counts,
    "span_start_ms": int64s,
    "segments": st.lists(texts(64), max_size=5),
    "totals_before": totals,
    "totals_after": totals,
    "drift_ppb": or_null(int64s),
    "manifest": byte_strings(2560),
    "software_before": exactly(32),
    # Update
    "manifest_sequence": st.integers(1, 2**32 - 1),
    "vendor_identifier": exactly(16),
    "class_identifier": exactly(16),
    "image_digest": exactly(32),
    "chunk_size": st.integers(1, 4096),
    "downgrade_from": or_null(st.integers(1, 2**32 - 1)),
    "software_version": texts(64),
    "chunk_index": st.integers(0, 127),
    "chunk": byte_strings(4096),
    # First contact
    "hardware_id": or_null(byte_strings(32)),
    "board_nonce": exactly(16),
    "request": byte_strings(1024),
    "record": or_null(exactly(32)),
    "provisioned_ms": or_null(int64s),
    "authority_keys": st.lists(cose_keys, min_size=1, max_size=4),
    "update_keys": st.lists(cose_keys, max_size=4),
    "command": st.integers(0, 1),
    # Verdict and envelope
    "revision": counts,
    "scheme": texts(64),
    "acceptance": st.integers(0, 1),
    "findings": st.lists(st.tuples(texts(64), or_null(channel_ids)).map(list), max_size=5),
    "cause": or_null(texts(64)),
    "budget": or_null(exactly(32)),
    "uncertainty": st.lists(
        st.tuples(channel_ids, st.lists(counts, min_size=3, max_size=11)).map(lambda entry: [entry[0], *entry[1]]),
        max_size=5,
    ),
    "message": byte_strings(8192),
    "verdict": byte_strings(40960),
    "batch": byte_strings(512),
    "index": counts,
    "path": st.lists(exactly(32), max_size=32),
}

INSTRUMENT: dict[str, Strategy] = {
    "driver": texts(32),
    "bus": texts(32),
    "address": st.integers(0, 2**32 - 1),
    "serial": or_null(texts(64)),
    "options": or_null(st.lists(st.lists(int64s | texts(64), max_size=10), max_size=3)),
}

LINK: dict[str, Strategy] = {
    "wifi_ssid": or_null(texts(32)),
    "wifi_password": or_null(texts(64)),
    "host": texts(64),
    "port": st.integers(1, 65535),
    "username": or_null(texts(64)),
    "password": or_null(texts(64)),
    "server_name": or_null(texts(64)),
    "ca_certificate": or_null(byte_strings(2048)),
}

CHANNEL: dict[str, Strategy] = {
    "id": channel_ids,
    "instrument": st.integers(0, 63),
    "indication": texts(32),
    "quantity": st.integers(1, 65535),
    "kind": st.integers(0, 1),
    "exponent": st.integers(-18, 18),
    "ratio": st.integers(1, 10**9),
    "modulus": or_null(st.integers(1, 2**62)),
    "max_step": or_null(counts),
    "operating_point": or_null(channel_ids),
    "extremes": st.booleans(),
}

_COMPARISON_PARTS: dict[str, Strategy] = {
    "kind": st.integers(0, 2),
    "serial": texts(64),
    "name": texts(64),
    "id": texts(64),
    "certificates": st.lists(st.deferred(lambda: fields_of(cs.CERTIFICATE, _COMPARISON_PARTS)), max_size=2),
    "digest": or_null(exactly(32)),
    "meter": or_null(exactly(32)),
    "channel": or_null(channel_ids),
    "unit": texts(32),
    "exponent": st.integers(-18, 18),
    "minimum": int64s,
    "maximum": int64s,
    "method": st.integers(0, 2),
    "guard_band": texts(32),
    "multiplier_ppm": counts,
    "max_ratio_ppm": or_null(counts),
    "en_limit_ppm": counts,
    "limit_ppm": or_null(counts),
    "reference": int64s,
    "error": int64s,
    "uncertainty": counts,
    "mpe": counts,
    "en_ppm": or_null(int64s),
    "count": counts,
    "deviation": or_null(counts),
    "outcome": st.integers(0, 2),
    "mean_difference": int64s,
    "coefficient": counts,
    "mean_reference": int64s,
    "ppm": counts,
    "runs": counts,
    "basis": texts(64),
}


def _part(table: Any, **change: Strategy) -> Strategy:
    return fields_of(table, {**_COMPARISON_PARTS, **change})


BY_TYPE: dict[str, dict[str, Strategy]] = {
    t.COMPARISON: {
        "run": exactly(8),
        "kind": st.integers(0, 4),
        "quantity": st.integers(1, 65535),
        "exponent": st.integers(-18, 18),
        "start_ms": int64s,
        "end_ms": int64s,
        "reference": st.deferred(lambda: _part(cs.REFERENCE)),
        "conditions": st.lists(st.deferred(lambda: _part(cs.CONDITION)), max_size=2),
        "decision": st.deferred(lambda: _part(cs.DECISION)),
        "person": texts(64),
        "points": st.lists(st.deferred(lambda: _part(cs.POINT)), max_size=2),
        "relative_accuracy": or_null(st.deferred(lambda: _part(cs.ACCURACY, deviation=counts))),
        "outcome": st.integers(0, 2),
        "reasons": st.lists(texts(64), max_size=3),
        "raw_digest": exactly(32),
        "raw": or_null(byte_strings(4096)),
    },
    t.HELLO: {
        "serial": or_null(texts(64)),
        "epoch": or_null(exactly(8)),
        "sequence": or_null(counts),
        "hash": or_null(exactly(32)),
    },
    t.FACTORY_RECORD: {
        "link": or_null(st.deferred(lambda: fields_of(fs.LINK, LINK))),
        "parameter_set": or_null(exactly(32)),
    },
    t.FACTORY_COMMAND: {
        "epoch": or_null(exactly(8)),
        "sequence": or_null(counts),
        "hash": or_null(exactly(32)),
    },
    t.FACTORY_ANSWER: {"reason": or_null(texts(64))},
}
"""Where a name means something else than elsewhere."""

# Fields that other fields decide; the composite strategies below fill them in.
_JOINT = {
    *("clock_status", "clock_uncertainty_ms", "event", "details", "instruments", "channels"),
    *("image_size", "chunk_digests"),
}


def fields_of(table: Any, by_name: dict[str, Strategy] = BY_NAME) -> Strategy:
    return st.fixed_dictionaries({key: by_name[name] for key, name, _ in table if name not in _JOINT})


@st.composite
def payloads(draw: st.DrawFn, typ: str) -> dict[int, Any]:
    """Fields that `messages.encode(typ, ...)` takes."""
    fields: dict[int, Any] = draw(fields_of(messages.table_of(typ), {**BY_NAME, **BY_TYPE.get(typ, {})}))
    fields[f.CLOCK_STATUS] = draw(st.integers(0, 3))
    has_scale = fields[f.CLOCK_STATUS] in (f.CLOCK_INFORMATIVE, f.CLOCK_SYNCHRONISED)
    fields[f.CLOCK_UNCERTAINTY_MS] = draw(counts) if has_scale else None
    if typ == t.IDENTITY:
        fields.update({f.SEQUENCE: 0, f.PREVIOUS: chain.GENESIS, f.CONTEXT: chain.NO_CONTEXT})
    elif typ in t.CHAIN_TYPES:
        fields[f.SEQUENCE] = draw(st.integers(1, 2**63 - 1))
    if typ == t.EVENT:
        fields[f.EVENT_CODE] = draw(st.sampled_from(sorted(ev.NAMES)))
        fields[f.DETAILS] = draw(fields_of(schema.event_table(fields[f.EVENT_CODE])))
    if typ == t.PARAMETER_SET:
        fields[f.INSTRUMENTS] = draw(st.lists(fields_of(schema.INSTRUMENT, INSTRUMENT), max_size=3))
        fields[f.CHANNELS] = draw(channels(len(fields[f.INSTRUMENTS])))
    if typ == t.UPDATE_MANIFEST:
        chunks = draw(st.integers(1, 128))
        short_by = draw(st.integers(0, fields[f.CHUNK_SIZE] - 1))
        fields[f.IMAGE_SIZE] = chunks * fields[f.CHUNK_SIZE] - short_by
        fields[f.CHUNK_DIGESTS] = bytes(16 * chunks)
    return fields


def channels(instruments: int) -> Strategy:
    if not instruments:
        return st.just([])
    by_name = {**CHANNEL, "instrument": st.integers(0, instruments - 1)}
    entries = fields_of(schema.CHANNEL, by_name)
    return st.lists(entries, max_size=4, unique_by=lambda entry: entry[f.CHANNEL_ID])


verdicts = fields_of(schema.VERDICT)
decimals = st.lists(int64s, min_size=2, max_size=2)


@st.composite
def budget_channels(draw: st.DrawFn) -> dict[int, Any]:
    by_name = {
        "channel": channel_ids,
        "quantity": st.integers(1, 0xFFFF),
        "exponent": st.integers(-18, 18),
        "is_increase": st.booleans(),
        "certificates": st.lists(texts(200), max_size=2),
        "document": or_null(exactly(32)),
        "operating_point": or_null(channel_ids),
        "point_exponent": st.integers(-18, 18),
        "points": st.lists(st.lists(decimals, min_size=4, max_size=4), max_size=3),
        "points_relative": st.booleans(),
        "sources": st.just([]),
        "coverage": st.integers(1, 9999),
        "known_error": st.integers(0, 1),
        "target": or_null(decimals),
        "target_relative": st.booleans(),
    }
    fields = draw(fields_of(budgets.CHANNEL_BUDGET, by_name))
    most = budgets.FIRST_CERTIFICATE - 1 + len(fields[budgets.CERTIFICATES])
    source = {
        "name": texts(200),
        "distribution": st.integers(0, 3),
        "value": decimals,
        "sensitivity": decimals,
        "relative": st.booleans(),
        "degrees_of_freedom": or_null(decimals),
        "common": st.integers(0, most),
        "stated_by": or_null(texts(200)),
    }
    fields[budgets.SOURCES] = draw(st.lists(fields_of(budgets.SOURCE, source), min_size=1, max_size=3))
    return fields


budget_records = st.fixed_dictionaries(
    {budgets.VERSION: st.just(1), budgets.CHANNELS: st.lists(budget_channels(), min_size=1, max_size=2)}
)
envelopes = fields_of(schema.ENVELOPE)

EDGES: list[Any] = [
    -1, 0, 1, 2, 14, 19, 64, 256, 65536, 86401, 2**32, 2**62 + 1, 2**63 - 1, True, None, "", "x", "x" * 65, b"",
    b"\0" * 32, [], [1, None], {}, {1: [0, 1]},
]  # fmt: skip
"""What a field is likely to allow one too many of, or of another kind."""

ODD_VALUES: list[Any] = [
    *EDGES,
    -1, 0, 1, 2, 3, 4, 5, 8, 19, 63, 64, 255, 256, 65535, 65536, 86401, 2**32 - 1, 2**32, 2**63 - 1, -(2**63),
    True, False, None, "", "x", "é" * 17, "x" * 33, "x" * 64, "x" * 65, "é" * 32, b"", b"\0" * 7, b"\0" * 8,
    b"\0" * 9, b"\0" * 16, b"\0" * 32, b"\0" * 33, b"\1" * 512, b"\1" * 513, [], [0], [0, 1], [1, None], [0, None],
    [[]], [None], {}, {1: [0, 1]}, {0: [0, 1]}, {65536: None}, {1: 1}, {-1: 1},
]  # fmt: skip


@st.composite
def mutations(draw: st.DrawFn, fields: dict[int, Any]) -> Any:
    """The fields with one change somewhere: a member or item left out, added or replaced."""
    if isinstance(fields, (dict, list)) and fields and draw(st.integers(0, 3)):
        places = sorted(fields) if isinstance(fields, dict) else range(len(fields))
        place = draw(st.sampled_from(list(places)))
        copy = dict(fields) if isinstance(fields, dict) else list(fields)
        action = draw(st.sampled_from(["descend", "replace", "remove", "add"]))
        if action == "descend":
            copy[place] = draw(mutations(fields[place]))
        elif action == "replace":
            copy[place] = draw(odd_values)
        elif action == "remove":
            del copy[place]
        elif isinstance(copy, dict):
            copy[draw(st.integers(-2, 25) | int64s)] = draw(odd_values)
        else:
            copy.insert(place, draw(odd_values))
        return copy
    return draw(odd_values)


odd_values = st.sampled_from(ODD_VALUES) | int64s | st.binary(max_size=40) | st.text(max_size=70)

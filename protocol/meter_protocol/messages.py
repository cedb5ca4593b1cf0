"""typ + fields <-> payload bytes, checked against the schema in both directions.

A message's content is a plain dict from the integer keys of `fields` to values: `payload[SEQUENCE]`. There
are no message classes, so that what is signed, what is stored and what is judged is one and the same map.
"""

from meter_protocol import cbor, chain, cose
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_protocol.errors import EncodeError, ProtocolError
from meter_protocol.rules import channels_agree, chunks_agree, fits, is_version
from meter_protocol.schema import ENVELOPE, MAX_VERDICT, VERDICT, event_table, type_table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from meter_protocol.schema import Table

    Fields = dict[int, Any]

MAX_SET_OBJECTS = 1024
"""Strings, arrays and maps in a parameter set or a factory record: 64 channels and instruments take about 400."""

MAX_ENVELOPE = 51200
"""The largest message, verdict, batch and path together, and the heads around them."""


def encode(typ: str, fields: "Fields") -> bytes:
    """Payload of a message; EncodeError names the type and the reason if SPEC does not allow it."""
    try:
        check(typ, fields)
    except ProtocolError as error:
        raise EncodeError(typ + ": " + error.reason) from None
    payload = cbor.dumps(fields)
    if len(payload) > t.max_size(typ) - cose.OVERHEAD:
        raise EncodeError(typ + ": larger than its type allows")
    try:
        _limit_memory(typ, payload)
    except ProtocolError as error:
        raise EncodeError(typ + ": " + error.reason) from None
    return payload


def decode(typ: str, payload: bytes) -> "Fields":
    """The fields of a payload; ProtocolError with the reason if SPEC does not allow it."""
    _limit_memory(typ, payload)
    fields = cbor.loads(payload)
    check(typ, fields)
    return fields  # type: ignore[no-any-return]


def _limit_memory(typ: str, payload: bytes) -> None:
    # The large messages that a board decodes; the others are bounded by their size.
    if typ in (t.PARAMETER_SET, t.FACTORY_RECORD):
        cbor.limit_objects(payload, MAX_SET_OBJECTS)


def check(typ: str, fields: "Any") -> None:
    """Refuse fields that are not exactly what the type's table says."""
    table = table_of(typ)
    check_version(fields)
    check_table(table, fields)
    if not _fields_agree(typ, fields):
        raise ProtocolError("field_value")
    if typ == t.EVENT:
        check_table(event_table(fields[f.EVENT_CODE]), fields[f.DETAILS])


def table_of(typ: str) -> "Table":
    if typ in t.FIRST_CONTACT_TYPES:
        from meter_protocol.first_contact_schema import TABLES as FIRST_CONTACT_TABLES

        return FIRST_CONTACT_TABLES[typ]
    if typ == t.COMPARISON:
        try:
            from meter_protocol.comparison_schema import TABLE
        except ImportError:
            # Only gateways seal it, and a board has no table of it.
            raise ProtocolError("unknown_type")
        return TABLE
    table = type_table(typ)
    if table is None:
        raise ProtocolError("unknown_type")
    return table


def _fields_agree(typ: str, fields: "Fields") -> bool:
    """The rules of SPEC §4 and §8 that tie one field to another."""
    # A clock that has no time scale has no uncertainty on one, and a clock that has one must state it.
    scaled = fields[f.CLOCK_STATUS] in (f.CLOCK_INFORMATIVE, f.CLOCK_SYNCHRONISED)
    if scaled == (fields[f.CLOCK_UNCERTAINTY_MS] is None):
        return False
    if typ == t.PARAMETER_SET:
        return channels_agree(fields)
    if typ == t.UPDATE_MANIFEST:
        return chunks_agree(fields)
    if typ not in t.CHAIN_TYPES:
        return True
    # An epoch starts with its identity and has no second one, so nobody can choose between two.
    if typ != t.IDENTITY:
        return bool(fields[f.SEQUENCE] > 0)
    start = (0, chain.GENESIS, chain.NO_CONTEXT)
    return (fields[f.SEQUENCE], fields[f.PREVIOUS], fields[f.CONTEXT]) == start


def check_version(fields: "Any") -> None:
    """Another version is refused as such, before its fields are held against this version's tables."""
    if isinstance(fields, dict) and not is_version(fields.get(f.VERSION, f.PROTOCOL_VERSION)):
        raise ProtocolError("unknown_version")


def check_table(table: "Table", fields: "Any") -> None:
    if not isinstance(fields, dict):
        raise ProtocolError("field_value")
    for key, _, rule in table:
        if key not in fields:
            raise ProtocolError("field_missing")
        if not fits(fields[key], rule):
            raise ProtocolError("field_value")
    if len(fields) != len(table):
        raise ProtocolError("field_unknown")


def encode_verdict(fields: "Fields") -> bytes:
    """The bytes of one verdict: a leaf of its commit group's Merkle tree."""
    return _encode_table(VERDICT, fields)


def decode_verdict(data: bytes) -> "Fields":
    return _decode_table(VERDICT, data, MAX_VERDICT)


def encode_envelope(fields: "Fields") -> bytes:
    """What is uplinked: the meter's original bytes, the verdict and the proof that the gateway signed it."""
    return _encode_table(ENVELOPE, fields)


def decode_envelope(data: bytes) -> "Fields":
    return _decode_table(ENVELOPE, data, MAX_ENVELOPE)


def _encode_table(table: "Table", fields: "Fields") -> bytes:
    try:
        check_version(fields)
        check_table(table, fields)
    except ProtocolError as error:
        raise EncodeError(error.reason) from None
    return cbor.dumps(fields)


def _decode_table(table: "Table", data: bytes, max_size: int) -> "Fields":
    fields = cbor.loads(data, max_size)
    check_version(fields)
    check_table(table, fields)
    return fields  # type: ignore[no-any-return]

"""Bytes from the meter become a Message, or are refused with a reason: the public protocol and nothing else.

A second implementation beside the gateway's, so that a suite's verdict does not rest on the code it goes with.
"""

from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from hil_tests.keywords.signing import P256_ORDER
from meter_protocol import chain, cose, events, keys, messages, schema
from meter_protocol import fields as f
from meter_protocol import types as t

WORDS = {
    "clock_status": ("unknown", "informative", "synchronised", "relative"),
    "kind": ("regular", "outage", "partial"),
    "key_protection": ("software", "native", "secure element"),
}
"""Of the fields that are enumerations: the word for each value (SPEC §4 to §6)."""


class Refused(Exception):
    """What came from the meter's side proves nothing; the message is the reason."""


@dataclass(frozen=True)
class Message:
    """An authentic message; `raw` are the bytes that were on the line."""

    raw: bytes
    typ: str
    fields: dict[int, Any]
    hash: bytes

    def __str__(self) -> str:
        return f"{self.name} {self.fields.get(f.SEQUENCE)}"

    @property
    def sequence(self) -> int:
        sequence: int = self.fields[f.SEQUENCE]
        return sequence

    @property
    def name(self) -> str:
        """identity, readings, …; of an event its own name."""
        if self.typ == t.EVENT:
            return events.NAMES[self.fields[f.EVENT_CODE]]
        return self.typ.removeprefix(t.PREFIX)

    @property
    def named(self) -> dict[str, Any]:
        """Its fields, and those of an event's details, by the names that SPEC gives them; bytes in hexadecimal."""
        named = _named(messages.table_of(self.typ), self.fields)
        if self.typ == t.EVENT:
            named |= _named(schema.event_table(self.fields[f.EVENT_CODE]), self.fields[f.DETAILS])
        return named


def _named(table: "schema.Table", fields: dict[int, Any]) -> dict[str, Any]:
    named: dict[str, Any] = {}
    for key, name, _ in table:
        value = fields[key]
        named[name] = value.hex() if isinstance(value, bytes) else value
    for name in WORDS.keys() & named.keys():
        named[name] = WORDS[name][named[name]]
    return named


def text_of(value: object) -> str:
    """A named field as a suite writes it."""
    return "none" if value is None else str(value)


def open_identity(raw: bytes) -> tuple[Message, bytes]:
    """An identity and the COSE_Key in it, which must have signed it; the label says whether it is the meter's."""
    sign1 = cose.split(raw)
    if sign1.typ != t.IDENTITY:
        raise Refused("unknown_key")
    cose_key: bytes = messages.decode(t.IDENTITY, sign1.payload)[f.PUBLIC_KEY]
    return open_message(raw, cose_key), cose_key


def open_message(raw: bytes, cose_key: bytes) -> Message:
    """Refused, or ProtocolError with its reason, if these are not the bytes of a message by this key."""
    sign1 = cose.split(raw)
    algorithm, public = keys.decode(cose_key)
    if sign1.kid != keys.kid_of(keys.thumbprint(cose_key)):
        raise Refused("unknown_key")
    if algorithm != cose.ES256 or sign1.alg != cose.ES256:
        raise Refused("cose_algorithm")
    r, s = (int.from_bytes(half, "big") for half in (sign1.signature[:32], sign1.signature[32:]))
    if s > P256_ORDER // 2:
        raise Refused("signature_high_s")
    point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + public)
    signed = cose.to_be_signed(sign1.protected, sign1.payload)
    try:
        point.verify(encode_dss_signature(r, s), signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise Refused("signature_invalid") from None
    fields = messages.decode(sign1.typ, sign1.payload)
    return Message(raw, sign1.typ, fields, chain.message_hash(sign1.protected, sign1.payload))

"""What a gateway would never send, each wrong in one thing and right in everything else."""

from collections.abc import Mapping
from typing import Any

from hil_tests.keywords.gateway import Gateway
from hil_tests.keywords.signing import SigningKey
from meter_protocol import fields as f
from meter_protocol import types as t

STRANGER = "a stranger"
BEYOND = 1000
"""More messages than a meter seals while a request is on its way."""


def signed(gateway: Gateway, typ: str, fields: Mapping[int, Any], signed_by: str) -> bytes:
    """A message for the meter by "the authority", or by a stranger who claims the authority's key."""
    if signed_by == "the authority":
        return gateway.authority.seal(typ, fields)
    if signed_by == STRANGER:
        return SigningKey().seal(typ, fields, gateway.authority.kid)
    raise ValueError(f"nobody here is {signed_by!r}")


def receipt(gateway: Gateway, forgery: str) -> bytes:
    """For everything that has come, but with what `forgery` names."""
    fields = gateway.receipt_fields()
    match forgery:
        case "signed by a stranger":
            return SigningKey().seal(t.RECEIPT, fields, gateway.receipt_key.kid)
        case "signed by the clock key":
            return gateway.clock_key.seal(t.RECEIPT, fields)
        case "for another hash":
            return gateway.receipt_key.seal(t.RECEIPT, fields | {f.HASH: bytes(32)})
        case "for another meter":
            return gateway.receipt_key.seal(t.RECEIPT, fields | {f.METER: bytes(32)})
    raise ValueError(f"no forgery is called {forgery!r}")


def resend_request(gateway: Gateway, forgery: str, sequence: int) -> bytes:
    """From there on, but with what `forgery` names."""
    fields = gateway.resend_fields(sequence)
    match forgery:
        case "signed by a stranger":
            return SigningKey().seal(t.RESEND_REQUEST, fields, gateway.receipt_key.kid)
        case "signed by the clock key":
            return gateway.clock_key.seal(t.RESEND_REQUEST, fields)
        case "signed by the receipt key before":
            return gateway.receipt_key_before.seal(t.RESEND_REQUEST, fields)
        case "for another meter":
            return gateway.receipt_key.seal(t.RESEND_REQUEST, fields | {f.METER: bytes(32)})
        case "for another epoch":
            return gateway.receipt_key.seal(t.RESEND_REQUEST, fields | {f.EPOCH: bytes(8)})
        case "beyond the head":
            beyond = gateway.chain.messages[-1].sequence + BEYOND
            return gateway.receipt_key.seal(t.RESEND_REQUEST, fields | {f.SEQUENCE: beyond})
    raise ValueError(f"no forgery is called {forgery!r}")

"""Who becomes a meter of this gateway: whoever holds the key whose whole thumbprint a person has compared.

1. The thumbprint is given in full, all 64 digits, from the label or a scan. A prefix would let an attacker who
   tries keys until the first digits fit be enrolled in the meter's place.
   The label's QR code holds it behind the serial number; what a scanner reads may be given as it is.
2. Or the identity file itself is given, and the thumbprint in it is shown and confirmed.
3. Or a maker whose root is configured has certified the key and the serial number (maker.py).
4. The identity message proves possession of the key (verify.verify_identity); the registry refuses a kid that
   another meter has, because a kid must select one key.
"""

from collections.abc import Iterable

from meter_gateway.label import thumbprint_in
from meter_gateway.model import Rejected
from meter_gateway.registry import UnknownIdentity
from meter_gateway.texts import Code, Told
from meter_gateway.verify import verify_identity

_DIGITS = 64


def full_thumbprint(text: str) -> bytes:
    """The thumbprint, of which spaces, colons and case do not matter: labels print it in groups, or scanned."""
    digits = "".join(thumbprint_in(text).split()).replace(":", "").lower()
    if set(digits) - set("0123456789abcdef"):
        raise Told("enrol.not_hex")
    if len(digits) != _DIGITS:
        raise Told("enrol.not_full", count=len(digits))
    return bytes.fromhex(digits)


def waiting_identity(waiting: Iterable[UnknownIdentity], thumbprint: bytes) -> bytes:
    """The identity message that a meter with this thumbprint has sent."""
    for unknown in waiting:
        if unknown.thumbprint == thumbprint:
            return unknown.raw
    raise Told("enrol.not_seen")


def identity_of_file(content: bytes, thumbprint: bytes | None) -> bytes:
    """The identity message in a file, of this thumbprint if one was given."""
    try:
        key, _ = verify_identity(content)
    except Rejected as rejected:
        raise Told("enrol.not_identity", reason=Code(rejected.reason)) from rejected
    if thumbprint is not None and key.thumbprint != thumbprint:
        raise Told("enrol.other", thumbprint=key.thumbprint.hex())
    return content

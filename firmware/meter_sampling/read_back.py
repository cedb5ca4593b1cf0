"""What this meter once sealed or took, read again from its own flash: nothing is verified here a second time.

Newer software, before this one was gone back to, may have left messages that this one does not understand.
"""

from meter_protocol import chain, cose, messages
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_protocol.errors import ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def opened(raw: bytes) -> "tuple[str, dict[int, Any]]":
    """Type and fields; what this software does not understand, or what is no message any more, is of no type."""
    try:
        sign1 = cose.split(raw)
        return sign1.typ, messages.decode(sign1.typ, sign1.payload)
    except ProtocolError:
        return "", {}


def event_in(raw: bytes) -> "tuple[int, dict[int, Any]] | None":
    """Code and details, if it is an event that this software understands."""
    typ, fields = opened(raw)
    return (fields[f.EVENT_CODE], fields[f.DETAILS]) if typ == t.EVENT else None


def hash_of(raw: bytes) -> bytes:
    """In the chain; whether the payload is understood does not matter."""
    sign1 = cose.split(raw)
    return chain.message_hash(sign1.protected, sign1.payload)

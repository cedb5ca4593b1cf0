"""The software that a meter says it runs, and whether an update authority of ours signed it (SPEC §8.5).

A meter's software names itself, so this proves that it changed and by whose leave, not what it does. The
manifest of an update travels whole inside the firmware_updated event; who relies on it verifies it here.
"""

from meter_gateway.model import Fields
from meter_gateway.traceability.authority import AuthorityKeys, is_signed
from meter_protocol import cose, messages
from meter_protocol import types as t
from meter_protocol.errors import ProtocolError


def decode(raw: bytes) -> Fields | None:
    """The manifest's fields, or None if `raw` is not one that the protocol allows."""
    try:
        parts = cose.split(raw)
        if parts.typ != t.UPDATE_MANIFEST or len(raw) > t.max_size(t.UPDATE_MANIFEST):
            return None
        return messages.decode(t.UPDATE_MANIFEST, parts.payload)
    except ProtocolError:
        return None


def is_authorised(raw: bytes, authorities: AuthorityKeys) -> bool:
    """Is this a manifest, and one of the update authorities' own? Its sequence is for the meter to judge."""
    return decode(raw) is not None and is_signed(cose.split(raw), authorities)


def findings(raw: bytes, authorities: AuthorityKeys) -> list[str]:
    """What is to be held against an update that a meter says it took.

    Deliberately absent: whether the software id is the image's digest. A board's covers its flash too.
    """
    return [] if is_authorised(raw, authorities) else ["update_unauthorised"]

"""The software that a meter says it runs, and whether anybody whose word counts here stands behind it (SPEC §8.5).

Software is approved by its id: it is in the owner's list ([[software]] in gateway.toml), or it was installed by an
update that an update authority of ours signed. The manifest of an update travels whole inside the firmware_updated
event; who relies on it verifies it here.

A meter's software names itself, so this proves that it changed and by whose leave, not what it does.
"""

from collections.abc import Container

from meter_gateway.model import Fields
from meter_gateway.traceability.authority import AuthorityKeys, is_signed
from meter_gateway.traceability.state import ChainState
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
    """Is this a manifest, and one of the update authorities' own? Its sequence is for the meter to judge.

    Deliberately absent: whether the software id is the image's digest. A board's covers its flash too.
    """
    return decode(raw) is not None and is_signed(cose.split(raw), authorities)


def findings(state: ChainState, approved: Container[bytes]) -> list[str]:
    """What is to be held against the software in force, by the ids that the owner has approved.

    Deliberately absent: the software of a witnessed meter. It is this gateway's, which cannot vouch for itself:
    `gateway_witnessed` says so. Before the identity no software is known: `identity_missing` says that.
    """
    if state.is_witnessed or state.software_id is None:
        return []
    is_approved = state.software_id in approved or state.software_id in state.signed_software
    return [] if is_approved else ["software_unapproved"]

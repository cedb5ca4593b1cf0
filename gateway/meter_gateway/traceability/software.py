"""The software that a meter says it runs, and whether anybody whose word counts here stands behind it (SPEC §8.5).

1. The owner's word comes first: an id in his list ([[software]] in gateway.toml) is approved, or refused.
2. Of an id that he says nothing about, the update authorities' word counts: it is approved for a meter that has
   said in a firmware_updated event, in whatever chain of its own, that an update which an authority of ours signed
   has installed this id. The event carries the manifest whole; who relies on it verifies it here.

An id stands for the very bytes that run, so it is approved for all that the meter sealed while it ran them: also
between its first boot and the event, which comes with the first receipt, and after the loss of a chain. What never
proved its health has no such event and stays unapproved. A meter's word counts for itself only: whoever owns one
board must not be able to approve what others run.

A meter's software names itself, so this proves that it changed and by whose leave, not what it does.
"""

from collections.abc import Mapping
from typing import NamedTuple

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


class Approvals(NamedTuple):
    """Whose word stands behind which software id."""

    listed: Mapping[bytes, bool] = {}
    """The owner's, by id: whether he approves it."""

    installed: Mapping[bytes, frozenset[bytes]] = {}
    """Ids that updates signed by our authorities installed, by the thumbprint of the meter that said so."""

    def cover(self, thumbprint: bytes, software_id: bytes) -> bool:
        return self.listed.get(software_id, software_id in self.installed.get(thumbprint, ()))


def findings(state: ChainState, approvals: Approvals) -> list[str]:
    """What is to be held against the software in force.

    Deliberately absent: the software of a witnessed meter. It is this gateway's, which cannot vouch for itself:
    `gateway_witnessed` says so. Before the identity no software is known: `identity_missing` says that.
    """
    if state.is_witnessed or state.software_id is None:
        return []
    return [] if approvals.cover(state.thumbprint, state.software_id) else ["software_unapproved"]

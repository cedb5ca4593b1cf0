"""Offline: is what is in this file authentic, from whom, and what does it say? Pure; `verify FILE` prints it.

A file holds one message, a CBOR sequence of messages, or one uplink envelope. For each message:

1. Its kid selects a key that somebody vouches for: given by hand, enrolled, configured; failing that, the key
   of an identity message in the same file, which proves nothing about who holds it.
2. verify.verify does the rest, for the one role that may sign this type.
3. A reading's parameter set is looked for in the messages before it (identity, boot and parameters_applied in
   the file or in the store), and believed to be the one used if the message's context digest says so.
4. In an envelope, the verdict is proven by its batch's signature and its Merkle path, and must name the
   message (SPEC §8).

A key that was revoked still verifies what it once signed; that it was revoked is said beside it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from meter_gateway import decode
from meter_gateway.model import Fields, Rejected, Verified
from meter_gateway.registry import Meter
from meter_gateway.traceability import ChainState
from meter_gateway.traceability.parameters import ParameterSet
from meter_gateway.verify import Key, KeyRing, verify
from meter_protocol import cose, keys, merkle, messages
from meter_protocol import events as ev
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_protocol.errors import ProtocolError

Voucher = Literal["given_key", "enrolled", "own_gateway", "authority", "update_authority", "itself"]

_MAP = 0xA0
_MAJOR = 0xE0


@dataclass(frozen=True, slots=True)
class Known:
    """A public key and who vouches for it; `role` None for a key given by hand, which may have any."""

    cose_key: bytes
    voucher: Voucher
    role: str | None = None
    meter: Meter | None = None


@dataclass(frozen=True, slots=True)
class Inspected:
    """One message: either `verified` or the `reason` why not."""

    verified: Verified | None
    known: Known | None
    reason: str | None = None
    parameters: ParameterSet | None = None
    is_context_confirmed: bool | None = None
    """Whether these parameters are those that the meter used; None if that cannot be told."""

    @property
    def is_proven(self) -> bool:
        return self.verified is not None and self.known is not None and self.known.voucher != "itself"


@dataclass(frozen=True, slots=True)
class InspectedVerdict:
    """The verdict of an envelope; `fault` is a key of texts.toml or a reason code, None if it is proven."""

    fields: Fields | None
    fault: str | None


@dataclass(frozen=True, slots=True)
class Inspection:
    messages: tuple[Inspected, ...]
    verdict: InspectedVerdict | None = None
    interrupted_after: tuple[int, ...] = ()
    """Sequences after which the next message in the file does not continue the chain."""

    @property
    def is_good(self) -> bool:
        proven = bool(self.messages) and all(message.is_proven for message in self.messages)
        return proven and (self.verdict is None or self.verdict.fault is None)


class KeyChest:
    """Known keys by kid; the first that was added for a role is used."""

    def __init__(self, known: Iterable[Known]) -> None:
        self._by_kid: dict[bytes, list[Known]] = {}
        for entry in known:
            self._by_kid.setdefault(keys.kid_of(keys.thumbprint(entry.cose_key)), []).append(entry)

    def find(self, kid: bytes, role: str) -> Known | None:
        for entry in self._by_kid.get(kid, ()):
            if entry.role in (None, role):
                return entry
        return None


@dataclass
class Contexts:
    """What the chains have announced: identity, software and parameters, as messages go by."""

    states: dict[tuple[bytes, bytes], ChainState] = field(default_factory=dict)
    given: bytes | None = None
    """A sealed parameter set from outside the chain, used where the chain told none."""

    def learn(self, verified: Verified) -> None:
        if verified.typ not in (t.IDENTITY, t.EVENT):
            return
        fields = verified.fields
        state = self._state(verified)
        if verified.typ == t.IDENTITY:
            state.learn_identity(verified.hash, fields)
        elif fields[f.EVENT_CODE] == ev.BOOT:
            state.learn_software(fields[f.DETAILS][ev.SOFTWARE_ID])
        elif fields[f.EVENT_CODE] == ev.PARAMETERS_APPLIED:
            state.learn_parameters(fields[f.DETAILS][ev.PARAMETER_SET])

    def parameters_of(self, verified: Verified) -> tuple[ParameterSet | None, bool | None]:
        if verified.typ != t.READINGS:
            return None, None
        state = self._state(verified)
        if state.parameter_set is None and self.given is not None:
            state.learn_parameters(self.given)
        known = state.known_parameters()
        if known is None or state.context is None:
            return known, None
        return known, state.context == verified.fields[f.CONTEXT]

    def _state(self, verified: Verified) -> ChainState:
        place = verified.thumbprint, verified.fields[f.EPOCH]
        if place not in self.states:
            self.states[place] = ChainState.new(verified.thumbprint)
        return self.states[place]


def inspect(content: bytes, known: KeyChest, contexts: Contexts, vouched: bytes | None = None) -> Inspection:
    """Everything that the file says; `vouched` is a thumbprint that somebody has compared."""
    if content and content[0] & _MAJOR == _MAP:
        return _inspect_envelope(content, known, contexts, vouched)
    inspected = _inspect_messages(content, known, contexts, vouched)
    verified = [message.verified for message in inspected if message.verified is not None]
    return Inspection(tuple(inspected), None, tuple(_interruptions(verified)))


def split_file(content: bytes) -> list[tuple[bytes, str | None]]:
    """Every message of a sequence of any length, and of what is none the reason."""
    found: list[tuple[bytes, str | None]] = []
    while content:
        whole, refused = decode.split_sequence(content)
        found += [(parts.raw, None) for parts in whole]
        # A publish has a bound, a file has none.
        content = b"".join(raw for raw, reason in refused if reason == "cose_too_many_messages")
        found += [(raw, reason) for raw, reason in refused if reason != "cose_too_many_messages"]
    return found


def _inspect_messages(
    content: bytes, known: KeyChest, contexts: Contexts, vouched: bytes | None
) -> list[Inspected]:
    found = split_file(content)
    own = _keys_inside([raw for raw, _ in found], vouched)
    return [
        _inspect_message(raw, known, own, contexts) if reason is None else Inspected(None, None, reason)
        for raw, reason in found
    ]


def _keys_inside(raws: Iterable[bytes], vouched: bytes | None) -> Mapping[bytes, Known]:
    """Keys of identity messages in the file, by kid. A vouched thumbprint makes one as good as given by hand."""
    found: dict[bytes, Known] = {}
    for raw in raws:
        try:
            parts = cose.split(raw)
            if parts.typ != t.IDENTITY:
                continue
            cose_key: bytes = decode.decode(t.IDENTITY, parts.payload)[f.PUBLIC_KEY]
            thumbprint = keys.thumbprint(cose_key)
        except ProtocolError:
            continue
        voucher: Voucher = "given_key" if thumbprint == vouched else "itself"
        found.setdefault(keys.kid_of(thumbprint), Known(cose_key, voucher, t.ROLE_METER))
    return found


def _inspect_message(raw: bytes, known: KeyChest, own: Mapping[bytes, Known], contexts: Contexts) -> Inspected:
    entry: Known | None = None
    try:
        parts = cose.split(raw)
        role = t.ROLE_OF_TYPE.get(parts.typ)
        if role is None:
            raise Rejected("unknown_type")
        entry = known.find(parts.kid, role) or (own.get(parts.kid) if role == t.ROLE_METER else None)
        if entry is None:
            raise Rejected("unknown_key")
        verified = verify(raw, KeyRing([Key.of(entry.cose_key, role)], [parts.typ]), 0)
    except (ProtocolError, Rejected) as error:
        return Inspected(None, entry, error.reason)
    parameters, is_confirmed = contexts.parameters_of(verified)
    contexts.learn(verified)
    return Inspected(verified, entry, None, parameters, is_confirmed)


def _inspect_envelope(content: bytes, known: KeyChest, contexts: Contexts, vouched: bytes | None) -> Inspection:
    try:
        envelope = messages.decode_envelope(content)
    except ProtocolError as error:
        return Inspection((Inspected(None, None, error.reason),))
    inspected = _inspect_messages(envelope[f.ENVELOPE_MESSAGE], known, contexts, vouched)
    about = inspected[0].verified if len(inspected) == 1 else None
    return Inspection(tuple(inspected), _inspect_verdict(envelope, about, known, contexts))


def _inspect_verdict(
    envelope: Fields, about: Verified | None, known: KeyChest, contexts: Contexts
) -> InspectedVerdict:
    verdict: Fields | None = None
    try:
        verdict = messages.decode_verdict(envelope[f.ENVELOPE_VERDICT])
        batch = _inspect_message(envelope[f.ENVELOPE_BATCH], known, {}, contexts)
        if batch.reason == "unknown_key":
            return InspectedVerdict(verdict, "verify.verdict_no_key")
        if batch.verified is None or batch.verified.typ != t.VERDICT_BATCH:
            return InspectedVerdict(verdict, batch.reason or "type_not_allowed")
        merkle.verify_path(
            envelope[f.ENVELOPE_VERDICT],
            envelope[f.ENVELOPE_INDEX],
            batch.verified.fields[f.COUNT],
            envelope[f.ENVELOPE_PATH],
            batch.verified.fields[f.ROOT],
        )
    except ProtocolError as error:
        return InspectedVerdict(verdict, error.reason)
    if about is None or not _is_about(verdict, about):
        return InspectedVerdict(verdict, "verify.verdict_other_message")
    return InspectedVerdict(verdict, None)


def _is_about(verdict: Fields, verified: Verified) -> bool:
    return verified.typ in t.CHAIN_TYPES and (
        verdict[f.METER],
        verdict[f.EPOCH],
        verdict[f.SEQUENCE],
        verdict[f.HASH],
    ) == (
        verified.thumbprint,
        verified.fields[f.EPOCH],
        verified.fields[f.SEQUENCE],
        verified.hash,
    )


def _interruptions(verified: Iterable[Verified]) -> Iterable[int]:
    """Sequences after which the file leaves its chain, one chain after another."""
    heads: dict[tuple[bytes, bytes], Verified] = {}
    for message in verified:
        if message.typ not in t.CHAIN_TYPES:
            continue
        place = message.thumbprint, message.fields[f.EPOCH]
        head = heads.get(place)
        if head is not None and not _continues(head, message):
            yield head.fields[f.SEQUENCE]
        heads[place] = message


def _continues(head: Verified, message: Verified) -> bool:
    return bool(
        message.fields[f.SEQUENCE] == head.fields[f.SEQUENCE] + 1 and message.fields[f.PREVIOUS] == head.hash
    )

"""What one meter's chain has taught so far: exactly what is needed to judge its next message.

A state is kept with the messages it comes from, in the same transaction, and is small: `dumps` is
deterministic CBOR, bounded by the largest parameter set and 64 channels. `plan` and `standing` are prepared
from it and never stored.
"""

from collections.abc import Iterable
from operator import attrgetter
from typing import Any

import cbor2

from meter_gateway.model import Fields, Finding
from meter_gateway.traceability import parameters
from meter_gateway.traceability.parameters import ParameterSet
from meter_gateway.traceability.plan import MeterPlan
from meter_protocol import chain
from meter_protocol import fields as f
from meter_protocol.schema import MAX_CHANNELS

STATE_VERSION = 5
MAX_STATE_BYTES = 32768

_STORED = (
    "thumbprint",
    "epoch",
    "next_sequence",
    "head",
    "boot",
    "announced_boot",
    "identity_hash",
    "key_protection",
    "certificate",
    "identity_received_ms",
    "software_id",
    "parameters_hash",
    "parameter_set",
    "parameters_rolled_back",
    "earliest_ms",
    "interval_end_ms",
    "interval_uncertainty_ms",
    "interval_is_relative",
    "is_rescaled",
    "is_after_gap",
    "totals",
    "unsettled",
    "remembered",
    "barred",
)
_stored_of = attrgetter(*_STORED)
_TOTALS = 1 + _STORED.index("totals")
_UNSETTLED = 1 + _STORED.index("unsettled")
_REMEMBERED = 1 + _STORED.index("remembered")
_BARRED = 1 + _STORED.index("barred")


class StateError(Exception):
    """A stored state is damaged or of a version that this gateway does not know."""


class ChainState:
    """One (meter, epoch). Attributes are for reading; `assess_group` and the methods change them."""

    __slots__ = (*_STORED, "context", "is_witnessed", "plan", "planned_by", "standing")

    def __init__(self, thumbprint: bytes) -> None:
        self.thumbprint = thumbprint
        self.epoch: bytes | None = None
        self.next_sequence = 0
        self.head: bytes | None = None
        self.boot: int | None = None
        self.announced_boot: int | None = None
        self.identity_hash: bytes | None = None
        self.key_protection: int | None = None
        self.certificate: bytes | None = None
        """The maker's, as the identity carries it; judged when the plan is made, and again after a reload."""

        self.identity_received_ms = 0
        self.software_id: bytes | None = None
        self.parameters_hash: bytes | None = None
        self.parameter_set: bytes | None = None
        self.parameters_rolled_back = False
        self.earliest_ms: int | None = None
        """No later message was sealed before this Unix time: the latest known time less its uncertainty."""
        self.interval_end_ms: int | None = None
        self.interval_uncertainty_ms = 0
        self.interval_is_relative = False
        self.is_rescaled = False
        self.is_after_gap = False
        self.totals: dict[int, int] = {}
        self.unsettled: dict[int, int | None] = {}
        """Registers whose total is not of the last interval's end but of this Unix time, None if it is not
        known: they were not read at an interval's end, or between two."""

        self.remembered: dict[int, list[Any]] = {}
        """What a channel's plausibility rules hold its next value against (plausibility.py)."""

        self.barred: set[str] = set()
        self.is_witnessed = False
        """Its key is the gateway's own: how it was enrolled says so, no message does. Never stored here."""

        self.context: bytes | None = None
        self.forget_plan()

    @classmethod
    def new(cls, thumbprint: bytes, is_witnessed: bool = False) -> "ChainState":
        state = cls(thumbprint)
        state.is_witnessed = is_witnessed
        return state

    def note_gap(self, next_sequence: int, head: bytes | None = None) -> None:
        """Messages up to `next_sequence` are attested to be lost; `head` is the last one's hash if known."""
        if next_sequence <= self.next_sequence:
            raise ValueError("a gap ends after it begins")
        self.next_sequence = next_sequence
        self.head = head
        self.is_after_gap = True
        self.unsettle(self.totals)

    def unsettle(self, channels: Iterable[int]) -> None:
        """The next increase of these registers will be over more than the next interval."""
        since_ms = None if self.interval_is_relative else self.interval_end_ms
        for channel in channels:
            self.unsettled.setdefault(channel, since_ms)

    def bar(self, code: str) -> None:
        """Hold `code` against every later message until an engineer resolves it."""
        self.barred.add(code)
        self.forget_plan()

    def unbar(self, code: str) -> None:
        self.barred.discard(code)
        self.forget_plan()

    def learn_identity(self, identity_hash: bytes, fields: Fields, received_ms: int = 0) -> None:
        self.identity_hash = identity_hash
        self.key_protection = fields[f.KEY_PROTECTION]
        self.certificate = fields[f.CERTIFICATE]
        self.identity_received_ms = received_ms
        self.software_id = fields[f.SOFTWARE_ID]
        self._renew()

    def learn_software(self, software_id: bytes) -> None:
        self.software_id = software_id
        self._renew()

    def learn_parameters(self, parameter_set: bytes) -> None:
        """What is known of channels that measure something else from now on is forgotten."""
        before = self.known_parameters()
        self.parameters_hash = parameters.message_hash(parameter_set)
        self.parameter_set = parameter_set
        after = self.known_parameters()
        self.parameters_rolled_back = bool(before and after and after.version < before.version)
        scales = {channel.id: channel.scale for channel in before.channels} if before else {}
        kept = {c.id for c in after.channels if scales.get(c.id, c.scale) == c.scale} if after else set()
        self.totals = {channel: total for channel, total in self.totals.items() if channel in kept}
        self.unsettled = {channel: at_ms for channel, at_ms in self.unsettled.items() if channel in kept}
        self.remembered = {channel: known for channel, known in self.remembered.items() if channel in kept}
        self._renew()

    def known_parameters(self) -> ParameterSet | None:
        return None if self.parameter_set is None else parameters.decode(self.parameter_set)

    def forget_plan(self) -> None:
        self.plan: MeterPlan | None = None
        self.planned_by: object = None
        self.standing: tuple[Finding, ...] = ()

    def _renew(self) -> None:
        self.forget_plan()
        if self.identity_hash is not None and self.software_id is not None:
            self.context = chain.context_digest(self.identity_hash, self.parameters_hash, self.software_id)

    def dumps(self) -> bytes:
        values: list[Any] = [STATE_VERSION, *_stored_of(self)]
        # cbor2 writes the shortest forms anyway; only what has no order of its own needs one.
        values[_TOTALS] = dict(sorted(self.totals.items()))
        values[_UNSETTLED] = dict(sorted(self.unsettled.items()))
        values[_REMEMBERED] = dict(sorted(self.remembered.items()))
        values[_BARRED] = sorted(self.barred)
        return cbor2.dumps(values)

    @classmethod
    def loads(cls, stored: bytes) -> "ChainState":
        try:
            values = cbor2.loads(stored) if len(stored) <= MAX_STATE_BYTES else None
        except (cbor2.CBORError, ValueError) as error:
            raise StateError("a chain state cannot be read") from error
        if not isinstance(values, list) or not values or values[0] != STATE_VERSION:
            raise StateError("a chain state has an unknown version")
        if len(values) != 1 + len(_STORED):
            raise StateError("a chain state is incomplete")
        state = cls(values[1])
        for name, value in zip(_STORED, values[1:], strict=True):
            setattr(state, name, value)
        state.barred = set(state.barred)
        if len(state.totals) > MAX_CHANNELS or len(state.remembered) > MAX_CHANNELS:
            raise StateError("a chain state has too many channels")
        state._renew()
        return state

"""The chain of a witnessed meter: it numbers and seals as a board does, and its journal is the gateway's store.

Sealed bytes go nowhere but into ingest, and out of the gateway only behind the commit that made them durable. What
a kill takes from memory nobody has seen, so its sequence may be sealed again, and no chain forks. Until they are
receipted the bytes wait here, in order, and are offered again if they went missing on the way.

A process goes on from the store exactly once; from then on memory is ahead of it, and the chain lives as long as
the process, whatever starts and stops the sampling. Where the store's end cannot be the chain's, a new epoch
begins, as with a board that lost its head:

- the store is older than it was (a restored backup): a note beside it names a head that it does not hold;
- messages are missing below the newest one that is stored.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from meter_gateway.chains import Learn, state_of
from meter_gateway.model import Fields
from meter_gateway.registry import Meter
from meter_gateway.sealing import Sealer
from meter_gateway.store import Store
from meter_gateway.traceability import ChainState
from meter_gateway.traceability.parameters import message_hash
from meter_protocol import chain, events
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_sampling import read_back
from meter_sampling.clock import MeterClock
from meter_sampling.journal_error import JournalError, must_be_full
from meter_sampling.last_sealed import LastSealed, holds_every_channel, last_sealed

MAX_WAITING = 4096
"""Messages without a receipt, while the disk is full: weeks of one each quarter of an hour. Then it is full."""

RESERVE = 64
"""On top, for the events that say so."""

LOOK_BACK = 2000
"""Stored messages, at most, in which the last readings are looked for where no chain is gone on with."""


class Place(NamedTuple):
    epoch: bytes
    sequence: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """Sealed and not receipted yet."""

    sequence: int
    hash: bytes
    raw: bytes


class Stored:
    """What the store holds of one meter, read as a meter reads its journal."""

    def __init__(self, store: Store, meter: Meter) -> None:
        self._store = store
        self._meter = meter

    def read(self, epoch: bytes, sequence: int) -> bytes | None:
        row = self._store.chain(self._meter.id, epoch)
        found = [] if row is None else self._store.messages_of(row.id, sequence, sequence + 1)
        return found[0].raw if found else None

    def records(self, place: tuple[bytes, int] | None = None) -> Iterator[tuple[bytes, int, bytes]]:
        """From a place on in its epoch; without one the newest of all epochs, oldest of them first."""
        if place is None:
            yield from self._newest()
            return
        row = self._store.chain(self._meter.id, place[0])
        for message in [] if row is None else self._store.messages_of(row.id, place[1]):
            yield place[0], message.sequence, message.raw

    def _newest(self) -> list[tuple[bytes, int, bytes]]:
        found: list[tuple[bytes, int, bytes]] = []
        for chain_id, epoch in self._chains():
            found += self._store.database.query(
                "SELECT ?, sequence, raw FROM message WHERE chain = ? ORDER BY sequence DESC LIMIT ?",
                (epoch, chain_id, LOOK_BACK - len(found)),
            )
        return found[::-1]

    def set_before(self, epoch: bytes, sequence: int) -> bytes | None:
        """The parameter set that came into force last in this epoch before this place."""
        row = self._store.chain(self._meter.id, epoch)
        rows = self._store.database.query(
            "SELECT raw FROM message WHERE chain = ? AND type = ? AND sequence < ? ORDER BY sequence DESC LIMIT ?",
            (None if row is None else row.id, t.CHAIN_TYPES.index(t.EVENT), sequence, LOOK_BACK),
        )
        return next((found for (raw,) in rows if (found := _applied_set_in(raw)) is not None), None)

    def _chains(self) -> list[tuple[int, bytes]]:
        """Newest first."""
        return self._store.database.query(
            "SELECT id, epoch FROM chain WHERE meter = ? ORDER BY id DESC", (self._meter.id,)
        )

    def epochs(self) -> list[tuple[Place, bool, bytes | None]]:
        """(last contiguous message, whether nothing is stored beyond a gap, receipt), oldest epoch first."""
        return [
            (Place(known.epoch, known.next_sequence - 1), known.parked == 0, known.receipt)
            for known in self._store.archive.chains(self._meter.key.thumbprint)
        ]

    def state(self, epoch: bytes, learn: Learn) -> ChainState | None:
        row = self._store.chain(self._meter.id, epoch)
        return None if row is None else state_of(self._store, row, self._meter, learn)


class WitnessChain:
    """What a witnessed meter seals into, and what is not receipted yet; used by the event loop alone."""

    def __init__(
        self,
        sealer: Sealer,
        clock: MeterClock,
        identity: Fields,
        stored: Stored,
        noted: Place | None,
        learn: Learn,
        random: Callable[[int], bytes],
    ) -> None:
        self.sealer = sealer
        self.noted = noted
        """The newest head that was receipted, as the note beside the store has it."""
        self.parameter_set: bytes | None = None
        self.waiting: deque[Waiting] = deque()
        self.epoch = b""
        self.sequence = -1
        self.is_faulty = False
        """The newest readings lack an instrument."""
        self._clock = clock
        self._identity = identity
        self._stored = stored
        self._random = random
        self._boot = 0
        self._previous = chain.GENESIS
        self._context = chain.NO_CONTEXT
        self._identity_hash = b""
        self._parameters_hash: bytes | None = None
        self._software_id: bytes = identity[f.SOFTWARE_ID]
        self._receipt: bytes | None = None
        self._left: Place | None = None
        self._missing: Place | None = None
        """Behind it something is stored: the gateway is told not to wait for it."""
        self._unavailable: set[Place] = set()
        self._resume(learn)

    # Boot

    def _resume(self, learn: Learn) -> None:
        epochs = self._stored.epochs()
        if not epochs:
            self._left = self.noted
            return
        (newest, is_whole, self._receipt) = epochs[-1]
        held = {place.epoch: place.sequence for place, _, _ in epochs}
        is_older = self.noted is not None and held.get(self.noted.epoch, -1) < self.noted.sequence
        states = (self._stored.state(place.epoch, learn) for place, _, _ in reversed(epochs))
        known = [state for state in states if state is not None]
        self.parameter_set = next((state.parameter_set for state in known if state.parameter_set), None)
        state = known[0] if known else None
        if is_older or not is_whole or state is None or state.head is None or state.context is None:
            self._left = self.noted if is_older else newest
            self._missing = None if is_whole else Place(newest.epoch, newest.sequence + 1)
            return
        self.epoch, self.sequence = newest
        self._previous, self._context = state.head, state.context
        self._boot = state.boot or 0
        self._identity_hash = state.identity_hash or b""
        self._software_id = state.software_id or self._software_id
        self._parameters_hash = state.parameters_hash
        if self.sequence == 0 and len(epochs) > 1:
            # The end came before the new epoch could say what it follows.
            self._left = epochs[-2][0]

    def boot(self, ticks: int) -> None:
        """Say that the meter starts. First, in a new epoch: identity, what was left, the set in force."""
        if self.sequence < 0:
            self.epoch = self._random(chain.EPOCH_SIZE)
            self._identity_hash = self._append(t.IDENTITY, self._identity, ticks)
            self._renew_context()
        if self.sequence < 1 and self._left is not None:
            self._say_epoch_opened(self._left, ticks)
        if self._parameters_hash is None and self.parameter_set is not None:
            self._say_applied(self.parameter_set, ticks)
        details = {events.LAST_RECEIPT: self._receipt, events.SOFTWARE_ID: self._identity[f.SOFTWARE_ID]}
        self._boot += 1
        self.event(events.BOOT, details, ticks)
        self._software_id = self._identity[f.SOFTWARE_ID]
        self._renew_context()
        if self._missing is not None:
            self.say_unavailable(self._missing, ticks)

    def _say_epoch_opened(self, left: Place, ticks: int) -> None:
        lost = self._stored.read(*left)
        details = {
            events.LAST_EPOCH: left.epoch,
            events.LAST_SEQUENCE: left.sequence,
            events.LAST_HASH: None if lost is None else read_back.hash_of(lost),
            events.LAST_RECEIPT: self._receipt,
            events.REASON: "head_unproven",
        }
        self.event(events.EPOCH_OPENED, details, ticks)

    def _say_applied(self, parameter_set: bytes, ticks: int) -> None:
        self.event(events.PARAMETERS_APPLIED, {events.PARAMETER_SET: parameter_set}, ticks)
        self.parameter_set = parameter_set
        self._parameters_hash = message_hash(parameter_set)
        self._renew_context()

    # What the sampling loop asks (meter_sampling.meter.Log)

    def last_sealed(self) -> LastSealed:
        return last_sealed(self, self.epoch, self.sequence)

    def read(self, epoch: bytes, sequence: int) -> bytes | None:
        if epoch == self.epoch:
            for waiting in self.waiting:
                if waiting.sequence == sequence:
                    return waiting.raw
        return self._stored.read(epoch, sequence)

    def records(self, place: tuple[bytes, int] | None = None) -> Iterator[tuple[bytes, int, bytes]]:
        """The store's, and what waits to get there."""
        first = self.waiting[0].sequence if self.waiting else None
        for epoch, sequence, raw in self._stored.records(place):
            if epoch != self.epoch or first is None or sequence < first:
                yield epoch, sequence, raw
        for waiting in self.waiting:
            if place is None or (place[0] == self.epoch and waiting.sequence >= place[1]):
                yield self.epoch, waiting.sequence, waiting.raw

    def append(self, typ: str, body: Fields, ticks: int, reserved: bool = False) -> bytes:
        if len(self.waiting) >= MAX_WAITING + (RESERVE if reserved else 0):
            raise JournalError("journal_full")
        if typ == t.READINGS:
            self.is_faulty = any(reading[0] & _FAULTY for reading in body[f.READINGS].values())
        return self._append(typ, body, ticks)

    def event(self, code: int, details: Fields, ticks: int, reserved: bool = True) -> None:
        self.append(t.EVENT, {f.EVENT_CODE: code, f.DETAILS: details}, ticks, reserved)

    def event_if_room(self, code: int, details: Fields, ticks: int, reserved: bool = False) -> bool:
        try:
            self.event(code, details, ticks, reserved)
        except JournalError as error:
            must_be_full(error)
            return False
        return True

    def apply_parameters(self, sealed_set: Any, ticks: int) -> None:
        """One message holds the set and puts it into force: a kill leaves one of the two states."""
        self._say_applied(sealed_set.raw, ticks)

    def previous_set(self) -> bytes | None:
        """The set that the one in force replaced, if nothing was measured by that one yet."""
        for sequence in range(self.sequence, -1, -1):
            raw = self.read(self.epoch, sequence)
            if raw is None or holds_every_channel(raw):
                break
            if _applied_set_in(raw) is not None:
                return self._stored.set_before(self.epoch, sequence)
        return None

    def last_receipt(self) -> bytes | None:
        return self._receipt

    # What comes back

    def take_receipt(self, raw: bytes, fields: Fields) -> bool:
        """Whether something was waiting for it. What it covers is durable, and no longer kept here."""
        if fields[f.EPOCH] != self.epoch:
            return False
        named = next((entry for entry in self.waiting if entry.sequence == fields[f.SEQUENCE]), None)
        if named is None or named.hash != fields[f.HASH]:
            return False
        while self.waiting and self.waiting[0].sequence <= named.sequence:
            self.waiting.popleft()
        self._receipt = raw
        self.noted = Place(self.epoch, named.sequence)
        return True

    def say_unavailable(self, place: Place, ticks: int) -> None:
        """Of the epoch that was left, what only the store had is gone: said once, so that nobody waits for it."""
        left = self._left
        if left is None or place.epoch != left.epoch or place in self._unavailable:
            return
        if len(self._unavailable) >= RESERVE:
            return
        self._unavailable.add(place)
        # Without a last one: all up to the next that is stored.
        last = left.sequence if left.sequence >= place.sequence else None
        details = {
            events.LAST_EPOCH: place.epoch,
            events.LAST_SEQUENCE: last,
            events.LAST_HASH: None,
            events.LAST_RECEIPT: self._receipt,
            events.FIRST_SEQUENCE: place.sequence,
        }
        self.event_if_room(events.RESEND_UNAVAILABLE, details, ticks)

    # Inside

    def _append(self, typ: str, body: Fields, ticks: int) -> bytes:
        time_ms, status, uncertainty_ms = self._clock.stamp(ticks)
        place = {
            f.VERSION: f.PROTOCOL_VERSION,
            f.EPOCH: self.epoch,
            f.SEQUENCE: self.sequence + 1,
            f.BOOT: self._boot,
            f.PREVIOUS: self._previous,
            f.CONTEXT: self._context,
            f.TIME_MS: time_ms,
            f.CLOCK_STATUS: status,
            f.CLOCK_UNCERTAINTY_MS: uncertainty_ms,
        }
        raw = self.sealer.seal(typ, {**place, **body})
        self.sequence += 1
        self._previous = read_back.hash_of(raw)
        self.waiting.append(Waiting(self.sequence, self._previous, raw))
        return self._previous

    def _renew_context(self) -> None:
        self._context = chain.context_digest(self._identity_hash, self._parameters_hash, self._software_id)


def _applied_set_in(raw: bytes) -> bytes | None:
    event = read_back.event_in(raw)
    return None if event is None else event[1].get(events.PARAMETER_SET)


_FAULTY = f.STATUS_NO_RESPONSE | f.STATUS_BAD_RESPONSE | f.STATUS_WRONG_INSTRUMENT

"""Every message to its place: in a chain's order, once, and forks and gaps recognised (SPEC §4).

Messages come in any order, repeatedly, and with gaps. A chain waits for `next_sequence`; what is authentic is
stored at once, and what is beyond a gap is parked there until the gap is filled or attested:

  - the same sequence and hash as stored before is a duplicate: counted, receipted again;
  - the same sequence and another hash is a fork: kept beside the first, never in its place;
  - a sequence that a refusal or a lost journal took out of the chain is skipped on the meter's own signed word
    (events message_refused and resend_unavailable);
  - what came before it was attested never to come is part of the chain, as everything that arrives in time;
  - what comes after that is stored and is no part of the chain any more.

How far beyond its gap a chain may park is bounded; the meter keeps what is not receipted and sends it again.
"""

import contextlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from meter_gateway import decode, records
from meter_gateway.database import Row
from meter_gateway.model import Assessed, Verified
from meter_gateway.registry import Meter
from meter_gateway.store import ChainRow, Commit, JudgedRow, MessageRow, Store
from meter_gateway.traceability import ChainState, StateError
from meter_gateway.traceability.findings import finding
from meter_protocol import events as ev
from meter_protocol import fields as f
from meter_protocol import types as t

MAX_PARKED_AHEAD = 4096
"""Sequences beyond the gap that are kept: far more than a meter sends without a receipt."""

MAX_CACHED = 4096
"""Chains whose state stays in memory between groups; the others are read again when they are needed."""

LATE = Assessed((finding("chain_broken"),))
"""What is found of a message that came after it was attested never to come."""

Place = tuple[bytes, bytes]
"""(key thumbprint, epoch)"""

_LEARNT_AT_ONCE = 1000
_SCALED = (f.CLOCK_INFORMATIVE, f.CLOCK_SYNCHRONISED)


class Arrival(NamedTuple):
    """An authentic message of an enrolled meter, as it came in."""

    verified: Verified
    peer: str
    received_ms: int


class Placed(NamedTuple):
    """A stored message at its place in the chain, to be judged."""

    message: int
    verified: Verified
    received_ms: int


Learn = Callable[[ChainState, Sequence[Verified], int], object]
"""Brings a state up to the last of these messages, which were received at that time (traceability)."""


class Chain:
    """One (meter, epoch), during a group and between groups."""

    def __init__(self, row: ChainRow, meter: Meter, state: ChainState, store: Store | None) -> None:
        """`store` None for a chain that begins with this group."""
        self.id = row.id
        self.meter = meter
        self.epoch = row.epoch
        self.next_sequence = row.next_sequence
        self.head_sequence = row.head_sequence
        self.head_hash = row.head_hash
        self.receipt = row.receipt
        self.state = state
        self.gaps = [] if store is None else store.gaps(row.id)
        self.lowest_parked = None if store is None else store.lowest_parked(row.id, row.next_sequence)
        self.asked_for: tuple[int, int] | None = None
        """(sequence, when) of the last resend request."""

    def row(self) -> ChainRow:
        state = self.state.dumps()
        return ChainRow(
            self.id,
            self.meter.id,
            self.epoch,
            self.next_sequence,
            self.head_sequence,
            self.head_hash,
            state,
            self.receipt,
        )


class Work:
    """What a group brought for one chain; `place` each message, then `advance`."""

    def __init__(self, chain: Chain, store: Store) -> None:
        self.chain = chain
        self.runs: list[list[Placed]] = []
        """To be judged. Each run is contiguous; before a run that does not continue the last lies an attested
        gap."""

        self.late: dict[int, Placed] = {}
        self.peer = ""
        self.duplicates = 0
        self.is_forked = False
        self.waits_for_gap = False
        self._store = store
        self._waiting: dict[int, Placed] = {}

    def place(self, arrival: Arrival, commit: Commit) -> bool:
        """Store the message unless it was stored before; whether it is new."""
        verified, self.peer, received_ms = arrival
        sequence = verified.fields[f.SEQUENCE]
        stored = self._stored_hash(sequence)
        if stored is not None:
            if stored == verified.hash or self._store.has_fork(self.chain.id, sequence, verified.hash):
                self.duplicates += 1
            else:
                self.is_forked = True
                commit.forks.append((self.chain.id, sequence, received_ms, self.peer, verified.hash, verified.raw))
            return False
        if sequence > self.chain.next_sequence + MAX_PARKED_AHEAD and attested_gap(verified) is None:
            self.waits_for_gap = True
            return False
        placed = Placed(commit.first_message + len(commit.messages), verified, received_ms)
        commit.messages.append(_message_row(placed, self.chain.id))
        if sequence < self.chain.next_sequence:
            self.late[sequence] = placed
        else:
            self._waiting[sequence] = placed
        return True

    def attest(self, first: int, last: int | None, commit: Commit) -> None:
        self.chain.gaps.append((first, last))
        commit.gaps.append((self.chain.id, first, last))

    def advance(self) -> None:
        """Take from what waits and what is parked as far as the chain goes without an unattested gap."""
        chain = self.chain
        run: list[Placed] = []
        while True:
            placed = self._waiting.pop(chain.next_sequence, None)
            if placed is not None:
                run.append(placed)
                chain.next_sequence += 1
            elif chain.lowest_parked == chain.next_sequence:
                self._take_parked(run)
            else:
                if run:
                    self.runs.append(run)
                    run = []
                next_sequence = self._beyond_gap()
                if next_sequence is None:
                    break
                chain.next_sequence = next_sequence
        if self._waiting:
            parked = min(self._waiting)
            chain.lowest_parked = parked if chain.lowest_parked is None else min(parked, chain.lowest_parked)
        self.waits_for_gap |= chain.lowest_parked is not None
        chain.gaps = [(first, last) for first, last in chain.gaps if last is None or last >= chain.next_sequence]

    def _stored_hash(self, sequence: int) -> bytes | None:
        """The hash under which this sequence is stored, be it by this very group."""
        placed = self._waiting.get(sequence) or self.late.get(sequence)
        if placed is not None:
            return placed.verified.hash
        parked = self.chain.lowest_parked
        if sequence >= self.chain.next_sequence and (parked is None or sequence < parked):
            return None
        return self._store.stored_hash(self.chain.id, sequence)

    def _take_parked(self, run: list[Placed]) -> None:
        chain = self.chain
        chain.lowest_parked = None
        for row in self._store.messages_of(chain.id, chain.next_sequence):
            if row.sequence != chain.next_sequence:
                chain.lowest_parked = row.sequence
                return
            run.append(Placed(row.id, verified_of(row, chain.meter.key.thumbprint), row.received_ms))
            chain.next_sequence += 1

    def _beyond_gap(self) -> int | None:
        """Where the chain goes on if here begins an attested gap: behind it, or in it with what came before."""
        here, parked = self.chain.next_sequence, self.chain.lowest_parked
        for first, last in self.chain.gaps:
            if first <= here and (last is None or here <= last):
                behind = () if last is None else (last + 1,)
                return min([*behind, *self._waiting, *(() if parked is None else (parked,))], default=None)
        return None


class Chains:
    """The chains of all meters: from the store when they are first needed, then in memory."""

    def __init__(self, store: Store, learn: Learn) -> None:
        self._store = store
        self._learn = learn
        self._cached: OrderedDict[tuple[bytes, bytes], Chain] = OrderedDict()

    def forget(self) -> None:
        """After a failed commit memory is ahead of the store; after a change of meters it is behind."""
        self._cached.clear()

    def order(self, arrivals: Iterable[Arrival], meters: Mapping[bytes, Meter], commit: Commit) -> list[Work]:
        """Everything that arrived, at its place; the new rows are added to `commit`."""
        works: dict[Place, Work] = {}
        attested: list[tuple[Place, int, int | None]] = []
        for arrival in arrivals:
            verified = arrival.verified
            place = verified.thumbprint, verified.fields[f.EPOCH]
            work = works.get(place)
            if work is None:
                chain = self._known(place, meters) or self._begin(place, meters, commit)
                work = works[place] = Work(chain, self._store)
            if work.place(arrival, commit):
                gap = attested_gap(verified)
                if gap is not None:
                    epoch, first, last = gap
                    attested.append(((verified.thumbprint, epoch), first, last))
        for place, first, last in attested:
            if place not in works:
                known = self._known(place, meters)
                if known is None:
                    continue
                works[place] = Work(known, self._store)
            works[place].attest(first, last, commit)
        for work in works.values():
            work.advance()
        while len(self._cached) > MAX_CACHED:
            self._cached.popitem(last=False)
        return list(works.values())

    def _known(self, place: Place, meters: Mapping[bytes, Meter]) -> Chain | None:
        chain = self._cached.get(place)
        if chain is None:
            meter = meters[place[0]]
            row = self._store.chain(meter.id, place[1])
            if row is None:
                return None
            state = state_of(self._store, row, meter, self._learn)
            chain = self._cached[place] = Chain(row, meter, state, self._store)
        self._cached.move_to_end(place)
        return chain

    def _begin(self, place: Place, meters: Mapping[bytes, Meter], commit: Commit) -> Chain:
        meter = meters[place[0]]
        row = ChainRow(commit.first_chain + commit.begun_chains, meter.id, place[1], 0, None, None, None, None)
        commit.begun_chains += 1
        state = ChainState.new(meter.key.thumbprint, meter.is_witnessed)
        chain = self._cached[place] = Chain(row, meter, state, None)
        return chain


def state_of(store: Store, row: ChainRow, meter: Meter, learn: Learn) -> ChainState:
    """What judging needs to remember; learnt again from the stored messages if it cannot be read.

    An update may give the state another form, and a state is never more than what the messages say.
    """
    thumbprint = meter.key.thumbprint
    with contextlib.suppress(StateError):
        if row.state is not None:
            known = ChainState.loads(row.state)
            known.is_witnessed = meter.is_witnessed
            return known
    state = ChainState.new(thumbprint, meter.is_witnessed)
    gaps, first = store.gaps(row.id), 0
    while judged := store.judged_of(row.id, first, _LEARNT_AT_ONCE):
        first = judged[-1].message.sequence + 1
        for message in [each.message for each in judged if not is_late(each, gaps)]:
            if message.sequence > state.next_sequence:
                state.note_gap(message.sequence)
            learn(state, [verified_of(message, thumbprint)], message.received_ms)
    return state


def is_late(judged: JudgedRow, gaps: Iterable[tuple[int, int | None]]) -> bool:
    """Whether it came after it was attested never to come, so that it is no part of its chain.

    No byte of it says when it came. Its verdict does: only of such a message nothing else is found than LATE.
    """
    sequence = judged.message.sequence
    if not any(first <= sequence and (last is None or sequence <= last) for first, last in gaps):
        return False
    said = records.opinion_fields(judged.encoded, judged.uncertainty)
    return records.findings_in(said) == LATE.findings


def attested_gap(verified: Verified) -> tuple[bytes, int, int | None] | None:
    """(epoch, first, last) that this event says will never come; last None: all up to the next stored message.

    An event cannot take itself or what follows it out of its own chain.
    """
    if verified.typ != t.EVENT:
        return None
    details = verified.fields[f.DETAILS]
    code = verified.fields[f.EVENT_CODE]
    last: int | None = None
    if code == ev.RESEND_UNAVAILABLE:
        first, last = details[ev.FIRST_SEQUENCE], details[ev.LAST_SEQUENCE]
    elif code == ev.MESSAGE_REFUSED and details[ev.LAST_SEQUENCE] is not None:
        first = last = details[ev.LAST_SEQUENCE]
    else:
        return None
    own_epoch, own_sequence = verified.fields[f.EPOCH], verified.fields[f.SEQUENCE]
    epoch = details[ev.LAST_EPOCH] or own_epoch
    if epoch == own_epoch:
        last = own_sequence - 1 if last is None else min(last, own_sequence - 1)
    return epoch, first, last


def verified_of(row: MessageRow, thumbprint: bytes) -> Verified:
    """A stored message as it was when it had been verified: only authentic ones are stored."""
    typ = t.CHAIN_TYPES[row.type]
    fields = decode.decode(typ, decode.split(row.raw).payload)
    return Verified(row.raw, typ, thumbprint, fields, row.hash)


def _message_row(placed: Placed, chain: int) -> Row:
    verified = placed.verified
    fields = verified.fields
    has_time = fields[f.CLOCK_STATUS] in _SCALED
    return (
        placed.message,
        chain,
        fields[f.SEQUENCE],
        fields[f.TIME_MS] if has_time else placed.received_ms,
        placed.received_ms,
        t.CHAIN_TYPES.index(verified.typ),
        verified.hash,
        verified.raw,
    )

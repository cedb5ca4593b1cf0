"""Verdicts anew, because what they rest on has changed: a certificate withdrawn, a binding corrected, a scheme.

Every chain is judged from its beginning as ingest judged it, and exactly the messages about which something else
is found now get a further revision with its cause. Nothing is overwritten. What a verdict said about the
reception is in no signed byte, so it is kept from the latest one: whether the gateway's clock was trusted then,
whether the meter was barred, and that a message came after its meter had attested that it would never come.

A page is read, judged, and recorded in one transaction with its signed batch. Whatever interrupts the work,
another run goes on with the verdicts that still differ.

What a chain has taught depends on the limits too (plausibility.py). So at the end of a chain, where the replay has
come as far as ingest, its state takes the place of the stored one: `keep_states`.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import NamedTuple

from meter_gateway import records
from meter_gateway.batch import Batch, Findings, Judge
from meter_gateway.chains import LATE, is_late, verified_of
from meter_gateway.ingest import FORK
from meter_gateway.model import NO_UNCERTAINTY, Assessed, GatewayTime, Verdict
from meter_gateway.sealing import Sealer
from meter_gateway.store import JudgedRow, MessageRow, Store
from meter_gateway.traceability import ChainState, Trust, assess_group
from meter_protocol import fields as f
from meter_protocol.schema import MAX_FINDINGS

PAGE = 256
"""Messages of one step: few enough that ingest, which waits meanwhile, stays quick."""

_MAX_CACHED = 4096
_UNTRUSTED = "gateway_clock_untrusted"


@dataclass(slots=True)
class Tally:
    """Messages so far. `found` and `gone` count findings that the revisions added and dropped, by code."""

    looked_at: int = 0
    revised: int = 0
    now_accepted: int = 0
    no_longer_accepted: int = 0
    found: Counter[str] = field(default_factory=Counter)
    gone: Counter[str] = field(default_factory=Counter)

    def count(self, before: "Latest", verdict: Verdict) -> None:
        """A revision."""
        self.revised += 1
        self.now_accepted += verdict.accepted and not before.accepted
        self.no_longer_accepted += before.accepted and not verdict.accepted
        codes = {found.code for found in verdict.findings}
        self.found.update(codes - before.codes)
        self.gone.update(before.codes - codes)


class Revision(NamedTuple):
    thumbprint: bytes
    epoch: bytes
    message: MessageRow
    verdict: Verdict
    found: Assessed


class Latest(NamedTuple):
    """What the latest verdict of a message says."""

    scheme: str
    accepted: bool
    findings: Findings
    budget: bytes | None

    @property
    def codes(self) -> set[str]:
        return {found.code for found in self.findings}


class Rejudgement:
    """One run over what is stored, page by page: `next_page`, then `record` what it gave.

    `thumbprints` None for all meters. Used where nothing else judges at the same time: by ingest's thread, or
    while no gateway runs.
    """

    def __init__(
        self, store: Store, trust: Trust, judge: Judge, cause: str, thumbprints: Collection[bytes] | None = None
    ) -> None:
        chains = [row for row in store.judged_chains() if thumbprints is None or row[1] in thumbprints]
        self.total = sum(count for _, _, _, count in chains)
        self.tally = Tally()
        self._store = store
        self._judge = judge
        self._cause = cause
        self._latest: dict[int, Latest] = {}
        self._revised: dict[tuple[Verdict, int], Verdict] = {}
        self._ended: list[tuple[int, ChainState]] = []
        witnessed = store.registry.witnessed()
        # Each chain's state is made when its turn comes.
        self._pages = self._walk(
            _Replay(chain, ChainState.new(thumbprint, thumbprint in witnessed), epoch, store, trust)
            for chain, thumbprint, epoch, _ in chains
        )

    def next_page(self) -> list[Revision] | None:
        """The revisions that the next messages need, maybe none; None at the end."""
        return next(self._pages, None)

    def record(self, revisions: Sequence[Revision], sealer: Sealer, now: GatewayTime) -> None:
        """Durable when it returns; StoreUnavailable if it could not be."""
        record(self._store, self._judge, revisions, sealer, now)

    def keep_states(self) -> bool:
        """Store what the chains that have come to their end taught; True if ingest has to forget what it knew.

        To be called after each page by whoever records, before anything else is judged.
        """
        ended, self._ended = self._ended, []
        renewed = [self._store.renew_state(chain, state.next_sequence, state.dumps()) for chain, state in ended]
        return any(renewed)

    def _walk(self, replays: "Iterable[_Replay]") -> Iterator[list[Revision]]:
        for replay in replays:
            first = 0
            while rows := self._store.judged_of(replay.chain, first, PAGE):
                first = rows[-1].message.sequence + 1
                latest = [self._latest_of(row) for row in rows]
                yield self._compare(replay, rows, latest, replay.findings(rows, latest))
            self._ended.append((replay.chain, replay.state))
            yield []

    def _compare(
        self, replay: "_Replay", rows: Sequence[JudgedRow], latest: Sequence[Latest], found: Sequence[Assessed]
    ) -> list[Revision]:
        revisions = []
        for row, before, assessed in zip(rows, latest, found, strict=True):
            verdict = self._judge(assessed.findings)
            same_parts = (row.uncertainty or NO_UNCERTAINTY) == assessed.uncertainty
            if same_parts and not _differs(before, verdict, assessed):
                continue
            self.tally.count(before, verdict)
            revised = self._revision(verdict, row.revision + 1)
            revisions.append(Revision(replay.state.thumbprint, replay.epoch, row.message, revised, assessed))
        self.tally.looked_at += len(rows)
        return revisions

    def _revision(self, verdict: Verdict, number: int) -> Verdict:
        """The same object again for the same verdict, as a batch expects it."""
        known = self._revised.get((verdict, number))
        if known is None:
            if len(self._revised) >= _MAX_CACHED:
                self._revised.clear()
            known = self._revised[verdict, number] = replace(verdict, revision=number, cause=self._cause)
        return known

    def _latest_of(self, row: JudgedRow) -> Latest:
        known = self._latest.get(row.opinion)
        if known is None:
            if len(self._latest) >= _MAX_CACHED:
                self._latest.clear()
            known = self._latest[row.opinion] = latest_of(row)
        return known


def record(store: Store, judge: Judge, revisions: Iterable[Revision], sealer: Sealer, now: GatewayTime) -> None:
    """In one transaction with their signed batch."""
    commit = store.new_commit()
    batch = Batch(judge, now, store, commit)
    for revision in revisions:
        batch.revise(*revision)
    batch.seal(sealer)
    store.commit(commit)


class _Replay:
    """One chain, judged again from its beginning."""

    def __init__(self, chain: int, state: ChainState, epoch: bytes, store: Store, trust: Trust) -> None:
        self.chain = chain
        self.state = state
        self.epoch = epoch
        self._gaps = store.gaps(chain)
        self._trust = trust

    def findings(self, rows: Sequence[JudgedRow], latest: Sequence[Latest]) -> list[Assessed]:
        """Of the next rows, in order."""
        found: list[Assessed] = []
        placed = [(row.message, self._reception(row, said)) for row, said in zip(rows, latest, strict=True)]
        for reception, group in groupby(placed, key=lambda entry: entry[1]):
            for run in _contiguous([message for message, _ in group]):
                found += [LATE] * len(run) if reception.is_late else self._assess(run, reception)
        return found

    def _reception(self, row: JudgedRow, latest: Latest) -> "_Reception":
        codes, late = latest.codes, is_late(row, self._gaps)
        return _Reception(_UNTRUSTED not in codes, FORK in codes, late)

    def _assess(self, run: Sequence[MessageRow], reception: "_Reception") -> list[Assessed]:
        state = self.state
        if run[0].sequence > state.next_sequence:
            state.note_gap(run[0].sequence)
        if reception.is_barred and FORK not in state.barred:
            state.bar(FORK)
        elif not reception.is_barred and FORK in state.barred:
            state.unbar(FORK)
        group = [verified_of(message, state.thumbprint) for message in run]
        received_ms = [message.received_ms for message in run]
        return assess_group(state, group, self._trust, received_ms, reception.clock_trusted)


class _Reception(NamedTuple):
    """What is known of a message's arrival, besides when it was."""

    clock_trusted: bool
    is_barred: bool
    is_late: bool


def _contiguous(run: Sequence[MessageRow]) -> Iterator[Sequence[MessageRow]]:
    begin = 0
    for place in range(1, len(run) + 1):
        if place == len(run) or run[place].sequence != run[place - 1].sequence + 1:
            yield run[begin:place]
            begin = place


def _differs(before: Latest, verdict: Verdict, found: Assessed) -> bool:
    return (
        before.scheme != verdict.scheme
        or before.accepted != verdict.accepted
        or before.findings != verdict.findings[:MAX_FINDINGS]
        or before.budget != (None if found.budget is None else found.budget.digest)
    )


def latest_of(row: JudgedRow) -> Latest:
    fields = records.opinion_fields(row.encoded, row.uncertainty)
    accepted = fields[f.VERDICT_ACCEPTANCE] == f.ACCEPTED
    return Latest(fields[f.VERDICT_SCHEME], accepted, records.findings_in(fields), fields[f.VERDICT_BUDGET])

"""The way of one reading through the gateway: verify -> assess -> record -> receipt, a group at a time.

  verify    every message is authentic, or rejected with its reason (verify.py); only what an enrolled key
            signed gets further;
  assess    each takes its place in its meter's chain, once (chains.py), and the chain is judged in its order:
            findings of traceability, then a scheme's verdict (policy.py);
  record    one transaction: bytes, verdicts and their signed batch, outbox, chains (store.py);
  receipt   what may be said, now that it is durable: a receipt per chain, refusals, resend requests.

Nothing here opens a socket or reads a clock. `begin` starts the signatures of a group and `finish` does the
rest, so that a caller may begin the next group before it finishes this one; `process` does both.

If the store is unavailable, `finish` raises StoreUnavailable: nothing was recorded and nothing may be answered;
the meters will send again.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from meter_gateway import decode, workers
from meter_gateway.answers import Answers
from meter_gateway.batch import Batch, Judge
from meter_gateway.chains import LATE, Arrival, Chains, Work
from meter_gateway.model import (
    GatewayTime,
    ImageRequest,
    Outcome,
    Received,
    Rejected,
    Rejection,
    TimeRequest,
    Verified,
)
from meter_gateway.registry import Meter
from meter_gateway.sealing import Sealers
from meter_gateway.store import Commit, Store
from meter_gateway.traceability import ChainState, Trust, assess_group
from meter_gateway.verify import KeyRing, Opened, open_parts, read, verify_identity
from meter_protocol import cose
from meter_protocol import events as ev
from meter_protocol import fields as f
from meter_protocol import types as t
from meter_protocol.errors import ProtocolError

MAX_IDENTITIES = 16
"""Identities of strangers that one group may bring: each costs a signature check."""

NOT_REFUSED = ("unknown_key", "revoked_key")
"""No answer to strangers; and a meter whose key was revoked keeps its journal for whoever investigates."""

FORK = "chain_fork"


class Begun(NamedTuple):
    """A group whose signatures are being checked."""

    opened: list[Opened]
    sources: list[Received]
    rejected: list[Rejection]
    ticket: workers.Ticket


class Ingest:
    """Used by one thread. `trust` and `judge` may be replaced between groups."""

    def __init__(
        self, store: Store, sealers: Sealers, checker: workers.Checker, trust: Trust, judge: Judge
    ) -> None:
        store.claim()
        self.trust = trust
        self.judge = judge
        self._store = store
        self._sealers = sealers
        self._checker = checker
        self._chains = Chains(store, self._learn)
        self._ring = KeyRing(())
        self._meters: dict[bytes, Meter] = {}
        self._forked: set[bytes] = set()
        self._registry_version = -1

    def forget(self) -> None:
        """What the chains taught is read from the store when it is next needed."""
        self._chains.forget()

    def process(self, group: Sequence[Received], now: GatewayTime) -> Outcome:
        return self.finish(self.begin(group), now)

    def begin(self, group: Sequence[Received]) -> Begun:
        """Everything of verification that is cheap, and the start of its signatures."""
        self._notice_changes()
        opened: list[Opened] = []
        sources: list[Received] = []
        rejected: list[Rejection] = []
        for received in group:
            messages, refused = decode.split_sequence(received.raw)
            for message in messages:
                try:
                    opened.append(open_parts(message, self._ring, received.received_ms))
                    sources.append(received)
                except Rejected as rejection:
                    rejected.append(Rejection(message.raw, received.peer, received.received_ms, rejection.reason))
            for raw, reason in refused:
                rejected.append(Rejection(raw, received.peer, received.received_ms, reason))
        return Begun(opened, sources, rejected, self._checker.submit(opened))

    def finish(self, begun: Begun, now: GatewayTime) -> Outcome:
        """The group is durable when this returns, and its answers may be sent."""
        outcome = Outcome(rejected=begun.rejected)
        answers = Answers(self._sealers.receipt, now)
        try:
            commit = self._store.new_commit()
            # verify
            arrivals = self._authentic(begun, outcome)
            # assess
            works = self._chains.order(arrivals, self._meters, commit)
            self._forked.update(work.chain.meter.key.thumbprint for work in works if work.is_forked)
            batch = Batch(self.judge, now, self._store, commit)
            for work in works:
                self._assess(work, batch, now)
            batch.seal(self._sealers.verdict)
            # record
            for work in works:
                self._answer(work, answers)
            self._refuse(outcome.rejected, commit, answers)
            commit.chains += [work.chain.row() for work in works]
            outcome.duplicates = sum(work.duplicates for work in works)
            commit.counters += Counter(duplicates=outcome.duplicates)
            self._store.commit(commit)
        except BaseException:
            # Memory is ahead of the store now; whatever was not committed is not known.
            self._chains.forget()
            self._registry_version = -1
            raise
        # receipt
        outcome.answers = answers.in_order()
        outcome.stored, outcome.judged, outcome.accepted = (
            len(commit.messages),
            len(commit.verdicts),
            batch.accepted,
        )
        return outcome

    def _authentic(self, begun: Begun, outcome: Outcome) -> list[Arrival]:
        """What enrolled keys signed and may say; requests outside the chain are the service's to answer."""
        arrivals: list[Arrival] = []
        good = self._checker.collect(begun.ticket)
        for opened, source, is_good in zip(begun.opened, begun.sources, good, strict=True):
            peer, received_ms = source.peer, source.received_ms
            try:
                if not is_good:
                    raise Rejected("signature_invalid")
                verified = read(opened)
            except Rejected as rejection:
                outcome.rejected.append(Rejection(opened.raw, peer, received_ms, rejection.reason))
                continue
            if opened.typ == t.TIME_REQUEST:
                key, nonce = opened.key, verified.fields[f.NONCE]
                outcome.time_requests.append(TimeRequest(key.thumbprint, key.kid, peer, nonce, received_ms))
            elif opened.typ == t.IMAGE_REQUEST:
                key, about = opened.key, verified.fields
                wanted = about[f.DIGEST], about[f.CHUNK_INDEX]
                outcome.image_requests.append(ImageRequest(key.thumbprint, key.kid, peer, *wanted))
            else:
                outcome.has_update |= (
                    opened.typ == t.EVENT and verified.fields[f.EVENT_CODE] == ev.FIRMWARE_UPDATED
                )
                arrivals.append(Arrival(verified, peer, received_ms))
        return arrivals

    def _assess(self, work: Work, batch: Batch, now: GatewayTime) -> None:
        chain, state = work.chain, work.chain.state
        meter = chain.meter
        if meter.barred or meter.key.thumbprint in self._forked:
            state.bar(FORK)
        elif FORK in state.barred:
            state.unbar(FORK)
        clock_trusted = now.clock_status == f.CLOCK_SYNCHRONISED
        for run in work.runs:
            first, last = run[0].verified, run[-1].verified
            if first.fields[f.SEQUENCE] > state.next_sequence:
                state.note_gap(first.fields[f.SEQUENCE])
            group = [message.verified for message in run]
            received_ms = [message.received_ms for message in run]
            batch.add(chain, run, assess_group(state, group, self.trust, received_ms, clock_trusted))
            chain.head_sequence, chain.head_hash = last.fields[f.SEQUENCE], last.hash
        for message in work.late.values():
            batch.add(chain, [message], [LATE])

    def _learn(self, state: ChainState, group: Sequence[Verified], received_ms: int) -> None:
        """What the messages were found to be then stands in their verdicts; here only the state counts."""
        assess_group(state, group, self.trust, received_ms)

    def _answer(self, work: Work, answers: Answers) -> None:
        if work.runs or work.duplicates:
            answers.receipt(work.chain, work.peer, is_new=bool(work.runs))
        if work.waits_for_gap:
            answers.resend(work.chain, work.peer)

    def _refuse(self, rejected: list[Rejection], commit: Commit, answers: Answers) -> None:
        for rejection in rejected:
            commit.counters["rejected." + rejection.reason] += 1
            kid, typ = _claimed(rejection.raw)
            if rejection.reason != "unknown_key":
                commit.rejected.append(rejection)
                key = None if kid is None else self._ring.get(kid)
                if key is not None and rejection.reason not in NOT_REFUSED:
                    answers.refusal(key.thumbprint, key.kid, rejection.peer, rejection.raw, rejection.reason)
            elif kid is not None:
                commit.unknown_by_kid[kid] += 1
                if typ == t.IDENTITY and len(commit.identities) < MAX_IDENTITIES:
                    self._keep_identity(rejection, commit)

    def _keep_identity(self, rejection: Rejection, commit: Commit) -> None:
        try:
            key, _ = verify_identity(rejection.raw)
        except Rejected:
            return
        commit.identities.append((key, rejection.raw, rejection.peer, rejection.received_ms))

    def _notice_changes(self) -> None:
        """Enrolments, revocations and resolved forks, whichever process made them."""
        version = self._store.registry.version()
        if version == self._registry_version:
            return
        meters = self._store.registry.meters()
        self._meters = {meter.key.thumbprint: meter for meter in meters}
        self._ring = KeyRing(meter.key for meter in meters)
        self._forked.clear()
        self._chains.forget()
        self._registry_version = version


def _claimed(raw: bytes) -> tuple[bytes | None, str | None]:
    """The kid and typ that unauthentic bytes claim, where they can be read at all."""
    try:
        parts = cose.split(raw)
    except ProtocolError:
        return None, None
    return parts.kid, parts.typ

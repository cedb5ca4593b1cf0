"""The verdicts of one commit group, signed once over their Merkle root (DESIGN, "Types"; SPEC §8)."""

from collections.abc import Callable, Iterable, Sequence

import cbor2

from meter_gateway import records
from meter_gateway.chains import Chain, Placed
from meter_gateway.model import Assessed, BudgetRecord, Finding, GatewayTime, Verdict
from meter_gateway.sealing import Sealer
from meter_gateway.store import Commit, MessageRow, Store
from meter_protocol import fields as f
from meter_protocol import merkle
from meter_protocol import types as t

Findings = tuple[Finding, ...]
Judge = Callable[[Findings], Verdict]
"""A scheme's opinion of findings (policy.py)."""


class Batch:
    """Judges messages, chain by chain, and adds their verdicts and their signed batch to the commit."""

    def __init__(self, judge: Judge, now: GatewayTime, store: Store, commit: Commit) -> None:
        self._judge = judge
        self._now = now
        self._store = store
        self._commit = commit
        self._leaves: list[bytes] = []
        self._opinions: dict[tuple[int, int], tuple[Verdict, BudgetRecord | None, int, bytes]] = {}
        """By the identities of verdict and budget, which are kept with it: both are the same objects again."""
        self.accepted = 0

    def add(self, chain: Chain, placed: Sequence[Placed], found: Iterable[Assessed]) -> None:
        before, after = records.pieces(chain.meter.key.thumbprint, chain.epoch, self._now.time_ms)
        rows, leaves = self._commit.verdicts, self._leaves
        number = self._commit.first_verdict + len(rows)
        latest: Findings | None = None
        latest_budget: BudgetRecord | None = None
        for (message, verified, _), (findings, budget, uncertainty) in zip(placed, found, strict=True):
            # Nearly always the same objects again, which spares the comparison of many findings.
            if findings is not latest or budget is not latest_budget:
                verdict = self._judge(findings)
                opinion_id, opinion = self._opinion(verdict, budget)
                latest, latest_budget = findings, budget
            sequence = cbor2.dumps(verified.fields[f.SEQUENCE])
            leaves.append(before + sequence + after + verified.hash + opinion + uncertainty)
            rows.append((number, message, verdict.revision, opinion_id, uncertainty))
            number += 1
            self.accepted += verdict.accepted

    def revise(
        self, thumbprint: bytes, epoch: bytes, message: MessageRow, verdict: Verdict, found: Assessed
    ) -> None:
        """A later revision of the verdict on a stored message."""
        before, after = records.pieces(thumbprint, epoch, self._now.time_ms)
        opinion_id, opinion = self._opinion(verdict, found.budget)
        sequence = cbor2.dumps(message.sequence)
        self._leaves.append(before + sequence + after + message.hash + opinion + found.uncertainty)
        rows, number = self._commit.verdicts, self._commit.first_verdict + len(self._commit.verdicts)
        rows.append((number, message.id, verdict.revision, opinion_id, found.uncertainty))

    def seal(self, sealer: Sealer) -> None:
        """Sign the group. A group without verdicts signs nothing."""
        if not self._leaves:
            return
        sealed = sealer.seal(
            t.VERDICT_BATCH,
            {
                f.VERSION: f.PROTOCOL_VERSION,
                f.TIME_MS: self._now.time_ms,
                f.CLOCK_STATUS: self._now.clock_status,
                f.CLOCK_UNCERTAINTY_MS: self._now.clock_uncertainty_ms,
                f.ROOT: merkle.root(merkle.tree(self._leaves)),
                f.COUNT: len(self._leaves),
            },
        )
        self._commit.batch = self._commit.first_verdict, len(self._leaves), self._now.time_ms, sealed

    def _opinion(self, verdict: Verdict, budget: BudgetRecord | None) -> tuple[int, bytes]:
        known = self._opinions.get((id(verdict), id(budget)))
        if known is None:
            if budget is not None:
                self._store.add_budget(self._commit, budget)
            opinion = records.opinion_of(verdict, None if budget is None else budget.digest)
            number = self._store.opinion_id(self._commit, verdict.accepted, opinion)
            known = self._opinions[id(verdict), id(budget)] = verdict, budget, number, opinion
        return known[2:]

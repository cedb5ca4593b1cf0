"""The verdicts of one commit group, signed once over their Merkle root (DESIGN, "Types"; SPEC §8)."""

from collections.abc import Callable, Iterable, Sequence

import cbor2

from meter_gateway import records
from meter_gateway.chains import Chain, Placed
from meter_gateway.model import Finding, GatewayTime, Verdict
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
        self._opinions: dict[int, tuple[Verdict, int, bytes]] = {}
        """By the identity of the Verdict, which is kept with it: a scheme gives the same object again."""
        self.accepted = 0

    def add(self, chain: Chain, placed: Sequence[Placed], found: Iterable[Findings]) -> None:
        before, after = records.pieces(chain.meter.key.thumbprint, chain.epoch, self._now.time_ms)
        rows, leaves = self._commit.verdicts, self._leaves
        number = self._commit.first_verdict + len(rows)
        latest: Findings | None = None
        for (message, verified, _), findings in zip(placed, found, strict=True):
            # Nearly always the same object again, which spares the comparison of its many findings.
            if findings is not latest:
                verdict = self._judge(findings)
                opinion_id, opinion = self._opinion(verdict)
                latest = findings
            leaves.append(before + cbor2.dumps(verified.fields[f.SEQUENCE]) + after + verified.hash + opinion)
            rows.append((number, message, verdict.revision, opinion_id))
            number += 1
            self.accepted += verdict.accepted

    def revise(self, thumbprint: bytes, epoch: bytes, message: MessageRow, verdict: Verdict) -> None:
        """A later revision of the verdict on a stored message."""
        before, after = records.pieces(thumbprint, epoch, self._now.time_ms)
        opinion_id, opinion = self._opinion(verdict)
        self._leaves.append(before + cbor2.dumps(message.sequence) + after + message.hash + opinion)
        rows = self._commit.verdicts
        rows.append((self._commit.first_verdict + len(rows), message.id, verdict.revision, opinion_id))

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

    def _opinion(self, verdict: Verdict) -> tuple[int, bytes]:
        known = self._opinions.get(id(verdict))
        if known is None:
            opinion = records.opinion_of(verdict)
            number = self._store.opinion_id(self._commit, verdict.accepted, opinion)
            known = self._opinions[id(verdict)] = verdict, number, opinion
        return known[1:]

"""The verdicts of one commit group, signed once over their Merkle root (DESIGN, "Types"; SPEC §8).

A verdict's record holds the identity of its message and what a scheme made of it. The second part is the same
in thousands of records, and the first has few parts that change, so a record is put together from encoded
pieces. The first of each kind is encoded by meter_protocol, from which the pieces are cut.
"""

from collections.abc import Callable, Iterable, Sequence

import cbor2

from meter_gateway.chains import Chain, Placed
from meter_gateway.model import Finding, GatewayTime, Verdict
from meter_gateway.sealing import Sealer
from meter_gateway.store import Commit
from meter_protocol import fields as f
from meter_protocol import merkle, messages
from meter_protocol import types as t
from meter_protocol.schema import MAX_FINDINGS

Judge = Callable[[tuple[Finding, ...]], Verdict]
"""A scheme (policy.py): the same findings give the same Verdict, which is why it may be remembered."""


class Batch:
    """Judges messages, chain by chain, and adds their verdicts and their signed batch to the commit."""

    def __init__(self, judge: Judge, now: GatewayTime, commit: Commit) -> None:
        self._judge = judge
        self._now = now
        self._commit = commit
        self._opinions: dict[int, tuple[Verdict, bytes]] = {}
        self.accepted = 0

    def add(self, chain: Chain, placed: Sequence[Placed], found: Iterable[tuple[Finding, ...]]) -> None:
        head, middle = self._identity_of(chain)
        rows = self._commit.verdicts
        number = self._commit.first_verdict + len(rows)
        for (message, verified, _), findings in zip(placed, found, strict=True):
            verdict = self._judge(findings)
            opinion = self._opinions.get(id(verdict))
            if opinion is None:
                opinion = self._opinions[id(verdict)] = verdict, self._opinion(verdict)
            sequence = cbor2.dumps(verified.fields[f.SEQUENCE])
            record = head + sequence + middle + verified.hash + opinion[1]
            rows.append((number, message, verdict.revision, verdict.accepted, record))
            number += 1
            self.accepted += verdict.accepted

    def seal(self, sealer: Sealer) -> None:
        """Sign the group. A group without verdicts signs nothing."""
        records = [row[-1] for row in self._commit.verdicts]
        if not records:
            return
        sealed = sealer.seal(
            t.VERDICT_BATCH,
            {
                f.VERSION: f.PROTOCOL_VERSION,
                f.TIME_MS: self._now.time_ms,
                f.CLOCK_STATUS: self._now.clock_status,
                f.CLOCK_UNCERTAINTY_MS: self._now.clock_uncertainty_ms,
                f.ROOT: merkle.root(merkle.tree(records)),
                f.COUNT: len(records),
            },
        )
        self._commit.batch = self._commit.first_verdict, len(records), self._now.time_ms, sealed

    def _identity_of(self, chain: Chain) -> tuple[bytes, bytes]:
        """The encoded pieces before the sequence, and from there to the hash."""
        return (
            _HEAD + chain.epoch + bytes((f.SEQUENCE,)),
            bytes((f.TIME_MS,))
            + cbor2.dumps(self._now.time_ms)
            + bytes((f.METER,))
            + _BYTES_32
            + chain.meter.key.thumbprint
            + bytes((f.HASH,))
            + _BYTES_32,
        )

    def _opinion(self, verdict: Verdict) -> bytes:
        """The encoded pieces after the hash, cut from a whole record."""
        # Whether the message is accepted was decided on all findings; a record holds no more than its schema lets.
        findings = [[found.code, found.channel] for found in verdict.findings[:MAX_FINDINGS]]
        record = messages.encode_verdict(
            {
                f.VERSION: f.PROTOCOL_VERSION,
                f.EPOCH: bytes(8),
                f.SEQUENCE: 0,
                f.TIME_MS: 0,
                f.METER: bytes(32),
                f.HASH: _MARK,
                f.VERDICT_REVISION: verdict.revision,
                f.VERDICT_SCHEME: verdict.scheme,
                f.VERDICT_ACCEPTANCE: f.ACCEPTED if verdict.accepted else f.NOT_ACCEPTED,
                f.VERDICT_FINDINGS: findings,
                f.VERDICT_CAUSE: verdict.cause,
            }
        )
        return record[record.index(_MARK) + len(_MARK) :]


_HEAD = bytes((0xAB, f.VERSION, f.PROTOCOL_VERSION, f.EPOCH, 0x48))
"""A map of eleven, its version, and the head of the epoch's eight bytes."""

_BYTES_32 = b"\x58\x20"
_MARK = b"\xff" * 32

"""What the uplink has not acknowledged yet: for each verdict one envelope of original bytes, verdict and proof.

An envelope is put together when it is sent. Its Merkle path comes from the records of its commit group, which
the store can put together again, so nothing is kept twice.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from meter_gateway.database import Database
from meter_gateway.records import Parts, record
from meter_protocol import fields as f
from meter_protocol import merkle, messages


@dataclass(frozen=True, slots=True)
class Envelope:
    """One thing to send; `verdict` is what to name when it was acknowledged."""

    verdict: int
    kid: bytes
    raw: bytes


class Outbox:
    """Used by one uplink at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._batch: _Batch | None = None

    def count(self) -> int:
        count: int = self._database.query("SELECT count(*) FROM outbox")[0][0]
        return count

    def pending(self, limit: int, after: int = 0) -> list[Envelope]:
        """The oldest that are not acknowledged, in order; `after` skips those already under way."""
        rows = self._database.query(
            "SELECT outbox.verdict, message.raw, meter.kid FROM outbox"
            " JOIN verdict ON verdict.id = outbox.verdict JOIN message ON message.id = verdict.message"
            " JOIN chain ON chain.id = message.chain JOIN meter ON meter.id = chain.meter"
            " WHERE outbox.verdict > ? ORDER BY outbox.verdict LIMIT ?",
            (after, limit),
        )
        return [Envelope(verdict, kid, self._envelope(verdict, raw)) for verdict, raw, kid in rows]

    def mark_sent(self, verdicts: Iterable[int]) -> None:
        with self._database.transaction() as connection:
            connection.executemany("DELETE FROM outbox WHERE verdict = ?", [(verdict,) for verdict in verdicts])

    def resend(self, from_ms: int, to_ms: int) -> int:
        """Put back the latest verdicts of a span (from inclusive, to exclusive); how many were not in it."""
        with self._database.transaction() as connection:
            return connection.execute(
                "INSERT OR IGNORE INTO outbox SELECT max(verdict.id) FROM message"
                " JOIN verdict ON verdict.message = message.id"
                " WHERE message.time_ms >= ? AND message.time_ms < ? GROUP BY message.id",
                (from_ms, to_ms),
            ).rowcount

    def _envelope(self, verdict: int, raw: bytes) -> bytes:
        batch = self._batch
        if batch is None or not batch.first <= verdict < batch.first + len(batch.records):
            batch = self._batch = self._load_batch(verdict)
        index = verdict - batch.first
        return messages.encode_envelope(
            {
                f.VERSION: f.PROTOCOL_VERSION,
                f.ENVELOPE_MESSAGE: raw,
                f.ENVELOPE_VERDICT: batch.records[index],
                f.ENVELOPE_BATCH: batch.sealed,
                f.ENVELOPE_INDEX: index,
                f.ENVELOPE_PATH: merkle.path(batch.levels, index),
            }
        )

    def _load_batch(self, verdict: int) -> "_Batch":
        ((first, count, judged_ms, sealed),) = self._database.query(
            "SELECT first_verdict, count, judged_ms, sealed FROM batch WHERE first_verdict <= ?"
            " ORDER BY first_verdict DESC LIMIT 1",
            (verdict,),
        )
        rows = self._database.query(
            "SELECT meter.thumbprint, chain.epoch, message.sequence, message.hash, opinion.encoded,"
            " verdict.uncertainty FROM verdict"
            " JOIN opinion ON opinion.id = verdict.opinion JOIN message ON message.id = verdict.message"
            " JOIN chain ON chain.id = message.chain JOIN meter ON meter.id = chain.meter"
            " WHERE verdict.id >= ? AND verdict.id < ? ORDER BY verdict.id",
            (first, first + count),
        )
        leaves = [
            record(Parts(thumbprint, epoch, sequence, hash_, judged_ms, opinion, uncertainty))
            for thumbprint, epoch, sequence, hash_, opinion, uncertainty in rows
        ]
        return _Batch(first, leaves, sealed, merkle.tree(leaves))


@dataclass(frozen=True, slots=True)
class _Batch:
    first: int
    records: list[bytes]
    sealed: bytes
    levels: list[list[bytes]]

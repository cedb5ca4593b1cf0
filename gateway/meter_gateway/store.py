"""Everything the gateway keeps, behind one small interface: a store for fleets would stand behind the same.

`commit` is the only way in for what arrived. One transaction holds the original bytes, the verdicts and their
signed batch, the outbox rows, the chains' states and receipts, the refused bytes and the counters. Either all
of it is durable, or nothing happened and StoreUnavailable says why.
"""

import fcntl
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, NamedTuple

from meter_gateway.archive import Archive
from meter_gateway.database import Database, Row, StoreError, StoreUnavailable
from meter_gateway.model import BudgetRecord, Rejection
from meter_gateway.outbox import Outbox
from meter_gateway.registry import Registry
from meter_gateway.verify import Key
from meter_protocol import types as t

__all__ = ["ChainRow", "Commit", "Limits", "MessageRow", "Store", "StoreError", "StoreUnavailable"]

_MAX_HELD = 8192
"""Opinions, and budget records, that are remembered to be in the store."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what strangers can make the gateway keep."""

    rejected_count: int = 1000
    rejected_bytes: int = 1 << 20
    unknown_identities: int = 256
    unknown_identities_per_peer: int = 8


class ChainRow(NamedTuple):
    """A chain as it is after a commit group, in the order of the schema's columns."""

    id: int
    meter: int
    epoch: bytes
    next_sequence: int
    head_sequence: int | None
    head_hash: bytes | None
    state: bytes | None
    receipt: bytes | None


class MessageRow(NamedTuple):
    """A stored message, for judging it or what comes after it."""

    id: int
    sequence: int
    type: int
    received_ms: int
    hash: bytes
    raw: bytes


class JudgedRow(NamedTuple):
    """A stored message and its latest verdict."""

    message: MessageRow
    revision: int
    opinion: int
    encoded: bytes
    """The opinion itself (records.py)."""

    uncertainty: bytes | None
    """None in a verdict from before there was any."""


@dataclass(slots=True)
class Commit:
    """What one commit group adds; rows are in the order of the schema's columns.

    The ids of new rows count up from `first_message`, `first_verdict`, `first_chain` and `first_opinion`.
    """

    first_message: int
    first_verdict: int
    first_chain: int
    first_opinion: int
    begun_chains: int = 0
    messages: list[Row] = field(default_factory=list)
    verdicts: list[Row] = field(default_factory=list)
    opinions: list[tuple[int, bool, bytes]] = field(default_factory=list)
    budgets: dict[bytes, bytes] = field(default_factory=dict)
    """Records by their SHA-256."""

    batch: Row | None = None
    chains: list[ChainRow] = field(default_factory=list)
    gaps: list[tuple[int, int, int | None]] = field(default_factory=list)
    forks: list[tuple[int, int, int, str, bytes, bytes]] = field(default_factory=list)
    """(chain, sequence, received_ms, peer, hash, raw)"""
    rejected: list[Rejection] = field(default_factory=list)
    identities: list[tuple[Key, bytes, str, int]] = field(default_factory=list)
    """(key, raw, peer, received_ms) of identities nobody has enrolled"""
    unknown_by_kid: Counter[bytes] = field(default_factory=Counter)
    counters: Counter[str] = field(default_factory=Counter)


class Store:
    """The store of one gateway; its parts say what can be asked: `registry`, `archive`, `outbox`."""

    def __init__(self, path: Path, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self.database = Database(path)
        self.registry = Registry(
            self.database, self._limits.unknown_identities, self._limits.unknown_identities_per_peer
        )
        self.archive = Archive(self.database)
        self.outbox = Outbox(self.database)
        self._lock_file: IO[bytes] | None = None
        # What is surely held, so that a commit does not ask for it or write it again.
        self._opinion_ids: dict[bytes, int] = {}
        self._held_budgets: set[bytes] = set()

    def claim(self) -> None:
        """Be the one process that takes messages in; a second one would give the same ids again."""
        path = self.database.path
        lock_file = path.with_name(path.name + ".lock").open("ab")
        try:
            fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock_file.close()
            raise StoreError(
                "store_in_use", f"store {path}: another gateway uses it; end that one first"
            ) from error
        self._lock_file = lock_file

    def close(self) -> None:
        self.database.close()
        if self._lock_file is not None:
            self._lock_file.close()
            self._lock_file = None

    # What ingest asks about chains

    def chain(self, meter: int, epoch: bytes) -> ChainRow | None:
        rows = self.database.query(
            "SELECT id, meter, epoch, next_sequence, head_sequence, head_hash, state, receipt FROM chain"
            " WHERE meter = ? AND epoch = ?",
            (meter, epoch),
        )
        return ChainRow(*rows[0]) if rows else None

    def gaps(self, chain: int) -> list[tuple[int, int | None]]:
        """(first, last) of what the meter attested never to come; last None: up to the next stored message."""
        return [
            (first, last)
            for first, last in self.database.query(
                "SELECT first_sequence, last_sequence FROM attested_gap WHERE chain = ?", (chain,)
            )
        ]

    def stored_hash(self, chain: int, sequence: int) -> bytes | None:
        rows = self.database.query("SELECT hash FROM message WHERE chain = ? AND sequence = ?", (chain, sequence))
        return rows[0][0] if rows else None

    def lowest_parked(self, chain: int, next_sequence: int) -> int | None:
        ((sequence,),) = self.database.query(
            "SELECT min(sequence) FROM message WHERE chain = ? AND sequence >= ?", (chain, next_sequence)
        )
        return sequence  # type: ignore[no-any-return]

    def has_fork(self, chain: int, sequence: int, hash_: bytes) -> bool:
        return bool(
            self.database.query(
                "SELECT 1 FROM fork WHERE chain = ? AND sequence = ? AND hash = ?", (chain, sequence, hash_)
            )
        )

    def messages_of(self, chain: int, first: int, before: int | None = None) -> list[MessageRow]:
        """What is stored of a chain from the sequence `first` on, in order."""
        rows = self.database.query(
            "SELECT id, sequence, type, received_ms, hash, raw FROM message WHERE chain = ? AND sequence >= ?"
            " AND (? IS NULL OR sequence < ?) ORDER BY sequence",
            (chain, first, before, before),
        )
        return [MessageRow(*row) for row in rows]

    # What judging again asks

    def judged_chains(self) -> list[tuple[int, bytes, bytes, int]]:
        """(id, thumbprint, epoch, judged messages) of every chain."""
        return self.database.query(
            "SELECT chain.id, meter.thumbprint, chain.epoch, (SELECT count(*) FROM message JOIN verdict"
            "  ON verdict.message = message.id AND verdict.revision = 0 WHERE message.chain = chain.id)"
            " FROM chain JOIN meter ON meter.id = chain.meter ORDER BY chain.id"
        )

    def judged_of(self, chain: int, first: int, limit: int) -> list[JudgedRow]:
        """The messages of a chain that have a verdict, from the sequence `first` on, in order."""
        rows = self.database.query(
            "SELECT message.id, sequence, type, received_ms, hash, raw, revision, opinion.id, encoded,"
            " uncertainty"
            " FROM message JOIN verdict ON verdict.id ="
            "  (SELECT id FROM verdict WHERE verdict.message = message.id ORDER BY revision DESC LIMIT 1)"
            " JOIN opinion ON opinion.id = verdict.opinion"
            " WHERE chain = ? AND sequence >= ? ORDER BY sequence LIMIT ?",
            (chain, first, limit),
        )
        return [JudgedRow(MessageRow(*row[:6]), *row[6:]) for row in rows]

    # What ingest adds

    def new_commit(self) -> Commit:
        (last_ids,) = self.database.query(
            "SELECT (SELECT coalesce(max(id), 0) FROM message), (SELECT coalesce(max(id), 0) FROM verdict),"
            " (SELECT coalesce(max(id), 0) FROM chain), (SELECT coalesce(max(id), 0) FROM opinion)"
        )
        return Commit(*(last_id + 1 for last_id in last_ids))

    def opinion_id(self, change: Commit, accepted: bool, encoded: bytes) -> int:
        """The id of an opinion, which becomes part of this commit if it was never held before."""
        held = self._opinion_ids.get(encoded)
        if held is not None:
            return held
        for number, _, known in change.opinions:
            if known == encoded:
                return number
        rows = self.database.query("SELECT id FROM opinion WHERE encoded = ?", (encoded,))
        if rows:
            return self._hold_opinion(encoded, rows[0][0])
        change.opinions.append((change.first_opinion + len(change.opinions), accepted, encoded))
        return change.opinions[-1][0]

    def add_budget(self, change: Commit, budget: BudgetRecord) -> None:
        """It becomes part of this commit if it was never held before."""
        if budget.digest not in self._held_budgets:
            change.budgets[budget.digest] = budget.encoded

    def _hold_opinion(self, encoded: bytes, number: int) -> int:
        if len(self._opinion_ids) >= _MAX_HELD:
            self._opinion_ids.clear()
        self._opinion_ids[encoded] = number
        return number

    def _hold_budgets(self, digests: Iterable[bytes]) -> None:
        if len(self._held_budgets) >= _MAX_HELD:
            self._held_budgets.clear()
        self._held_budgets.update(digests)

    def commit(self, change: Commit) -> None:
        """Durable when it returns."""
        if self._lock_file is None:
            raise RuntimeError("claim the store before committing to it")
        with self.database.transaction() as connection:
            connection.executemany("INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?)", change.messages)
            connection.executemany("INSERT INTO opinion VALUES (?, ?, ?)", change.opinions)
            connection.executemany("INSERT OR IGNORE INTO budget VALUES (?, ?)", list(change.budgets.items()))
            connection.executemany("INSERT INTO verdict VALUES (?, ?, ?, ?, ?)", change.verdicts)
            connection.execute("INSERT INTO outbox SELECT id FROM verdict WHERE id >= ?", (change.first_verdict,))
            if change.batch is not None:
                connection.execute("INSERT INTO batch VALUES (?, ?, ?, ?)", change.batch)
            connection.executemany("INSERT OR REPLACE INTO chain VALUES (?, ?, ?, ?, ?, ?, ?, ?)", change.chains)
            self._add_exceptions(connection, change)
        for number, _, encoded in change.opinions:
            self._hold_opinion(encoded, number)
        self._hold_budgets(change.budgets)

    def renew_state(self, chain: int, next_sequence: int, state: bytes) -> bool:
        """Whether the chain is where this state is, and its own was another."""
        with self.database.transaction() as connection:
            done = connection.execute(
                "UPDATE chain SET state = ? WHERE id = ? AND head_sequence + 1 = ? AND state IS NOT ?",
                (state, chain, next_sequence, state),
            )
            return done.rowcount > 0

    def _add_exceptions(self, connection: sqlite3.Connection, change: Commit) -> None:
        """What is empty in nearly every group."""
        connection.executemany("INSERT OR REPLACE INTO attested_gap VALUES (?, ?, ?)", change.gaps)
        connection.executemany(
            "INSERT OR IGNORE INTO fork (chain, sequence, received_ms, peer, hash, raw) VALUES (?, ?, ?, ?, ?, ?)",
            change.forks,
        )
        for key, raw, peer, received_ms in change.identities:
            self.registry.note_identity(connection, key, raw, peer, received_ms)
        if change.unknown_by_kid:
            self.registry.count_unknown(connection, change.unknown_by_kid)
        if change.rejected:
            self._keep_rejected(connection, change.rejected)
        connection.executemany(
            "INSERT INTO counter VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
            list(change.counters.items()),
        )

    def _keep_rejected(self, connection: sqlite3.Connection, rejected: Sequence[Rejection]) -> None:
        """The ring: the newest ones within the bounds on count and bytes; larger bytes keep their beginning."""
        connection.executemany(
            "INSERT INTO rejected (received_ms, peer, reason, size, raw) VALUES (?, ?, ?, ?, ?)",
            [
                (entry.received_ms, entry.peer, entry.reason, len(entry.raw), entry.raw[: t.MAX_MESSAGE])
                for entry in rejected[-self._limits.rejected_count or len(rejected) :]
            ],
        )
        connection.execute(
            "DELETE FROM rejected WHERE id <= (SELECT max(id) FROM"
            " (SELECT id, row_number() OVER newest AS number, sum(length(raw)) OVER newest AS bytes"
            "  FROM rejected WINDOW newest AS (ORDER BY id DESC)) WHERE number > ? OR bytes > ?)",
            (self._limits.rejected_count, self._limits.rejected_bytes),
        )

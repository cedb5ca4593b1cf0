"""Which keys the gateway knows: enrolled meters, identities that nobody has enrolled, forks, revocations.

Every change raises the registry's version in the same transaction, so that a running gateway notices what the
command line did. Bytes under an unknown key are never stored, except a self-signed identity message: bounded
per peer and in all, the oldest of whoever has most making room, so that one peer cannot hide another's meter.
"""

import sqlite3
from dataclasses import dataclass

from meter_gateway.database import Database, Row, StoreError
from meter_gateway.verify import Key, verify_identity
from meter_protocol import fields as f
from meter_protocol import types as t

BY_THUMBPRINT = "thumbprint"
BY_MAKER = "maker"
BY_WITNESS = "witness"
"""The key is the gateway's own: what it signs, the gateway has read (witness/)."""


@dataclass(frozen=True, slots=True)
class Meter:
    """An enrolled meter. `barred`: it has an unresolved fork, so nothing of it is accepted."""

    id: int
    key: Key
    serial: str
    maker: str
    model: str
    identity: bytes
    enrolled_ms: int
    enrolled_by: str
    revocation_reason: str | None
    barred: bool

    @property
    def is_witnessed(self) -> bool:
        return self.enrolled_by == BY_WITNESS


@dataclass(frozen=True, slots=True)
class UnknownIdentity:
    """A self-signed identity message under a key that nobody has enrolled."""

    thumbprint: bytes
    kid: bytes
    peer: str
    first_ms: int
    last_ms: int
    messages: int
    raw: bytes


@dataclass(frozen=True, slots=True)
class Fork:
    """A second message under a sequence number; the first is in the archive."""

    id: int
    thumbprint: bytes
    epoch: bytes
    sequence: int
    received_ms: int
    peer: str
    hash: bytes
    raw: bytes
    resolved_ms: int | None
    resolution: str | None


class Registry:
    """Reads and changes what the gateway knows about keys."""

    def __init__(self, database: Database, most_unknown: int, most_unknown_per_peer: int) -> None:
        self._database = database
        self._most_unknown = most_unknown
        self._most_unknown_per_peer = most_unknown_per_peer

    def version(self) -> int:
        rows = self._database.query("SELECT value FROM counter WHERE name = 'registry_version'")
        return rows[0][0] if rows else 0

    def meters(self) -> list[Meter]:
        return [_meter(row) for row in self._database.query(_METERS + " ORDER BY id")]

    def meter(self, thumbprint: bytes) -> Meter | None:
        rows = self._database.query(_METERS + " WHERE thumbprint = ?", (thumbprint,))
        return _meter(rows[0]) if rows else None

    def witnessed(self) -> frozenset[bytes]:
        """Thumbprints of the gateway's own meters, whatever became of them."""
        rows = self._database.query("SELECT thumbprint FROM meter WHERE enrolled_by = ?", (BY_WITNESS,))
        return frozenset(thumbprint for (thumbprint,) in rows)

    def enrol(self, identity: bytes, enrolled_by: str, now_ms: int) -> Meter:
        """Trust the key of this self-signed identity message; Rejected if it is not one.

        That its thumbprint was compared, or a trusted maker's certificate checked, is the caller's to know.
        """
        key, verified = verify_identity(identity)
        with self._database.transaction() as connection:
            for (thumbprint,) in connection.execute("SELECT thumbprint FROM meter WHERE kid = ?", (key.kid,)):
                if thumbprint == key.thumbprint:
                    raise StoreError("already_enrolled", f"meter {thumbprint.hex()} is enrolled already")
                raise StoreError(
                    "kid_collision",
                    f"kid {key.kid.hex()} belongs to meter {thumbprint.hex()}; the new meter needs another key",
                )
            connection.execute(
                "INSERT INTO meter (thumbprint, kid, cose_key, serial, maker, model, identity, enrolled_ms,"
                " enrolled_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    key.thumbprint,
                    key.kid,
                    key.cose_key,
                    verified.fields[f.SERIAL],
                    verified.fields[f.MAKER],
                    verified.fields[f.MODEL],
                    identity,
                    now_ms,
                    enrolled_by,
                ),
            )
            connection.execute("DELETE FROM unknown_identity WHERE thumbprint = ?", (key.thumbprint,))
            _raise_version(connection)
        (row,) = self._database.query(_METERS + " WHERE thumbprint = ?", (key.thumbprint,))
        return _meter(row)

    def revoke(self, thumbprint: bytes, reason: str, now_ms: int) -> None:
        """Refuse whatever this key signs from now on. The cut is witnessed by what its chains hold already."""
        with self._database.transaction() as connection:
            changed = connection.execute(
                "UPDATE meter SET revoked_ms = ?, revocation_reason = ?"
                " WHERE thumbprint = ? AND revoked_ms IS NULL",
                (now_ms, reason, thumbprint),
            )
            if not changed.rowcount:
                raise StoreError("not_enrolled", f"no meter {thumbprint.hex()} is enrolled and not yet revoked")
            _raise_version(connection)

    def unknown_identities(self) -> list[UnknownIdentity]:
        rows = self._database.query(
            "SELECT thumbprint, kid, peer, first_ms, last_ms, messages, raw FROM unknown_identity"
            " ORDER BY last_ms DESC"
        )
        return [UnknownIdentity(*row) for row in rows]

    def forks(self) -> list[Fork]:
        rows = self._database.query(
            "SELECT fork.id, thumbprint, epoch, sequence, received_ms, peer, hash, raw, resolved_ms, resolution"
            " FROM fork JOIN chain ON chain.id = fork.chain JOIN meter ON meter.id = chain.meter ORDER BY fork.id"
        )
        return [Fork(*row) for row in rows]

    def resolve_fork(self, fork_id: int, resolution: str, now_ms: int) -> None:
        """An engineer found out what happened and says so; without unresolved forks a meter is free again."""
        with self._database.transaction() as connection:
            changed = connection.execute(
                "UPDATE fork SET resolved_ms = ?, resolution = ? WHERE id = ? AND resolved_ms IS NULL",
                (now_ms, resolution, fork_id),
            )
            if not changed.rowcount:
                raise StoreError("no_such_fork", f"there is no unresolved fork {fork_id}")
            _raise_version(connection)

    def note_identity(self, connection: sqlite3.Connection, key: Key, raw: bytes, peer: str, now_ms: int) -> None:
        """Keep an identity nobody has enrolled, within the bounds; part of the caller's transaction."""
        seen = connection.execute(
            "UPDATE unknown_identity SET last_ms = ?, peer = ? WHERE thumbprint = ?",
            (now_ms, peer, key.thumbprint),
        )
        if seen.rowcount:
            return
        connection.execute(
            "INSERT INTO unknown_identity VALUES (?, ?, ?, ?, ?, 0, ?)",
            (key.thumbprint, key.kid, peer, now_ms, now_ms, raw),
        )
        connection.execute(_TRIM_PEER, (peer, self._most_unknown_per_peer))
        connection.execute(_TRIM_ALL, (self._most_unknown,))

    def count_unknown(self, connection: sqlite3.Connection, messages_by_kid: dict[bytes, int]) -> None:
        connection.executemany(
            "UPDATE unknown_identity SET messages = messages + ? WHERE kid = ?",
            [(count, kid) for kid, count in messages_by_kid.items()],
        )


_METERS = (
    "SELECT id, cose_key, revoked_ms, serial, maker, model, identity, enrolled_ms, enrolled_by, revocation_reason,"
    " EXISTS (SELECT 1 FROM fork JOIN chain ON chain.id = fork.chain"
    "         WHERE chain.meter = meter.id AND fork.resolved_ms IS NULL)"
    " FROM meter"
)
_TRIM_PEER = (
    "DELETE FROM unknown_identity WHERE thumbprint IN"
    " (SELECT thumbprint FROM unknown_identity WHERE peer = ? ORDER BY last_ms DESC LIMIT -1 OFFSET ?)"
)
_TRIM_ALL = (
    "DELETE FROM unknown_identity WHERE thumbprint IN"
    " (SELECT thumbprint FROM unknown_identity AS u ORDER BY"
    "  (SELECT count(*) FROM unknown_identity WHERE peer = u.peer AND last_ms >= u.last_ms), last_ms DESC"
    "  LIMIT -1 OFFSET ?)"
)
"""Each peer's newest come first, then each peer's second newest, and so on: what exceeds the bound is the most
crowded peer's oldest."""


def _meter(row: Row) -> Meter:
    id_, cose_key, revoked_ms, serial, maker, model, identity, enrolled_ms, enrolled_by, reason, barred = row
    key = Key.of(cose_key, t.ROLE_METER, revoked_ms)
    return Meter(id_, key, serial, maker, model, identity, enrolled_ms, enrolled_by, reason, bool(barred))


def _raise_version(connection: sqlite3.Connection) -> None:
    connection.execute(
        "INSERT INTO counter VALUES ('registry_version', 1) ON CONFLICT (name) DO UPDATE SET value = value + 1"
    )

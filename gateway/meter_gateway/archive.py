"""Finding what is stored: messages with their latest verdict, chains, refused bytes, counters. Reads only."""

from dataclasses import dataclass

from meter_gateway import decode, records
from meter_gateway.database import Database, Row
from meter_gateway.model import Fields, Rejection, Verified
from meter_gateway.registry import Meter
from meter_gateway.traceability import ChainState, StateError
from meter_protocol import types as t


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """An authentic message as it was received; `verdict` is its latest, None while it is parked."""

    id: int
    thumbprint: bytes
    epoch: bytes
    sequence: int
    time_ms: int
    received_ms: int
    typ: str
    hash: bytes
    raw: bytes
    verdict: Fields | None

    def verified(self) -> Verified:
        """The message as it was when it had been verified: only authentic messages are stored."""
        fields = decode.decode(self.typ, decode.split(self.raw).payload)
        return Verified(self.raw, self.typ, self.thumbprint, fields, self.hash)


@dataclass(frozen=True, slots=True)
class StoredChain:
    """How far a meter's chain is: judged up to `head_sequence`, waiting for `next_sequence`."""

    thumbprint: bytes
    epoch: bytes
    next_sequence: int
    head_sequence: int | None
    head_hash: bytes | None
    messages: int
    parked: int
    receipt: bytes | None


class Archive:
    """Questions about what the gateway has stored."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def messages(
        self,
        thumbprint: bytes | None = None,
        from_ms: int | None = None,
        to_ms: int | None = None,
        types: tuple[str, ...] = t.CHAIN_TYPES,
        limit: int = 1000,
        newest_first: bool = False,
    ) -> list[StoredMessage]:
        """Messages by time (from inclusive, to exclusive), of one meter or of all."""
        conditions, arguments = _conditions(thumbprint, from_ms, to_ms, types)
        order = "DESC" if newest_first else "ASC"
        rows = self._database.query(
            f"{_MESSAGES} {_LATEST_VERDICT} WHERE {conditions}"
            f" ORDER BY message.time_ms {order}, message.id {order} LIMIT ?",
            (*arguments, limit),
        )
        return [_message(row) for row in rows]

    def count(
        self,
        thumbprint: bytes | None = None,
        from_ms: int | None = None,
        to_ms: int | None = None,
        types: tuple[str, ...] = t.CHAIN_TYPES,
    ) -> int:
        """How many `messages` there are, without a limit."""
        conditions, arguments = _conditions(thumbprint, from_ms, to_ms, types)
        ((count,),) = self._database.query(f"{_COUNT} WHERE {conditions}", arguments)
        return int(count)

    def message(self, thumbprint: bytes, epoch: bytes, sequence: int) -> StoredMessage | None:
        """The one message at this place in a meter's chain."""
        rows = self._database.query(
            f"{_MESSAGES} {_LATEST_VERDICT}"
            " WHERE meter.thumbprint = ? AND chain.epoch = ? AND message.sequence = ?",
            (thumbprint, epoch, sequence),
        )
        return _message(rows[0]) if rows else None

    def verdicts(self, message_id: int) -> list[Fields]:
        """All revisions, oldest first."""
        rows = self._database.query(
            f"{_MESSAGES} JOIN verdict ON verdict.message = message.id"
            " JOIN opinion ON opinion.id = verdict.opinion WHERE message.id = ? ORDER BY verdict.revision",
            (message_id,),
        )
        return [verdict for row in rows if (verdict := _message(row).verdict) is not None]

    def budget(self, digest: bytes) -> bytes | None:
        """The budget record that verdicts name by this SHA-256 (SPEC §8.7)."""
        rows = self._database.query("SELECT record FROM budget WHERE digest = ?", (digest,))
        return rows[0][0] if rows else None

    def chains(self, thumbprint: bytes | None = None) -> list[StoredChain]:
        rows = self._database.query(
            "SELECT meter.thumbprint, epoch, next_sequence, head_sequence, head_hash,"
            " (SELECT count(*) FROM message WHERE chain = chain.id),"
            " (SELECT count(*) FROM message WHERE chain = chain.id AND sequence >= next_sequence), receipt"
            " FROM chain JOIN meter ON meter.id = chain.meter"
            " WHERE ? IS NULL OR meter.thumbprint = ? ORDER BY chain.id",
            (thumbprint, thumbprint),
        )
        return [StoredChain(*row) for row in rows]

    def latest_state(self, meter: Meter) -> ChainState | None:
        """What the meter's latest chain has taught; None before its first message, or if only ingest can tell."""
        rows = self._database.query(
            "SELECT state FROM chain WHERE meter = ? AND state IS NOT NULL ORDER BY id DESC LIMIT 1", (meter.id,)
        )
        try:
            state = ChainState.loads(rows[0][0]) if rows else None
        except StateError:
            return None
        if state is not None:
            state.is_witnessed = meter.is_witnessed
        return state

    def rejected(self, limit: int = 1000) -> list[Rejection]:
        """The ring of refused bytes, newest first."""
        rows = self._database.query(
            "SELECT raw, peer, received_ms, reason FROM rejected ORDER BY id DESC LIMIT ?", (limit,)
        )
        return [Rejection(*row) for row in rows]

    def counters(self) -> dict[str, int]:
        """Since the store was made: `duplicates`, and `rejected.<reason>` for every reason that occurred."""
        return dict(
            self._database.query("SELECT name, value FROM counter WHERE name <> 'registry_version' ORDER BY name")
        )


_COUNT = "SELECT count(*) FROM message JOIN chain ON chain.id = message.chain JOIN meter ON meter.id = chain.meter"


def _conditions(
    thumbprint: bytes | None, from_ms: int | None, to_ms: int | None, types: tuple[str, ...]
) -> tuple[str, tuple[int | bytes, ...]]:
    """SQL and its arguments."""
    wanted = ",".join(str(t.CHAIN_TYPES.index(typ)) for typ in types)
    asked = {
        "meter.thumbprint = ?": thumbprint,
        "message.time_ms >= ?": from_ms,
        "message.time_ms < ?": to_ms,
    }
    given = {condition: argument for condition, argument in asked.items() if argument is not None}
    return " AND ".join([f"message.type IN ({wanted})", *given]), tuple(given.values())


_MESSAGES = (
    "SELECT message.id, meter.thumbprint, chain.epoch, message.sequence, message.time_ms, message.received_ms,"
    " message.type, message.hash, message.raw, opinion.encoded, verdict.uncertainty,"
    " (SELECT judged_ms FROM batch WHERE first_verdict <= verdict.id ORDER BY first_verdict DESC LIMIT 1)"
    " FROM message JOIN chain ON chain.id = message.chain JOIN meter ON meter.id = chain.meter"
)
_LATEST_VERDICT = (
    "LEFT JOIN verdict ON verdict.id ="
    " (SELECT id FROM verdict WHERE verdict.message = message.id ORDER BY revision DESC LIMIT 1)"
    " LEFT JOIN opinion ON opinion.id = verdict.opinion"
)


def _message(row: Row) -> StoredMessage:
    id_, thumbprint, epoch, sequence, time_ms, received_ms, kind, hash_, raw, opinion, uncertainty, judged_ms = row
    verdict = None
    if opinion is not None:
        verdict = records.fields_of(
            records.Parts(thumbprint, epoch, sequence, hash_, judged_ms, opinion, uncertainty)
        )
    typ = t.CHAIN_TYPES[kind]
    return StoredMessage(id_, thumbprint, epoch, sequence, time_ms, received_ms, typ, hash_, raw, verdict)

"""Where the ledger is kept: in the store, or in memory for a command that only reads."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib import resources
from typing import Any, Protocol

from meter_gateway.database import Row, statements
from meter_gateway.store import Store


class Tables(Protocol):
    """Where the ledger is kept: the store's Database, or Memory."""

    def query(self, sql: str, arguments: Sequence[Any] = ()) -> list[Row]: ...
    def transaction(self) -> AbstractContextManager[sqlite3.Connection]: ...


class Memory:
    """Tables for a command that keeps nothing, as the store has them at this moment."""

    def __init__(self, store: Store) -> None:
        self._connection = sqlite3.connect(":memory:", isolation_level=None)
        script = resources.files("meter_gateway").joinpath("schema/v4.sql").read_text()
        for statement in statements(script):
            self._connection.execute(statement)
        # One question, so that both tables are of one moment while a gateway goes on.
        rows = store.database.query(
            "SELECT NULL, chain, rules, next_sequence, state, NULL FROM followed_chain"
            " UNION ALL SELECT 1, chain, channel, span_ms, number, content FROM counted"
        )
        self._connection.executemany(
            "INSERT INTO followed_chain VALUES (?, ?, ?, ?)", [row[1:5] for row in rows if row[0] is None]
        )
        self._connection.executemany(
            "INSERT INTO counted VALUES (?, ?, ?, ?, ?)", [row[1:] for row in rows if row[0] is not None]
        )

    def query(self, sql: str, arguments: Sequence[Any] = ()) -> list[Row]:
        return self._connection.execute(sql, arguments).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        yield self._connection

"""The SQLite file under the store: opened, migrated, one writing transaction at a time, and errors in plain words.

WAL with synchronous = FULL: a commit that returned survives a power cut (NORMAL would lose the last ones). A
reader never waits for the writer. A database of a newer version is refused, because what this version would
write into it may mean something else there.
"""

import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

Row = tuple[Any, ...]

VERSION = 5
_BUSY_S = 5.0
_CACHE_KIB = 16384
_CHECKPOINT_PAGES = 4000
"""16 MiB of log between two checkpoints: fewer page copies and syncs than at SQLite's 1000."""

_LOG_LIMIT = 64 * 1024 * 1024


class StoreError(Exception):
    """Something cannot be done with this store; `reason` is a stable code, the text is for people."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class StoreUnavailable(StoreError):
    """The environment's fault (disk, rights, another process): nothing was changed; trying again may succeed."""


class Database:
    """Safe to use from several threads; the file may be in use by several processes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._write_lock = threading.RLock()
        self._read_lock = threading.Lock()
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        with self.transaction() as connection:
            _migrate(connection, path)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, durable when it returns; StoreUnavailable if it could not be."""
        with self._write_lock:
            connection: sqlite3.Connection | None = None
            try:
                connection = self._writing()
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
            except sqlite3.Error as error:
                self._abandon(connection)
                raise _explained(error, self.path) from error
            except BaseException:
                self._abandon(connection)
                raise

    def query(self, sql: str, arguments: Sequence[Any] = ()) -> list[Row]:
        """All rows of a question, as of the last commit."""
        with self._read_lock:
            try:
                if self._reader is None:
                    self._reader = _connect(self.path)
                    self._reader.execute("PRAGMA query_only = ON")
                return self._reader.execute(sql, arguments).fetchall()
            except sqlite3.Error as error:
                self._reader = None
                raise _explained(error, self.path) from error

    def backup(self, target: Path) -> None:
        """A consistent copy while the gateway runs."""
        with (
            contextlib.closing(_connect(self.path)) as source,
            contextlib.closing(sqlite3.connect(target)) as copy,
        ):
            source.backup(copy)

    def close(self) -> None:
        with self._write_lock, self._read_lock:
            for connection in (self._reader, self._writer):
                if connection is not None:
                    connection.close()
            self._reader = self._writer = None

    def _writing(self) -> sqlite3.Connection:
        if self._writer is None:
            self._writer = _connect(self.path)
        return self._writer

    def _abandon(self, connection: sqlite3.Connection | None) -> None:
        """Closing rolls back; the next use connects anew, because what this one believes may be outdated."""
        self._writer = None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
    connection.execute(f"PRAGMA journal_size_limit = {_LOG_LIMIT}")
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    return connection


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    """From whatever version the file has to ours, in the caller's one transaction."""
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    if found > VERSION:
        raise StoreError(
            "newer_database",
            f"{path} is of version {found} and this gateway knows version {VERSION}; install a newer carbonmeter",
        )
    for version in range(found + 1, VERSION + 1):
        script = resources.files("meter_gateway").joinpath(f"schema/v{version}.sql").read_text()
        for statement in statements(script):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {version}")


def statements(script: str) -> Iterator[str]:
    """One by one: sqlite3.executescript would commit the caller's transaction first."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


_PLAIN = {
    sqlite3.SQLITE_FULL: ("disk_full", "the disk is full; free some space, and the gateway goes on by itself"),
    sqlite3.SQLITE_READONLY: ("read_only", "it cannot be written; give the gateway's user the right to write it"),
    sqlite3.SQLITE_IOERR: ("io_error", "the disk reports an error; look at the system's log"),
    sqlite3.SQLITE_BUSY: ("locked", "another process holds it; end that process or wait for it"),
    sqlite3.SQLITE_CANTOPEN: ("cannot_open", "it cannot be opened; the folder must exist and be writable"),
    sqlite3.SQLITE_CORRUPT: ("corrupt", "it is damaged; restore the last backup, the meters resend what it lacks"),
    sqlite3.SQLITE_NOTADB: ("corrupt", "it is not a database; restore the last backup or correct the path"),
}


def _explained(error: sqlite3.Error, path: Path) -> Exception:
    """What the caller should see: the environment's faults in plain words, our own mistakes as they are."""
    if isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError):
        return error
    # The low byte of SQLite's extended code is its kind of error.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    reason, text = _PLAIN.get(code, ("store_error", str(error)))
    return StoreUnavailable(reason, f"store {path}: {text}")

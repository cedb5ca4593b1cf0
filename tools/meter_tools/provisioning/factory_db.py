"""The maker's record of every board: a SQLite file to which rows are only added.

What a board is, is the state of its newest row. A row `started` is durable before the board is offered anything,
so whatever is interrupted stays marked: a second run finds `started`, asks the board, and completes or fails it.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Literal

from meter_gateway.database import statements
from meter_gateway.texts import Told
from meter_tools.provisioning.settings import SerialSection

VERSION = 1
_BUSY_S = 5.0

State = Literal["started", "complete", "failed", "replaced"]
_COLUMNS = (
    "time_ms, operator, state, thumbprint, serial, model, hardware_id, certificate, record_digest,"
    " parameters_digest, label_digest, note, epoch, sequence, hash"
)


@dataclass(frozen=True, slots=True)
class Happening:
    time_ms: int
    operator: str
    state: State
    thumbprint: bytes
    serial: str
    model: str
    hardware_id: bytes | None = None
    certificate: bytes | None = None
    record_digest: bytes | None = None
    parameters_digest: bytes | None = None
    label_digest: bytes | None = None
    note: str | None = None
    epoch: bytes | None = None
    sequence: int | None = None
    hash: bytes | None = None


class FactoryDb:
    def __init__(self, path: Path, reads_only: bool = False) -> None:
        """`reads_only`: for a dry run. Nothing is made: where nothing is, it is as if an empty one were there."""
        self.path = path
        try:
            if reads_only:
                self._connection = _looked_at(path)
            else:
                self._connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
                self._connection.execute("PRAGMA journal_mode = WAL")
                self._connection.execute("PRAGMA synchronous = FULL")
            self._migrate()
        except sqlite3.Error as error:
            raise _told(error, path) from error

    def close(self) -> None:
        self._connection.close()

    def add(self, happening: Happening) -> None:
        """Durable when it returns."""
        marks = ", ".join("?" * (_COLUMNS.count(",") + 1))
        values = [getattr(happening, name.strip()) for name in _COLUMNS.split(",")]
        try:
            self._connection.execute(f"INSERT INTO happening ({_COLUMNS}) VALUES ({marks})", values)  # noqa: S608
        except sqlite3.Error as error:
            raise _told(error, self.path) from error

    def start(self, happening: Happening) -> None:
        """Likewise; Told if another board has the serial number, although it had none when it was chosen."""
        with self._alone():
            holder = self.holder(happening.serial)
            if holder is not None and holder.thumbprint != happening.thumbprint:
                raise Told("provision.serial_used", serial=happening.serial, thumbprint=holder.thumbprint.hex())
            self.add(happening)

    def newest(self, thumbprint: bytes) -> Happening | None:
        found = self._query("WHERE thumbprint = ? ORDER BY id DESC LIMIT 1", (thumbprint,))
        return found[0] if found else None

    def started(self, thumbprint: bytes) -> Happening | None:
        """What the board was offered last."""
        found = self._query("WHERE thumbprint = ? AND state = 'started' ORDER BY id DESC LIMIT 1", (thumbprint,))
        return found[0] if found else None

    def holder(self, serial: str) -> Happening | None:
        """The newest row of whichever board has this serial number; a replaced one has given it back."""
        found = self._query("WHERE serial = ? ORDER BY id DESC LIMIT 1", (serial,))
        return found[0] if found and found[0].state != "replaced" else None

    def all(self) -> list[Happening]:
        return self._query("ORDER BY id", ())

    def newest_ms(self) -> int | None:
        found: int | None = self._execute("SELECT max(time_ms) FROM happening", ()).fetchone()[0]
        return found

    def next_serial(self, section: SerialSection) -> str:
        """One more than the highest that was ever given out in this form."""
        highest = section.next - 1
        for (serial,) in self._execute("SELECT DISTINCT serial FROM happening", ()).fetchall():
            digits = serial.removeprefix(section.prefix)
            if serial.startswith(section.prefix) and digits.isascii() and digits.isdecimal():
                highest = max(highest, int(digits))
        return f"{section.prefix}{highest + 1:0{section.digits}d}"

    def _query(self, rest: str, arguments: tuple[object, ...]) -> list[Happening]:
        rows = self._execute(f"SELECT {_COLUMNS} FROM happening {rest}", arguments).fetchall()  # noqa: S608
        return [Happening(*row) for row in rows]

    def _execute(self, sql: str, arguments: tuple[object, ...]) -> sqlite3.Cursor:
        try:
            return self._connection.execute(sql, arguments)
        except sqlite3.Error as error:
            raise _told(error, self.path) from error

    def _migrate(self) -> None:
        found = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if found > VERSION:
            self._connection.close()
            raise Told("factory.newer", path=self.path, found=found, known=VERSION)
        if found < VERSION and not self._tables():
            with self._alone():
                self._create()
        if not self._tables() >= {"happening"}:
            raise Told("factory.other", path=self.path)

    def _create(self) -> None:
        """Unless another process was faster."""
        tables = self._tables()
        if tables:
            return
        script = resources.files("meter_tools.provisioning").joinpath("factory_v1.sql").read_text("utf-8")
        for statement in statements(script):
            self._connection.execute(statement)
        self._connection.execute(f"PRAGMA user_version = {VERSION}")

    def _tables(self) -> set[str]:
        found = self._connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return {name for (name,) in found}

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """No other process writes meanwhile; all or nothing."""
        self._execute("BEGIN IMMEDIATE", ())
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._execute("COMMIT", ())


def _looked_at(path: Path) -> sqlite3.Connection:
    """Opened for reading, else in memory.

    The file of a database that nobody has open is all of it, and is taken as it is. Where others have it open
    their log beside it holds what is new, and is read with them.
    """
    if not path.exists() or path.stat().st_size == 0:
        return sqlite3.connect(":memory:", isolation_level=None)
    log = path.with_name(path.name + "-wal")
    alone = "" if log.exists() and log.stat().st_size else "&immutable=1"
    uri = f"{path.absolute().as_uri()}?mode=ro{alone}"
    found = sqlite3.connect(uri, timeout=_BUSY_S, isolation_level=None, uri=True)
    is_made = found.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    return found if is_made else sqlite3.connect(":memory:", isolation_level=None)


def _told(error: sqlite3.Error, path: Path) -> Exception:
    """The environment's faults in one line; our own mistakes as they are."""
    if isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError):
        return error
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code == sqlite3.SQLITE_BUSY:
        return Told("factory.locked", path=path)
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return Told("factory.damaged", path=path)
    return Told("factory.unusable", path=path, problem=str(error))

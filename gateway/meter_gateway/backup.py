"""Backup and restore of the gateway's store.

A backup is SQLite's online copy, consistent while the gateway runs. What the gateway received after it is not
lost: meters keep what was receipted until they need the space. A restored store is marked, so that the gateway
asks every meter for what it lacks (recovery.py). Keys and configuration are files of their own and are not in
the backup: whoever holds a backup can read measurements, not sign as the gateway.
"""

import os
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from meter_gateway.database import VERSION
from meter_gateway.store import Store
from meter_gateway.texts import Told


def back_up(store: Store, target: Path) -> None:
    """A copy that is complete or absent, readable by its owner alone, and never in place of another file."""
    if target.exists():
        raise Told("backup.exists", path=target)
    temporary = target.with_name(target.name + ".part")
    temporary.unlink(missing_ok=True)
    os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        store.database.backup(temporary)
        check(temporary)
        _sync(temporary)
        temporary.rename(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def check(path: Path) -> None:
    """Told if the file is not a whole store of a version that this gateway knows."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.Error as error:
        raise Told("backup.not_a_store", path=path, error=error) from error
    if verdict != "ok":
        raise Told("backup.damaged", path=path, error=verdict)
    if not 0 < version <= VERSION:
        raise Told("backup.version", path=path, version=version, known=VERSION)


def restore(source: Path, target: Path, mark: Path) -> Path | None:
    """Put the backup in the store's place and mark it; where the former store went, if there was one.

    Nothing is deleted: a store that somebody wanted replaced may hold what no backup has. The caller holds
    the store's lock, so no gateway runs.
    """
    check(source)
    incoming = target.with_name(target.name + ".incoming")
    shutil.copyfile(source, incoming)
    incoming.chmod(0o640)
    if os.geteuid() == 0:
        # Restored by root, used by the gateway's own user: whoever owns the state owns the store in it.
        owner = target.parent.stat()
        os.chown(incoming, owner.st_uid, owner.st_gid)
    _sync(incoming)
    # The mark comes first: a crash between the two leaves a gateway that asks without need.
    mark.write_text(f"{source}\n")
    former = None
    if target.exists():
        former = target.with_name(f"{target.name}.before-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}")
        for suffix in ("", "-wal", "-shm"):
            part = Path(f"{target}{suffix}")
            if part.exists():
                part.rename(f"{former}{suffix}")
    incoming.rename(target)
    _sync(target.parent)
    return former


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

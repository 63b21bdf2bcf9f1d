"""Opening the SQLite file of a store: lock, checks, schema. All of this runs in the store's thread.

The file is ours when its ``application_id`` says so; ``user_version`` is the schema's version. A lock
file beside it, held with flock(2) for as long as the store is open, keeps a second gateway out; the
kernel drops it when the process dies, however it dies.
"""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from oto_trio.control.store.sqlite_history import HISTORY_TABLES
from oto_trio.model.errors import StoreError, StoreFileError, StoreFullError, StoreLockedError

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from pathlib import Path

__all__ = [
    "APPLICATION_ID",
    "MIGRATIONS",
    "SCHEMA_VERSION",
    "FileLock",
    "open_database",
    "store_errors",
]

logger = logging.getLogger(__name__)

APPLICATION_ID: Final = 0x4F54_6F31
"""Marks a SQLite file as a store of oto-trio (``PRAGMA application_id``, SQLite file format §1.3.18)."""

SCHEMA_VERSION: Final = 2
"""The schema this version writes, and the newest it reads; older ones are migrated to it."""

BUSY_WAIT_S: Final = 5.0
"""How long SQLite waits when another program, such as a backup, holds the file for a moment."""

_SCHEMA = """
CREATE TABLE documents (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    document BLOB NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT;
CREATE TABLE facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
INSERT INTO facts VALUES ('revision', 0);
"""

_BLOBS = """
CREATE TABLE IF NOT EXISTS blobs (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL,
    expires_at REAL
) STRICT;
CREATE INDEX IF NOT EXISTS blobs_by_end ON blobs (expires_at) WHERE expires_at NOT NULL;
"""
"""A table that files of version 1 have or not."""

MIGRATIONS: Final[Mapping[int, str]] = {1: _BLOBS + HISTORY_TABLES}
"""What makes of a schema of each version the next one; a new file begins with version 1.

All steps that a file needs are one transaction: a crash leaves the old schema or the new one.
"""


@contextmanager
def store_errors(path: Path) -> Generator[None]:
    """Turn SQLite's errors into ours, naming the file and the fix."""
    try:
        yield
    except sqlite3.Error as error:
        raise _translate(error, path) from error


def _translate(error: sqlite3.Error, path: Path) -> StoreError:
    """Say in our words what SQLite says."""
    name: str = getattr(error, "sqlite_errorname", "")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return StoreLockedError(
            f"{path} is held by another program (a backup, or a sqlite3 shell with an open "
            "transaction?); end it, then try again"
        )
    if name == "SQLITE_FULL":
        return StoreFullError(f"the disk that holds {path} is full; free some space")
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return _damaged(path, str(error))
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return StoreFileError(
            f"{path} cannot be opened for writing ({error}); make the file and its folder "
            "writable for the user that runs oto-trio, or choose another --data folder"
        )
    return StoreError(f"{path}: SQLite failed: {error} ({name or type(error).__name__})")


def _damaged(path: Path, detail: str) -> StoreFileError:
    """Describe a file that is no intact database."""
    return StoreFileError(
        f"{path} is damaged or is no SQLite database ({detail}); restore it from a backup, or move "
        "it away to start with an empty store"
    )


class FileLock:
    """The lock file beside a store's file.

    Args:
        path: The store's file.
        own: What else a second gateway can be given, for the message.

    Raises:
        StoreLockedError: Another process holds it.
        StoreFileError: The folder cannot be made or written.
    """

    def __init__(self, path: Path, own: str = "a --data folder of its own") -> None:
        self.path = path.with_name(path.name + ".lock")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreFileError(
                f"{self.path} cannot be made ({error.strerror}); make {path.parent} a folder that "
                f"the user running oto-trio may write to, or give it {own}"
            ) from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(self._fd, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(self._fd)
            raise StoreLockedError(
                f"{path} is in use by another oto-trio (process {holder}); stop that one, or give "
                f"this one {own}"
            ) from error
        os.ftruncate(self._fd, 0)
        os.write(self._fd, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Give the lock up.

        Closing alone would leave it to a process that is being started meanwhile, for as long as that has a duplicate.
        """
        fcntl.flock(self._fd, fcntl.LOCK_UN)
        os.close(self._fd)


def open_database(path: Path) -> sqlite3.Connection:
    """Open, check and if need be create the database. The caller holds the lock.

    Raises:
        StoreError: It cannot be used; the message names the file and the fix.
    """
    try:
        # Entities hold secrets: the file must be private before SQLite writes the first byte to it.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreFileError(
            f"{path} cannot be opened for writing ({error.strerror}); make it a file that the user "
            "running oto-trio may write to, or choose another --data folder"
        ) from error
    with store_errors(path):
        # One connection, used by one thread at a time (the store's limiter), not always the same.
        connection = sqlite3.connect(
            path, timeout=BUSY_WAIT_S, isolation_level=None, check_same_thread=False
        )
    try:
        with store_errors(path):
            _prepare(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _pragma(connection: sqlite3.Connection, text: str) -> object:
    """Run a PRAGMA and give the first value it answers."""
    row: tuple[object, ...] | None = connection.execute(f"PRAGMA {text}").fetchone()
    return None if row is None else row[0]


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Check whose file it is, set how it is written, and create the schema in a new one."""
    application = _pragma(connection, "application_id")
    version = _pragma(connection, "user_version")
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    fresh = not tables and not application and not version
    if not fresh and application != APPLICATION_ID:
        raise StoreFileError(
            f"{path} is a SQLite database of another program; choose another --data folder"
        )
    if not fresh and isinstance(version, int) and version > SCHEMA_VERSION:
        raise StoreFileError(
            f"{path} was written by a newer oto-trio (schema {version}; this one knows "
            f"{SCHEMA_VERSION}); install that version, or restore a backup made before the upgrade"
        )
    if _pragma(connection, "journal_mode=WAL") != "wal":
        raise StoreFileError(
            f"{path} is on a file system without shared memory, which SQLite's write-ahead log "
            "needs; choose a --data folder on a local disk"
        )
    # FULL: COMMIT returns after fsync of the log, so what is acknowledged survives a power cut too.
    _pragma(connection, "synchronous=FULL")
    _pragma(connection, "journal_size_limit=67108864")
    if fresh:
        _migrate(connection, 1, f"{_SCHEMA} PRAGMA application_id={APPLICATION_ID};")
        return
    verdict = _pragma(connection, "quick_check(1)")
    if verdict != "ok":
        raise _damaged(path, str(verdict))
    if isinstance(version, int) and version < SCHEMA_VERSION:
        logger.info("%s: migrating from schema %d to %d", path, version, SCHEMA_VERSION)
        _migrate(connection, version)


def _migrate(connection: sqlite3.Connection, version: int, first: str = "") -> None:
    """Bring a schema from a version to ours, all or nothing."""
    steps = "".join(MIGRATIONS[older] for older in range(max(version, 1), SCHEMA_VERSION))
    connection.executescript(
        f"BEGIN IMMEDIATE; {first} {steps} PRAGMA user_version={SCHEMA_VERSION}; COMMIT;"
    )

"""Everything in the SQLite store, read and written as a whole. All of this runs in the store's thread."""

from __future__ import annotations

import math
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from oto_trio.control.store.base import Blob, Record
from oto_trio.control.store.sqlite_history import read_revisions
from oto_trio.control.store.whole import Whole, past_of, totals_of

if TYPE_CHECKING:
    import sqlite3

    from oto_trio.control.store.history import Revision

__all__ = ["read_whole", "write_whole"]


def read_whole(connection: sqlite3.Connection, latest: int) -> Whole:
    """Read everything; see `CopiedStore.read_whole`."""
    execute = connection.execute
    records = execute("SELECT kind, id, revision, document FROM documents ORDER BY kind, id")
    blobs = execute(
        "SELECT name, value, expires_at FROM blobs WHERE coalesce(expires_at, ?) > ? ORDER BY name",
        (math.inf, datetime.now(UTC).timestamp()),
    )
    revisions = [*reversed(read_revisions(connection, latest, None, sys.maxsize))]
    oldest = revisions[0].revision if revisions else latest + 1
    rows = execute("SELECT revision, kind, id, document FROM past WHERE revision >= ?", (oldest,))
    return Whole(
        latest,
        [Record(*row) for row in records],
        [Blob(*row) for row in blobs],
        past_of(revisions, rows),
    )


def write_whole(connection: sqlite3.Connection, whole: Whole) -> None:
    """Write everything, in the place of all there is, with one COMMIT."""
    execute, many = connection.execute, connection.executemany
    execute("BEGIN IMMEDIATE")
    try:
        for table in ("documents", "blobs", "revisions", "past"):
            execute(f"DELETE FROM {table}")  # noqa: S608 (fixed names)
        many(
            "INSERT INTO documents (kind, id, revision, document) VALUES (?, ?, ?, ?)",
            ((r.kind, r.id, r.revision, r.document) for r in whole.records),
        )
        many(
            "INSERT INTO blobs (name, value, expires_at) VALUES (?, ?, ?)",
            ((b.name, b.value, b.expires_at) for b in whole.blobs),
        )
        many(
            "INSERT INTO revisions (revision, at, actor, request_id, message, changes, size, total) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            ((*_told(r), total) for r, total in totals_of(whole.history)),
        )
        many(
            "INSERT INTO past (revision, kind, id, document) VALUES (?, ?, ?, ?)",
            (
                (revision.revision, kind, entity_id, document)
                for revision, before in whole.history
                for (kind, entity_id), document in before.items()
            ),
        )
        execute("UPDATE facts SET value = ? WHERE name = 'revision'", (whole.revision,))
        execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            execute("ROLLBACK")
        raise


def _told(revision: Revision) -> tuple[object, ...]:
    """Return what is stored of a revision, but the total."""
    origin = revision.origin
    told = (origin.actor, origin.request_id, origin.message)
    return (revision.revision, revision.at, *told, revision.changes, revision.size)

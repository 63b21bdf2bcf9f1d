"""The history of the SQLite store: its tables, and what is written to and read from them.

All of this runs in the store's thread, and what writes inside its transaction.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from oto_trio.control.store.base import Put, Write
from oto_trio.control.store.history import (
    CHANGE_BYTES,
    FORGOTTEN_AT_ONCE,
    Changed,
    Difference,
    HistoryBounds,
    OldRevision,
    Origin,
    Revision,
    Sought,
    check_span,
    forgotten_up_to,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

__all__ = [
    "HISTORY_TABLES",
    "note_revision",
    "read_difference",
    "read_revisions",
    "remember_documents",
]

HISTORY_TABLES: Final = """
CREATE TABLE IF NOT EXISTS revisions (
    revision INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    actor TEXT NOT NULL,
    request_id TEXT NOT NULL,
    message TEXT NOT NULL,
    changes INTEGER NOT NULL,
    size INTEGER NOT NULL,
    total INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS past (
    revision INTEGER NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    document BLOB,
    PRIMARY KEY (revision, kind, id)
) STRICT;
CREATE INDEX IF NOT EXISTS past_by_document ON past (kind, id, revision);
"""
"""Tables that files of version 1 have or not. ``past`` holds what each document was before the revision that changed it."""

_ANY: Final = Sought()


def remember_documents(
    connection: sqlite3.Connection, writes: Sequence[Write], revision: int
) -> None:
    """Keep what documents are before a transaction writes them."""
    connection.executemany(
        "INSERT INTO past VALUES (?1, ?2, ?3, "
        "(SELECT document FROM documents WHERE kind = ?2 AND id = ?3))",
        [(revision, write.kind, write.id) for write in writes if isinstance(write, Put)],
    )
    connection.executemany(
        "INSERT INTO past SELECT ?1, kind, id, document FROM documents WHERE kind = ?2 AND id = ?3",
        [(revision, write.kind, write.id) for write in writes if not isinstance(write, Put)],
    )


def note_revision(
    connection: sqlite3.Connection, revision: int, origin: Origin, bounds: HistoryBounds
) -> None:
    """Keep who made a revision, once its documents are remembered, and forget what is too much."""
    execute = connection.execute
    row: tuple[int, int] | None = execute(
        "SELECT revision, total FROM revisions ORDER BY revision DESC LIMIT 1"
    ).fetchone()
    if row is None or row[0] != revision - 1:
        # A version that keeps no history wrote to the file: what is older leads nowhere.
        execute("DELETE FROM revisions")
        execute("DELETE FROM past WHERE revision < ?", (revision,))
    changes, size = execute(
        "SELECT count(*), coalesce(sum(length(document)), 0) FROM past WHERE revision = ?",
        (revision,),
    ).fetchone()
    size += changes * CHANGE_BYTES
    total = size + (0 if row is None else row[1])
    at = datetime.now(UTC).timestamp()
    execute(
        "INSERT INTO revisions VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (revision, at, origin.actor, origin.request_id, origin.message, changes, size, total),
    )
    rows = execute(
        "SELECT revision, at, total, size FROM revisions ORDER BY revision LIMIT ?",
        (FORGOTTEN_AT_ONCE,),
    )
    latest = OldRevision(revision, at, total, size)
    last = forgotten_up_to((OldRevision(*old) for old in rows), latest, bounds)
    if last is not None:
        execute("DELETE FROM revisions WHERE revision <= ?", (last,))
        execute("DELETE FROM past WHERE revision <= ?", (last,))


def _floor(connection: sqlite3.Connection, latest: int) -> int:
    """Return the oldest revision whose state is known."""
    oldest, newest = connection.execute(
        "SELECT min(revision), max(revision) FROM revisions"
    ).fetchone()
    return latest if newest != latest else oldest - 1


def read_revisions(
    connection: sqlite3.Connection,
    latest: int,
    before: int | None,
    limit: int,
    sought: Sought = _ANY,
) -> Sequence[Revision]:
    """Read some revisions; see `Store.revisions` and `Store.find_revisions`."""
    if _floor(connection, latest) == latest:
        return []
    rows = connection.execute(
        # The keys of `past` begin with the revision: one look at an index for each revision.
        "SELECT revision, at, actor, request_id, message, changes, size FROM revisions "
        "WHERE revision < ?1 AND (?3 IS NULL OR actor = ?3) AND (?4 IS NULL OR at >= ?4) "
        "AND (?5 IS NULL OR at < ?5) AND (?6 IS NULL OR EXISTS (SELECT 1 FROM past "
        "WHERE past.revision = revisions.revision AND kind = ?6 AND (?7 IS NULL OR id = ?7))) "
        "ORDER BY revision DESC LIMIT ?2",
        (
            latest + 1 if before is None else before,
            limit,
            sought.actor,
            sought.since,
            sought.until,
            sought.kind,
            sought.id,
        ),
    )
    return [
        Revision(revision, at, Origin(actor, request_id, message), changes, size)
        for revision, at, actor, request_id, message, changes, size in rows
    ]


def read_difference(
    connection: sqlite3.Connection, latest: int, since: int, until: int | None
) -> Difference:
    """Read what changed; see `Store.difference`."""
    newer = check_span(since, until, _floor(connection, latest), latest)
    # Of a group, SQLite takes the bare columns from the row with the minimum.
    rows = connection.execute(
        """
        WITH first AS (
            SELECT kind, id, document, min(revision) AS first FROM past
            WHERE revision > ?1 AND revision <= ?2 GROUP BY kind, id
        ), last AS (
            SELECT kind, id, max(revision) AS last FROM past
            WHERE revision > ?1 AND revision <= ?2 GROUP BY kind, id
        )
        SELECT first.kind, first.id, first.document,
            CASE WHEN later.revision IS NULL THEN documents.document ELSE later.document END,
            last.last
        FROM first
        JOIN last ON last.kind = first.kind AND last.id = first.id
        LEFT JOIN past AS later ON later.kind = first.kind AND later.id = first.id
            AND later.revision = (
                SELECT min(revision) FROM past
                WHERE kind = first.kind AND id = first.id AND revision > ?2
            )
        LEFT JOIN documents ON documents.kind = first.kind AND documents.id = first.id
        ORDER BY first.kind, first.id
        """,
        (since, newer),
    )
    return Difference(since, newer, tuple(Changed(*row) for row in rows))

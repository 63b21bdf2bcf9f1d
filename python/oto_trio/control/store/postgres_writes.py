"""How a transaction is written to the PostgreSQL store. All of this runs in the thread of a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from oto_trio.control.store.base import (
    Change,
    Delete,
    Put,
    Seen,
    Write,
    check_expectation,
)
from oto_trio.control.store.postgres_history import remember_documents
from oto_trio.control.store.postgres_schema import MOST_MARKS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oto_trio.control.store.postgres_link import Connection

__all__ = ["CHUNK", "apply", "forget_marks"]

CHUNK: Final = 500
"""Documents that are sent to the server in one statement."""


def apply(
    connection: Connection, writes: Sequence[Write], seen: Sequence[Seen], revision: int
) -> tuple[Change, ...]:
    """Check what writes expect, then make them. Runs in the thread, inside a transaction."""
    expecting = [write for write in (*writes, *seen) if write.expect is not None]
    if expecting:
        rows = connection.execute(
            "SELECT kind, id, revision FROM oto_trio.documents "
            "JOIN unnest(%s::text[], %s::text[]) AS wanted (k, i) ON kind = k AND id = i",
            _columns(expecting),
        )
        found = {(kind, entity_id): at for kind, entity_id, at in rows}
        for write in expecting:
            check_expectation(write, found.get((write.kind, write.id)))
    changes: list[Change] = []
    for start in range(0, len(writes), CHUNK):
        some = writes[start : start + CHUNK]
        remember_documents(connection, some, revision)
        changes += _put(connection, [w for w in some if isinstance(w, Put)], revision)
        changes += _delete(connection, [w for w in some if isinstance(w, Delete)], revision)
    return tuple(changes)


def _columns(writes: Sequence[Write | Seen]) -> tuple[list[str], list[str]]:
    """Return the kinds and the ids of writes."""
    return [write.kind for write in writes], [write.id for write in writes]


def _put(connection: Connection, puts: Sequence[Put], revision: int) -> Sequence[Change]:
    """Write documents, and take away the marks of those that were removed before."""
    if not puts:
        return ()
    connection.execute(
        "INSERT INTO oto_trio.documents (kind, id, revision, document) "
        "SELECT k, i, %s, d FROM unnest(%s::text[], %s::text[], %b::bytea[]) AS new (k, i, d) "
        "ON CONFLICT (kind, id) DO UPDATE "
        "SET revision = EXCLUDED.revision, document = EXCLUDED.document",
        (revision, *_columns(puts), [put.document for put in puts]),
    )
    connection.execute(
        "DELETE FROM oto_trio.removed USING unnest(%s::text[], %s::text[]) AS new (k, i) "
        "WHERE kind = k AND id = i",
        _columns(puts),
    )
    return [Change(revision, put.kind, put.id, put.document) for put in puts]


def _delete(connection: Connection, deletes: Sequence[Delete], revision: int) -> Sequence[Change]:
    """Remove documents, and leave a mark of each that was there."""
    if not deletes:
        return ()
    rows = connection.execute(
        "WITH gone AS (DELETE FROM oto_trio.documents "
        "USING unnest(%s::text[], %s::text[]) AS old (k, i) WHERE kind = k AND id = i "
        "RETURNING kind, id) "
        "INSERT INTO oto_trio.removed SELECT kind, id, %s FROM gone ON CONFLICT (kind, id) "
        "DO UPDATE SET revision = EXCLUDED.revision RETURNING kind, id",
        (*_columns(deletes), revision),
    )
    gone = set(rows.fetchall())
    return [Change(revision, d.kind, d.id, None) for d in deletes if (d.kind, d.id) in gone]


def forget_marks(connection: Connection) -> None:
    """Keep the marks of the last removals only; say up to where they were forgotten."""
    row = connection.execute(
        "SELECT revision FROM oto_trio.removed ORDER BY revision DESC LIMIT 1 OFFSET %s",
        [MOST_MARKS],
    ).fetchone()
    if row is None:
        return
    connection.execute("DELETE FROM oto_trio.removed WHERE revision <= %s", [row[0]])
    connection.execute("UPDATE oto_trio.facts SET value = %s WHERE name = 'horizon'", [row[0]])

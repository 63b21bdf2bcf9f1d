"""Everything in the PostgreSQL store, read and written as a whole. All of this runs in the thread of a connection."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from oto_trio.control.store.base import Blob, Record
from oto_trio.control.store.postgres_history import read_revisions
from oto_trio.control.store.postgres_schema import CHANNEL
from oto_trio.control.store.whole import Whole, past_of, totals_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from oto_trio.control.store.history import Revision
    from oto_trio.control.store.postgres_link import Connection

__all__ = ["read_whole", "write_whole"]

WRITE_TIMEOUT_MS: Final = 600_000
"""How long one statement of such a copy may take."""

_MOST: Final = 2**62


def read_whole(connection: Connection) -> Whole:
    """Read everything; see `CopiedStore.read_whole`."""
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    row = connection.execute("SELECT value FROM oto_trio.facts WHERE name = 'revision'").fetchone()
    assert row is not None, "a store has a revision"
    records = connection.execute(
        "SELECT kind, id, revision, document FROM oto_trio.documents ORDER BY kind, id", binary=True
    ).fetchall()
    blobs = connection.execute(
        "SELECT name, value, expires_at FROM oto_trio.blobs "
        "WHERE expires_at IS NULL OR expires_at > %s ORDER BY name",
        [datetime.now(UTC).timestamp()],
        binary=True,
    ).fetchall()
    revisions = [*reversed(read_revisions(connection, None, _MOST))]
    oldest = revisions[0].revision if revisions else _MOST
    past = connection.execute(
        "SELECT revision, kind, id, document FROM oto_trio.past WHERE revision >= %s",
        [oldest],
        binary=True,
    ).fetchall()
    connection.execute("COMMIT")
    return Whole(
        int(row[0]),
        [Record(*record) for record in records],
        [Blob(*blob) for blob in blobs],
        past_of(revisions, past),
    )


def write_whole(connection: Connection, whole: Whole) -> None:
    """Write everything, in the place of all there is, with one COMMIT."""
    connection.execute("BEGIN")
    connection.execute("SELECT set_config('statement_timeout', %s, true)", [str(WRITE_TIMEOUT_MS)])
    connection.execute("SELECT value FROM oto_trio.facts WHERE name = 'revision' FOR UPDATE")
    connection.execute(
        "DELETE FROM oto_trio.documents; DELETE FROM oto_trio.removed; DELETE FROM oto_trio.blobs; "
        "DELETE FROM oto_trio.revisions; DELETE FROM oto_trio.past; DELETE FROM oto_trio.tallies"
    )
    _fill(
        connection,
        ("documents (kind, id, revision, document)", ("text", "text", "int8", "bytea")),
        ((r.kind, r.id, r.revision, r.document) for r in whole.records),
    )
    _fill(
        connection,
        ("blobs (name, value, expires_at)", ("text", "bytea", "float8")),
        ((b.name, b.value, b.expires_at) for b in whole.blobs),
    )
    _fill(
        connection,
        (
            "revisions (revision, at, actor, request_id, message, changes, size, total)",
            ("int8", "float8", "text", "text", "text", "int8", "int8", "int8"),
        ),
        ((*_told(r), total) for r, total in totals_of(whole.history)),
    )
    _fill(
        connection,
        ("past (revision, kind, id, document)", ("int8", "text", "text", "bytea")),
        (
            (revision.revision, kind, entity_id, document)
            for revision, before in whole.history
            for (kind, entity_id), document in before.items()
        ),
    )
    connection.execute(
        "UPDATE oto_trio.facts SET value = %s WHERE name IN ('revision', 'horizon')",
        [whole.revision],
    )
    connection.execute(f"NOTIFY {CHANNEL}".encode())
    connection.execute("COMMIT")


def _fill(
    connection: Connection, table: tuple[str, Sequence[str]], rows: Iterable[tuple[Any, ...]]
) -> None:
    """Write rows into a table; its columns and their types are fixed texts above."""
    columns, types = table
    with connection.cursor() as cursor:
        question = f"COPY oto_trio.{columns} FROM STDIN (FORMAT BINARY)".encode()
        with cursor.copy(question) as copy:
            copy.set_types(types)
            for row in rows:
                copy.write_row(row)


def _told(revision: Revision) -> tuple[object, ...]:
    """Return what is stored of a revision, but the total."""
    origin = revision.origin
    told = (origin.actor, origin.request_id, origin.message)
    return (revision.revision, revision.at, *told, revision.changes, revision.size)

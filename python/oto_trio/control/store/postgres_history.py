"""The history of the PostgreSQL store: its tables, and what is written to and read from them.

All of this runs in the thread of a connection, inside a transaction. Whoever writes holds the row of the
revision, so that no two gateways ever note a revision at the same time.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from oto_trio.control.store.base import Put
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
    from collections.abc import Sequence

    from oto_trio.control.store.base import Write
    from oto_trio.control.store.postgres_link import Connection

__all__ = [
    "HISTORY_TABLES",
    "note_revision",
    "read_difference",
    "read_revisions",
    "remember_documents",
]

HISTORY_TABLES: Final = """
CREATE TABLE IF NOT EXISTS oto_trio.revisions (
    revision bigint PRIMARY KEY,
    at double precision NOT NULL,
    actor text NOT NULL,
    request_id text NOT NULL,
    message text NOT NULL,
    changes bigint NOT NULL,
    size bigint NOT NULL,
    total bigint NOT NULL
);
CREATE TABLE IF NOT EXISTS oto_trio.past (
    revision bigint NOT NULL,
    kind text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    document bytea,
    PRIMARY KEY (revision, kind, id)
);
CREATE INDEX IF NOT EXISTS past_by_document ON oto_trio.past (kind, id, revision);
"""
"""Tables that databases of version 1 have or not. ``past`` holds what each document was before the revision that changed it."""

_ANY: Final = Sought()


def remember_documents(connection: Connection, writes: Sequence[Write], revision: int) -> None:
    """Keep what documents are before a transaction writes them."""
    for join, some in (
        ("LEFT JOIN", [write for write in writes if isinstance(write, Put)]),
        ("JOIN", [write for write in writes if not isinstance(write, Put)]),
    ):
        if some:
            connection.execute(
                "INSERT INTO oto_trio.past SELECT %s, k, i, document "  # noqa: S608 (fixed texts)
                f"FROM unnest(%s::text[], %s::text[]) AS wanted (k, i) {join} oto_trio.documents "
                "ON kind = k AND id = i".encode(),
                (revision, [write.kind for write in some], [write.id for write in some]),
            )


def note_revision(
    connection: Connection, revision: int, origin: Origin, bounds: HistoryBounds
) -> None:
    """Keep who made a revision, once its documents are remembered, and forget what is too much."""
    at = datetime.now(UTC).timestamp()
    row = connection.execute(
        """
        INSERT INTO oto_trio.revisions
        SELECT %(revision)s, %(at)s, %(actor)s, %(request_id)s, %(message)s, changes, size,
            size + coalesce((SELECT total FROM oto_trio.revisions ORDER BY revision DESC LIMIT 1), 0)
        FROM (
            SELECT count(*) AS changes,
                (coalesce(sum(length(document)), 0) + count(*) * %(each)s)::bigint AS size
            FROM oto_trio.past WHERE revision = %(revision)s
        ) AS counted
        RETURNING size, total, (SELECT max(revision) FROM oto_trio.revisions)
        """,
        {
            "revision": revision,
            "at": at,
            "actor": origin.actor,
            "request_id": origin.request_id,
            "message": origin.message,
            "each": CHANGE_BYTES,
        },
    ).fetchone()
    assert row is not None, "an INSERT of one row"
    size, total, newest = row  # the newest is that before the INSERT, which sees what was before it
    if newest != revision - 1:
        # A version that keeps no history wrote to the database: what is older leads nowhere.
        connection.execute("DELETE FROM oto_trio.revisions WHERE revision < %s", [revision])
        connection.execute("DELETE FROM oto_trio.past WHERE revision < %s", [revision])
    rows = connection.execute(
        "SELECT revision, at, total, size FROM oto_trio.revisions ORDER BY revision LIMIT %s",
        [FORGOTTEN_AT_ONCE],
    )
    latest = OldRevision(revision, at, total, size)
    last = forgotten_up_to((OldRevision(*old) for old in rows), latest, bounds)
    if last is not None:
        connection.execute("DELETE FROM oto_trio.revisions WHERE revision <= %s", [last])
        connection.execute("DELETE FROM oto_trio.past WHERE revision <= %s", [last])


def _floor(connection: Connection) -> tuple[int, int]:
    """Return the oldest revision whose state is known, and the latest one."""
    row = connection.execute(
        "SELECT value, (SELECT min(revision) FROM oto_trio.revisions), "
        "(SELECT max(revision) FROM oto_trio.revisions) "
        "FROM oto_trio.facts WHERE name = 'revision'"
    ).fetchone()
    assert row is not None, "a store has a revision"
    latest, oldest, newest = row
    return (latest if newest != latest else oldest - 1), latest


def read_revisions(
    connection: Connection, before: int | None, limit: int, sought: Sought = _ANY
) -> Sequence[Revision]:
    """Read some revisions; see `Store.find_revisions`."""
    floor, latest = _floor(connection)
    if floor == latest:
        return []
    conditions = ["revision < %s"]
    values: list[object] = [latest + 1 if before is None else before]
    wanted = (
        ("actor = %s", sought.actor),
        ("at >= %s", sought.since),
        ("at < %s", sought.until),
    )
    for condition, value in wanted:
        if value is not None:
            conditions.append(condition)
            values.append(value)
    if sought.kind is not None:
        # The keys of `past` begin with the revision: one look at an index for each revision.
        conditions.append(
            "EXISTS (SELECT FROM oto_trio.past WHERE past.revision = revisions.revision AND kind = %s"
            f"{'' if sought.id is None else ' AND id = %s'})"
        )
        values += [sought.kind] if sought.id is None else [sought.kind, sought.id]
    rows = connection.execute(
        "SELECT revision, at, actor, request_id, message, changes, size FROM oto_trio.revisions "  # noqa: S608 (fixed texts)
        f"WHERE {' AND '.join(conditions)} ORDER BY revision DESC LIMIT %s".encode(),
        (*values, limit),
    )
    return [
        Revision(revision, at, Origin(actor, request_id, message), changes, size)
        for revision, at, actor, request_id, message, changes, size in rows
    ]


def read_difference(connection: Connection, since: int, until: int | None) -> Difference:
    """Read what changed; see `Store.difference`."""
    newer = check_span(since, until, *_floor(connection))
    rows = connection.execute(
        """
        SELECT first.kind, first.id, first.document,
            CASE WHEN later.revision IS NULL THEN documents.document ELSE later.document END,
            last.revision
        FROM (
            SELECT DISTINCT ON (kind, id) kind, id, document FROM oto_trio.past
            WHERE revision > %(since)s AND revision <= %(until)s ORDER BY kind, id, revision
        ) AS first
        JOIN (
            SELECT kind, id, max(revision) AS revision FROM oto_trio.past
            WHERE revision > %(since)s AND revision <= %(until)s GROUP BY kind, id
        ) AS last USING (kind, id)
        LEFT JOIN LATERAL (
            SELECT revision, document FROM oto_trio.past
            WHERE kind = first.kind AND id = first.id AND revision > %(until)s
            ORDER BY revision LIMIT 1
        ) AS later ON true
        LEFT JOIN oto_trio.documents AS documents
            ON documents.kind = first.kind AND documents.id = first.id
        ORDER BY first.kind, first.id
        """,
        {"since": since, "until": newer},
        binary=True,
    )
    return Difference(since, newer, tuple(Changed(*row) for row in rows))

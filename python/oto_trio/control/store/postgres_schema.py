"""The tables of the PostgreSQL store, how they are made, and the questions asked of them.

The tables stand in the schema ``oto_trio`` of the database that the url names. ``documents`` holds what is
there, ``removed`` a mark for each document that was removed lately, ``facts`` three numbers: the version of
the schema, the latest revision, and the horizon, up to which marks were forgotten. What changed after a
revision is what has a greater one in ``documents`` or ``removed``; both are small questions of an index.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from oto_trio.control.store.base import Change
from oto_trio.control.store.postgres_history import HISTORY_TABLES
from oto_trio.control.store.postgres_tallies import TALLY_TABLES
from oto_trio.model.errors import StoreError, StoreFileError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from oto_trio.control.store.postgres_link import Connection

__all__ = [
    "CHANNEL",
    "MIGRATIONS",
    "MOST_MARKS",
    "SCHEMA_VERSION",
    "News",
    "prepare",
    "read_news",
]

logger = logging.getLogger(__name__)

SCHEMA_VERSION: Final = 3
"""The schema this version writes, and the newest it reads; older ones are migrated to it."""

CHANNEL: Final = "oto_trio"
"""The channel of NOTIFY that tells other gateways of the database that a revision was written."""

MOST_MARKS: Final = 10_000
"""Marks of removed documents that are kept. A gateway that missed more compares all ids instead."""

_LOCK: Final = 0x4F54_6F31
"""The advisory lock that lets one gateway at a time make the tables."""

_TABLES = """
CREATE SCHEMA IF NOT EXISTS oto_trio;
CREATE TABLE oto_trio.facts (name text PRIMARY KEY, value bigint NOT NULL);
CREATE TABLE oto_trio.documents (
    kind text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    document bytea NOT NULL,
    PRIMARY KEY (kind, id)
);
CREATE INDEX documents_by_revision ON oto_trio.documents (revision);
CREATE TABLE oto_trio.removed (
    kind text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    PRIMARY KEY (kind, id)
);
CREATE INDEX removed_by_revision ON oto_trio.removed (revision);
CREATE TABLE oto_trio.blobs (
    name text COLLATE "C" PRIMARY KEY,
    value bytea NOT NULL,
    expires_at double precision
);
CREATE INDEX blobs_by_end ON oto_trio.blobs (expires_at) WHERE expires_at IS NOT NULL;
INSERT INTO oto_trio.facts VALUES ('schema', 1), ('revision', 0), ('horizon', 0);
"""

MIGRATIONS: Final[Mapping[int, str]] = {1: HISTORY_TABLES, 2: TALLY_TABLES}
"""What makes of a schema of each version the next one; new tables begin with version 1. All steps that a database
needs are one transaction, under the lock."""


class News:
    """What changed after a revision.

    Attributes:
        revision: The latest revision.
        changes: The latest state of each document that changed, in order of revisions.
        there: The keys of all documents, when marks of removed ones are missing; else None.
    """

    def __init__(
        self, revision: int, changes: Sequence[Change], there: set[tuple[str, str]] | None
    ) -> None:
        self.revision = revision
        self.changes = changes
        self.there = there


def prepare(connection: Connection, shown: str) -> tuple[int, set[tuple[str, str]]]:
    """Make the tables when they are missing, and check their version. Runs in a thread.

    Returns:
        The latest revision and the keys of all documents.

    Raises:
        StoreFileError: The database cannot be a store; the message names it and the fix.
    """
    encoding = _value(connection, "SHOW server_encoding")
    if encoding != "UTF8":
        raise StoreFileError(
            f"the encoding of {shown} is {encoding}; make a database with ENCODING 'UTF8' for oto-trio"
        )
    connection.execute("BEGIN")
    connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
    if _value(connection, "SELECT to_regclass('oto_trio.facts')") is None:
        connection.execute(_TABLES)
    version = _value(connection, "SELECT value FROM oto_trio.facts WHERE name = 'schema'")
    if version is None or version > SCHEMA_VERSION:
        raise StoreFileError(
            f"{shown} was written by a newer oto-trio (schema {version}; this one knows "
            f"{SCHEMA_VERSION}); install that version, or restore a backup made before the upgrade"
        )
    for older in range(version, SCHEMA_VERSION):
        logger.info("%s: migrating from schema %d to %d", shown, older, older + 1)
        connection.execute(MIGRATIONS[older].encode())
    if version < SCHEMA_VERSION:
        connection.execute(
            "UPDATE oto_trio.facts SET value = %s WHERE name = 'schema'", [SCHEMA_VERSION]
        )
    connection.execute("COMMIT")
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    revision: int = _value(connection, "SELECT value FROM oto_trio.facts WHERE name = 'revision'")
    keys = read_keys(connection)
    connection.execute("COMMIT")
    return revision, keys


def read_keys(connection: Connection) -> set[tuple[str, str]]:
    """Read the kind and id of every document. Runs in a thread."""
    rows = connection.execute("SELECT kind, id FROM oto_trio.documents", binary=True)
    kinds: dict[str, str] = {}  # one text for each kind, however many documents it has
    return {(kinds.setdefault(kind, kind), entity_id) for kind, entity_id in rows}


def read_news(connection: Connection, since: int, facts: tuple[int, int], shown: str) -> News:
    """Read what changed after a revision, inside a transaction that sees one state. Runs in a thread.

    Args:
        connection: Where to ask.
        since: The revision that is known.
        facts: The latest revision and the horizon, read in the same transaction.
        shown: The store's url, for messages.

    Raises:
        StoreError: The store went back behind what is known.
    """
    revision, horizon = facts
    if revision < since:
        raise StoreError(
            f"{shown} stands at revision {revision}, but stood at {since} before: it was restored, or "
            "lost what it had acknowledged; restart every gateway that uses it"
        )
    if revision == since:
        return News(revision, (), None)
    rows = connection.execute(
        "SELECT revision, kind, id, document FROM oto_trio.documents WHERE revision > %(since)s "
        "UNION ALL SELECT revision, kind, id, NULL FROM oto_trio.removed WHERE revision > %(since)s "
        "ORDER BY 1",
        {"since": since},
        binary=True,
    )
    changes = [Change(*row) for row in rows]
    return News(revision, changes, read_keys(connection) if since < horizon else None)


def _value(connection: Connection, question: str) -> Any:
    """Ask for one value; None when there is none. The question is one of the fixed texts above."""
    row = connection.execute(question.encode()).fetchone()
    return None if row is None else row[0]

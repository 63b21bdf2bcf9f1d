"""The tables of the Cassandra store, and how a store is found or begun in them.

``oto_stores`` names each store of the keyspace and its generation: the name under which its rows stand in all
other tables. A copy makes a new generation, and one conditional write puts it in the place of the old one.

* ``oto_revisions``: one partition. The revision, and one small row for each that is remembered.
* ``oto_bodies``: what transactions changed, in parts of `PART` bytes, each a partition of its own.
* ``oto_documents``: every document, in `BUCKETS` partitions, up to the revision in ``oto_marks``.
* ``oto_blobs``: one partition.
* ``oto_tallies``: a partition for each counter.
"""

from __future__ import annotations

import secrets
import zlib
from typing import TYPE_CHECKING, Final

from oto_trio.model.errors import StoreError, StoreFileError

if TYPE_CHECKING:
    from oto_trio.control.store.cassandra_link import Talk

__all__ = ["BUCKETS", "PART", "SCHEMA_VERSION", "bucket_of", "find_generation", "new_generation"]

SCHEMA_VERSION: Final = 1
"""The schema this version writes, and the newest it reads."""

BUCKETS: Final = 64
"""Partitions that the documents of a store are spread over."""

PART: Final = 512 * 1024
"""Bytes of one part of what a transaction changed, compressed."""

_TABLES: Final = (
    "CREATE TABLE IF NOT EXISTS oto_stores (name text PRIMARY KEY, generation text, version int)",
    """
    CREATE TABLE IF NOT EXISTS oto_revisions (
        store text, revision bigint, head bigint static, floor bigint static,
        base bigint, place int, parts int, attempt text,
        at double, actor text, request_id text, message text,
        changes bigint, size bigint, total bigint,
        PRIMARY KEY ((store), revision)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS oto_bodies (
        store text, base bigint, part int, attempt text, parts int, body blob,
        PRIMARY KEY ((store, base, part), attempt)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS oto_documents (
        store text, bucket int, kind text, id text, revision bigint, document blob,
        PRIMARY KEY ((store, bucket), kind, id)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS oto_marks (
        store text, name text, value bigint, PRIMARY KEY ((store), name)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS oto_tallies (
        store text, counter text, part text, count bigint, ends_at double,
        PRIMARY KEY ((store, counter), part)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS oto_blobs (
        store text, name text, value blob, expires_at double, PRIMARY KEY ((store), name)
    )
    """,
)

_EXISTING: Final = (
    "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ? AND table_name = ?"
)


def bucket_of(kind: str, entity_id: str) -> int:
    """Return the partition that a document is in: the same in every version of oto-trio."""
    return zlib.crc32(f"{kind}/{entity_id}".encode()) % BUCKETS


def new_generation(name: str) -> str:
    """Return a name for the rows of a store that no rows ever had."""
    return f"{name}/{secrets.token_hex(6)}"


def find_generation(talk: Talk, keyspace: str, name: str, shown: str) -> str:
    """Find a store, and begin it when it is missing. In a thread.

    Returns:
        Its generation.

    Raises:
        StoreFileError: It was written by a newer oto-trio.
    """
    # The last table is there when all of them are.
    if not talk.ask(_EXISTING, keyspace, "oto_blobs"):
        for table in _TABLES:
            talk.define(table)
    for _ in range(2):
        rows = talk.ask_serial("SELECT generation, version FROM oto_stores WHERE name = ?", name)
        if rows:
            generation, version = rows[0]
            if version > SCHEMA_VERSION:
                raise StoreFileError(
                    f"{shown} was written by a newer oto-trio (schema {version}; this one knows "
                    f"{SCHEMA_VERSION}); install that version, or restore a backup made before the "
                    "upgrade"
                )
            return str(generation)
        generation = new_generation(name)
        talk.ask(
            "INSERT INTO oto_revisions (store, head, floor) VALUES (?, 0, 1) IF NOT EXISTS",
            generation,
        )
        # Of gateways that begin it at once, one wins; the others find its generation.
        talk.ask(
            "INSERT INTO oto_stores (name, generation, version) VALUES (?, ?, ?) IF NOT EXISTS",
            *(name, generation, SCHEMA_VERSION),
        )
    raise StoreError(f"{shown} can neither be found nor begun; check the rights of the user")

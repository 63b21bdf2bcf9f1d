"""Stores that an older oto-trio left, made by hand as it made them: they are migrated, and hold what they held."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import psycopg
import pytest

from oto_trio.control.store import Record
from oto_trio.control.store import redis_scripts as scripts
from oto_trio.control.store import sqlite_file as file
from oto_trio.control.store.base import Blob, Store
from oto_trio.control.store.postgres import PostgresStore
from oto_trio.control.store.postgres_schema import SCHEMA_VERSION as POSTGRES_SCHEMA
from oto_trio.control.store.redis import RedisStore
from oto_trio.control.store.sqlite import SqliteStore
from oto_trio.control.store.tallies import Tally
from oto_trio.model.errors import StoreError
from tests.integration.stores.redis_server import redis_server

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.stores.postgres_server import PostgresServer

pytestmark = pytest.mark.slow

SQLITE_1 = """
CREATE TABLE documents (
    kind TEXT NOT NULL, id TEXT NOT NULL, revision INTEGER NOT NULL, document BLOB NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT;
CREATE TABLE facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
INSERT INTO facts VALUES ('revision', 7);
INSERT INTO documents VALUES ('routes', 'a', 3, CAST('{"n":1}' AS BLOB));
INSERT INTO documents VALUES ('routes', 'b', 7, CAST('{"n":2}' AS BLOB));
PRAGMA application_id = 0x4F546F31;
PRAGMA user_version = 1;
"""

POSTGRES_1 = """
CREATE SCHEMA oto_trio;
CREATE TABLE oto_trio.facts (name text PRIMARY KEY, value bigint NOT NULL);
CREATE TABLE oto_trio.documents (
    kind text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL,
    revision bigint NOT NULL, document bytea NOT NULL, PRIMARY KEY (kind, id)
);
CREATE INDEX documents_by_revision ON oto_trio.documents (revision);
CREATE TABLE oto_trio.removed (
    kind text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL, revision bigint NOT NULL,
    PRIMARY KEY (kind, id)
);
CREATE INDEX removed_by_revision ON oto_trio.removed (revision);
CREATE TABLE oto_trio.blobs (
    name text COLLATE "C" PRIMARY KEY, value bytea NOT NULL, expires_at double precision
);
INSERT INTO oto_trio.facts VALUES ('schema', 1), ('revision', 7), ('horizon', 0);
INSERT INTO oto_trio.documents VALUES ('routes', 'a', 3, '{"n":1}'), ('routes', 'b', 7, '{"n":2}');
"""

REDIS_1 = (
    ("HSET", "{oto-trio}:facts", "id", "old", "revision", "7", "floor", "0", "schema", "1"),
    ("HSET", "{oto-trio}:docs:routes", "a", '3\n{"n":1}', "b", '7\n{"n":2}'),
    ("ZADD", "{oto-trio}:ids:routes", "0", "a", "0", "b"),
    ("ZADD", "{oto-trio}:log", "3", "routes\na", "7", "routes\nb"),
)


async def check(store: Store) -> None:
    """What was there is there, and everything that newer versions do works."""
    assert store.revision == 7
    assert await store.list("routes") == [
        Record("routes", "a", 3, b'{"n":1}'),
        Record("routes", "b", 7, b'{"n":2}'),
    ]
    assert await store.revisions() == []
    assert await store.put("routes", "a", b"new", expect=3) == 8
    (revision,) = await store.revisions()
    assert revision.revision == 8
    (changed,) = (await store.difference(7)).changed
    assert (changed.before, changed.after) == (b'{"n":1}', b"new")
    await store.save_blobs([Blob("n", b"1")])
    assert await store.load_blobs("") == [Blob("n", b"1")]
    assert await store.tally([Tally("a", "p", 1, 4e9)], now=3e9) == {"a": {"p": 1}}


def make_sqlite(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(SQLITE_1)


def version_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


async def test_an_older_sqlite_file_is_migrated(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"
    make_sqlite(path)
    async with await SqliteStore.open(path) as store:
        await check(store)
    assert version_of(path) == file.SCHEMA_VERSION > 1
    async with await SqliteStore.open(path) as store:
        assert store.revision == 8


async def test_a_migration_that_fails_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "store.sqlite3"
    make_sqlite(path)
    steps = {1: file.MIGRATIONS[1] + "DELETE FROM documents; INSERT INTO nowhere VALUES (1);"}
    with monkeypatch.context() as patched:
        patched.setattr(file, "MIGRATIONS", steps)
        with pytest.raises(StoreError, match="nowhere"):
            await SqliteStore.open(path)
    assert version_of(path) == 1
    async with await SqliteStore.open(path) as store:
        await check(store)


async def test_an_older_postgresql_database_is_migrated(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(POSTGRES_1)
    async with await PostgresStore.open(url) as store:
        await check(store)
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT value FROM oto_trio.facts WHERE name = 'schema'"
        ).fetchone()
    assert row == (POSTGRES_SCHEMA,)
    assert POSTGRES_SCHEMA > 1


async def test_an_older_redis_database_is_migrated(tmp_path: Path) -> None:
    async with redis_server(tmp_path) as server:
        for words in REDIS_1:
            await server.command(*words)
        async with await RedisStore.open(server.url) as store:
            await check(store)
        found = await server.command("HGET", "{oto-trio}:facts", "schema")
        assert int(found) == scripts.SCHEMA > 1

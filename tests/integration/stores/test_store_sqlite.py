"""The SQLite store on a real disk: durability, and files that are not right.

What holds for every store is in `test_stores`.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
import trio

from oto_trio.control.store import Put, SqliteStore
from oto_trio.control.store.sqlite_file import APPLICATION_ID, SCHEMA_VERSION
from oto_trio.model.errors import (
    RevisionUnknownError,
    StoreClosedError,
    StoreFileError,
    StoreFullError,
    StoreLockedError,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "oto-trio.sqlite3"


async def test_every_commit_is_synced_to_disk(path: Path) -> None:
    """FULL is 2 (SQLite, PRAGMA synchronous); with WAL it syncs the log at every COMMIT."""
    async with await SqliteStore.open(path) as store:
        execute = store._connection.execute
        assert execute("PRAGMA synchronous").fetchone() == (2,)
        assert execute("PRAGMA journal_mode").fetchone() == ("wal",)


async def test_writers_at_once_share_a_sync(path: Path) -> None:
    async with await SqliteStore.open(path) as store:
        async with trio.open_nursery() as nursery:
            for number in range(200):
                nursery.start_soon(store.put, "routes", f"r{number}", b"{}")
        assert store.revision == 200
        assert store.groups <= 4, "the first goes alone, the others wait and go together"


async def test_the_file_and_its_folder_are_private(path: Path) -> None:
    async with await SqliteStore.open(path) as store:
        await store.put("routes", "a", b"{}")
        for file in path.parent.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_one_gateway_at_a_time(path: Path) -> None:
    async with await SqliteStore.open(path):
        with pytest.raises(StoreLockedError) as caught:
            await SqliteStore.open(path)
    assert str(path) in str(caught.value)
    assert f"process {os.getpid()}" in str(caught.value)
    assert "--data" in str(caught.value)
    async with await SqliteStore.open(path):
        pass  # free again


async def test_a_file_held_by_another_program_is_named(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oto_trio.control.store.sqlite_file.BUSY_WAIT_S", 0.05)
    async with await SqliteStore.open(path) as store:
        await store.put("routes", "a", b"{}")
        other = sqlite3.connect(path, isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreLockedError, match="another program"):
                await store.put("routes", "b", b"{}")
            assert await store.count("routes") == 1
            other.execute("ROLLBACK")
            assert await store.put("routes", "b", b"{}") == 2, "a refused write costs no revision"
        finally:
            other.close()


async def test_a_file_that_is_no_database_is_named_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"routes: []\n" * 100)
    with pytest.raises(StoreFileError, match="no SQLite database") as caught:
        await SqliteStore.open(path)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == b"routes: []\n" * 100


async def test_a_database_of_another_program_is_named_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE documents (x)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(StoreFileError, match="another program"):
        await SqliteStore.open(path)
    assert path.read_bytes() == before


async def test_a_database_of_a_newer_version_is_named_and_left_alone(path: Path) -> None:
    async with await SqliteStore.open(path) as store:
        await store.put("routes", "a", b"{}")
    with sqlite3.connect(path) as newer:
        newer.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 6}")
    newer.close()
    with pytest.raises(StoreFileError, match=f"newer oto-trio .schema {SCHEMA_VERSION + 6}"):
        await SqliteStore.open(path)


async def test_a_damaged_database_is_named(path: Path) -> None:
    async with await SqliteStore.open(path) as store:
        await store.transact([Put("routes", f"r{n}", b"x" * 3000) for n in range(200)])
    whole = bytearray(path.read_bytes())
    assert len(whole) > 400_000
    whole[8192:40960] = b"\xff" * (40960 - 8192)
    path.write_bytes(whole)
    with pytest.raises(StoreFileError, match="damaged") as caught:
        await SqliteStore.open(path)
    assert "backup" in str(caught.value)


async def test_a_truncated_database_is_named(path: Path) -> None:
    async with await SqliteStore.open(path) as store:
        await store.transact([Put("routes", f"r{n}", b"x" * 3000) for n in range(50)])
    path.write_bytes(path.read_bytes()[:20480])
    with pytest.raises(StoreFileError, match="damaged"):
        await SqliteStore.open(path)


async def test_the_marks_of_our_files(path: Path) -> None:
    async with await SqliteStore.open(path):
        pass
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    connection.close()


async def test_a_file_in_the_way_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(StoreFileError, match="--data"):
        await SqliteStore.open(tmp_path / "data" / "s.sqlite3")


async def test_a_folder_in_the_place_of_the_file_is_named(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(StoreFileError, match="directory"):
        await SqliteStore.open(path)


async def test_a_full_disk_refuses_the_write_and_keeps_the_rest(path: Path) -> None:
    async with await SqliteStore.open(path) as store:
        await store.put("routes", "a", b"1")
        pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
        store._connection.execute(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(StoreFullError, match="free some space"):
            await store.transact([Put("routes", "a", b"2"), Put("routes", "big", b"x" * 100_000)])
        record = await store.get("routes", "a")
        assert record is not None
        assert record.document == b"1"
        assert await store.put("routes", "a", b"3") == 2


async def test_closing_waits_for_writes_under_way(path: Path) -> None:
    store = await SqliteStore.open(path)
    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(_put_or_closed, store, number)
        await trio.lowlevel.checkpoint()
        await store.aclose()
    async with await SqliteStore.open(path) as again:
        assert await again.count("routes") == again.revision


async def _put_or_closed(store: SqliteStore, number: int) -> None:
    with suppress(StoreClosedError):
        await store.put("routes", f"r{number}", b"{}")


CHILD = """
import os, sys
from pathlib import Path
import trio
from oto_trio.control.store import SqliteStore

async def write(store, writer):
    for number in range(1_000_000):
        revision = await store.put("routes", f"w{writer}-{number}", b"{}")
        # One small write to a pipe is whole or not there at all (POSIX, PIPE_BUF).
        os.write(1, f"{revision} w{writer}-{number}\\n".encode())

async def main():
    async with await SqliteStore.open(Path(sys.argv[1])) as store:
        async with trio.open_nursery() as nursery:
            for writer in range(5):
                nursery.start_soon(write, store, writer)

trio.run(main)
"""


@pytest.mark.slow
async def test_nothing_acknowledged_is_lost_by_kill_9(path: Path) -> None:
    acknowledged: dict[str, int] = {}
    for kill_after in (1, 7, 40, 150):
        acknowledged |= await _write_until_killed(path, kill_after)
        async with await SqliteStore.open(path) as store:
            kept = {r.id: r.revision async for r in store.walk("routes")}
            assert store.revision >= max(acknowledged.values())
        lost = {i for i, revision in acknowledged.items() if kept.get(i, 0) < revision}
        assert not lost


async def _write_until_killed(path: Path, lines: int) -> dict[str, int]:
    """Let a child process write, kill it with SIGKILL after some acknowledgements, give all of them."""
    process: trio.Process = await trio.lowlevel.open_process(
        [sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE
    )
    text = b""
    try:
        stdout: Any = process.stdout
        with trio.fail_after(30):
            while text.count(b"\n") < lines:
                chunk = await stdout.receive_some()
                assert chunk, "the child ended by itself"
                text += chunk
            process.send_signal(signal.SIGKILL)
            while chunk := await stdout.receive_some():
                text += chunk
            assert await process.wait() == -signal.SIGKILL
    finally:
        process.kill()
        await process.wait()
    assert text.endswith(b"\n")
    found: dict[str, int] = {}
    for line in text.decode().splitlines():
        revision, entity_id = line.split()
        found[entity_id] = int(revision)
    return found


async def test_what_was_written_without_history_begins_a_new_one(path: Path) -> None:
    """As when an older version was put back for a while: what it wrote is not remembered."""
    async with await SqliteStore.open(path) as store:
        await store.put("routes", "a", b"1")
        await store.put("routes", "a", b"2")
        assert len(await store.revisions()) == 2
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE documents SET document = x'33', revision = 3")
        connection.execute("UPDATE facts SET value = 3 WHERE name = 'revision'")
    connection.close()
    async with await SqliteStore.open(path) as store:
        assert await store.revisions() == []
        assert (await store.difference(3)).changed == ()
        with pytest.raises(RevisionUnknownError, match="the states of revisions 3 to 3 are known"):
            await store.difference(2)
        await store.put("routes", "a", b"4")
        assert [r.revision for r in await store.revisions()] == [4]
        (changed,) = (await store.difference(3)).changed
        assert (changed.before, changed.after) == (b"3", b"4")

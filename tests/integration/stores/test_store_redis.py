"""The Redis store with a real server: what only it does, outages, and servers that are not right.

What holds for every store is in `test_stores`.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
import trustme

from oto_trio.control.store import Delete, Put, Record, redis_words
from oto_trio.control.store import redis as driver
from oto_trio.control.store.base import Blob
from oto_trio.control.store.redis import RedisStore
from oto_trio.control.store.tallies import Tally
from oto_trio.model.errors import (
    RevisionUnknownError,
    StoreError,
    StoreFileError,
    StoreFullError,
    StoreOutcomeUnknownError,
    StoreTooLargeError,
)
from tests.integration.stores.redis_server import RedisServer, redis_server

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path


pytestmark = pytest.mark.slow


@pytest.fixture
async def server(tmp_path: Path) -> AsyncGenerator[RedisServer]:
    async with redis_server(tmp_path) as running:
        yield running


async def told(store: RedisStore, revision: int, within_s: float = 60.0) -> None:
    """Wait until a node knows a revision."""
    with trio.fail_after(within_s):
        while store.revision < revision:  # noqa: ASYNC110 (a feed would take what a test looks at)
            await trio.sleep(0.002)


async def test_a_snapshot_is_of_one_revision_while_others_write(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "PAGE_BYTES", 100)  # many pages, so that writes come between them
    monkeypatch.setattr(driver, "CHANGES_AT_ONCE", 3)
    async with await RedisStore.open(server.url) as one, await RedisStore.open(server.url) as two:

        async def write() -> None:
            number = 0
            while True:
                number += 1
                both = [Put(kind, f"{number % 40}", b"%05d" % number) for kind in ("a", "z")]
                await one.transact(both)
                if number % 7 == 0:
                    gone = f"{(number - 3) % 40}"
                    await one.transact([Delete("a", gone), Delete("z", gone)])

        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
            await told(two, 60)
            for _ in range(15):
                snapshot = await two.snapshot(["z", "a"])
                halves: dict[str, list[tuple[str, int, bytes]]] = {"a": [], "z": []}
                for record in snapshot.records:
                    halves[record.kind].append((record.id, record.revision, record.document))
                    assert record.revision <= snapshot.revision
                assert halves["a"] == halves["z"], "both halves of each transaction, or none"
                assert halves["a"]
            nursery.cancel_scope.cancel()


async def test_large_answers_come_in_parts(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "PAGE_BYTES", 1000)
    monkeypatch.setattr(driver, "CHANGES_AT_ONCE", 4)
    async with await RedisStore.open(server.url) as one:
        many = [Put("routes", f"{n:03}", b"x" * 300) for n in range(25)]
        await one.transact(many)
        await one.transact([Put("routes", f"later-{n}", b"y" * 2000) for n in range(3)])
        assert len(await one.list("routes")) == 28
        assert [r.id for r in await one.list("routes", limit=7)] == [f"{n:03}" for n in range(7)]
        upto, latest, changes = await one._changes(0)
        assert (upto, latest) == (1, 2)
        assert {c.id for c in changes} == {write.id for write in many}, (
            "a transaction is told whole"
        )
        await one.save_blobs([Blob(f"b{n}", b"z" * 600) for n in range(9)])
        assert len(await one.load_blobs("b")) == 9


async def test_writers_go_on_over_a_restart_of_the_server(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "RETRY_S", 60.0)  # however long it takes to start
    acknowledged: dict[str, int] = {}
    async with await RedisStore.open(server.url) as one, await RedisStore.open(server.url) as two:

        async def write(writer: int) -> None:
            for number in range(10_000):
                acknowledged[f"{writer}-{number}"] = await one.put(
                    "routes", f"{writer}-{number}", b"{}", expect="absent"
                )

        with two.watch() as feed:
            async with trio.open_nursery() as nursery:
                for writer in range(4):
                    nursery.start_soon(write, writer)
                for number in (signal.SIGTERM, signal.SIGKILL):
                    await told(two, two.revision + 100)
                    await server.stop(number)
                    await server.start()
                await told(two, two.revision + 100)
                nursery.cancel_scope.cancel()
            await told(two, one.revision)
            seen: dict[str, int] = {}
            while feed.behind:
                seen |= {change.id: change.revision for change in (await anext(feed)).changes}
        assert acknowledged.items() <= seen.items(), "the other node was told everything"
        kept = {record.id: record.revision async for record in two.walk("routes")}
        assert acknowledged.items() <= kept.items()


async def test_an_outage_is_said_and_ends_by_itself(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "RETRY_S", 0.1)
    async with await RedisStore.open(server.url) as one, await RedisStore.open(server.url) as two:
        await one.put("routes", "a", b"1")
        await server.stop()
        for action in (one.get("routes", "a"), one.put("routes", "a", b"2")):
            with pytest.raises(StoreError, match="cannot be reached") as caught:
                await action
            assert f"127.0.0.1:{server.port}" in str(caught.value)
            assert "`store`" in str(caught.value)
        await server.start()
        with two.watch() as feed:
            assert await one.put("routes", "a", b"3") == 2
            with trio.fail_after(60):
                assert (await anext(feed)).revision == 2


@pytest.mark.halts_not
async def test_a_write_that_the_server_may_have_got_is_not_called_refused(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "RETRY_S", 0.2)
    async with await RedisStore.open(server.url) as store:
        await store.put("routes", "a", b"1")
        assert server._process is not None
        server._process.send_signal(signal.SIGSTOP)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_kill_soon, server)
            with pytest.raises(StoreOutcomeUnknownError, match="read that again"):
                await store.put("routes", "a", b"2")
        await server.start()
        await server.stop()
        with pytest.raises(StoreError, match="cannot be reached"):
            await store.get("routes", "a")
        with pytest.raises(StoreError, match="cannot be reached") as caught:
            await store.put("routes", "a", b"3")
        assert not isinstance(caught.value, StoreOutcomeUnknownError), "nothing was sent"


async def _kill_soon(server: RedisServer) -> None:
    await trio.testing.wait_all_tasks_blocked()  # the write is on its way by then
    await server.stop(signal.SIGKILL)


@pytest.mark.halts_not
async def test_a_server_that_hangs_is_given_up_and_used_again(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oto_trio.control.store.redis_line.ANSWER_S", 0.3)
    monkeypatch.setattr(driver, "WAIT_FOR_NEWS_S", 0.1)
    monkeypatch.setattr(driver, "RETRY_S", 60.0)  # one that is merely slow is asked again
    async with await RedisStore.open(server.url) as store:
        await store.put("routes", "a", b"1")
        assert server._process is not None
        server._process.send_signal(signal.SIGSTOP)
        try:
            with monkeypatch.context() as patched:
                patched.setattr(driver, "RETRY_S", 0.1)
                with pytest.raises(StoreError, match="no answer within"):
                    await store.get("routes", "a")
        finally:
            server._process.send_signal(signal.SIGCONT)
        with trio.fail_after(60):
            assert await store.get("routes", "a") == Record("routes", "a", 1, b"1")


async def test_a_write_whose_answer_was_lost_is_not_made_twice(server: RedisServer) -> None:
    proxy = CuttingProxy(server.port)
    async with trio.open_nursery() as nursery:
        port = await nursery.start(proxy.run)
        async with await RedisStore.open(f"redis://127.0.0.1:{port}/0") as store:
            await store.put("routes", "a", b"0")
            proxy.is_cutting = True
            assert await store.put("routes", "new", b"1", expect="absent") == 2
            assert not proxy.is_cutting, "its answer was cut off"
            assert await store.count("routes") == 2
            assert store.revision == 2
            assert await store.put("routes", "new", b"2", expect=2) == 3
        nursery.cancel_scope.cancel()


class CuttingProxy:
    """Passes bytes on, and breaks the connection in the place of the answer to a write."""

    def __init__(self, port: int) -> None:
        self.is_cutting = False
        self._port = port

    async def run(self, *, task_status: trio.TaskStatus[int]) -> None:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        task_status.started(listener.socket.getsockname()[1])
        await trio.serve_listeners(self._serve, [listener])

    async def _serve(self, client: trio.SocketStream) -> None:
        server = await trio.open_tcp_stream("127.0.0.1", self._port)
        is_writing = trio.Event()
        async with client, server, trio.open_nursery() as nursery:

            async def forth() -> None:
                async for data in client:
                    if self.is_cutting and b"routes" in data:
                        is_writing.set()
                    await server.send_all(data)
                nursery.cancel_scope.cancel()

            async def back() -> None:
                async for data in server:
                    if is_writing.is_set() and self.is_cutting:
                        self.is_cutting = False
                        break
                    await client.send_all(data)
                nursery.cancel_scope.cancel()

            nursery.start_soon(forth)
            nursery.start_soon(back)


async def test_a_server_that_lost_its_data_is_not_written_to(server: RedisServer) -> None:
    async with await RedisStore.open(server.url) as store:
        await store.put("routes", "a", b"1")
        await server.command("FLUSHALL")
        with pytest.raises(StoreError, match=r"emptied.*restart this gateway"):
            await store.put("routes", "b", b"1")
        with pytest.raises(StoreError, match="restart this gateway"):
            await store.get("routes", "a")
    async with await RedisStore.open(server.url) as store:
        assert store.revision == 0


async def test_a_server_whose_state_is_older_is_not_written_to(server: RedisServer) -> None:
    async with await RedisStore.open(server.url) as store:
        await store.put("routes", "a", b"1")
        await store.put("routes", "a", b"2")
        await server.command("HSET", "{oto-trio}:facts", "revision", "1")
        with pytest.raises(StoreError, match=r"at revision 1, but 2 was there.*restart"):
            await store.put("routes", "b", b"1")


async def test_a_node_that_missed_removals_says_so(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "REMOVALS_KEPT", 2)
    async with await RedisStore.open(server.url) as one, await RedisStore.open(server.url) as two:
        await one.transact([Put("routes", f"{n}", b"{}") for n in range(5)])
        await told(two, 1)
        async with two._catching_up:  # so that it reads nothing meanwhile
            for n in range(4):
                await one.delete("routes", f"{n}")
        with pytest.raises(StoreError, match="removed while this gateway was cut off"):
            await two._catch_up(5)
        assert await one.count("routes") == 1


async def test_passwords_and_users_are_taken_from_the_url_and_never_shown(tmp_path: Path) -> None:
    async with redis_server(tmp_path, "--requirepass", "p@ss/w:rd") as server:
        at = f"127.0.0.1:{server.port}/0"
        async with await RedisStore.open(f"redis://:p%40ss%2Fw%3Ard@{at}") as store:
            await store.put("routes", "a", b"1")
            assert "p@ss" not in store.name
            assert "p%40" not in store.name
        for wrong in (
            f"redis://{at}",
            f"redis://:wrong-secret@{at}",
            f"redis://me:wrong-secret@{at}",
        ):
            with pytest.raises(StoreError, match="password") as caught:
                async with await RedisStore.open(wrong):
                    pass
            assert "wrong-secret" not in str(caught.value)
            assert f"127.0.0.1:{server.port}" in str(caught.value)


async def test_tls_with_a_client_certificate(tmp_path: Path) -> None:
    authority, other = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    other.cert_pem.write_to_path(str(tmp_path / "other.pem"))
    for name, host in (("server", "localhost"), ("client", "client.test")):
        issued = authority.issue_cert(host)
        issued.cert_chain_pems[0].write_to_path(str(tmp_path / f"{name}.pem"))
        issued.private_key_pem.write_to_path(str(tmp_path / f"{name}.key"))
    spare = RedisServer(tmp_path)  # its port is free
    tls = (
        *("--tls-port", str(spare.port), "--tls-ca-cert-file", str(tmp_path / "ca.pem")),
        *("--tls-cert-file", str(tmp_path / "server.pem")),
        *("--tls-key-file", str(tmp_path / "server.key")),
    )
    mine = f"cert={tmp_path}/client.pem&key={tmp_path}/client.key"
    async with redis_server(tmp_path, *tls):
        at = f"localhost:{spare.port}/0"
        async with await RedisStore.open(f"rediss://{at}?ca={tmp_path}/ca.pem&{mine}") as store:
            assert await store.put("routes", "a", b"1") == 1
        for bad in (
            f"rediss://{at}?ca={tmp_path}/other.pem&{mine}",  # another authority
            f"rediss://{at}?{mine}",  # those of the system
            f"rediss://127.0.0.1:{spare.port}/0?ca={tmp_path}/ca.pem&{mine}",  # another name
        ):
            with pytest.raises(StoreError, match="certificate verify failed"):
                async with await RedisStore.open(bad):
                    pass
    with pytest.raises(StoreError, match="correct their paths"):
        await RedisStore.open(f"rediss://{at}?ca={tmp_path}/absent.pem")


async def test_counters_expire_some_time_after_their_last_part(server: RedisServer) -> None:
    key, now = "{oto-trio}:tally:a", 3e9  # its clock need not be the server's
    async with await RedisStore.open(server.url) as store:
        await store.tally([Tally("a", "long", 1, now + 100)], now=now)
        left = int(await server.command("PTTL", key))
        assert 110_000 < left <= 160_000, "not before it ends, in 100 s"
        await store.tally([Tally("a", "short", 2, now + 10)], now=now)
        assert int(await server.command("PTTL", key)) > 110_000, "the longest counts"
        assert await store.tally([], ["a"], now=now + 50) == {"a": {"long": 1}}
        assert int(await server.command("HLEN", key)) == 2, "to ask removes nothing"
        await store.tally([Tally("a", "new", 3, now + 60)], now=now + 50)
        assert int(await server.command("HLEN", key)) == 2, "to tell removes what ended"
        await store.become(await store.read_whole())
        assert int(await server.command("EXISTS", key)) == 0


async def test_a_server_without_memory_left_refuses_writes_and_keeps_the_rest(
    server: RedisServer,
) -> None:
    async with await RedisStore.open(server.url) as store:
        await store.put("routes", "a", b"1")
        await server.command("CONFIG", "SET", "maxmemory", "1mb")
        with pytest.raises(StoreFullError, match="maxmemory"):
            await store.transact([Put("routes", "a", b"2"), Put("routes", "b", b"2")])
        assert await store.get("routes", "a") == Record("routes", "a", 1, b"1")
        await server.command("CONFIG", "SET", "maxmemory", "0")
        assert await store.put("routes", "a", b"3") == 2, "a refused write costs no revision"


async def test_a_server_that_may_drop_keys_is_refused(server: RedisServer) -> None:
    await server.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    with pytest.raises(StoreFileError, match="noeviction"):
        async with await RedisStore.open(server.url):
            pass


async def test_a_store_of_a_newer_version_is_refused(server: RedisServer) -> None:
    await server.command("HSET", "{oto-trio}:facts", "schema", "7")
    with pytest.raises(StoreFileError, match=r"newer oto-trio .schema 7"):
        async with await RedisStore.open(server.url):
            pass


async def test_a_server_that_keeps_nothing_is_warned_about(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        redis_server(tmp_path, "--appendonly", "no") as server,
        await RedisStore.open(server.url),
    ):
        assert "appendonly yes" in caplog.text


async def test_what_is_too_large_is_refused_whole(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_words, "LARGEST_DOCUMENT_BYTES", 100)
    monkeypatch.setattr(redis_words, "LARGEST_TRANSACTION_BYTES", 150)
    monkeypatch.setattr(redis_words, "MOST_WRITES", 3)
    async with await RedisStore.open(server.url) as store:
        cases: list[Any] = [
            [Put("routes", "a", b"x" * 101)],
            [Put("routes", "a", b"x" * 90), Put("routes", "b", b"x" * 90)],
            [Delete("routes", f"{n}") for n in range(4)],
        ]
        for writes in cases:
            with pytest.raises(StoreTooLargeError):
                await store.transact(writes)
        with pytest.raises(StoreTooLargeError):
            await store.save_blobs([Blob("a", b"x" * 101)])
        assert await store.transact([]) == 0


async def test_two_prefixes_in_one_database_are_two_stores(server: RedisServer) -> None:
    async with (
        await RedisStore.open(f"{server.url}?prefix=one") as one,
        await RedisStore.open(f"{server.url}?prefix=two") as two,
    ):
        await one.put("routes", "a", b"1")
        assert await two.count("routes") == two.revision == 0


async def test_an_unreachable_server_ends_the_start(tmp_path: Path) -> None:
    port = RedisServer(tmp_path).port
    with pytest.raises(StoreError, match=rf"127.0.0.1:{port}.*start the server") as caught:
        async with await RedisStore.open(f"redis://:my-secret@127.0.0.1:{port}"):
            pass
    assert "my-secret" not in str(caught.value)


async def test_history_outlives_the_marks_of_removed_documents(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "REMOVALS_KEPT", 1)
    async with await RedisStore.open(server.url) as store:
        await store.put("routes", "a", b"1")
        await store.delete("routes", "a")
        await store.put("routes", "b", b"3")
        await store.delete("routes", "b")
        await store.put("routes", "c", b"5")
        await store.delete("routes", "c")  # by now nothing tells when a and b were removed
        await store.put("routes", "a", b"7")
        states: dict[str, list[bytes | None]] = {
            "a": [None, b"1", None, None, None, None, None, b"7"],
            "b": [None, None, None, b"3", None, None, None, None],
            "c": [None, None, None, None, None, b"5", None, None],
        }
        for since in range(8):
            for until in range(since, 8):
                difference = await store.difference(since, until)
                for changed in difference.changed:
                    state = states[changed.id]
                    assert (changed.before, changed.after) == (state[since], state[until])
                    assert state[changed.revision] == state[until]
                    assert state[changed.revision - 1] != state[changed.revision]
                told = {changed.id for changed in difference.changed}
                assert told >= {i for i, state in states.items() if state[since] != state[until]}


async def test_what_was_written_without_history_begins_a_new_one(server: RedisServer) -> None:
    """As when an older version was put back for a while: what it wrote is not remembered."""
    async with await RedisStore.open(server.url) as store:
        await store.put("routes", "a", b"1")
        await store.put("routes", "a", b"2")
        base = "{oto-trio}:"
        await store._ask("HSET", f"{base}docs:routes", "a", b"3\n3")
        await store._ask("ZADD", f"{base}log", 3, b"routes\na")
        await store._ask("HSET", f"{base}facts", "revision", 3)
        assert await store.revisions() == []
        with pytest.raises(RevisionUnknownError, match="the states of revisions 3 to 3 are known"):
            await store.difference(2)
        await store.put("routes", "a", b"4")
        assert [r.revision for r in await store.revisions()] == [4]
        (changed,) = (await store.difference(3)).changed
        assert (changed.before, changed.after) == (b"3", b"4")
        assert await store._ask("KEYS", "*past:*") == [b"{oto-trio}:past:4"]

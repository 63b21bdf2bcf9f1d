"""What holds for every kind of store: the contract, and for shared ones nodes, outages and crashes.

What only one kind does is in the tests of that kind.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import pytest
import trio

from oto_trio.app import STORE_FILE
from oto_trio.control.admin_api.operations import Entities
from oto_trio.control.admin_api.preconditions import Preconditions
from oto_trio.control.admin_api.refusals import ApiError
from oto_trio.control.admin_api.resources import find_resource
from oto_trio.control.store import Change, Delete, Put, Record
from oto_trio.control.store.tallies import Tally
from oto_trio.model.errors import ConflictError, StoreError
from oto_trio.testing.check_history import check_history_bounds
from oto_trio.testing.check_store import check_store
from oto_trio.testing.fake_gateway import FakeGatewayControl
from oto_trio.testing.gateway_process import GatewayProcess, gateway_process
from tests.integration.clients import admin, ask, eventually, route
from tests.integration.stores.store_homes import EMBEDDED, SHARED, Home, ServerHome, home_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from oto_trio.control.store import Feed, Store
    from tests.integration.conftest import Upstream
    from tests.integration.stores.cassandra_server import CassandraServer
    from tests.integration.stores.postgres_server import PostgresServer

pytestmark = pytest.mark.slow

GUARD_S = 300.0  # servers start anew meanwhile
ROUTES = "/apis/proxy.otoroshi.io/v1/routes"
_row = find_resource("any", "v1", "routes")
assert _row is not None
ROUTES_ROW = _row

every_store = pytest.mark.parametrize("kind", [*EMBEDDED, *SHARED])
every_shared_store = pytest.mark.parametrize("kind", SHARED)


@pytest.fixture
async def home(
    kind: str, tmp_path: Path, postgres: PostgresServer, cassandra: CassandraServer
) -> AsyncGenerator[Home]:
    async with home_of(kind, tmp_path, postgres, cassandra) as found:
        yield found


@pytest.fixture
def server(home: Home) -> ServerHome:
    return cast("ServerHome", home)


async def told(feed: Feed, revision: int) -> list[Change]:
    """Wait until a feed has told a revision; return all it told, in order."""
    changes: list[Change] = []
    with trio.fail_after(GUARD_S):
        async for batch in feed:
            changes += batch.changes
            if batch.revision >= revision:
                break
    return changes


@every_store
async def test_the_store_keeps_the_contract(kind: str, home: Home) -> None:
    await check_store(home.open, durable=home.is_durable)


@every_store
async def test_the_store_forgets_what_exceeds_its_bounds(kind: str, home: Home) -> None:
    await check_history_bounds(home.open)


def _instead(wanted: dict[str, Any], _old: dict[str, Any] | None) -> dict[str, Any]:
    return wanted


@every_store
async def test_conditional_writers_of_the_admin_api_lose_nothing(kind: str, home: Home) -> None:
    shared = kind in SHARED
    async with await home.open("a") as one, await home.open("a" if shared else "b") as other:
        nodes = [Entities(store, FakeGatewayControl(), env="prod") for store in (one, other)]
        document = {"id": "r", "name": "r", "metadata": {"n": "0"}}
        await nodes[0].create(ROUTES_ROW, document, stamped=False)
        refused = 0

        async def add(entities: Entities) -> None:
            nonlocal refused
            for _ in range(5):
                while True:
                    found = await entities.find(ROUTES_ROW, "r")
                    assert found is not None
                    n = int(found.document["metadata"]["n"]) + 1
                    wanted = {**found.document, "metadata": {"n": str(n)}}
                    conditions = Preconditions(match=(str(found.revision),))
                    try:
                        await entities.change(
                            ROUTES_ROW,
                            "r",
                            partial(_instead, wanted),
                            stamped=False,
                            conditions=conditions,
                        )
                    except ApiError as error:
                        if error.answer_status not in (409, 412):
                            raise
                        refused += 1
                    else:
                        break

        async with trio.open_nursery() as nursery:
            for writer in range(6):
                nursery.start_soon(add, nodes[writer % 2 if shared else 0])
        found = await nodes[0].find(ROUTES_ROW, "r")
        assert found is not None
        assert found.document["metadata"]["n"] == "30"
        assert refused, "they were in each other's way"


# --------------------------------------------------------------------------------- several nodes


@every_shared_store
async def test_nodes_see_each_others_writes_before_they_would_look(
    kind: str, server: ServerHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without news it would be the next look: one that nobody waits for. Cassandra tells no news; its looks are often.
    monkeypatch.setattr("oto_trio.control.store.redis.WAIT_FOR_NEWS_S", 2 * GUARD_S)
    monkeypatch.setattr("oto_trio.control.store.redis_line.ANSWER_S", 3 * GUARD_S)
    monkeypatch.setattr("oto_trio.control.store.postgres.HEARTBEAT_S", 2 * GUARD_S)
    async with await server.open("a") as one, await server.open("a") as two:
        with two.watch() as at_two, one.watch() as at_one:
            for number in range(20):
                with trio.fail_after(GUARD_S):
                    revision = await one.put("routes", f"r{number}", b"%d" % number)
                    batch = await anext(at_two)
                assert batch.changes == (Change(revision, "routes", f"r{number}", b"%d" % number),)
                assert two.revision == revision
            await anext(at_one)
            with trio.fail_after(GUARD_S):
                revision = await two.transact([Delete("routes", "r0"), Put("routes", "r1", b"x")])
                batch = await anext(at_one)
            assert batch.revision == revision == 21
            assert set(batch.changes) == {
                Change(21, "routes", "r0", None),
                Change(21, "routes", "r1", b"x"),
            }


@every_shared_store
async def test_nodes_that_write_at_once_share_one_sequence_without_a_gap(
    kind: str, server: ServerHome
) -> None:
    revisions: list[int] = []
    async with await server.open("a") as one, await server.open("a") as two:

        async def write(store: Store, writer: int) -> None:
            for number in range(25):
                revision = await store.put("routes", f"{writer}-{number}", b"{}")
                assert store.revision >= revision, "what was acknowledged has been told"
                revisions.append(revision)

        with one.watch() as at_one, two.watch() as at_two:
            async with trio.open_nursery() as nursery:
                for writer in range(8):
                    nursery.start_soon(write, one if writer % 2 else two, writer)
            for feed in (at_one, at_two):
                changes = await told(feed, 200)
                assert [change.revision for change in changes] == list(range(1, 201))
        assert sorted(revisions) == list(range(1, 201))


@every_shared_store
async def test_of_nodes_that_expect_the_same_one_wins(kind: str, server: ServerHome) -> None:
    async with await server.open("a") as one, await server.open("a") as two:
        revision = await one.put("routes", "a", b"0")
        await two.put("routes", "a", b"2", expect=revision)
        with pytest.raises(ConflictError):
            await one.put("routes", "a", b"1", expect=revision)
        assert await one.get("routes", "a") == Record("routes", "a", 2, b"2")


# ------------------------------------------------------------------------------------- outages


@every_shared_store
async def test_an_outage_is_said_and_ends_without_a_restart(
    kind: str, server: ServerHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oto_trio.control.store.redis.RETRY_S", 0.1)  # else two seconds for each
    async with await server.open("a") as one, await server.open("a") as two:
        with two.watch() as feed:
            await one.put("routes", "before", b"1")
            await told(feed, 1)
            await server.stop()
            for action in (
                partial(one.put, "routes", "lost", b"1"),
                partial(one.get, "routes", "before"),
                partial(one.list, "routes"),
                partial(one.snapshot, ["routes"]),
                partial(one.load_blobs, ""),
                partial(one.tally, [], ["a"], now=0.0),
            ):
                with pytest.raises(StoreError, match="server") as caught:
                    await action()
                assert caught.value.status == 503
            await server.start()
            assert await one.put("routes", "after", b"2") == 2, "a refused write costs no revision"
            assert await told(feed, 2) == [Change(2, "routes", "after", b"2")]
            assert await two.get("routes", "before") == Record("routes", "before", 1, b"1")


@every_shared_store
async def test_counters_of_nodes_survive_crashes_of_the_server_exactly(
    kind: str, server: ServerHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each node counts its part on through outages; what was acknowledged is there, and nothing twice."""
    monkeypatch.setattr("oto_trio.control.store.redis.RETRY_S", 0.1)
    now = datetime.now(UTC).timestamp()
    acknowledged: dict[str, int] = {"n1": 0, "n2": 0}
    progress = trio.lowlevel.ParkingLot()

    async def add(store: Store, part: str) -> None:
        count = 1
        while count <= 60:
            before = dict(acknowledged)
            try:
                found = await store.tally([Tally("a", part, count, now + 1000)], now=now)
            except StoreError:
                await trio.sleep(0.02)  # nobody knows whether it was told: it is told again
                continue
            assert found["a"][part] == count
            assert all(found["a"].get(other, 0) >= least for other, least in before.items())
            acknowledged[part] = count
            count += 1
            progress.unpark_all()

    async with await server.open("a") as one, await server.open("a") as two:
        with trio.fail_after(GUARD_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(add, one, "n1")
                nursery.start_soon(add, two, "n2")
                for goal in (15, 30):
                    while min(acknowledged.values()) < goal:
                        await progress.park()
                    await server.kill()
                    await server.start()
        assert await one.tally([], ["a"], now=now) == {"a": {"n1": 60, "n2": 60}}


@every_shared_store
async def test_a_crash_of_the_server_loses_nothing_acknowledged_and_halves_nothing(
    kind: str, server: ServerHome
) -> None:
    """Each transaction writes one version into two documents; no reader may see two versions."""
    acknowledged = dict.fromkeys(range(5), 0)
    progress = trio.lowlevel.ParkingLot()

    async def write(store: Store, number: int, until: trio.Event) -> None:
        version = acknowledged[number]
        while not until.is_set():
            version += 1
            text = b"%d" % version
            try:
                await store.transact(
                    [Put("routes", f"r{number}", text), Put("backends", f"b{number}", text)]
                )
            except StoreError:
                await trio.sleep(0.02)
            else:
                acknowledged[number] = version
                progress.unpark_all()

    async def reach(count: int) -> None:
        goal = sum(acknowledged.values()) + count
        with trio.fail_after(GUARD_S):
            while sum(acknowledged.values()) < goal:
                await progress.park()

    async with await server.open("a") as one, await server.open("a") as two:
        with two.watch() as feed:
            for _ in range(2):
                ended = trio.Event()
                async with trio.open_nursery() as nursery:
                    for number in acknowledged:
                        nursery.start_soon(write, one, number, ended)
                    await reach(40)
                    await server.kill()
                    await server.start()
                    await reach(6)
                    ended.set()
            changes = await told(feed, one.revision)
        seen = {(change.kind, change.id): change.document for change in changes}
        assert [c.revision for c in changes] == sorted(c.revision for c in changes)
        snapshot = await two.snapshot(["routes", "backends"])
        kept = {(record.kind, record.id): record for record in snapshot.records}
        for number, version in acknowledged.items():
            a_route, backend = kept["routes", f"r{number}"], kept["backends", f"b{number}"]
            assert (a_route.document, a_route.revision) == (backend.document, backend.revision)
            assert int(a_route.document) == version
            assert seen["routes", f"r{number}"] == a_route.document, "the other node was told"


# ------------------------------------------------------------------------------ whole gateways


@every_shared_store
async def test_gateways_serve_what_one_is_told_and_go_on_in_an_outage(
    kind: str, server: ServerHome, upstream: Upstream, tmp_path: Path
) -> None:
    environ = {"OTO_TRIO_STORE": server.url("a")}

    async def is_served(gateway: GatewayProcess, path: str) -> bool:
        return (await ask(gateway.port, "a.test", path)).status == 200

    options = partial(gateway_process, "--workers", "1", environ=environ)
    async with (
        options(data=tmp_path / "one") as one,
        options(data=tmp_path / "two") as two,
        admin(one) as api_of_one,
        admin(two) as api_of_two,
    ):
        answer = await api_of_one.post(ROUTES, json=route("a", upstream.url))
        assert answer.status_code == 201, answer.text
        await eventually(partial(is_served, two, "/"))

        await server.stop()
        assert await is_served(one, "/")
        assert await is_served(two, "/")
        moved = {**route("a", upstream.url), "frontend": {"domains": ["a.test/moved"]}}
        answer = await api_of_one.put(f"{ROUTES}/a", json=moved)
        assert answer.status_code == 503, answer.text
        assert "nothing was changed" in answer.text or "errors.store" in answer.text
        assert await is_served(one, "/"), "traffic goes on from the last snapshot"

        await server.start()
        answer = await api_of_two.put(f"{ROUTES}/a", json=moved)
        assert answer.status_code == 200, answer.text

        async def is_moved() -> bool:
            return not await is_served(one, "/") and await is_served(one, "/moved")

        await eventually(is_moved)
        logged = [str(line) for line in (*one.log, *two.log)]
        assert not any(secret in line for line in logged for secret in server.secrets)
    assert not (tmp_path / "one" / STORE_FILE).exists()

"""The Redis store behind sentinels and in a cluster: it finds the server that has the keys, again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from oto_trio.control.store import Record
from oto_trio.control.store import redis as driver
from oto_trio.control.store.redis import RedisStore
from oto_trio.model.errors import StoreError
from oto_trio.testing.check_store import check_store
from tests.integration.stores.redis_farm import redis_cluster, redis_sentinels
from tests.integration.stores.redis_server import redis_server

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

GUARD_S = 120.0


async def put_until_it_works(store: RedisStore, entity_id: str) -> int:
    """Write, again and again while the servers sort out who is the primary."""
    with trio.fail_after(GUARD_S):
        while True:
            try:
                return await store.put("routes", entity_id, b"{}", expect="absent")
            except StoreError:
                await trio.sleep(0.05)


async def test_after_a_failover_it_goes_on_with_the_new_primary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "WAIT_FOR_NEWS_S", 0.5)
    async with (
        redis_sentinels(tmp_path) as farm,
        await RedisStore.open(farm.url) as one,
        await RedisStore.open(farm.url) as two,
    ):
        with two.watch() as feed:
            await one.put("routes", "before", b"1")
            assert (await anext(feed)).revision == 1
            await farm.replicated()
            await farm.lose_primary()
            assert await put_until_it_works(one, "after") == 2
            with trio.fail_after(GUARD_S):
                assert (await anext(feed)).revision == 2
            assert await two.get("routes", "before") == Record("routes", "before", 1, b"1")
            # What becomes of the old primary when it comes back is for the sentinels to say.
            assert await two.put("routes", "later", b"3") == 3
            assert "role:master" in await farm.replica.command("INFO", "replication")


async def test_sentinels_that_know_nothing_are_named(tmp_path: Path) -> None:
    async with redis_sentinels(tmp_path) as farm:
        url = farm.url.replace("gateways", "others")
        with pytest.raises(StoreError, match="knows no primary called others") as caught:
            async with await RedisStore.open(url.replace("://", "://me:hidden@")):
                pass
        assert "hidden" not in str(caught.value)
        await farm.sentinel.stop()
        with pytest.raises(StoreError, match="no sentinel tells"):
            async with await RedisStore.open(farm.url):
                pass


async def test_the_store_in_a_cluster_keeps_the_contract_and_follows_its_keys(
    tmp_path: Path,
) -> None:
    async with redis_cluster(tmp_path) as cluster:

        async def open_store(name: str) -> RedisStore:
            return await RedisStore.open(f"{cluster.url}?prefix={name.strip('_')}")

        await check_store(open_store, durable=True)
        nodes = {await node.command("DBSIZE") != "0" for node in cluster.nodes}
        assert nodes == {True}, "stores are on every node"

        async with await open_store("moved") as one, await open_store("moved") as two:
            with two.watch() as feed:
                await one.put("routes", "before", b"1")
                assert (await anext(feed)).revision == 1
                await cluster.move("{moved}:facts")
                assert await one.put("routes", "after", b"2") == 2, "without an error"
                with trio.fail_after(GUARD_S):
                    assert (await anext(feed)).revision == 2
                assert await two.get("routes", "before") == Record("routes", "before", 1, b"1")


async def test_a_node_of_a_cluster_or_of_none_is_told_from_the_other(tmp_path: Path) -> None:
    async with redis_cluster(tmp_path) as cluster:
        said: list[str] = []
        for node in cluster.nodes:
            try:
                async with await RedisStore.open(node.url):
                    pass
            except StoreError as error:
                said.append(str(error))
        assert len(said) >= 2, "one node at the most has the keys"
        assert all("write redis-cluster://" in text for text in said)
    (tmp_path / "alone").mkdir()
    async with redis_server(tmp_path / "alone") as server:
        url = server.url.replace("redis://", "redis-cluster://")
        with pytest.raises(StoreError, match="cluster support disabled"):
            async with await RedisStore.open(url):
                pass

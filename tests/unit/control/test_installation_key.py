"""Which of the installation's API keys the store holds after a start, and which are gone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from typing_extensions import override

from oto_trio.control.admin_route import ensure_admin_route
from oto_trio.control.credentials import DEV_CREDENTIALS, AdminCredentials
from oto_trio.control.installation_key import LEASE_S
from oto_trio.control.jobs.lease_installation_key import key_lease_job
from oto_trio.control.settings import Settings
from oto_trio.control.store import MemoryStore, Store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oto_trio.control.store.base import Seen, Write

ONE = AdminCredentials("admin-1", "secret-1")
TWO = AdminCredentials("admin-2", "secret-2")
HIDDEN = Settings(admin_api_exposed=False)


async def start(
    store: Store, credentials: AdminCredentials, node: str = "", settings: Settings | None = None
) -> set[str]:
    """Do what a start does; return the ids of the keys that the store holds then."""
    await ensure_admin_route(store, settings or Settings(), credentials, node)
    return {record.id for record in await store.list("apikeys")}


async def change(store: Store, key: str, **over: Any) -> None:
    record = await store.get("apikeys", key)
    assert record is not None
    document = {**msgspec.json.decode(record.document), **over}
    await store.put("apikeys", key, msgspec.json.encode(document))


@pytest.mark.parametrize("settings", [Settings(), HIDDEN], ids=["served", "not served"])
async def test_a_superseded_key_goes_and_so_does_that_of_dev(settings: Settings) -> None:
    async with MemoryStore() as store:
        assert await start(store, DEV_CREDENTIALS) == {DEV_CREDENTIALS.client_id}
        await start(store, ONE, settings=settings)
        await start(store, ONE)
        assert await start(store, ONE) == {"admin-1"}
        await start(store, TWO, settings=settings)
        assert await start(store, TWO) == {"admin-2"}
        revision = store.revision
        await start(store, TWO)
        assert store.revision == revision, "a later start writes nothing"


async def test_the_well_known_key_goes_wherever_it_comes_from() -> None:
    async with MemoryStore() as store:
        key = {
            "clientId": DEV_CREDENTIALS.client_id,
            "clientSecret": DEV_CREDENTIALS.client_secret,
            "authorizedEntities": ["group_admin-api-group"],
        }
        await store.put("apikeys", DEV_CREDENTIALS.client_id, msgspec.json.encode(key))
        assert await start(store, ONE, settings=HIDDEN) == set()

        await store.put("apikeys", DEV_CREDENTIALS.client_id, msgspec.json.encode(key))
        assert await start(store, DEV_CREDENTIALS) == {DEV_CREDENTIALS.client_id}


async def test_a_rotation_does_not_keep_the_well_known_secret() -> None:
    mine = AdminCredentials(DEV_CREDENTIALS.client_id, "mine")
    async with MemoryStore() as store:
        await start(store, DEV_CREDENTIALS)
        await change(store, mine.client_id, rotation={"enabled": True})
        await start(store, mine)
        record = await store.get("apikeys", mine.client_id)
        assert record is not None
        assert msgspec.json.decode(record.document)["clientSecret"] == "mine"


@pytest.mark.parametrize("old", [ONE, DEV_CREDENTIALS], ids=["made", "dev"])
@pytest.mark.parametrize("secret", ["of my own", "${vault://env/KEY}"], ids=["own", "vault"])
async def test_a_key_that_was_given_another_secret_stays(
    old: AdminCredentials, secret: str
) -> None:
    async with MemoryStore() as store:
        await start(store, old)
        await change(store, old.client_id, clientSecret=secret)
        assert await start(store, TWO) == {old.client_id, "admin-2"}
        assert await start(store, TWO) == {old.client_id, "admin-2"}


async def test_a_key_that_nobody_put_there_stays() -> None:
    async with MemoryStore() as store:
        await store.put("apikeys", "mine", b'{"clientId":"mine","clientSecret":"secret-1"}')
        await start(store, ONE)
        assert await start(store, TWO) == {"admin-2", "mine"}


async def test_gateways_on_one_store_keep_each_others_keys() -> None:
    async with MemoryStore() as store:
        await start(store, ONE, "a")
        assert await start(store, TWO, "b") == {"admin-1", "admin-2"}
        assert await start(store, ONE, "a") == {"admin-1", "admin-2"}
        three = AdminCredentials("admin-3", "secret-3")
        assert await start(store, three, "a") == {"admin-2", "admin-3"}


async def test_a_shared_key_goes_with_the_last_gateway_that_uses_it() -> None:
    async with MemoryStore() as store:
        await start(store, ONE, "a")
        await start(store, ONE, "b")
        assert await start(store, TWO, "a") == {"admin-1", "admin-2"}
        assert await start(store, TWO, "b") == {"admin-2"}


async def end_lease(store: Store, node: str) -> None:
    """Let a gateway be gone for so long that its lease has ended."""
    (lease,) = await store.load_blobs(f"installation-key-lease:{node}")
    assert lease.expires_at is not None
    assert (
        datetime.now(UTC).timestamp() + LEASE_S - 60
        < lease.expires_at
        <= datetime.now(UTC).timestamp() + LEASE_S
    )
    await store.save_blobs([msgspec.structs.replace(lease, expires_at=1.0)])


async def test_a_gateway_that_is_gone_keeps_no_key_alive() -> None:
    async with MemoryStore() as store:
        await start(store, ONE, "a")
        await start(store, ONE, "b")
        await end_lease(store, "b")
        assert await start(store, TWO, "a") == {"admin-2"}
        assert await start(store, ONE, "b") == {"admin-1", "admin-2"}, "it came back"
        assert await start(store, TWO, "a") == {"admin-1", "admin-2"}


async def test_the_key_of_a_gateway_that_went_later_is_taken_out_by_any_other() -> None:
    async with MemoryStore() as store:
        await start(store, ONE, "a")
        await start(store, ONE, "b")
        assert await start(store, TWO, "a") == {"admin-1", "admin-2"}
        await end_lease(store, "b")
        assert await start(store, TWO, "c") == {"admin-2"}
        assert {mark.id for mark in await store.list("oto-trio")} == {
            "installation-key-a",
            "installation-key-c",
        }


async def test_a_gateway_that_is_gone_with_an_older_secret_keeps_no_key_alive() -> None:
    async with MemoryStore() as store:
        await start(store, AdminCredentials(ONE.client_id, "older"), "b")
        await start(store, ONE, "a")
        await end_lease(store, "b")
        assert await start(store, TWO, "a") == {"admin-2"}


async def test_a_gateway_that_is_gone_takes_no_key_that_others_use() -> None:
    async with MemoryStore() as store:
        for node in ("a", "b", "c"):
            await start(store, ONE, node)
        await end_lease(store, "c")
        assert await start(store, TWO, "a") == {"admin-1", "admin-2"}
        await end_lease(store, "a")
        assert await start(store, ONE, "b") == {"admin-1"}


async def test_a_gateway_without_leases_counts_as_there() -> None:
    async with MemoryStore() as store:
        await start(store, ONE, "a")
        await start(store, ONE, "b")
        mark = await store.get("oto-trio", "installation-key-b")
        assert mark is not None
        older = {k: v for k, v in msgspec.json.decode(mark.document).items() if k != "leased"}
        await store.put(mark.kind, mark.id, msgspec.json.encode(older))
        await end_lease(store, "b")
        assert await start(store, TWO, "a") == {"admin-1", "admin-2"}


async def test_a_running_gateway_renews_its_lease() -> None:
    async with MemoryStore() as store:
        await start(store, ONE, "a")
        await start(store, ONE, "b")
        await end_lease(store, "b")
        job = key_lease_job(store, "b")
        assert job.every_s * 24 < LEASE_S
        revision = store.revision
        await job.run()
        assert store.revision == revision
        assert await start(store, TWO, "a") == {"admin-1", "admin-2"}


async def test_what_was_remembered_of_a_store_had_alone_keeps_nothing_on_a_shared_one() -> None:
    async with MemoryStore() as store:
        await start(store, ONE)
        await start(store, ONE, "a")
        assert await start(store, TWO, "a") == {"admin-2"}


async def test_what_is_remembered_holds_no_secret_and_is_made_anew_when_damaged() -> None:
    async with MemoryStore() as store:
        await start(store, ONE)
        (mark,) = await store.list("oto-trio")
        assert b"secret-1" not in mark.document
        assert b"admin-1" in mark.document
        await store.put(mark.kind, mark.id, b"no json")
        await start(store, ONE)
        assert await start(store, TWO) == {"admin-2"}


async def test_a_write_in_between_starts_over() -> None:
    class Busy(MemoryStore):
        """Has another write come in between of a read and the first transaction."""

        meddled = False

        @override
        async def transact(
            self, writes: Sequence[Write], *, at: int | None = None, seen: Sequence[Seen] = ()
        ) -> int:
            if not self.meddled:
                self.meddled = True
                await change(self, "admin-1", description="changed")
            return await super().transact(writes, at=at, seen=seen)

    async with Busy() as store:
        store.meddled = True
        await start(store, ONE)
        store.meddled = False
        assert await start(store, TWO) == {"admin-2"}
        assert store.meddled

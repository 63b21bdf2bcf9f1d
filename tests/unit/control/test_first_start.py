"""What an empty store gets before anything runs on it."""

from __future__ import annotations

import msgspec

from oto_trio.control.admin_api.resources import RESOURCES
from oto_trio.control.first_start import bootstrap
from oto_trio.control.store import MemoryStore
from oto_trio.gateway import installer
from oto_trio.model.api_key import ROTATIONS


async def test_an_empty_store_gets_a_global_configuration_once() -> None:
    async with MemoryStore() as store:
        assert await bootstrap(store) is True
        first = await store.get("global-config", "global")
        assert first is not None
        assert msgspec.json.decode(first.document)["otoroshiId"].startswith("otoroshi_")
        assert await bootstrap(store) is False
        assert await store.get("global-config", "global") == first


async def test_an_empty_store_gets_the_places_that_entities_belong_to_in_one_revision() -> None:
    async with MemoryStore() as store:
        await bootstrap(store)
        assert store.revision == 1
        kinds = ("tenants", "teams", "service-groups")
        found = (await store.snapshot(kinds)).records
        assert [(record.kind, record.id) for record in found] == [
            ("service-groups", "admin-api-group"),
            ("service-groups", "default"),
            ("teams", "default"),
            ("tenants", "default"),
        ]
        await store.delete("service-groups", "default")
        await bootstrap(store)
        assert await store.get("service-groups", "default") is None, "what was removed stays away"


async def test_what_is_there_already_stays_as_it_is() -> None:
    async with MemoryStore() as store:
        await store.put("tenants", "default", b'{"id":"default","name":"mine"}')
        assert await bootstrap(store) is True
        kept = await store.get("tenants", "default")
        assert kept is not None
        assert msgspec.json.decode(kept.document)["name"] == "mine"


def test_the_workers_read_no_kind_that_cannot_be_written() -> None:
    # The periods of rotating secrets are a job's to write.
    written = {resource.store_kind for resource in RESOURCES} | {ROTATIONS}
    assert set(installer.KINDS) <= written

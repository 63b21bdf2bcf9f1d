"""What an empty store gets before anything runs on it."""

from __future__ import annotations

import msgspec

from oto_trio.control.admin_api.resources import RESOURCES
from oto_trio.control.first_start import bootstrap
from oto_trio.control.store import MemoryStore
from oto_trio.gateway import installer


async def test_an_empty_store_gets_a_global_configuration_once() -> None:
    async with MemoryStore() as store:
        assert await bootstrap(store) is True
        first = await store.get("global-config", "global")
        assert first is not None
        assert msgspec.json.decode(first.document)["otoroshiId"].startswith("otoroshi_")
        assert await bootstrap(store) is False
        assert await store.get("global-config", "global") == first


def test_the_workers_read_no_kind_that_cannot_be_written() -> None:
    assert set(installer.KINDS) <= {resource.store_kind for resource in RESOURCES}

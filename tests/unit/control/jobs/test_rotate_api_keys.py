"""The rotation of API keys: when, with which secrets, and what operators are told."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from oto_trio.control.jobs.rotate_api_keys import HOUR_MS, ROTATIONS, RotateApiKeys
from oto_trio.control.store import MemoryStore
from oto_trio.model.api_key import ApiKey, read_api_key
from oto_trio.model.document import encode_document


class Clock:
    """Hours that pass when a test says so."""

    def __init__(self) -> None:
        self.hours = 1000.0

    def __call__(self) -> int:
        return int(self.hours * HOUR_MS)


class Rotating:
    """A store with one key that rotates every ten hours, with a grace of two."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self.clock = Clock()
        self.alerts: list[tuple[str, dict[str, Any]]] = []
        self.job = RotateApiKeys(
            store,
            now_ms=self.clock,
            on_alert=lambda name, fields: self.alerts.append((name, fields)),
        )

    async def put(self, **rotation: Any) -> None:
        document = {
            "clientId": "c",
            "clientSecret": "first",
            "clientName": "n",
            "rotation": {"enabled": True, "rotationEvery": 10, "gracePeriod": 2, **rotation},
        }
        await self.store.put("apikeys", "c", encode_document(read_api_key(document)))

    async def at(self, hours: float) -> ApiKey:
        """Run the job so many hours after the beginning, and return the key."""
        self.clock.hours = 1000 + hours
        await self.job.run()
        record = await self.store.get("apikeys", "c")
        assert record is not None
        return read_api_key(msgspec.json.decode(record.document))


async def test_a_secret_lives_its_time_beside_the_next_one() -> None:
    async with MemoryStore() as store:
        rotating = Rotating(store)
        await rotating.put(nextSecret="stale")
        key = await rotating.at(0)
        assert (key.client_secret, key.rotation.next_secret) == ("first", None)
        assert (await rotating.at(7.9)).rotation.next_secret is None
        assert rotating.alerts == []
        key = await rotating.at(8)
        second = key.rotation.next_secret
        assert key.client_secret == "first"
        assert second is not None
        assert len(second) == 64
        assert (await rotating.at(9.9)).rotation.next_secret == second, "made once"
        key = await rotating.at(10)
        assert (key.client_secret, key.rotation.next_secret) == (second, None)
        assert [name for name, _ in rotating.alerts] == [
            "ApiKeySecretWillRotate",
            "ApiKeySecretHasRotated",
        ]
        assert rotating.alerts[0][1]["inHoursOrLess"] == 2
        told = repr(rotating.alerts)
        assert "first" not in told
        assert second not in told
        assert (await rotating.at(17.9)).rotation.next_secret is None, "a new period began"
        assert (await rotating.at(18)).rotation.next_secret is not None


async def test_a_secret_that_is_overdue_is_replaced() -> None:
    async with MemoryStore() as store:
        rotating = Rotating(store)
        await rotating.put()
        await rotating.at(0)
        key = await rotating.at(50)
        assert key.client_secret != "first"
        assert len(key.client_secret) == 64


@pytest.mark.parametrize("how", ["off", "deleted"])
async def test_the_period_of_a_key_that_rotates_no_more_is_forgotten(how: str) -> None:
    async with MemoryStore() as store:
        rotating = Rotating(store)
        await rotating.put()
        await rotating.at(0)
        assert await store.count(ROTATIONS) == 1
        if how == "off":
            await rotating.put(enabled=False)
        else:
            await store.delete("apikeys", "c")
        await rotating.job.run()
        assert await store.count(ROTATIONS) == 0


async def test_what_nobody_has_to_do_is_not_written() -> None:
    async with MemoryStore() as store:
        rotating = Rotating(store)
        await rotating.put()
        await rotating.at(0)
        before = await store.get("apikeys", "c")
        await rotating.at(1)
        assert await store.get("apikeys", "c") == before

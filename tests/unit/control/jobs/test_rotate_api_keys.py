"""The rotation of API keys: when, with which secrets, and what operators are told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import trio

from oto_trio.control.jobs import run_jobs
from oto_trio.control.jobs.rotate_api_keys import RotateApiKeys
from oto_trio.control.store import MemoryStore
from oto_trio.model.api_key import HOUR_MS, ROTATIONS, ApiKey, read_api_key
from oto_trio.model.document import encode_document

if TYPE_CHECKING:
    from trio.testing import MockClock


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


async def test_a_secret_changes_at_its_time_and_once(autojump_clock: MockClock) -> None:
    began = trio.current_time()
    told: list[tuple[float, str]] = []
    async with MemoryStore() as store, trio.open_nursery() as nursery:
        rotating = Rotating(store)
        job = RotateApiKeys(
            store,
            now_ms=lambda: round((trio.current_time() - began) * 1000),
            on_alert=lambda name, _: told.append((trio.current_time() - began, name)),
        )
        await rotating.put(rotationEvery=3, gracePeriod=1)
        nursery.start_soon(lambda: run_jobs([job.job()], chance=lambda: 0.4))
        await trio.sleep(5 + 3 * 3600 + 0.1)
        record = await store.get("apikeys", "c")
        assert record is not None
        assert read_api_key(msgspec.json.decode(record.document)).rotation.next_secret is None
        await trio.sleep(2 * 3600)
        nursery.cancel_scope.cancel()
    hour = 3600.0
    assert [(round(at - 5, 2), name) for at, name in told] == [
        (2 * hour, "ApiKeySecretWillRotate"),
        (3 * hour, "ApiKeySecretHasRotated"),
        (5 * hour, "ApiKeySecretWillRotate"),
    ]


async def test_two_looks_at_once_make_one_secret() -> None:
    async with MemoryStore() as store:
        rotating = Rotating(store)
        await rotating.put()
        await rotating.at(0)
        await rotating.at(8)
        rotating.clock.hours = 1010
        async with trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(rotating.job.run)
        names = [name for name, _ in rotating.alerts]
        assert names == ["ApiKeySecretWillRotate", "ApiKeySecretHasRotated"]


async def test_a_grace_period_longer_than_the_period_does_not_keep_the_job_busy() -> None:
    async with MemoryStore() as store:
        rotating = Rotating(store)
        await rotating.put(rotationEvery=1, gracePeriod=9)
        assert (await rotating.at(0)).rotation.next_secret is None
        due_s = rotating.job.due_in_s()
        assert due_s is not None
        assert due_s < 0
        assert (await rotating.at(0)).rotation.next_secret is not None
        assert rotating.job.due_in_s() == 3600
        await rotating.put(enabled=False)
        await rotating.at(0)
        assert rotating.job.due_in_s() is None

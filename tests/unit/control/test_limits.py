"""The shared table as the control plane keeps it, and the quotas the admin API shows."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
import trio.testing
from typing_extensions import override

from oto_trio._core import Limits
from oto_trio.control.admin_api.quotas import quotas_document
from oto_trio.control.limits import LimitsKeeper, LimitsTable, load_seed
from oto_trio.control.limits.table import utc_offset_s
from oto_trio.control.store.base import Blob
from oto_trio.control.store.memory import MemoryStore
from oto_trio.model.errors import StoreError
from oto_trio.testing.admin_api import serving_admin_api

NOON = 4_000_000_000.0


class Clock:
    """A wall clock that stands until it is told."""

    now = NOON

    def __call__(self) -> float:
        return self.now


def table(folder: Path, clock: Clock, seed: tuple[int, int] = (1, 2)) -> LimitsTable:
    return LimitsTable(folder, seed, among_processes=False, slots=100, unix_clock=clock)


async def test_what_was_counted_is_brought_back(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    clock, store = Clock(), MemoryStore()
    with table(tmp_path, clock) as before:
        for _ in range(3):
            before.limits.consume_quota("k", *before.now())
        await LimitsKeeper(store, before).flush()
        before.limits.consume_quota("k", *before.now())
        await LimitsKeeper(store, before).flush()
    with table(tmp_path, clock) as after:
        assert await LimitsKeeper(store, after).load() == 1
        assert after.limits.peek_quota("k", *after.now()).daily[0] == 4
    clock.now += 86_400
    with table(tmp_path, clock) as tomorrow:
        await LimitsKeeper(store, tomorrow).load()
        assert tomorrow.limits.peek_quota("k", *tomorrow.now()).daily[0] == 0
        assert tomorrow.limits.peek_quota("k", *tomorrow.now()).monthly[0] == 4
    with table(tmp_path, Clock(), seed=(1, 3)) as other:
        await LimitsKeeper(store, other).load()
        assert other.limits.peek_quota("k", *other.now()).daily[0] == 0


async def kept_calls(store: MemoryStore) -> int:
    """The calls of key `k` today that a restart would find."""
    with LimitsTable(Path(), (1, 2), among_processes=False, slots=100, unix_clock=Clock()) as other:
        for page in await store.load_blobs("limits:page:"):
            other.limits.restore(page.value, *other.now())
        return other.limits.peek_quota("k", *other.now()).daily[0]


async def test_a_table_of_another_size_counts_nothing_twice(tmp_path: Path) -> None:
    store = MemoryStore()
    for slots in (100, 5_000, 50, 2_000):
        with LimitsTable(tmp_path, (1, 2), slots=slots, unix_clock=Clock()) as limits:
            keeper = LimitsKeeper(store, limits)
            await keeper.load()
            for at in range(40):
                limits.limits.consume_quota(f"k{at}", *limits.now())
            await keeper.flush()
    with LimitsTable(tmp_path, (1, 2), slots=300, unix_clock=Clock()) as last:
        assert await LimitsKeeper(store, last).load() == 40
        used = [last.limits.peek_quota(f"k{at}", *last.now()).daily[0] for at in range(40)]
    assert used == [4] * 40


async def test_a_page_that_is_cut_short_is_told_and_leaves_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = MemoryStore()
    await store.save_blobs([Blob("limits:page:7", b"x" * 33)])
    with table(tmp_path, Clock()) as before:
        before.limits.consume_quota("k", *before.now())
        await LimitsKeeper(store, before).flush()
    with table(tmp_path, Clock()) as after:
        assert await LimitsKeeper(store, after).load() == 1
    assert "limits:page:7 are lost: page: it is cut short" in caplog.text


async def test_the_keeper_writes_every_second_and_at_the_end(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    store = MemoryStore()
    with table(tmp_path, Clock()) as limits:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(LimitsKeeper(store, limits).run)
            limits.limits.consume_quota("k", *limits.now())
            await trio.sleep(1.01)
            assert await kept_calls(store) == 1
            limits.limits.consume_quota("k", *limits.now())
            nursery.cancel_scope.cancel()
        assert await kept_calls(store) == 2


class Slow(MemoryStore):
    """A store that takes its time, and notes when it was asked."""

    def __init__(self, takes_s: float) -> None:
        super().__init__()
        self.takes_s = takes_s
        self.asked_at: list[float] = []

    @override
    async def save_blobs(self, blobs: Sequence[Blob]) -> None:
        self.asked_at.append(round(trio.current_time(), 3))
        await trio.sleep(self.takes_s)
        await super().save_blobs(blobs)


@pytest.mark.parametrize(
    ("takes_s", "asked_at"),
    [(0.004, [1, 2.004, 3.008]), (0.03, [1, 4.03, 7.06]), (0.5, [1, 6.5, 12])],
)
async def test_writing_takes_a_hundredth_of_the_time(
    takes_s: float,
    asked_at: list[float],
    tmp_path: Path,
    autojump_clock: trio.testing.MockClock,
) -> None:
    store = Slow(takes_s)
    with table(tmp_path, Clock()) as limits:
        async with trio.open_nursery() as nursery:
            began = trio.current_time()
            nursery.start_soon(LimitsKeeper(store, limits).run)
            while len(store.asked_at) < 3:
                limits.limits.consume_quota("k", *limits.now())
                await trio.sleep(0.1)
            nursery.cancel_scope.cancel()
    assert [round(at - began, 3) for at in store.asked_at[:3]] == asked_at


class Unwilling(MemoryStore):
    """A store that keeps blobs only when it may."""

    may = False

    @override
    async def save_blobs(self, blobs: Sequence[Blob]) -> None:
        if not self.may:
            await trio.lowlevel.checkpoint()
            raise StoreError("the disk is full")
        await super().save_blobs(blobs)


async def test_counts_wait_for_a_store_that_fails(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Unwilling()
    with table(tmp_path, Clock()) as limits:
        keeper = LimitsKeeper(store, limits)
        limits.limits.consume_quota("k", *limits.now())
        for _ in range(3):
            await keeper.flush()
        assert caplog.text.count("the disk is full") == 1
        store.may = True
        await keeper.flush()
    assert await kept_calls(store) == 1


async def test_the_seed_is_made_once() -> None:
    store = MemoryStore()
    seed = await load_seed(store)
    assert all(0 <= half < 2**64 for half in seed)
    assert await load_seed(store) == seed
    assert await load_seed(MemoryStore()) != seed


def test_gauges_are_handed_out_and_taken_back(tmp_path: Path) -> None:
    with table(tmp_path, Clock()) as limits:
        assert [limits.take_gauge() for _ in range(3)] == [1, 2, 3]
        limits.give_back(None, 2)
        assert limits.take_gauge() == 2
        for _ in range(limits.limits.gauges - 4):
            limits.take_gauge()
        with pytest.raises(ValueError, match="no more than"):
            limits.take_gauge()
        worker = Limits.open(limits.fileno(), 5)
        assert worker.window_ms == 10_000


def test_the_time_zone_is_that_of_the_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    import time  # noqa: PLC0415 (to make the system read the zone again)

    for zone, summer in (("UTC", 0), ("Europe/Paris", 7200), ("Asia/Kathmandu", 20700)):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        assert utc_offset_s(1_720_000_000) == summer
    monkeypatch.undo()
    time.tzset()


def test_the_quotas_of_a_key_come_from_its_strategy_when_it_has_one(tmp_path: Path) -> None:
    async def main() -> None:
        with table(tmp_path, Clock()) as limits:
            limits.limits.consume_quota("k", *limits.now())
            key: dict[str, Any] = {
                "clientId": "k",
                "throttlingQuota": 5,
                "dailyQuota": 7,
                "monthlyQuota": 9,
                "throttlingStrategy": None,
            }
            assert quotas_document(key, limits) == {
                "authorizedCallsPerWindow": 5,
                "throttlingCallsPerWindow": 1,
                "remainingCallsPerWindow": 4,
                "authorizedCallsPerDay": 7,
                "currentCallsPerDay": 1,
                "remainingCallsPerDay": 6,
                "authorizedCallsPerMonth": 9,
                "currentCallsPerMonth": 1,
                "remainingCallsPerMonth": 8,
            }
            key["throttlingStrategy"] = {"quota": {"daily": 1}}
            shown = quotas_document(key, limits)
            assert (shown["authorizedCallsPerDay"], shown["remainingCallsPerDay"]) == (1, 0)
            assert shown["authorizedCallsPerMonth"] == 10_000_000

    trio.run(main)


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[tuple[httpx.AsyncClient, LimitsTable]]:
    """An admin API with counters, and a key `k` for the group `g`."""
    with table(tmp_path, Clock()) as limits:
        async with serving_admin_api(limits=limits) as api:
            key: dict[str, Any] = {
                "clientId": "k",
                "clientName": "k",
                "clientSecret": "s",
                "dailyQuota": 3,
            }
            key["authorizedEntities"] = ["group_g"]
            answer = await api.call("POST", "/apis/apim.otoroshi.io/v1/apikeys", key)
            assert answer.status_code == 201, answer.text
            yield api.client, limits


@pytest.mark.slow
async def test_quotas_are_read_and_reset_by_every_path(
    served: tuple[httpx.AsyncClient, LimitsTable],
) -> None:
    api, limits = served
    for _ in range(2):
        limits.limits.consume_quota("k", *limits.now())
    for path in ("/api/apikeys/k/quotas", "/api/groups/g/apikeys/k/quotas"):
        assert (await api.get(path)).json()["remainingCallsPerDay"] == 1
    for path, what in (
        ("/api/apikeys/x/quotas", "ApiKey with clientId 'x' not found"),
        ("/api/groups/other/apikeys/k/quotas", "ApiKey with clientId 'k' not found"),
        ("/api/routes/r/apikeys/k/quotas", "Route with id: 'r' not found"),
        ("/api/services/r/apikeys/k/quotas", "Service with id: 'r' not found"),
    ):
        for verb in ("GET", "DELETE"):
            answer = await api.request(verb, path)
            assert (answer.status_code, answer.json()) == (404, {"error": what})
    assert (await api.delete("/api/groups/g/apikeys/k/quotas")).json()["currentCallsPerDay"] == 0
    assert limits.limits.peek_quota("k", *limits.now()).daily[0] == 0


class Shared(MemoryStore):
    """A store as two gateways share it, which lets them wait before they make something."""

    is_shared = True

    @override
    async def load_blobs(self, prefix: str) -> Sequence[Blob]:
        found = await super().load_blobs(prefix)
        await trio.testing.wait_all_tasks_blocked()
        return found


async def test_gateways_that_start_together_on_an_empty_store_have_one_seed() -> None:
    store, seeds = Shared(), set[tuple[int, int]]()

    async def start() -> None:
        seeds.add(await load_seed(store))

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(start)
    seeds.add(await load_seed(store))
    assert len(seeds) == 1


async def test_a_seed_from_before_stores_were_shared_goes_on() -> None:
    store = Shared()
    await store.save_blobs([Blob("limits:seed", bytes(range(16)))])
    assert await load_seed(store) == (0x0001020304050607, 0x08090A0B0C0D0E0F)

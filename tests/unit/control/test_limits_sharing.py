"""Windows, days and months that gateways of one store count together, on virtual time."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from oto_trio.control.limits import LimitsSharer, LimitsTable
from oto_trio.control.store.base import Blob
from oto_trio.control.store.memory import MemoryStore
from oto_trio.control.store.tallies import Tally
from oto_trio.model.errors import StoreError

NOON = 4_000_000_000.0


class Clock:
    """A wall clock that goes with Trio's, from noon on."""

    def __init__(self, ahead_s: float = 0) -> None:
        self.ahead_s = ahead_s
        self._began = trio.current_time()

    def __call__(self) -> float:
        return NOON + self.ahead_s + trio.current_time() - self._began


class Away(MemoryStore):
    """A store that can be away, before it gets what it is told or before its answer arrives."""

    is_gone = False
    loses_answers = False

    @override
    async def tally(
        self, told: Sequence[Tally], asked: Sequence[str] = (), *, now: float
    ) -> Mapping[str, Mapping[str, int]]:
        await trio.lowlevel.checkpoint()
        if self.is_gone:
            raise StoreError("the store is away")
        found = await super().tally(told, asked, now=now)
        if self.loses_answers:
            raise StoreError("the answer is lost")
        return found


class Node:
    """A gateway: its table, and what shares it."""

    def __init__(self, store: MemoryStore, table: LimitsTable, name: str) -> None:
        self.table = table
        self.sharer = LimitsSharer(store, table, name)

    def call(self, key: str = "k", *, window: int = 10**7, daily: int = 10**7) -> bool:
        """Whether a call is let through."""
        now = self.table.now()
        usage = self.table.limits.consume_quota(key, *now, window=window, daily=daily)
        return usage.broken is None

    def counts(self, key: str = "k") -> tuple[int, int, int]:
        """The calls of window, day and month."""
        usage = self.table.limits.peek_quota(key, *self.table.now())
        return usage.window[0], usage.daily[0], usage.monthly[0]


@contextmanager
def node(store: MemoryStore, folder: Path, name: str, clock: Clock) -> Generator[Node]:
    with LimitsTable(folder, (1, 2), among_processes=False, slots=8_000, unix_clock=clock) as table:
        yield Node(store, table, name)


async def test_two_gateways_let_a_limit_through_once(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """Ten calls a second to each; each lets at most those of one round through behind the limit."""
    store, clock = MemoryStore(), Clock()
    with node(store, tmp_path, "one", clock) as one, node(store, tmp_path, "two", clock) as two:
        through = 0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.sharer.run)
            nursery.start_soon(two.sharer.run)
            for _ in range(200):
                through += sum(it.call(daily=100) for it in (one, two))
                await trio.sleep(0.1)
            nursery.cancel_scope.cancel()
        await one.sharer.refresh("k")
        await two.sharer.refresh("k")
        assert 100 <= through <= 100 + 2 * 10
        assert one.counts()[1:] == two.counts()[1:] == (400, 400), "refused calls count too"


async def test_windows_are_shared_and_end(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    store, clock = MemoryStore(), Clock()
    with node(store, tmp_path, "one", clock) as one, node(store, tmp_path, "two", clock) as two:
        assert [one.call(window=5) for _ in range(3)] == [True] * 3
        await trio.sleep(4)
        assert [two.call(window=5) for _ in range(2)] == [True] * 2
        for _ in range(2):
            await one.sharer.flush()
            await two.sharer.flush()
        assert one.counts()[0] == 3, "the other one's calls came afterwards"
        assert two.counts()[0] == 5
        assert not two.call(window=5)
        usage = two.table.limits.peek_quota("k", *two.table.now(), window=5)
        assert usage.retry_after_s == 10, "its own window goes on longest"
        await two.sharer.flush()
        await trio.sleep(6.5)  # the first window ended, the second has 3.5 seconds
        assert one.call(window=5)
        await one.sharer.flush()
        assert one.counts()[0] == 4
        await trio.sleep(4)
        await one.sharer.flush()
        assert (one.counts()[0], two.counts()[0]) == (1, 0)


async def test_a_day_ends_for_all(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    store, clock = MemoryStore(), Clock()
    with node(store, tmp_path, "one", clock) as one, node(store, tmp_path, "two", clock) as two:
        for it in (one, two, one):
            it.call()
            await it.sharer.flush()
        assert one.counts() == (3, 3, 3)
        clock.ahead_s += 86_400
        assert one.counts()[1:] == (0, 3)
        two.call()
        await two.sharer.flush()
        one.call()
        await one.sharer.flush()
        assert one.counts()[1:] == (2, 5)


async def test_a_reset_is_for_all(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    store, clock = MemoryStore(), Clock()
    with node(store, tmp_path, "one", clock) as one, node(store, tmp_path, "two", clock) as two:
        for _ in range(8):
            one.call()
            two.call()
        await one.sharer.flush()
        await two.sharer.flush()
        assert not two.call(daily=10)
        await two.sharer.flush()
        await one.sharer.reset("k")
        assert one.counts()[1:] == (0, 0)
        assert two.counts()[1:] == (17, 17), "it was told nothing"
        assert not two.call(daily=10), "the call that makes it ask"
        await two.sharer.flush()
        assert two.counts()[1:] == (1, 1)
        assert [two.call(daily=10) for _ in range(10)] == [True] * 9 + [False]
        await two.sharer.reset("k")
        await one.sharer.refresh("k")
        assert one.counts()[1:] == two.counts()[1:] == (0, 0), "again, and from the other side"
        with node(store, tmp_path, "three", clock) as three:
            await three.sharer.reset("unknown")
            await three.sharer.refresh("k")
            assert three.counts()[1:] == (0, 0)


async def test_a_restart_goes_on_where_it_was(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    store, clock = MemoryStore(), Clock()
    with node(store, tmp_path, "other", clock) as other:
        for _ in range(2):
            other.call()
        await other.sharer.flush()
    for run in range(1, 4):
        with node(store, tmp_path, "one", clock) as one:
            assert await one.sharer.load() == 0
            for _ in range(3):
                one.call()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(one.sharer.run)
                await trio.testing.wait_all_tasks_blocked()
                nursery.cancel_scope.cancel()  # it tells once more at its end
            assert one.counts()[1:] == (2 + 3 * run, 2 + 3 * run)


async def test_an_outage_loses_nothing_and_is_said_once(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    store, clock = Away(), Clock()
    with node(store, tmp_path, "one", clock) as one, node(store, tmp_path, "two", clock) as two:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.sharer.run)
            nursery.start_soon(two.sharer.run)
            for turn in range(40):
                store.is_gone = 5 <= turn < 15
                store.loses_answers = 20 <= turn < 30
                one.call()
                two.call("other" if turn % 2 else "k")
                await trio.sleep(1)
                if store.is_gone:
                    with pytest.raises(StoreError, match="away"):
                        await one.sharer.reset("k")
            await trio.sleep(2)
            with node(store, tmp_path, "three", clock) as three:
                for key in ("k", "other"):
                    await three.sharer.refresh(key)
                assert three.counts()[1:] == (60, 60), "both told it of their own accord"
                assert three.counts("other")[1:] == (20, 20)
            # Who of those that wake at one moment is first decides whether its last round heard of the other's.
            await one.sharer.refresh("k")
            await two.sharer.refresh("k")
            assert one.counts()[1:] == two.counts()[1:] == (60, 60)
            nursery.cancel_scope.cancel()
        assert caplog.text.count("the store is away") == 2, "once by each gateway"


async def test_what_an_older_version_kept_is_moved_once(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    store, clock = Away(), Clock()
    with node(store, tmp_path, "old", clock) as old:
        for _ in range(7):
            old.call()
        pages = old.table.limits.take_changed()
        blobs = [Blob(f"limits:node:one:page:{n}", page) for n, page in pages]
    await store.save_blobs(blobs)
    with node(store, tmp_path, "one", clock) as one:
        store.loses_answers = True
        with pytest.raises(StoreError):
            await one.sharer.load()
        store.loses_answers = False
        assert await one.sharer.load() == 1
        assert await one.sharer.load() == 0
        one.call()
        await one.sharer.flush()
        assert one.counts()[1:] == (8, 8)


async def test_many_keys_are_told_in_parts(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    store, clock = Away(), Clock()
    with node(store, tmp_path, "one", clock) as one, node(store, tmp_path, "two", clock) as two:
        for number in range(1500):
            one.call(f"k{number}")
        store.is_gone = True
        await one.sharer.flush()
        store.is_gone = False
        await one.sharer.flush()
        for number in range(1500):
            two.call(f"k{number}")
        await two.sharer.flush()
        assert {two.counts(f"k{number}") for number in range(1500)} == {(2, 2, 2)}


STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["call", "flush", "restart"]), st.integers(0, 2)),
        st.tuples(st.sampled_from(["reset", "gone", "lost", "back"]), st.integers(0, 2)),
    ),
    max_size=60,
)


class Play:
    """Three gateways, and how many calls they should know of."""

    def __init__(self) -> None:
        self.store, self.clock = Away(), Clock()
        self.nodes = [self.make(at) for at in range(3)]
        self.calls = 0

    def make(self, at: int) -> Node:
        table = LimitsTable(Path(), (1, 2), among_processes=False, slots=50, unix_clock=self.clock)
        return Node(self.store, table, f"n{at}")

    @property
    def is_well(self) -> bool:
        return not (self.store.is_gone or self.store.loses_answers)

    async def flush(self) -> None:
        for it in self.nodes:
            await it.sharer.flush()

    async def step(self, what: str, at: int) -> None:
        it = self.nodes[at]
        if what == "call":
            it.call()
            self.calls += 1
        elif what == "flush":
            await it.sharer.flush()
        elif what in {"gone", "lost", "back"}:
            self.store.is_gone, self.store.loses_answers = what == "gone", what == "lost"
        elif what == "restart" and self.is_well:
            await it.sharer.flush()
            it.table.close()
            self.nodes[at] = self.make(at)
        elif what == "reset" and self.is_well:
            await self.flush()  # else it counts what is told afterwards
            await it.sharer.reset("k")
            self.calls = 0


@given(steps=STEPS)
def test_whatever_happens_the_sum_is_exact_in_the_end(steps: list[tuple[str, int]]) -> None:
    """Against a plain number: the calls of all since the last reset."""

    async def play() -> None:
        it = Play()
        for step in [*steps, ("back", 0)]:
            await it.step(*step)
        await it.flush()
        for one in it.nodes:
            await one.sharer.refresh("k")
        found = {one.counts()[1:] for one in it.nodes}
        for one in it.nodes:
            one.table.close()
        assert found == {(it.calls, it.calls)}

    trio.run(play)

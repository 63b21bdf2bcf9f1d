"""Tasks of async hooks: reused, cancelled one by one, and never leaking one exchange into another."""

import contextvars

import trio
import trio.testing

from oto_trio.gateway import runners
from oto_trio.gateway.runners import Runners

seen: contextvars.ContextVar[str] = contextvars.ContextVar("seen", default="nothing")


async def test_a_parked_task_takes_the_next_work() -> None:
    tasks: list[trio.lowlevel.Task] = []

    async def work(_: int) -> None:
        tasks.append(trio.lowlevel.current_task())
        await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        pool = Runners(nursery, work)
        for number in range(3):
            pool.start(number)
            await trio.testing.wait_all_tasks_blocked()
        assert pool.parked == 1
        nursery.cancel_scope.cancel()
    assert len(set(tasks)) == 1


async def test_cancelling_one_piece_of_work_leaves_the_others_and_its_task() -> None:
    ended: list[str] = []

    async def work(name: str) -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.append(name)

    async with trio.open_nursery() as nursery:
        pool = Runners(nursery, work)
        first = pool.start("first")
        pool.start("second")
        await trio.testing.wait_all_tasks_blocked()
        first.scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert ended == ["first"]
        assert pool.parked == 1
        third = pool.start("third")
        assert third is first, "the same task, under a fresh scope"
        await trio.testing.wait_all_tasks_blocked()
        assert ended == ["first"], "an old cancellation does not reach new work"
        nursery.cancel_scope.cancel()
    assert sorted(ended) == ["first", "second", "third"]


async def test_work_cancelled_before_it_starts_is_run_and_told() -> None:
    told: list[bool] = []

    async def work(_: int) -> None:
        try:
            await trio.lowlevel.checkpoint()
        except trio.Cancelled:
            told.append(True)
            raise

    async with trio.open_nursery() as nursery:
        pool = Runners(nursery, work)
        pool.start(1).scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        pool.start(2).scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert told == [True, True]
        nursery.cancel_scope.cancel()


async def test_cancelling_work_that_has_ended_disturbs_nobody() -> None:
    done: list[int] = []

    async def work(number: int) -> None:
        await trio.lowlevel.checkpoint()
        done.append(number)

    async with trio.open_nursery() as nursery:
        pool = Runners(nursery, work)
        runner = pool.start(1)
        await trio.testing.wait_all_tasks_blocked()
        runner.scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        pool.start(2)
        await trio.testing.wait_all_tasks_blocked()
        assert done == [1, 2]
        nursery.cancel_scope.cancel()


async def test_context_variables_of_one_piece_of_work_are_not_seen_by_the_next() -> None:
    found: list[str] = []

    async def work(name: str) -> None:
        found.append(seen.get())
        seen.set(name)
        await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        pool = Runners(nursery, work)
        for name in ("first", "second"):
            pool.start(name)
            await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert found == ["nothing", "nothing"]


async def test_no_more_tasks_are_kept_than_stated() -> None:
    gate = trio.Event()

    async def work(_: int) -> None:
        await gate.wait()

    async with trio.open_nursery() as nursery:
        pool = Runners(nursery, work)
        for number in range(runners.MAX_PARKED + 10):
            pool.start(number)
        await trio.testing.wait_all_tasks_blocked()
        gate.set()
        await trio.testing.wait_all_tasks_blocked()
        assert pool.parked == runners.MAX_PARKED
        nursery.cancel_scope.cancel()

"""Which of the runs that wait is next."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from oto_trio import jq
from oto_trio.jq.turns import WAIT_S, Turns

if TYPE_CHECKING:
    from collections.abc import Generator

CROWDED = "too many filters wait for others to end"


@contextmanager
def fails(message: str) -> Generator[None]:
    with pytest.raises(jq.JqBusyError) as caught:
        yield
    assert caught.value.message == message


class Processes:
    """Places, and who had one from when.

    Args:
        nursery: Has a task for each run.
        places: How many there are.
        waiting: How many may wait.
    """

    def __init__(self, nursery: trio.Nursery, places: int = 1, waiting: int = 256) -> None:
        self.turns = Turns(places, waiting)
        self.began: list[tuple[str, float]] = []
        self.refused: list[str] = []
        self._nursery = nursery

    async def come(self, *runs: tuple[str, float]) -> None:
        """Have runs come one after the other, each of a route and as long as it says."""
        for whose, takes_s in runs:
            self._nursery.start_soon(self._run, whose, takes_s)
            # So that their order is this one, not that in which tasks happen to wake.
            await trio.testing.wait_all_tasks_blocked()

    async def _run(self, whose: str, takes_s: float) -> None:
        try:
            await self.turns.begin(whose)
        except jq.JqBusyError:
            self.refused.append(whose)
            return
        try:
            self.began.append((whose, round(trio.current_time(), 3)))
            await trio.sleep(takes_s)
        finally:
            self.turns.end(whose)

    def is_over(self) -> bool:
        """Whether nothing is kept of those that came."""
        return not (self.turns.waiting or vars(self.turns)["_lines"])


async def test_a_route_waits_for_one_run_of_another_not_for_all_that_came_before(
    mock_clock: trio.testing.MockClock,
) -> None:
    async with trio.open_nursery() as nursery:
        processes = Processes(nursery)
        await processes.come(*[("slow", 1)] * 4, ("quick", 0.1))
        mock_clock.autojump_threshold = 0
    assert processes.began == [
        *(("slow", 0), ("quick", 1)),
        *(("slow", 1.1), ("slow", 2.1), ("slow", 3.1)),
    ]
    assert processes.is_over()


async def test_routes_have_processes_for_the_same_time_not_for_as_many_runs(
    mock_clock: trio.testing.MockClock,
) -> None:
    async with trio.open_nursery() as nursery:
        processes = Processes(nursery)
        await processes.come(*[("slow", 1)] * 3, *[("quick", 0.3)] * 7)
        mock_clock.autojump_threshold = 0
    assert [it[0][0] for it in processes.began] == [*"sqqqqsqqqs"]


async def test_who_comes_after_others_had_much_has_no_more_than_they_from_then_on(
    mock_clock: trio.testing.MockClock,
) -> None:
    async with trio.open_nursery() as nursery:
        processes = Processes(nursery)
        await processes.come(*[("early", 1)] * 4)
        for _ in range(2):
            mock_clock.jump(1)
            await trio.testing.wait_all_tasks_blocked()
        await processes.come(*[("late", 0.9)] * 3)
        mock_clock.autojump_threshold = 0
    assert [it[0][0] for it in processes.began] == [*"eeellel"]


async def test_what_is_under_way_counts_as_long_as_it_has_been(
    mock_clock: trio.testing.MockClock,
) -> None:
    async with trio.open_nursery() as nursery:
        processes = Processes(nursery, places=2)
        # One of the slow route is under way when the other place gets free.
        await processes.come(("slow", 4), ("other", 1), ("slow", 4), ("slow", 4))
        mock_clock.jump(0.5)
        await processes.come(("quick", 0.5), ("quick", 0.5))
        mock_clock.autojump_threshold = 0
    assert processes.began[2:5] == [("quick", 1), ("quick", 1.5), ("slow", 2)]


async def test_those_of_one_route_go_in_the_order_in_which_they_came(
    mock_clock: trio.testing.MockClock,
) -> None:
    order: list[int] = []
    turns = Turns(1, 256)

    async def run(number: int) -> None:
        await turns.begin("route")
        order.append(number)
        await trio.sleep(0.1)
        turns.end("route")

    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(run, number)
            await trio.testing.wait_all_tasks_blocked()
        mock_clock.autojump_threshold = 0
    assert order == list(range(20))


async def test_a_route_that_fills_the_queue_makes_room_for_others_up_to_as_many_as_it_has(
    mock_clock: trio.testing.MockClock,
) -> None:
    async with trio.open_nursery() as nursery:
        processes = Processes(nursery, waiting=4)
        await processes.come(*[("slow", 1)] * 5)
        with fails(CROWDED), trio.fail_after(0):
            await processes.turns.begin("slow")
        await processes.come(("quick", 0.1), ("quick", 0.1))
        assert processes.refused == ["slow", "slow"]
        with fails(CROWDED), trio.fail_after(0):
            await processes.turns.begin("quick")
        await processes.come(("third", 0.1), ("fourth", 0.1))
        assert processes.refused == ["slow", "slow", "slow", "quick"]
        assert processes.turns.waiting == 4
        # Each has one now.
        with fails(CROWDED), trio.fail_after(0):
            await processes.turns.begin("fifth")
        mock_clock.autojump_threshold = 0
    assert [whose for whose, _ in processes.began] == ["slow", "quick", "third", "fourth", "slow"]
    assert processes.is_over()


async def test_nobody_waits_where_nobody_may() -> None:
    turns = Turns(1, 0)
    await turns.begin("one")
    with fails(CROWDED):
        await turns.begin("two")
    turns.end("one")
    await turns.begin("two")
    turns.end("two")


async def test_who_has_waited_too_long_or_leaves_takes_no_place_with_him(
    mock_clock: trio.testing.MockClock,
) -> None:
    turns = Turns(1, 256)
    await turns.begin("long")
    async with trio.open_nursery() as nursery:

        async def patient() -> None:
            with fails("other filters run for longer than 5 s"):
                await turns.begin("patient")

        async with trio.open_nursery() as leaving:
            leaving.start_soon(turns.begin, "leaving")
            nursery.start_soon(patient)
            await trio.testing.wait_all_tasks_blocked()
            assert turns.waiting == 2
            leaving.cancel_scope.cancel()
        assert turns.waiting == 1
        mock_clock.jump(WAIT_S)
    assert turns.waiting == 0
    turns.end("long")
    await turns.begin("next")
    turns.end("next")
    assert not vars(turns)["_lines"]


async def test_who_is_given_a_place_at_the_moment_he_is_cancelled_has_it() -> None:
    turns = Turns(1, 256)
    await turns.begin("first")
    had: list[str] = []

    async def second() -> None:
        await turns.begin("second")
        had.append("second")
        turns.end("second")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(second)
        await trio.testing.wait_all_tasks_blocked()
        turns.end("first")
        nursery.cancel_scope.cancel()
    assert had == ["second"]
    await turns.begin("third")
    turns.end("third")

"""Tasks for async hooks, kept for the next one.

Theory of operation
    To start a Trio task and end it costs more than most hooks do. So a task that has run the hooks
    of one exchange parks, and the next exchange wakes it. Each task runs its work under a cancel
    scope that is its alone; a scope that was cancelled is replaced by a fresh one before the task
    takes other work, and every piece of work starts with the context variables of the worker, so
    nothing of one exchange is ever seen by another.

    The nursery owns the tasks as it would own one task for each exchange: cancelling it ends them,
    parked or not.

Bounds
    As many tasks as exchanges have async hooks at the same time; `MAX_PARKED` of them are kept.
"""

import contextvars
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar, cast

import outcome
import trio

__all__ = ["MAX_PARKED", "Runner", "Runners"]

MAX_PARKED: Final = 256
"""Parked tasks that wait for work; one more ends instead."""

Work = TypeVar("Work")


class Runner(Generic[Work]):
    """One task and the scope its present work runs under."""

    __slots__ = ("scope", "task")

    def __init__(self) -> None:
        self.scope = trio.CancelScope()
        self.task: trio.lowlevel.Task | None = None


class Runners(Generic[Work]):
    """Runs pieces of work in tasks, each under its own cancel scope.

    Args:
        nursery: Owns the tasks.
        run: Does one piece of work. May raise `trio.Cancelled` only.
    """

    def __init__(self, nursery: trio.Nursery, run: Callable[[Work], Awaitable[None]]) -> None:
        self._nursery = nursery
        self._run = run
        self._parked: list[Runner[Work]] = []
        self._context = contextvars.copy_context()

    @property
    def parked(self) -> int:
        """How many tasks wait for work."""
        return len(self._parked)

    def start(self, work: Work) -> Runner[Work]:
        """Have a task do this work, a parked one if there is one; its scope cancels the work."""
        if self._parked:
            runner: Runner[Work] = self._parked.pop()
            assert runner.task is not None, "a parked runner has run before"
            trio.lowlevel.reschedule(runner.task, outcome.Value(work))
        else:
            runner = Runner[Work]()
            self._nursery.start_soon(self._serve, runner, work)
        return runner

    async def _serve(self, runner: Runner[Work], first: Work) -> None:
        """Do one piece of work after the other."""
        task = runner.task = trio.lowlevel.current_task()
        work: Work | None = first
        while True:
            with runner.scope:
                while True:
                    if work is not None:
                        doing, work = work, None
                        await self._run(doing)
                    if len(self._parked) >= MAX_PARKED:
                        return
                    task.context = self._context.copy()
                    work = await self._park(runner)
            if not runner.scope.cancelled_caught:
                return
            runner.scope = trio.CancelScope()

    async def _park(self, runner: Runner[Work]) -> Work:
        """Wait for work."""
        self._parked.append(runner)

        def abort(_: trio.lowlevel.RaiseCancelT) -> trio.lowlevel.Abort:
            self._parked.remove(runner)
            return trio.lowlevel.Abort.SUCCEEDED

        return cast("Work", await trio.lowlevel.wait_task_rescheduled(abort))

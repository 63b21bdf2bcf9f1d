"""The pump: Trio tasks that turn the engine.

Theory of operation
    The engine keeps its sockets in a readiness set of its own, and that set has a descriptor. One
    task waits until it is readable, turns the engine, and lets the pipeline act on what came up.
    After a turn it lingers for a moment for what the turn set off. There is no timeout in the wait
    for the descriptor and no cancel scope around it: deadlines are coarse and belong
    to the *ticker*, which calls `expire` a few times a second.

    Some work needs no socket: a plan resumed by an async hook may leave a pipelined request ready.
    Such work is announced by `Engine.pending`, and whoever sees it outside the turning task calls
    `wake`; the *follower* task then turns the engine until nothing is pending. All three tasks live
    in one Trio run, so no two of them are ever inside the engine at once.

A turn that raises is a defect of the engine. It is logged and counted, and the worker lives: the
engine drops the connection it was busy with.
"""

import logging
from datetime import UTC, datetime
from typing import Final

import trio

from oto_trio.gateway.engine import Clock, Engine, Event
from oto_trio.gateway.pipeline import Pipeline

__all__ = ["TICK_S", "Pump"]

logger = logging.getLogger(__name__)

TICK_S: Final = 0.05
"""Seconds between two looks at the deadlines; so much later than asked a timeout may strike."""

LINGER_S: Final = 0.0002
"""Seconds the pump waits in place for what comes next, while no hook waits for the loop.

A near backend answers sooner than the loop would come round, so this saves a pass of the loop for
each batch, and the client that time. Every other task is late by so much at most, `BURST_S` in all.
"""

BURST_S: Final = 0.002
BURST_TURNS: Final = 256
"""The pump goes back to the loop after so many seconds, or turns on a clock that stands still."""

TURNS_NOW: Final = 4
"""Turns for one batch of datagrams; what is left then waits for the loop to come round."""

FAULT_PAUSE_S: Final = 0.1
"""Pause after a turn that raised, so that a fault which repeats does not burn the core."""


def unix_time() -> float:
    """Return Unix time, in seconds."""
    return datetime.now(UTC).timestamp()


class Pump:
    """Turns one engine.

    Args:
        engine: The engine.
        clock: Reads the Trio clock.
        unix_clock: Reads Unix time, in seconds: what calendars and tokens speak of; the system's by
            default.
    """

    def __init__(self, engine: Engine, clock: Clock, unix_clock: Clock | None = None) -> None:
        self._engine = engine
        self._clock = clock
        self._unix_clock = unix_clock or unix_time
        self._tell_unix_time()
        self._follow = trio.Event()
        self.turns = 0
        """How often the engine was turned."""
        self.faults = 0
        """How often a turn raised."""

    def wake(self) -> None:
        """Have the follower turn the engine soon, without waiting for a socket."""
        self._follow.set()

    def turn_now(self, pipeline: Pipeline, now: float) -> None:
        """Turn the engine for work that came another way than by its sockets, and act on what comes up.

        Never raises for a fault of the engine. What is left after a few turns is the follower's.
        """
        for _ in range(TURNS_NOW):
            if not self._engine.pending:
                return
            try:
                events = self._engine.turn(now)
            except Exception as error:
                self.faults += 1
                logger.error("the engine failed in a turn; the gateway goes on", exc_info=error)
                break
            self.turns += 1
            if events:
                pipeline.run(events, now)
        self._follow.set()

    def _tell_unix_time(self) -> None:
        """Tell the engine how far Unix time is ahead of the Trio clock; either may have been set."""
        self._engine.set_unix_offset(self._unix_clock() - self._clock())

    async def run(self, pipeline: Pipeline) -> None:
        """Turn the engine whenever its sockets are ready, until cancelled.

        Args:
            pipeline: Acts on the events.

        Cancellation: between two turns; no exchange is left half told.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._run_follower, pipeline)
            nursery.start_soon(self._run_ticker, pipeline)
            engine, clock = self._engine, self._clock
            fd = engine.fileno()
            while True:
                await trio.lowlevel.wait_readable(fd)
                now = clock()
                burst_end = now + BURST_S
                for _ in range(BURST_TURNS):
                    try:
                        events = engine.turn(now, LINGER_S)
                    except BaseException as error:  # noqa: BLE001 (re-raised unless it is a fault)
                        await self._note_fault(error)
                        break
                    if events is None:
                        break
                    self.turns += 1
                    if events:
                        pipeline.run(events, now)
                    now = clock()
                    if pipeline.tasks or now >= burst_end:
                        break
                if engine.pending:
                    self._follow.set()

    async def _run_follower(self, pipeline: Pipeline) -> None:
        """Turn the engine while work is pending, with a checkpoint after each turn."""
        engine = self._engine
        while True:
            await self._follow.wait()
            self._follow = trio.Event()
            while engine.pending or pipeline.has_backlog:
                now = self._clock()
                if pipeline.has_backlog:
                    pipeline.run_backlog(now)
                try:
                    events = engine.turn(now)
                except BaseException as error:  # noqa: BLE001 (re-raised unless it is a fault)
                    await self._note_fault(error)
                    continue
                self.turns += 1
                if events:
                    pipeline.run(events, now)
                await trio.lowlevel.checkpoint()

    async def _run_ticker(self, pipeline: Pipeline) -> None:
        """Have the engine act on deadlines that passed."""
        while True:
            await trio.sleep(TICK_S)
            self._tell_unix_time()
            now = self._clock()
            try:
                events: list[Event] = self._engine.expire(now)
            except BaseException as error:  # noqa: BLE001 (re-raised unless it is a fault)
                await self._note_fault(error)
                continue
            pipeline.settle(events, now)

    async def _note_fault(self, error: BaseException) -> None:
        """Log and count a panic or defect of the engine; re-raise what is neither."""
        if isinstance(error, (trio.Cancelled, KeyboardInterrupt)):
            raise error
        self.faults += 1
        logger.error("the engine failed in a turn; the gateway goes on", exc_info=error)
        await trio.sleep(FAULT_PAUSE_S)

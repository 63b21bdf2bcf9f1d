"""The pump: who turns the engine, and when."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from oto_trio.gateway.engine import RESOLVE
from oto_trio.gateway.pipeline import Pipeline
from oto_trio.gateway.pump import TICK_S, Pump
from oto_trio.testing.scripted_engine import ScriptedEngine


class Empty:
    """A table without hooks."""

    inline: tuple[None, ...] = ()
    suspending: tuple[None, ...] = ()
    phases: tuple[str, ...] = ()
    plugins: tuple[str, ...] = ()


class Stage:
    def __init__(self, engine: ScriptedEngine, nursery: trio.Nursery) -> None:
        self.resolved: list[str] = []
        self.pump = Pump(engine, trio.current_time)
        self.pipeline = Pipeline(
            engine,
            Empty(),
            trio.current_time,
            nursery,
            wake_pump=self.pump.wake,
            resolve=self.resolved.append,
            monitor=lambda _: None,
        )
        nursery.start_soon(self.pump.run, self.pipeline)


@asynccontextmanager
async def pumped(engine: ScriptedEngine) -> AsyncGenerator[Stage]:
    async with trio.open_nursery() as nursery:
        stage = Stage(engine, nursery)
        await trio.testing.wait_all_tasks_blocked()
        yield stage
        nursery.cancel_scope.cancel()


async def test_the_engine_is_turned_when_its_descriptor_is_readable(
    engine: ScriptedEngine,
) -> None:
    async with pumped(engine) as stage:
        assert engine.calls == []
        turned = trio.Event()
        engine.on_turn = turned.set
        engine.turns.append([(RESOLVE, "backend.test")])
        before = trio.current_time()
        engine.make_ready()
        with trio.fail_after(30):
            await turned.wait()
        await trio.testing.wait_all_tasks_blocked()
        ((name, now),) = [call for call in engine.calls if call[0] == "turn"]
        assert name == "turn"
        assert isinstance(now, float)
        assert before <= now <= trio.current_time()
        assert stage.resolved == ["backend.test"]
        assert stage.pump.turns == 1


async def test_work_without_a_socket_is_followed_until_none_is_left(
    engine: ScriptedEngine,
) -> None:
    async with pumped(engine) as stage:
        left = 5
        done = trio.Event()

        def work() -> None:
            nonlocal left
            left -= 1
            engine.pending = left > 0
            if not engine.pending:
                done.set()

        engine.on_turn = work
        engine.pending = True
        stage.pump.wake()
        with trio.fail_after(30):
            await done.wait()
        assert left == 0
        assert stage.pump.turns == 5


async def test_a_turn_that_leaves_work_is_followed_without_waiting_for_a_socket(
    engine: ScriptedEngine,
) -> None:
    async with pumped(engine) as stage:
        done = trio.Event()

        def work() -> None:
            engine.pending = stage.pump.turns < 2
            if not engine.pending:
                done.set()

        engine.on_turn = work
        engine.make_ready()
        with trio.fail_after(30):
            await done.wait()


async def test_following_lets_other_tasks_run(engine: ScriptedEngine) -> None:
    async with pumped(engine) as stage:
        engine.pending = True
        stage.pump.wake()
        for _ in range(10):
            await trio.lowlevel.checkpoint()
        engine.pending = False
        assert 0 < stage.pump.turns <= 12


async def test_deadlines_are_looked_at_a_few_times_a_second(
    engine: ScriptedEngine, mock_clock: trio.testing.MockClock
) -> None:
    async with pumped(engine) as stage:
        engine.expiries.append([(RESOLVE, "due")])
        began = trio.current_time()
        for _ in range(4):
            mock_clock.jump(TICK_S)
            await trio.testing.wait_all_tasks_blocked()
        ticks = [call[1] for call in engine.calls if call[0] == "expire"]
        assert ticks == [pytest.approx(began + TICK_S * n) for n in range(1, 5)]
        assert stage.resolved == ["due"]


@pytest.mark.parametrize("error", [ValueError("defect"), BaseException("panicked")])
async def test_a_failing_turn_is_logged_and_counted_and_the_pump_lives(
    engine: ScriptedEngine, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    async with pumped(engine) as stage:
        after = trio.Event()
        engine.turns.extend([error, [(RESOLVE, "after")]])
        engine.make_ready()
        await trio.testing.wait_all_tasks_blocked()
        assert stage.pump.faults == 1
        engine.on_turn = after.set
        engine.make_ready()
        with trio.fail_after(30):
            await after.wait()
        await trio.testing.wait_all_tasks_blocked()
        assert stage.resolved == ["after"]
        assert stage.pump.turns == 1
    assert "failed in a turn" in caplog.text


async def test_a_failing_look_at_deadlines_is_survived(
    engine: ScriptedEngine,
    autojump_clock: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with pumped(engine) as stage:
        engine.expiries.extend([OSError("defect"), [(RESOLVE, "after")]])
        await trio.sleep(1)
        assert stage.pump.faults == 1
        assert stage.resolved == ["after"]
    assert "failed in a turn" in caplog.text


async def test_a_failing_follow_up_is_survived(engine: ScriptedEngine) -> None:
    async with pumped(engine) as stage:
        engine.turns.extend([RuntimeError("defect"), [(RESOLVE, "after")]])
        done = trio.Event()

        def work() -> None:
            if len(engine.turns) == 1:
                engine.pending = False
                done.set()

        engine.on_turn = work
        engine.pending = True
        stage.pump.wake()
        with trio.fail_after(30):
            await done.wait()
        await trio.testing.wait_all_tasks_blocked()
        assert stage.pump.faults == 1
        assert stage.resolved == ["after"]


async def test_cancelling_the_pump_ends_its_three_tasks(engine: ScriptedEngine) -> None:
    before = trio.lowlevel.current_statistics().tasks_living
    async with pumped(engine):
        assert trio.lowlevel.current_statistics().tasks_living == before + 3
    assert trio.lowlevel.current_statistics().tasks_living == before

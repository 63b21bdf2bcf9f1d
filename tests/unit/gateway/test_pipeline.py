"""The pipeline: what hooks decide, and what the engine is told."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing

from oto_trio.gateway.engine import GONE, PANIC, RESOLVE, RUN
from oto_trio.gateway.pipeline import DONE_TIMEOUT_S, MAX_EVENTS, AsyncCall, InlineCall, Pipeline
from oto_trio.plugin_api import Answer, Exchange, Refusal, Response
from oto_trio.testing.scripted_engine import ScriptedEngine, Suspended


class Table:
    """Hooks by slot."""

    def __init__(self) -> None:
        self.inline: list[InlineCall | None] = []
        self.suspending: list[AsyncCall | None] = []
        self.phases: list[str] = []
        self.plugins: list[str] = []

    def add(
        self,
        phase: str,
        *,
        inline: Callable[[Exchange], Any] | None = None,
        suspending: Callable[[Exchange], Any] | None = None,
    ) -> int:
        self.inline.append(inline)
        self.suspending.append(suspending)
        self.phases.append(phase)
        self.plugins.append(f"cp:test.{len(self.plugins)}")
        return len(self.inline) - 1


class Stage:
    """A pipeline and what it was asked to do."""

    def __init__(self, engine: ScriptedEngine, nursery: trio.Nursery) -> None:
        self.engine = engine
        self.table = Table()
        self.nursery = nursery
        self.woken = 0
        self.resolved: list[str] = []
        self.monitored: list[object] = []
        self.pipeline = Pipeline(
            engine,
            self.table,
            trio.current_time,
            nursery,
            wake_pump=self._wake,
            resolve=self.resolved.append,
            monitor=self.monitored.append,
        )

    def _wake(self) -> None:
        self.woken += 1

    def run(self, *events: tuple[int, object]) -> None:
        self.pipeline.run(list(events), trio.current_time())

    @property
    def told(self) -> list[tuple[object, ...]]:
        return self.engine.calls


@asynccontextmanager
async def staged(engine: ScriptedEngine) -> AsyncGenerator[Stage]:
    async with trio.open_nursery() as nursery:
        yield Stage(engine, nursery)
        nursery.cancel_scope.cancel()


def go_on(exchange: Exchange) -> Answer:
    return None


async def go_on_later(exchange: Exchange) -> Answer:
    await trio.lowlevel.checkpoint()
    return None


# ----------------------------------------------------------------------------- inline hooks


async def test_an_inline_hook_that_returns_none_lets_the_exchange_go_on(
    engine: ScriptedEngine,
) -> None:
    async with staged(engine) as stage:
        seen: list[Exchange] = []
        slot = stage.table.add("access", inline=seen.append)
        exchange = Suspended(slot, 5)
        stage.run((RUN, exchange))
        assert seen == [exchange]
        assert stage.told == [("resume", 5)]


async def test_consecutive_inline_steps_run_in_order_without_recursion(
    engine: ScriptedEngine,
) -> None:
    async with staged(engine) as stage:
        order: list[int] = []

        def note(number: int, exchange: Exchange) -> None:
            order.append(number)

        for _ in range(2000):
            stage.table.add("access", inline=partial(note, len(stage.table.inline)))
        for slot in range(1, 2000):
            engine.replies.append([(RUN, Suspended(slot))])
        stage.run((RUN, Suspended(0)))
        assert order == list(range(2000))


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (
            Response(201, (("X-A", "b"),), b"made"),
            ("respond", 1, 201, [("X-A", "b")], b"made"),
        ),
        (Refusal(418, "short", "tea"), ("refuse", 1, 418, "short", "tea")),
        (Refusal(403, "no"), ("refuse", 1, 403, "no", None)),
    ],
)
@pytest.mark.parametrize("phase", ["pre_route", "access", "transform_request", "call_backend"])
async def test_an_answer_reaches_the_engine(
    engine: ScriptedEngine, phase: str, answer: Answer, told: tuple[object, ...]
) -> None:
    async with staged(engine) as stage:
        stage.run((RUN, Suspended(stage.table.add(phase, inline=lambda _: answer))))
        assert stage.told == [told]


@pytest.mark.parametrize(
    ("says", "told"),
    [(True, "resume"), (False, "reject")],
)
async def test_a_matcher_says_yes_or_no(engine: ScriptedEngine, says: bool, told: str) -> None:
    async with staged(engine) as stage:
        stage.run((RUN, Suspended(stage.table.add("match_route", inline=lambda _: says))))
        assert stage.told == [(told, 1)]


@pytest.mark.parametrize("nonsense", [None, 1, "yes", Response(200)])
async def test_a_matcher_that_says_neither_never_lets_a_request_pass(
    engine: ScriptedEngine, nonsense: object
) -> None:
    async with staged(engine) as stage:
        stage.run((RUN, Suspended(stage.table.add("match_route", inline=lambda _: nonsense))))
        message = "an error happened during route-matching plugins phase"
        assert stage.told == [("refuse", 1, 500, message, "internal_server_error")]


@pytest.mark.parametrize(
    ("phase", "words"),
    [
        ("pre_route", "pre-routing"),
        ("access", "access"),
        ("transform_request", "request-transformation"),
        ("call_backend", "backend-call"),
        ("transform_response", "response-transformation"),
    ],
)
@pytest.mark.parametrize("error", [ValueError("secret"), SystemExit(3)])
async def test_a_hook_that_raises_is_refused_in_the_words_of_its_phase(
    engine: ScriptedEngine,
    phase: str,
    words: str,
    error: BaseException,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(exchange: Exchange) -> Answer:
        raise error

    async with staged(engine) as stage:
        stage.run((RUN, Suspended(stage.table.add(phase, inline=broken))))
        message = f"an error happened during {words} plugins phase"
        assert stage.told == [("refuse", 1, 500, message, "internal_server_error")]
        assert stage.pipeline.hook_failures == 1
    assert "cp:test.0 failed in" in caplog.text
    assert "Traceback" in caplog.text


async def test_one_broken_hook_does_not_keep_others_from_running(engine: ScriptedEngine) -> None:
    def broken(exchange: Exchange) -> Answer:
        raise ValueError

    async with staged(engine) as stage:
        bad = stage.table.add("access", inline=broken)
        good = stage.table.add("access", inline=go_on)
        stage.run((RUN, Suspended(bad, 1)), (RUN, Suspended(good, 2)))
        assert [call[:2] for call in stage.told] == [("refuse", 1), ("resume", 2)]


async def test_an_answer_of_an_unknown_kind_is_a_failure(
    engine: ScriptedEngine, caplog: pytest.LogCaptureFixture
) -> None:
    async with staged(engine) as stage:
        stage.run((RUN, Suspended(stage.table.add("access", inline=lambda _: {"status": 200}))))
        assert stage.told[0][:3] == ("refuse", 1, 500)
    assert "returned a dict; return a Response, a Refusal or None" in caplog.text


async def test_an_answer_the_engine_does_not_take_is_a_failure(engine: ScriptedEngine) -> None:
    async with staged(engine) as stage:
        engine.replies.append(ValueError("status 99"))
        stage.run((RUN, Suspended(stage.table.add("access", inline=lambda _: Response(99)))))
        assert [call[0] for call in stage.told] == ["respond", "refuse"]


async def test_an_exchange_that_cannot_even_be_refused_ends_nothing_else(
    engine: ScriptedEngine, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(exchange: Exchange) -> Answer:
        raise ValueError

    async with staged(engine) as stage:
        engine.replies.append(RuntimeError("given back"))
        bad = stage.table.add("access", inline=broken)
        stage.run((RUN, Suspended(bad, 1)), (RUN, Suspended(bad, 2)))
        assert [call[:2] for call in stage.told] == [("refuse", 1), ("refuse", 2)]
    assert "could not be refused" in caplog.text


async def test_a_keyboard_interrupt_is_no_fault_of_a_hook(engine: ScriptedEngine) -> None:
    def interrupted(exchange: Exchange) -> Answer:
        raise KeyboardInterrupt

    async with staged(engine) as stage:
        slot = stage.table.add("access", inline=interrupted)
        with pytest.raises(KeyboardInterrupt):
            stage.run((RUN, Suspended(slot)))


async def test_a_hook_that_keeps_failing_is_logged_once_a_second(
    engine: ScriptedEngine,
    autojump_clock: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(exchange: Exchange) -> Answer:
        raise ValueError

    async with staged(engine) as stage:
        slot = stage.table.add("access", inline=broken)
        for _ in range(50):
            stage.run((RUN, Suspended(slot)))
        assert len(caplog.records) == 1
        await trio.sleep(1.1)
        stage.run((RUN, Suspended(slot)))
        assert len(caplog.records) == 2
        assert "and 49 times since" in caplog.records[1].getMessage()
        assert stage.pipeline.hook_failures == 51


async def test_a_failing_done_hook_answers_nobody(engine: ScriptedEngine) -> None:
    def broken(exchange: Exchange) -> Answer:
        raise ValueError

    async with staged(engine) as stage:
        stage.run((RUN, Suspended(stage.table.add("done", inline=broken))))
        assert stage.told == [("resume", 1)]
        stage.run((RUN, Suspended(stage.table.add("done", inline=lambda _: Response(200)))))
        assert stage.told == [("resume", 1), ("resume", 1)]


async def test_a_plan_without_end_leaves_the_loop_to_others(engine: ScriptedEngine) -> None:
    async with staged(engine) as stage:
        slot = stage.table.add("access", inline=go_on)
        for _ in range(3 * MAX_EVENTS):
            engine.replies.append([(RUN, Suspended(slot))])
        stage.run((RUN, Suspended(slot)))
        assert len(stage.told) == MAX_EVENTS
        assert stage.pipeline.has_backlog
        assert stage.woken == 1
        stage.pipeline.run_backlog(0.0)
        assert len(stage.told) == 2 * MAX_EVENTS


# ----------------------------------------------------------------------------- other events


async def test_names_panics_and_monitoring_pages_go_where_they_belong(
    engine: ScriptedEngine, caplog: pytest.LogCaptureFixture
) -> None:
    async with staged(engine) as stage:
        page = Suspended(-1)
        stage.run(
            (RESOLVE, "backend.test"), (PANIC, "index out of bounds"), (RUN, page), (99, None)
        )
        assert stage.resolved == ["backend.test"]
        assert stage.monitored == [page]
        assert stage.pipeline.panics == 1
        assert stage.told == []
    assert "index out of bounds" in caplog.text
    assert "unknown kind 99" in caplog.text


async def test_events_from_outside_a_turn_wake_the_pump_when_work_is_left(
    engine: ScriptedEngine,
) -> None:
    async with staged(engine) as stage:
        stage.pipeline.settle([], 0.0)
        assert stage.woken == 0
        engine.pending = True
        stage.pipeline.settle([(RESOLVE, "a")], 0.0)
        assert stage.woken == 1
        assert stage.resolved == ["a"]


async def test_respond_answers_from_outside_the_pump(engine: ScriptedEngine) -> None:
    async with staged(engine) as stage:
        engine.replies.append([(RESOLVE, "next")])
        stage.pipeline.respond(Suspended(-1, 3), Response(200, (), b"up"))
        assert stage.told == [("respond", 3, 200, [], b"up")]
        assert stage.resolved == ["next"]


# ----------------------------------------------------------------------------- async hooks


async def test_an_async_hook_runs_in_a_task_and_then_the_exchange_goes_on(
    engine: ScriptedEngine,
) -> None:
    async with staged(engine) as stage:
        slot = stage.table.add("access", suspending=go_on_later)
        stage.run((RUN, Suspended(slot)))
        assert stage.told == []
        assert stage.pipeline.tasks == 1
        assert stage.pipeline.oldest_generation == 1
        await trio.testing.wait_all_tasks_blocked()
        assert stage.told == [("resume", 1)]
        assert stage.pipeline.tasks == 0
        assert stage.pipeline.oldest_generation is None


async def test_consecutive_async_steps_of_an_exchange_share_a_task(
    engine: ScriptedEngine,
) -> None:
    tasks: list[trio.lowlevel.Task] = []

    async def note(exchange: Exchange) -> Answer:
        tasks.append(trio.lowlevel.current_task())
        return None

    async def refuse(exchange: Exchange) -> Answer:
        tasks.append(trio.lowlevel.current_task())
        return Refusal(403, "no")

    async with staged(engine) as stage:
        first = stage.table.add("access", suspending=note)
        second = stage.table.add("transform_request", suspending=refuse)
        engine.replies.append([(RUN, Suspended(second))])
        stage.run((RUN, Suspended(first)))
        await trio.testing.wait_all_tasks_blocked()
        assert stage.told == [("resume", 1), ("refuse", 1, 403, "no", None)]
        assert len(tasks) == 2
        assert tasks[0] is tasks[1]


async def test_an_inline_step_after_an_async_one_runs_at_once(engine: ScriptedEngine) -> None:
    async with staged(engine) as stage:
        first = stage.table.add("access", suspending=go_on_later)
        second = stage.table.add("transform_request", inline=lambda _: Response(204))
        engine.replies.append([(RUN, Suspended(second))])
        stage.run((RUN, Suspended(first)))
        await trio.testing.wait_all_tasks_blocked()
        assert [call[0] for call in stage.told] == ["resume", "respond"]


async def test_the_task_ends_with_its_downstream_and_the_exchange_is_given_back(
    engine: ScriptedEngine,
) -> None:
    ended: list[str] = []

    async def wait(exchange: Exchange) -> Answer:
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            ended.append("cancelled")
            raise
        raise AssertionError

    async with staged(engine) as stage:
        slot = stage.table.add("access", suspending=wait)
        done = stage.table.add("done", inline=lambda _: ended.append("done"))
        stage.run((RUN, Suspended(slot, 8)))
        await trio.testing.wait_all_tasks_blocked()
        # The engine still owes the done hook, and raises it when the exchange comes back.
        engine.replies.append([(RUN, Suspended(done, 8))])
        stage.run((GONE, 8))
        await trio.testing.wait_all_tasks_blocked()
        assert ended == ["cancelled", "done"]
        assert stage.told == [("resume", 8), ("resume", 8)]
        assert stage.pipeline.tasks == 0


async def test_a_downstream_that_leaves_in_the_same_batch_is_noticed(
    engine: ScriptedEngine,
) -> None:
    async with staged(engine) as stage:
        ran: list[Exchange] = []

        async def note(exchange: Exchange) -> Answer:
            await trio.lowlevel.checkpoint()
            ran.append(exchange)
            return None

        slot = stage.table.add("access", suspending=note)
        stage.run((RUN, Suspended(slot, 8)), (GONE, 8))
        await trio.testing.wait_all_tasks_blocked()
        assert ran == []
        assert stage.told == [("resume", 8)]


async def test_gone_for_an_exchange_without_a_task_is_nothing(engine: ScriptedEngine) -> None:
    async with staged(engine) as stage:
        stage.run((GONE, 12345))
        assert stage.told == []


async def test_a_failing_async_hook_is_refused(
    engine: ScriptedEngine, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(exchange: Exchange) -> Answer:
        raise ExceptionGroup("both", [ValueError("a"), KeyError("b")])

    async with staged(engine) as stage:
        stage.run((RUN, Suspended(stage.table.add("access", suspending=broken))))
        await trio.testing.wait_all_tasks_blocked()
        assert stage.told[0][:3] == ("refuse", 1, 500)
        assert stage.pipeline.tasks == 0
    assert "both" in caplog.text


async def test_a_hook_that_fails_while_it_is_cancelled_is_logged_and_harms_nobody(
    engine: ScriptedEngine, caplog: pytest.LogCaptureFixture
) -> None:
    async def torn(exchange: Exchange) -> Answer:
        async def fail() -> None:
            try:
                await trio.sleep_forever()
            finally:
                raise OSError("the pool is gone")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail)
            await trio.sleep_forever()

    async with staged(engine) as stage:
        slot = stage.table.add("access", suspending=torn)
        stage.run((RUN, Suspended(slot, 4)))
        await trio.testing.wait_all_tasks_blocked()
        stage.run((GONE, 4))
        await trio.testing.wait_all_tasks_blocked()
        # The nursery above lives: another exchange is served.
        stage.run((RUN, Suspended(stage.table.add("access", inline=go_on), 5)))
        assert stage.told[-1] == ("resume", 5)
    assert "the pool is gone" in caplog.text


async def test_cancelling_the_worker_gives_every_exchange_back(engine: ScriptedEngine) -> None:
    async def wait(exchange: Exchange) -> Answer:
        await trio.sleep_forever()

    async with staged(engine) as stage:
        slot = stage.table.add("access", suspending=wait)
        for identity in range(1, 6):
            stage.run((RUN, Suspended(slot, identity)))
        await trio.testing.wait_all_tasks_blocked()
    assert sorted(engine.calls) == [("resume", identity) for identity in range(1, 6)]


async def test_an_async_done_hook_outlives_its_downstream_and_its_worker(
    engine: ScriptedEngine, autojump_clock: trio.testing.MockClock
) -> None:
    finished: list[str] = []

    async def flush(exchange: Exchange) -> None:
        await trio.sleep(1)
        finished.append("flushed")

    async with staged(engine) as stage:
        stage.run((RUN, Suspended(stage.table.add("done", suspending=flush), 2)), (GONE, 2))
    assert finished == ["flushed"]
    assert engine.calls == [("resume", 2)]


async def test_an_async_done_hook_has_a_deadline(
    engine: ScriptedEngine,
    autojump_clock: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def hang(exchange: Exchange) -> None:
        await trio.sleep_forever()

    began = trio.current_time()
    async with staged(engine) as stage:
        stage.run((RUN, Suspended(stage.table.add("done", suspending=hang))))
    assert trio.current_time() - began == pytest.approx(DONE_TIMEOUT_S)
    assert engine.calls == [("resume", 1)]
    assert "took longer than" in caplog.text

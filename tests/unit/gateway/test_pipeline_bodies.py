"""Bodies that hooks read: what the engine is asked, and what the hook gets."""

import pytest
import trio
import trio.testing

from oto_trio.gateway.engine import BODY, GONE, RUN
from oto_trio.plugin_api import Answer, BodyTooLarge, Exchange
from oto_trio.testing.scripted_engine import ScriptedEngine, Suspended
from tests.unit.gateway.test_pipeline import staged


async def test_a_hook_reads_the_whole_request_body(engine: ScriptedEngine) -> None:
    bodies: list[bytes] = []

    async def read(exchange: Exchange) -> Answer:
        assert isinstance(exchange, Suspended)
        assert exchange.reader is not None
        bodies.append(await exchange.reader(exchange, 100, False))
        return None

    async with staged(engine) as stage:
        stage.run((RUN, Suspended(stage.table.add("access", suspending=read), 6)))
        await trio.testing.wait_all_tasks_blocked()
        assert stage.told == [("read_body", 6, 100)]
        stage.run((BODY, (6, b"hello")))
        await trio.testing.wait_all_tasks_blocked()
        assert bodies == [b"hello"]
        assert stage.told == [("read_body", 6, 100), ("resume", 6)]


async def test_a_hook_reads_the_whole_response_body(engine: ScriptedEngine) -> None:
    bodies: list[bytes] = []

    async def read(exchange: Exchange) -> Answer:
        assert isinstance(exchange, Suspended)
        assert exchange.reader is not None
        bodies.append(await exchange.reader(exchange, 100, True))
        return None

    async with staged(engine) as stage:
        stage.run((RUN, Suspended(stage.table.add("transform_response", suspending=read), 6)))
        await trio.testing.wait_all_tasks_blocked()
        assert stage.told == [("read_response", 6, 100)]
        stage.run((BODY, (6, b"hello")))
        await trio.testing.wait_all_tasks_blocked()
        assert bodies == [b"hello"]
        assert stage.told == [("read_response", 6, 100), ("resume", 6)]


async def test_a_response_that_is_not_there_cannot_be_read(engine: ScriptedEngine) -> None:
    async with staged(engine) as stage:
        engine.is_held = False
        with pytest.raises(RuntimeError, match="read its body in transform_response"):
            await stage.pipeline.read_body(Suspended(0, 6), 10, True)


async def test_a_body_that_is_there_already_is_read_at_once(engine: ScriptedEngine) -> None:
    async with staged(engine) as stage:
        engine.replies.append([(BODY, (6, b""))])
        assert await stage.pipeline.read_body(Suspended(0, 6), 1) == b""


async def test_a_body_over_the_limit_raises_in_the_hook(engine: ScriptedEngine) -> None:
    async with staged(engine) as stage:
        engine.replies.append([(BODY, (6, None))])
        with pytest.raises(BodyTooLarge):
            await stage.pipeline.read_body(Suspended(0, 6), 10)


async def test_two_readers_of_one_body_are_refused(engine: ScriptedEngine) -> None:
    async with staged(engine) as stage:
        stage.nursery.start_soon(stage.pipeline.read_body, Suspended(0, 6), 10)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(RuntimeError, match="another task"):
            await stage.pipeline.read_body(Suspended(0, 6), 10)


async def test_the_body_of_an_exchange_that_is_over_cannot_be_read(
    engine: ScriptedEngine,
) -> None:
    async with staged(engine) as stage:
        engine.is_held = False
        with pytest.raises(RuntimeError, match="is over"):
            await stage.pipeline.read_body(Suspended(0, 6), 10)


async def test_a_reader_whose_downstream_left_is_cancelled_and_fails_no_plugin(
    engine: ScriptedEngine, caplog: pytest.LogCaptureFixture
) -> None:
    async def read(exchange: Exchange) -> Answer:
        assert isinstance(exchange, Suspended)
        assert exchange.reader is not None
        await exchange.reader(exchange, 100, False)
        raise AssertionError

    async with staged(engine) as stage:
        engine.is_held = False
        engine.replies.append([(GONE, 6)])
        stage.run((RUN, Suspended(stage.table.add("access", suspending=read), 6)))
        await trio.testing.wait_all_tasks_blocked()
        assert stage.told == [("read_body", 6, 100), ("resume", 6)]
        assert stage.pipeline.hook_failures == 0
    assert caplog.records == []


async def test_a_body_that_nobody_waits_for_is_dropped(engine: ScriptedEngine) -> None:
    async with staged(engine) as stage:
        stage.run((BODY, (77, b"late")))
        assert stage.told == []
        assert stage.woken == 0

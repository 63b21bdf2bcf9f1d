"""Requests to applications in this process, up to where the application would be called."""

from __future__ import annotations

from typing import Any

from oto_trio._core import FieldBlock
from oto_trio.gateway.engine import CALL, MOUNTED, RUN
from tests.conformance.http1.gateway import python_step
from tests.conformance.streams.caller import GET, OK, POST, Caller, calling

APP = "function shop:answer"
HOOK = python_step("transform_request")


async def held(caller: Caller, request: bytes = GET) -> tuple[Any, Any]:
    """A client, and its exchange at the hook."""
    client = await caller.client(request)
    return client, await caller.told(RUN)


async def mounted(caller: Caller, request: bytes = GET) -> tuple[Any, int, int]:
    """A client whose request goes to the application; the numbers of its connection and its stream."""
    client, exchange = await held(caller, request)
    exchange.mount(APP)
    caller.events += caller.engine.resume(exchange, caller.now)
    connection, stream, *_ = await caller.told(CALL)
    return client, connection, stream


async def test_an_application_that_breaks_off_says_nothing_of_the_target() -> None:
    async with calling(HOOK, max_errors=1, retries=1) as caller:
        for _ in range(3):
            client, _, stream = await mounted(caller, POST)
            caller.engine.break_stream(stream, False, caller.now)
            assert (await caller.hears(client, b"}")).startswith(b"HTTP/1.1 502 ")
        _, exchange = await held(caller)
        caller.events += caller.engine.resume(exchange, caller.now)
        await caller.accept()  # else the target is shut out, and the answer is 503


async def test_an_application_that_answers_says_nothing_of_the_target() -> None:
    async with calling(HOOK, max_errors=1, retries=1) as caller:
        caller.backends.socket.close()
        client, exchange = await held(caller)
        caller.events += caller.engine.resume(exchange, caller.now)
        assert (await caller.hears(client, b"}")).startswith(b"HTTP/1.1 502 ")
        caller.now += 3  # the next one would try the target
        client, _, stream = await mounted(caller)
        caller.engine.answer_head(stream, OK, caller.now)
        caller.engine.feed(stream, b"{}", True, caller.now)
        await caller.hears(client, b"0\r\n\r\n")
        client, exchange = await held(caller)
        caller.events += caller.engine.resume(exchange, caller.now)
        assert (await caller.hears(client, b"}")).startswith(b"HTTP/1.1 503 ")


async def test_who_hangs_up_on_an_application_is_asked_for_another_connection() -> None:
    async with calling(HOOK) as caller:
        client, first, stream = await mounted(caller, POST)
        assert await caller.told(MOUNTED) == (first, APP)
        caller.engine.break_stream(stream, False, caller.now)
        caller.engine.hang_up(first, caller.now)
        assert (await caller.hears(client, b"}")).startswith(b"HTTP/1.1 502 ")
        client, second, stream = await mounted(caller)
        assert await caller.told(MOUNTED) == (second, APP)
        assert second != first
        caller.engine.answer_head(stream, FieldBlock([(":status", "204")]), caller.now)
        caller.engine.feed(stream, b"", True, caller.now)
        assert (await caller.hears(client, b"\r\n\r\n")).startswith(b"HTTP/1.1 204 ")

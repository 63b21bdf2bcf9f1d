"""Requests that a hook has sent again because of the backend's answer."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from oto_trio._core import Exchange
from tests.conformance.http1.conversation import fronting
from tests.conformance.http1.gateway import Gateway, python_step
from tests.conformance.http1.test_body_bounds import length
from tests.conformance.http1.upstream import OK
from tests.conformance.http1.wire import Wire

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
NO = b"HTTP/1.1 401 No\r\nX-No: 1\r\nContent-Length: 0\r\n\r\n"
HOOK = python_step("transform_response")
TWICE = {"retries": 2}


@asynccontextmanager
async def refused(
    said: bytes = NO, *, request: bytes = GET, **more: Any
) -> AsyncGenerator[tuple[Gateway, Wire, Wire, Exchange]]:
    """Gateway, client, backend, and the exchange whose answer a hook holds."""
    settings: dict[str, Any] = {"steps": [HOOK], "client": TWICE, **more}
    async with fronting(**settings) as (gateway, upstream):
        client = await gateway.client()
        await client.send(request)
        backend = await upstream.accept()
        await backend.read_request()
        await backend.send(said)
        exchange = await gateway.held.receive()
        yield gateway, client, backend, exchange
        await client.close()
        await backend.close()


async def test_the_request_goes_again_as_the_hook_left_it() -> None:
    async with refused() as (gateway, client, backend, exchange):
        assert exchange.may_ask_again
        exchange.request.headers.set("X-Try", "2")
        exchange.ask_again()
        gateway.resume(exchange)
        request = await backend.read_request()
        assert request.values(b"x-try") == [b"2"], "on the same connection, which is good still"
        await backend.send(OK)
        second = await gateway.held.receive()
        assert second.response is not None
        assert (second.response.status, second.response.headers.get("X-No")) == (200, None)
        assert not second.may_ask_again, "no attempt is left"
        second.ask_again()
        gateway.resume(second)
        response = await client.read_response()
        assert (response.status, response.body, response.values(b"x-no")) == (200, b"ok", [])
        assert gateway.count("retries") == 1
        assert gateway.count("requests") == 1


@pytest.mark.parametrize("is_read", [True, False])
async def test_a_body_goes_again_only_when_it_is_all_here(*, is_read: bool) -> None:
    steps = [python_step("access", 1), HOOK]
    async with fronting(steps=steps, client=TWICE) as (gateway, upstream):
        client = await gateway.client()
        await client.send(POST)
        first = await gateway.held.receive()
        if is_read:
            assert gateway.read_body(first, 100)
            await gateway.caught_up(client)
        gateway.resume(first)
        backend = await upstream.accept()
        assert (await backend.read_request()).body == b"hello"
        await backend.send(NO)
        exchange = await gateway.held.receive()
        assert exchange.may_ask_again is is_read
        exchange.ask_again()
        gateway.resume(exchange)
        if is_read:
            assert (await backend.read_request()).body == b"hello"
            await backend.send(OK)
            gateway.resume(await gateway.held.receive())
        assert (await client.read_response()).status == (200 if is_read else 401)
        await client.close()
        await backend.close()


async def test_without_attempts_left_the_answer_stands() -> None:
    async with refused(client={"retries": 1}) as (gateway, client, _, exchange):
        assert not exchange.may_ask_again
        exchange.ask_again()
        gateway.resume(exchange)
        assert (await client.read_response()).status == 401


async def test_an_answer_of_the_hook_is_not_asked_again() -> None:
    async with refused() as (gateway, client, _, exchange):
        exchange.ask_again()
        gateway.respond(exchange, 418, b"mine")
        assert (await client.read_response()).status == 418
        assert gateway.count("retries") == 0


async def test_the_first_answers_body_and_bounds_are_forgotten() -> None:
    said = b"HTTP/1.1 401 No\r\nContent-Length: 10\r\n\r\n0123456789"
    steps = [length("transform_response", 4, fail=False), HOOK]
    async with refused(said, steps=steps) as (gateway, client, backend, exchange):
        assert gateway.read_response(exchange, 100)
        assert gateway.bodies.pop(exchange.id) == b"0123"
        assert exchange.response is not None
        exchange.response.status = 204
        exchange.ask_again()
        gateway.resume(exchange)
        await backend.read_request()
        await backend.send(OK)
        second = await gateway.held.receive()
        assert gateway.read_response(second, 100)
        await gateway.caught_up(backend)
        assert gateway.bodies.pop(second.id) == b"ok"
        gateway.resume(second)
        response = await client.read_response()
        assert (response.status, response.body) == (200, b"ok")


async def test_a_client_that_left_meanwhile_is_not_asked_for() -> None:
    async with refused() as (gateway, client, backend, exchange):
        exchange.ask_again()
        client.reset()
        await gateway.caught_up()
        assert gateway.gone == [exchange.id]
        gateway.resume(exchange)
        assert gateway.busy == {}
        assert await backend.read_to_end() == b""


async def test_a_hook_of_the_request_cannot_ask_again() -> None:
    async with fronting(steps=[python_step("access")], client=TWICE) as (gateway, upstream):
        client = await gateway.client()
        await client.send(GET)
        exchange = await gateway.held.receive()
        assert not exchange.may_ask_again
        exchange.ask_again()
        gateway.resume(exchange)
        backend = await upstream.accept()
        await backend.read_request()
        await backend.send(OK)
        assert (await client.read_response()).status == 200
        await client.close()
        await backend.close()

"""Hooks that ask for a request's body at the wrong time, or go on before it has come.

A backend must never get a part of a body as the whole: what comes later would be a request of its own.
"""

import pytest

from tests.conformance.http1.conversation import fronting
from tests.conformance.http1.gateway import python_step
from tests.conformance.http1.upstream import OK

ACCESS = [python_step("access")]
HOOK = [python_step("transform_response")]
HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n"
SMUGGLED = b"GET /admin HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize("sent", [0, 50])
async def test_a_body_that_a_hook_left_half_read_reaches_no_backend(sent: int) -> None:
    async with fronting(steps=ACCESS) as (gateway, _):
        client = await gateway.client()
        await client.send(HEAD + b"x" * sent)
        exchange = await gateway.held.receive()
        assert gateway.read_body(exchange, 1000)
        assert gateway.bodies == {}, "the hook gives up now"
        if sent:
            gateway.resume(exchange)
            response = await client.read_response()
            assert response.status == 500
            assert b"half read" in response.body
            await client.send(SMUGGLED.ljust(50))
            assert gateway.count("connected") == 0
            assert await client.read_to_end() == b""
        await client.close()


@pytest.mark.parametrize("sent", [50, 100])
async def test_what_is_on_its_way_to_the_backend_is_no_body_to_read(sent: int) -> None:
    async with fronting(steps=HOOK) as (gateway, upstream):
        client = await gateway.client()
        await client.send(HEAD + b"x" * sent)
        backend = await upstream.accept()
        await backend.read_until(b"\r\n\r\n")
        await backend.read_exactly(sent)
        await backend.send(OK)
        exchange = await gateway.held.receive()
        assert not gateway.read_body(exchange, 1000)
        assert gateway.bodies == {}
        gateway.resume(exchange)
        assert (await client.read_response()).status == 200
        if sent < 100:
            await client.send(b"y" * (100 - sent))
            assert await backend.read_exactly(100 - sent) in {b"", b"y" * (100 - sent)}
        await client.close()
        await backend.close()


async def test_a_request_without_a_body_has_an_empty_one_at_any_time() -> None:
    async with fronting(steps=HOOK) as (gateway, upstream):
        client = await gateway.client()
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        backend = await upstream.accept()
        await backend.read_request()
        await backend.send(OK)
        exchange = await gateway.held.receive()
        assert gateway.read_body(exchange, 10)
        assert gateway.bodies == {exchange.id: b""}
        gateway.resume(exchange)
        assert (await client.read_response()).status == 200
        await client.close()
        await backend.close()

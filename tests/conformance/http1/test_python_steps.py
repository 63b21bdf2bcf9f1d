"""Exchanges that Python holds: their bodies, and what becomes of them when the client leaves."""

import pytest

from oto_trio._core import Exchange, ExchangeGone
from tests.conformance.http1.conversation import fronting
from tests.conformance.http1.gateway import Gateway, python_step
from tests.conformance.http1.upstream import OK, Upstream
from tests.conformance.http1.wire import Wire

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
ACCESS = [python_step("access")]
PHASES = ["pre_route", "access", "transform_request", "call_backend", "transform_response"]


@pytest.mark.parametrize("phase", PHASES)
async def test_an_exchange_goes_on_where_it_was_held(phase: str) -> None:
    async with fronting(steps=[python_step(phase)]) as (gateway, upstream):
        client = await gateway.client()
        await client.send(POST + b"0123456789" + GET)
        if phase == "transform_response":
            backend = await answered(upstream)
            gateway.resume(await gateway.held.receive())
        else:
            gateway.resume(await gateway.held.receive())
            backend = await answered(upstream)
        assert (await client.read_response()).status == 200
        await client.close()
        await backend.close()


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("leaves", ["by reset", "by closing"])
async def test_a_client_that_leaves_is_told_to_python(phase: str, leaves: str) -> None:
    async with fronting(steps=[python_step(phase), python_step("done", 1)]) as (gateway, upstream):
        client = await gateway.client()
        await client.send(GET)
        backend = await answered(upstream) if phase == "transform_response" else None
        exchange = await gateway.held.receive()
        if leaves == "by reset":
            client.reset()
            await gateway.caught_up()
        else:
            await client.close()
            await gateway.caught_up()
            gateway.pass_time(0.2)
            await gateway.caught_up()
        assert gateway.gone == [exchange.id]
        assert gateway.busy == {}
        gateway.resume(exchange)
        done = gateway.held.receive_nowait()
        assert done.slot == 1, "what ends the exchange still runs"
        gateway.resume(done)
        with pytest.raises(ExchangeGone):
            gateway.resume(exchange)
        if backend is not None:
            assert await backend.read_to_end() == b""
            await backend.close()
        assert gateway.engine.in_flight()["pooled"] == 0
        assert gateway.count("connected") == (backend is not None)


async def test_a_hook_that_takes_too_long_is_taken_the_exchange_from() -> None:
    limits = {"global_timeout": 5000}
    async with fronting(steps=ACCESS, client=limits) as (gateway, _):
        client = await gateway.client()
        await client.send(GET)
        exchange = await gateway.held.receive()
        gateway.pass_time(5.1)
        assert gateway.gone == [exchange.id]
        assert (await client.read_response()).status == 504
        assert await client.read_to_end() == b""
        gateway.respond(exchange, 200, b"too late")
        await client.close()
        await gateway.settled()
        assert gateway.count("requests") == 1


@pytest.mark.parametrize(
    "sent",
    [POST + b"0123456789", CHUNKED + b"4\r\n0123\r\n6\r\n456789\r\n0\r\nX-T: 1\r\n\r\n"],
    ids=["length", "chunks"],
)
async def test_a_body_that_was_read_goes_to_the_backend_with_its_length(sent: bytes) -> None:
    async with fronting(steps=ACCESS) as (gateway, upstream):
        client = await gateway.client()
        await client.send(sent[:-7])
        exchange = await gateway.held.receive()
        assert gateway.read_body(exchange, 10)
        assert gateway.bodies == {}
        await client.send(sent[-7:])
        await gateway.caught_up(client)
        assert gateway.bodies == {exchange.id: b"0123456789"}
        gateway.bodies.clear()
        gateway.read_body(exchange, 10)
        assert gateway.bodies == {exchange.id: b"0123456789"}, "it may be read twice"
        gateway.resume(exchange)
        backend = await upstream.accept()
        request = await backend.read_request()
        assert (request.body, request.values(b"content-length")) == (b"0123456789", [b"10"])
        assert request.values(b"transfer-encoding") == []
        await backend.send(OK)
        assert (await client.read_response()).status == 200
        await client.close()
        await backend.close()


@pytest.mark.parametrize(
    "sent",
    [POST + b"0123456789", CHUNKED + b"6\r\n012345\r\n4\r\n6789\r\n0\r\n\r\n"],
    ids=["length", "chunks"],
)
async def test_a_body_that_was_too_large_never_reaches_the_backend_in_part(sent: bytes) -> None:
    """Its beginning is gone: whatever the hook decides, the rest alone would be another request."""
    async with fronting(steps=ACCESS) as (gateway, _):
        client = await gateway.client()
        await client.send(sent)
        exchange = await gateway.held.receive()
        gateway.read_body(exchange, 4)
        assert gateway.bodies == {exchange.id: None}
        gateway.bodies.clear()
        gateway.read_body(exchange, 100)
        assert gateway.bodies == {exchange.id: None}
        gateway.resume(exchange)
        assert (await client.read_response()).status == 413
        assert await client.read_to_end() == b""
        assert gateway.count("connected") == 0
        await client.close()
        await gateway.settled()


async def test_a_broken_body_is_refused_although_python_waits_for_it() -> None:
    async with fronting(steps=ACCESS) as (gateway, _):
        client, exchange = await reading(gateway, CHUNKED)
        await client.send(b"x\r\n")
        assert (await client.read_response()).status == 400
        assert await client.read_to_end() == b""
        assert gateway.gone == [exchange.id]
        gateway.resume(exchange)
        await client.close()
        await gateway.settled()


async def test_a_slow_body_is_refused_although_python_waits_for_it() -> None:
    limits = {"global_timeout": 0}
    async with fronting(steps=ACCESS, client=limits, body_idle_s=20) as (gateway, _):
        client, exchange = await reading(gateway, POST)
        await client.send(b"01234")
        await gateway.caught_up(client)
        gateway.pass_time(20.1)
        assert (await client.read_response()).status == 408
        assert gateway.gone == [exchange.id]
        gateway.resume(exchange)
        await client.close()
        await gateway.settled()


async def test_a_client_that_leaves_in_the_body_that_python_reads_is_told() -> None:
    async with fronting(steps=ACCESS) as (gateway, _):
        client, exchange = await reading(gateway, POST)
        await client.send(b"01234")
        await client.close()
        await gateway.caught_up()
        assert gateway.gone == [exchange.id]
        assert not gateway.read_body(exchange, 10)
        gateway.resume(exchange)
        assert gateway.busy == {}


async def test_continue_is_sent_when_python_wants_the_body() -> None:
    async with fronting(steps=ACCESS) as (gateway, _):
        expecting = POST.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")
        client, exchange = await reading(gateway, expecting)
        assert await client.read_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send(b"0123456789")
        await gateway.caught_up(client)
        assert gateway.bodies == {exchange.id: b"0123456789"}
        gateway.respond(exchange, 201, b"made")
        response = await client.read_response()
        assert (response.status, response.body, response.interim) == (201, b"made", [])
        await client.close()


async def test_an_answer_without_the_body_ends_the_connection() -> None:
    async with fronting(steps=ACCESS) as (gateway, _):
        client = await gateway.client()
        await client.send(POST + b"01234")
        gateway.refuse(await gateway.held.receive(), 403, "no")
        response = await client.read_response()
        assert (response.status, response.values(b"connection")) == (403, [b"close"])
        assert await client.read_to_end() == b""
        await client.close()
        await gateway.settled()


async def answered(upstream: Upstream) -> Wire:
    """A backend that got a request and answered it."""
    backend = await upstream.accept()
    await backend.read_request()
    await backend.send(OK)
    return backend


async def reading(gateway: Gateway, head: bytes) -> tuple[Wire, Exchange]:
    """A client that sent a head, and its exchange, whose body Python waits for."""
    client = await gateway.client()
    await client.send(head)
    exchange = await gateway.held.receive()
    assert gateway.read_body(exchange, 100)
    return client, exchange


async def test_an_upload_goes_on_when_the_early_answer_was_held() -> None:
    async with fronting(steps=[python_step("transform_response")]) as (gateway, upstream):
        client = await gateway.client()
        await client.send(POST + b"01234")
        backend = await upstream.accept()
        await backend.read_until(b"01234")
        await backend.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        exchange = await gateway.held.receive()
        await client.send(b"56789")
        await gateway.caught_up(client)
        gateway.resume(exchange)
        assert await backend.read_exactly(5) == b"56789"
        await backend.send(b"2\r\nok\r\n0\r\n\r\n")
        assert (await client.read_response()).body == b"ok"
        await client.close()
        await backend.close()


async def test_an_answer_that_is_held_too_long_is_a_504() -> None:
    limits = {"global_timeout": 5000}
    steps = [python_step("transform_response")]
    async with fronting(steps=steps, client=limits) as (gateway, upstream):
        client = await gateway.client()
        await client.send(GET)
        backend = await answered(upstream)
        exchange = await gateway.held.receive()
        gateway.pass_time(5.1)
        assert gateway.gone == [exchange.id]
        assert (await client.read_response()).status == 504
        assert await backend.read_to_end() == b""
        gateway.resume(exchange)
        await client.close()
        await backend.close()
        await gateway.settled()


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
@pytest.mark.parametrize("status", [204, 304, 404])
async def test_a_hook_that_changes_the_status_keeps_the_message_whole(
    method: bytes, status: int
) -> None:
    async with fronting(steps=[python_step("transform_response")]) as (gateway, upstream):
        client = await gateway.client()
        for _ in range(2):
            await client.send(GET.replace(b"GET", method))
        backend = await upstream.accept()
        for _ in range(2):
            await backend.read_until(b"\r\n\r\n")
            await backend.send(OK.removesuffix(b"ok") if method == b"HEAD" else OK)
            exchange = await gateway.held.receive()
            assert exchange.response is not None
            exchange.response.status = status
            gateway.resume(exchange)
            response = await client.read_response(method.decode())
            wanted = b"ok" if (method, status) == (b"GET", 404) else b""
            assert (response.status, response.body) == (status, wanted)
        assert gateway.engine.in_flight()["pooled"] == 1
        await client.close()
        await backend.close()


async def test_a_backend_that_changed_its_protocol_serves_no_other_request() -> None:
    async with fronting(steps=[python_step("transform_response")]) as (gateway, upstream):
        client = await gateway.client()
        await client.send(GET[:-2] + b"Connection: upgrade\r\nUpgrade: x\r\n\r\n")
        backend = await upstream.accept()
        await backend.read_request()
        await backend.send(b"HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
        exchange = await gateway.held.receive()
        assert exchange.response is not None
        exchange.response.status = 404
        gateway.resume(exchange)
        assert (await client.read_response()).status == 404
        assert gateway.engine.in_flight()["pooled"] == 0
        await client.close()
        await backend.close()
        await gateway.settled()


@pytest.mark.parametrize(
    "head", [b"204 No Content\r\n", b"304 Not Modified\r\nContent-Length: 5\r\n"]
)
@pytest.mark.parametrize("statuses", [[200], [204, 200], [404]])
async def test_a_hook_that_gives_a_status_with_a_body_gives_an_empty_one(
    head: bytes, statuses: list[int]
) -> None:
    async with fronting(steps=[python_step("transform_response")]) as (gateway, upstream):
        client = await gateway.client()
        await client.send(GET)
        backend = await upstream.accept()
        await backend.read_request()
        await backend.send(b"HTTP/1.1 " + head + b"\r\n")
        exchange = await gateway.held.receive()
        assert exchange.response is not None
        for status in statuses:
            exchange.response.status = status
        gateway.resume(exchange)
        response = await client.read_response()
        assert (response.status, response.values(b"content-length")) == (statuses[-1], [b"0"])
        await client.close()
        await backend.close()


async def test_a_hook_that_thinks_again_keeps_the_body() -> None:
    async with fronting(steps=[python_step("transform_response")]) as (gateway, upstream):
        client = await gateway.client()
        await client.send(GET)
        backend = await answered(upstream)
        exchange = await gateway.held.receive()
        assert exchange.response is not None
        exchange.response.status = 204
        exchange.response.status = 201
        gateway.resume(exchange)
        response = await client.read_response()
        assert (response.status, response.body) == (201, b"ok")
        await client.close()
        await backend.close()

"""How long and how fast bodies may be: each bound from both sides of its edge, in every framing."""

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import trio

from tests.conformance.http1.conversation import Stage, fronting, staged
from tests.conformance.http1.gateway import python_step
from tests.conformance.http1.messages import RequestSeen
from tests.conformance.http1.wire import Wire

REQUEST, RESPONSE = "transform_request", "transform_response"
TOO_LARGE = b"Response entity too large"


def length(phase: str, most: int, *, fail: bool) -> dict[str, Any]:
    """A step that bounds the length of bodies."""
    settings = {"max_length": most, "fail": fail}
    return {"phase": phase, "plugin": "p", "kind": "body_length", **settings}


def bandwidth(phase: str, count: int, window_ms: int, *, fail: bool) -> dict[str, Any]:
    """A step that bounds how fast bodies pass."""
    bounds = {"throttling_quota": str(count), "window_millis": str(window_ms), "fail": fail}
    alone = {"group_expr": "${route.id}", "is_shared": False}
    return {"phase": phase, "plugin": "p", "kind": "body_bandwidth", **bounds, **alone}


def counted(body: bytes, version: bytes = b"1.1") -> bytes:
    """A request with this body and its length."""
    return b"POST / HTTP/%s\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s" % (version, len(body), body)


def chunked(body: bytes, size: int = 3) -> bytes:
    """A request with this body in chunks."""
    return b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(body, size)


def chunks(body: bytes, size: int) -> bytes:
    """A body in chunks of a size, with its end."""
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


old = partial(counted, version=b"1.0")


@pytest.mark.parametrize("shape", [counted, chunked, old])
@pytest.mark.parametrize("size", [0, 1, 9, 10])
@pytest.mark.parametrize("fail", [True, False])
async def test_a_request_within_its_bound_passes_unharmed(
    shape: Callable[[bytes], bytes], size: int, *, fail: bool
) -> None:
    body = b"0123456789"[:size]
    async with staged(steps=[length(REQUEST, 10, fail=fail)]) as stage:
        outcome = await stage.converse([shape(body)])
        assert outcome.statuses == [200]
        assert [request.body for request in outcome.requests] == [body]


@pytest.mark.parametrize("shape", [counted, chunked, old])
@pytest.mark.parametrize("size", [11, 500, 200_000])
async def test_a_longer_request_is_cut(shape: Callable[[bytes], bytes], size: int) -> None:
    async with staged(steps=[length(REQUEST, 10, fail=False)]) as stage:
        outcome = await stage.converse([shape(b"0123456789" + b"x" * (size - 10))])
        assert outcome.statuses == [200]
        assert [request.body for request in outcome.requests] == [b"0123456789"]
        assert outcome.faults == []


@pytest.mark.parametrize("shape", [counted, old])
async def test_a_request_that_says_it_is_longer_never_gets_to_the_backend(
    shape: Callable[[bytes], bytes],
) -> None:
    async with staged(steps=[length(REQUEST, 10, fail=True)]) as stage:
        outcome = await stage.converse([shape(b"x" * 11)])
        assert outcome.statuses == [413]
        assert TOO_LARGE in outcome.reply
        assert outcome.raw == b""


@pytest.mark.parametrize("size", [11, 500, 200_000])
@pytest.mark.parametrize("piece", [1, 10, 11, 100_000])
async def test_a_chunked_request_is_refused_when_it_turns_out_too_long(
    size: int, piece: int
) -> None:
    piece = max(piece, size // 1000)
    async with staged(steps=[length(REQUEST, 10, fail=True)]) as stage:
        outcome = await stage.converse([chunked(b"x" * size, piece)], finishes=False)
        assert outcome.statuses == [413]
        assert outcome.requests == [], "the backend never sees an end"


async def test_the_client_is_not_asked_for_a_body_that_is_too_long() -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\n"
    async with staged(steps=[length(REQUEST, 10, fail=True)]) as stage:
        assert (await stage.converse([head], finishes=False)).statuses == [413]


@pytest.mark.parametrize("is_first", [True, False], ids=["hook first", "bound first"])
@pytest.mark.parametrize("shape", [counted, chunked])
@pytest.mark.parametrize(("size", "fail"), [(10, True), (10, False), (11, True), (11, False)])
async def test_a_body_that_a_hook_reads_is_bounded_too(
    shape: Callable[[bytes], bytes], size: int, *, is_first: bool, fail: bool
) -> None:
    bound, hook = length(REQUEST, 10, fail=fail), python_step(REQUEST)
    body = b"0123456789x"[:size]
    async with fronting(steps=[hook, bound] if is_first else [bound, hook]) as (gateway, upstream):
        client = await gateway.client()
        await client.send(shape(body))
        refused = size > 10 and fail
        if not (refused and shape is counted and not is_first):
            exchange = await gateway.held.receive()
            assert gateway.read_body(exchange, 1000)
            read = gateway.bodies.get(exchange.id)
            if is_first:
                assert read == body
            elif refused:
                assert gateway.gone == [exchange.id]
            else:
                assert read == body[:10]
            gateway.resume(exchange)
        if refused:
            assert (await client.read_response()).status == 413
            assert gateway.count("connected") == 0
        else:
            backend = await upstream.accept()
            assert (await backend.read_request()).body == body[:10]
            await backend.close()
        await client.close()


def answering(head: bytes, body: bytes) -> Callable[[RequestSeen], bytes]:
    """A backend that answers every request so."""

    def answer(request: RequestSeen) -> bytes:
        return (
            b"HTTP/1.1 200 OK\r\n" + head + b"\r\n" + (b"" if request.method == b"HEAD" else body)
        )

    return answer


def in_length(body: bytes) -> Callable[[RequestSeen], bytes]:
    """A backend that says how long its answer is."""
    return answering(b"Content-Length: %d\r\n" % len(body), body)


def in_chunks(body: bytes) -> Callable[[RequestSeen], bytes]:
    """A backend that answers in chunks."""
    return answering(b"Transfer-Encoding: chunked\r\n", chunks(body, 3))


async def asked(stage: Stage, version: bytes = b"1.1", method: bytes = b"GET") -> bytes:
    """Ask once and read to the end; returns the head and the body as they came."""
    ask = method + b" / HTTP/%s\r\nHost: a\r\nConnection: close\r\n\r\n" % version
    return (await stage.converse([ask], finishes=False)).reply


def body_of(reply: bytes) -> bytes:
    """The body of a whole reply, out of its chunks if it came in some."""
    head, _, rest = reply.partition(b"\r\n\r\n")
    if b"chunked" not in head.lower():
        return rest
    body = b""
    while not rest.startswith(b"0\r\n"):
        size, _, rest = rest.partition(b"\r\n")
        body, rest = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    assert rest == b"0\r\n\r\n"
    return body


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
@pytest.mark.parametrize("answer", [in_length, in_chunks])
@pytest.mark.parametrize("size", [0, 9, 10, 11, 30_000])
@pytest.mark.parametrize("fail", [True, False])
async def test_a_response_is_cut_or_refused(
    answer: Callable[[bytes], Callable[[RequestSeen], bytes]],
    size: int,
    version: bytes,
    *,
    fail: bool,
) -> None:
    body = (b"0123456789" * 3000)[:size]
    steps = [length(RESPONSE, 10, fail=fail)]
    async with staged(answer(body), steps=steps) as stage:
        reply = await asked(stage, version)
        if size <= 10 or not fail:
            assert body_of(reply) == body[:10]
            if answer is in_length:
                assert b"content-length: %d\r\n" % min(size, 10) in reply.lower()
        elif answer is in_length:
            assert b" 413 " in reply.partition(b"\r\n")[0]
            assert TOO_LARGE in reply
        else:
            assert not reply.endswith(b"0\r\n\r\n"), "cut off, and not as if it were whole"
            assert reply.count(body[:3]) <= 3


async def test_head_announces_what_get_would_get() -> None:
    async with staged(in_length(b"x" * 30), steps=[length(RESPONSE, 10, fail=False)]) as stage:
        assert b"content-length: 10\r\n" in (await asked(stage, method=b"HEAD")).lower()


@pytest.mark.parametrize(("size", "status"), [(10, 200), (11, 413)])
async def test_the_answer_of_a_plugin_is_bounded_too(size: int, status: int) -> None:
    for fail in (True, False):
        steps = [python_step("call_backend"), length(RESPONSE, 10, fail=fail)]
        async with fronting(steps=steps) as (gateway, _):
            client = await gateway.client()
            await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            gateway.respond(await gateway.held.receive(), 200, b"x" * size)
            response = await client.read_response()
            assert response.status == (status if fail else 200)
            assert fail or response.body == b"x" * 10
            await client.close()


async def test_of_two_bounds_the_stricter_counts() -> None:
    steps = [length(REQUEST, 20, fail=True), length(REQUEST, 10, fail=False)]
    for order in (steps, steps[::-1]):
        async with staged(steps=order) as stage:
            outcome = await stage.converse([chunked(b"x" * 15)])
            assert [request.body for request in outcome.requests] == [b"x" * 10]
            assert (await stage.converse([counted(b"x" * 21)])).statuses == [413]


@pytest.mark.parametrize(("size", "status"), [(1000, 200), (1001, 413)])
@pytest.mark.parametrize("shape", [counted, partial(chunked, size=100)])
async def test_a_request_faster_than_allowed_is_refused(
    shape: Callable[[bytes], bytes], size: int, status: int
) -> None:
    async with staged(steps=[bandwidth(REQUEST, 1000, 60_000, fail=True)]) as stage:
        outcome = await stage.converse([shape(b"x" * size)], finishes=False or status == 200)
        assert outcome.statuses == [status]
        assert (b"Bandwidth limit exceeded" in outcome.reply) is (status == 413)


async def test_a_slow_request_is_not_too_fast() -> None:
    async with fronting(
        steps=[bandwidth(REQUEST, 1000, 10_000, fail=True)], client={"call_timeout": 0}
    ) as (gateway, upstream):
        client = await gateway.client()
        head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000\r\n\r\n"
        await client.send(head + b"x" * 1000)
        backend = await upstream.accept()
        for _ in range(4):
            await gateway.caught_up(client)
            gateway.pass_time(5.0)
            await client.send(b"x" * 500)
        assert len((await backend.read_request()).body) == 3000
        await backend.close()
        await client.close()


PATIENT = {"call_timeout": 0, "global_timeout": 0, "call_and_stream_timeout": 0, "idle_timeout": 0}


@pytest.mark.parametrize("together", [False, True])
async def test_a_request_is_slowed_down_to_its_rate(together: bool) -> None:
    """Also where the body comes with the head, in what the gateway reads at once."""
    total, window = 100_000, 20_000
    steps = [bandwidth(REQUEST, window, 1000, fail=False)]
    async with fronting(steps=steps, client=PATIENT) as (gateway, upstream):
        client = await gateway.client()
        head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % total
        whole = head + b"x" * total
        sent = client.send_at_once(whole if together else head)
        backend = await upstream.accept()
        await backend.read_until(b"\r\n\r\n")
        passed, began = 0, gateway.now
        await client.send(whole[sent:])
        while passed < total:
            await gateway.caught_up(client)
            while piece := _there(backend):
                passed += len(piece)
            # What fits into the first window, and then what time allows.
            assert passed <= window + (gateway.now - began) * window + 1
            gateway.pass_time(0.1)
        assert 3.8 < gateway.now - began < 4.6
        await backend.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        assert (await client.read_response()).status == 200
        await backend.close()
        await client.close()


async def test_a_response_is_slowed_down_to_its_rate() -> None:
    total, window = 100_000, 20_000
    steps = [bandwidth(RESPONSE, window, 1000, fail=False)]
    async with (
        fronting(steps=steps, client=PATIENT) as (gateway, upstream),
        trio.open_nursery() as nursery,
    ):
        client = await gateway.client()
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        backend = await upstream.accept()
        await backend.read_request()
        await backend.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
        await client.read_until(b"\r\n\r\n")
        nursery.start_soon(backend.send, b"x" * total)
        passed, began = 0, gateway.now
        while passed < total:
            await trio.lowlevel.checkpoint()
            await gateway.caught_up()
            while piece := _there(client):
                passed += len(piece)
            assert passed <= window + (gateway.now - began) * window + 1
            gateway.pass_time(0.1)
        assert 3.8 < gateway.now - began < 4.6
        await backend.close()
        await client.close()


async def test_a_response_faster_than_allowed_is_cut_off() -> None:
    steps = [bandwidth(RESPONSE, 1000, 60_000, fail=True)]
    for size in (1000, 1001):
        async with staged(in_length(b"x" * size), steps=steps) as stage:
            reply = await asked(stage)
            assert (len(body_of(reply)) == size) is (size == 1000)


async def test_a_half_closed_client_is_not_gone_while_its_answer_is_slowed_down() -> None:
    steps = [bandwidth(RESPONSE, 10, 10_000, fail=False)]
    settings = {"half_close_quiet_s": 1.0}
    async with fronting(steps=steps, client=PATIENT, **settings) as (gateway, upstream):
        client = await gateway.client()
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        backend = await upstream.accept()
        await backend.read_request()
        await backend.send(b"HTTP/1.1 200 OK\r\nContent-Length: 25\r\n\r\n")
        await client.read_until(b"\r\n\r\n")
        await backend.send(b"x" * 25)
        assert await client.read_exactly(10) == b"x" * 10
        await client.finish()
        for rest in (10, 5):
            for _ in range(8):
                await gateway.caught_up(client)
                gateway.pass_time(1.1)
            assert gateway.busy == {"connections": 1, "exchanges": 1}
            gateway.pass_time(2.0)
            assert await client.read_exactly(rest) == b"x" * rest
        await client.close()
        await backend.close()


async def test_a_client_that_leaves_a_slowed_body_leaves_nothing_behind() -> None:
    steps = [bandwidth(REQUEST, 10, 1000, fail=False)]
    async with fronting(steps=steps, client=PATIENT) as (gateway, upstream):
        client = await gateway.client()
        await client.send(counted(b"x" * 1000)[:-1])
        backend = await upstream.accept()
        await gateway.caught_up(client)
        client.reset()
        gateway.pass_time(60.0)
        gateway.pass_time(600.0)
        await gateway.settled()
        assert b"x" in await backend.read_to_end()
        await backend.close()


def _there(wire: Wire) -> bytes:
    """What has come and was not read."""
    if wire.held:
        data, wire.held = wire.held, b""
        return data
    try:
        return os.read(wire.stream.socket.fileno(), 65536)
    except BlockingIOError:
        return b""

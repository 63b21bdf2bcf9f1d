"""Which attempt may be made again, on which connection, and how a broken answer looks to a client."""

import h11
import pytest

from tests.conformance.http1.conversation import fronting
from tests.conformance.http1.gateway import Gateway, route, running, until
from tests.conformance.http1.upstream import OK, Upstream
from tests.conformance.http1.wire import Wire

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
EMPTY_CHUNKED = b"%s / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-T: 1\r\n\r\n"
BODY = b"%s / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"


async def test_a_refused_connection_is_tried_at_the_next_target_after_a_while() -> None:
    gone, alive = await Upstream.open(), await Upstream.open()
    await gone.close()
    limits = {"retries": 3, "retry_initial_delay": 100, "backoff_factor": 3}
    async with running(route(gone.port, alive.port, client=limits)) as gateway:
        client = await gateway.client()
        for _ in range(2):
            await client.send(BODY % b"POST")
            await until(lambda: gateway.engine.in_flight()["exchanges"] == 1)
            await gateway.caught_up(client)
            gateway.pass_time(0.11)
            backend = await alive.accept()
            assert (await backend.read_request()).body == b"body"
            await backend.send(OK)
            await gateway.caught_up(backend)
            await backend.close()
            assert (await client.read_response()).status == 200
        assert gateway.count("retries") >= 1, "round robin began at the target that is gone"
        await client.close()
    await alive.close()


async def test_waits_between_attempts_grow_and_attempts_are_counted() -> None:
    gone = await Upstream.open()
    await gone.close()
    limits = {"retries": 3, "retry_initial_delay": 100, "backoff_factor": 3}
    async with running(route(gone.port, client=limits)) as gateway:
        client = await gateway.client()
        await client.send(GET)
        await gateway.caught_up(client)
        for attempts, pause in ((1, 0.1), (2, 0.3)):
            await until(lambda: gateway.count("connected") == attempts)  # noqa: B023 (at once)
            await gateway.caught_up()
            gateway.pass_time(pause - 0.02)
            assert gateway.count("connected") == attempts
            gateway.pass_time(0.04)
        assert (await client.read_response()).status == 502
        assert gateway.count("connected") == 3
        await client.close()


@pytest.mark.parametrize("request_bytes", [GET, EMPTY_CHUNKED % b"PUT", EMPTY_CHUNKED % b"GET"])
async def test_a_request_lost_to_a_stale_connection_is_sent_again_whole(
    request_bytes: bytes,
) -> None:
    async with fronting() as (gateway, upstream):
        client, stale = await warmed_up(gateway, upstream)
        await client.send(request_bytes)
        first = await stale.read_request()
        await stale.close()
        backend = await upstream.accept()
        assert await backend.read_request() == first
        await backend.send(OK)
        assert (await client.read_response()).status == 200
        assert gateway.count("upstream_failures") == 0, "no target failed"
        await client.close()
        await backend.close()


@pytest.mark.parametrize(
    "request_bytes", [BODY % b"POST", BODY % b"PATCH", BODY % b"PUT", EMPTY_CHUNKED % b"POST"]
)
async def test_a_request_that_may_have_been_acted_on_is_not_sent_again(
    request_bytes: bytes,
) -> None:
    async with fronting(client={"retries": 5, "retry_initial_delay": 0}) as (gateway, upstream):
        client, stale = await warmed_up(gateway, upstream)
        await client.send(request_bytes)
        await stale.read_request()
        await stale.close()
        assert (await client.read_response()).status == 502
        assert gateway.count("connected") == 1
        await client.close()


async def test_a_post_looks_before_it_takes_a_connection_that_may_be_closed() -> None:
    async with fronting() as (gateway, upstream):
        client, stale = await warmed_up(gateway, upstream)
        stale.stream.socket.close()
        client.send_at_once(BODY % b"POST")
        backend = await upstream.accept()
        await backend.read_request()
        await backend.send(OK)
        assert (await client.read_response()).status == 200
        await client.close()
        await backend.close()


@pytest.mark.parametrize("method", [b"GET", b"POST"])
async def test_words_on_an_unused_connection_answer_nobody(method: bytes) -> None:
    """Bytes and next request arrive as one; taking the connection would take the bytes for the answer."""
    async with fronting() as (gateway, upstream):
        client, odd = await warmed_up(gateway, upstream)
        client.send_at_once(BODY % method)
        odd.send_at_once(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        backend = await upstream.accept()
        await backend.read_request()
        await backend.send(OK)
        assert (await client.read_response()).body == b"ok"
        for wire in (client, odd, backend):
            await wire.close()


async def test_a_half_answer_is_not_forgotten_when_the_attempt_is_repeated() -> None:
    async with fronting(client={"retries": 2, "retry_initial_delay": 0}) as (gateway, upstream):
        client = await gateway.client()
        await client.send(GET)
        first = await upstream.accept()
        await first.read_request()
        await first.send(b"HTTP/1.1 500 Broken\r\nX-First: 1\r\n")
        await gateway.caught_up(first)
        await first.close()
        second = await upstream.accept()
        await second.read_request()
        await second.send(OK)
        response = await client.read_response()
        assert (response.status, response.values(b"x-first")) == (200, [])
        await client.close()
        await second.close()


@pytest.mark.parametrize(
    "head",
    [b"Content-Length: 100\r\n", b"Transfer-Encoding: chunked\r\n"],
    ids=["length", "chunks"],
)
@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
async def test_an_answer_that_breaks_off_never_looks_whole(head: bytes, version: bytes) -> None:
    async with fronting() as (gateway, upstream):
        client = await gateway.client()
        await client.send(GET.replace(b"1.1", version))
        backend = await upstream.accept()
        await backend.read_request()
        await backend.send(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n5\r\nhello\r\n")
        await client.read_until(b"hello")
        await backend.close()
        rest = await client.read_to_end()
        if version == b"1.0" and b"chunked" in head:
            assert client.was_reset, (
                "without length or chunks, only a reset says that more was meant"
            )
        else:
            assert rest in {b"", b"\r\n"}
        await client.close()
        await gateway.settled()


async def test_a_backend_that_resets_in_its_answer_cuts_the_client_off() -> None:
    async with fronting() as (gateway, upstream):
        client = await gateway.client()
        await client.send(GET)
        backend = await upstream.accept()
        await backend.read_request()
        await backend.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")
        await client.read_until(b"hello")
        backend.reset()
        with pytest.raises(h11.RemoteProtocolError):
            await client.read_response()
        await client.close()
        await gateway.settled()


async def test_an_old_backend_is_told_lengths_and_no_chunks() -> None:
    upstream = await Upstream.open()
    target = {"hostname": "127.0.0.1", "port": upstream.port, "protocol": "HTTP/1.0"}
    async with running(route(targets=[target])) as gateway:
        client = await gateway.client()
        await client.send(BODY % b"POST")
        backend = await upstream.accept()
        request = await backend.read_request()
        assert (request.version, request.values(b"content-length")) == (b"1.0", [b"4"])
        await backend.send(b"HTTP/1.0 200 OK\r\n\r\nhello")
        await backend.close()
        assert (await client.read_response()).body == b"hello"
        await client.send(EMPTY_CHUNKED % b"POST")
        assert (await client.read_response()).status == 411
        await client.close()
    await upstream.close()


async def warmed_up(gateway: Gateway, upstream: Upstream) -> tuple[Wire, Wire]:
    """A client, and the backend's end of a connection that waits in the pool."""
    client = await gateway.client()
    await client.send(GET)
    backend = await upstream.accept()
    await backend.read_request()
    await backend.send(OK)
    await client.read_response()
    assert gateway.engine.in_flight()["pooled"] == 1
    return client, backend

"""A backend that is slow, silent or unreachable: which status, after which time-out."""

import pytest
import trio

from tests.conformance.http1.conversation import fronting
from tests.conformance.http1.gateway import route, running
from tests.conformance.http1.upstream import OK, Upstream

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
PATIENT = {"call_timeout": 0, "global_timeout": 0, "call_and_stream_timeout": 0, "idle_timeout": 0}
BIG = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"


@pytest.mark.parametrize("limit", ["call_timeout", "global_timeout"])
@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nX-A", b"HTTP/1.1 103 x\r\n\r\n"])
async def test_a_backend_without_an_answer_is_a_504(limit: str, head: bytes) -> None:
    async with fronting(client=PATIENT | {limit: 5000}) as (gateway, upstream):
        client = await gateway.client()
        await client.send(GET)
        backend = await upstream.accept()
        await backend.read_request()
        await backend.send(head)
        await gateway.caught_up(client, backend)
        gateway.pass_time(4.9)
        assert gateway.busy == {"connections": 1, "exchanges": 1}
        gateway.pass_time(0.2)
        assert (await client.read_response()).status == 504
        assert await backend.read_to_end() == b""
        await client.finish()
        assert await client.read_to_end() == b"", "the connection went on until the client ended it"
        await client.close()
        await backend.close()
        await gateway.settled()


async def test_an_answer_in_time_ends_the_call() -> None:
    async with fronting(client=PATIENT | {"call_timeout": 5000}) as (gateway, upstream):
        client = await gateway.client()
        await client.send(GET)
        backend = await upstream.accept()
        await backend.read_request()
        gateway.pass_time(4.9)
        await backend.send(BIG)
        await client.read_until(b"\r\n\r\n")
        gateway.pass_time(100)
        await backend.send(b"x" * 100)
        assert await client.read_exactly(100) == b"x" * 100
        await client.close()
        await backend.close()


async def test_a_connection_that_does_not_come_about_is_a_504() -> None:
    # A full accept queue leaves the gateway's SYN unanswered.
    full = trio.socket.socket()
    await full.bind(("127.0.0.1", 0))
    full.listen(0)
    port = full.getsockname()[1]
    fillers = [trio.socket.socket() for _ in range(4)]
    async with trio.open_nursery() as nursery:
        for filler in fillers:
            nursery.start_soon(filler.connect, ("127.0.0.1", port))
        limits = PATIENT | {"connection_timeout": 3000}
        async with running(route(port, client=limits)) as gateway:
            client = await gateway.client()
            await client.send(GET)
            await gateway.caught_up(client)
            gateway.pass_time(2.9)
            assert gateway.busy == {"connections": 1, "exchanges": 1}
            gateway.pass_time(0.2)
            assert (await client.read_response()).status == 504
            await client.close()
        nursery.cancel_scope.cancel()
    for filler in [*fillers, full]:
        filler.close()


async def test_a_connection_that_is_refused_is_a_502() -> None:
    upstream = await Upstream.open()
    await upstream.close()
    async with running(route(upstream.port)) as gateway:
        client = await gateway.client()
        await client.send(GET)
        assert (await client.read_response()).status == 502
        await client.close()


async def test_a_body_that_stops_cuts_the_client_off() -> None:
    async with fronting(client=PATIENT | {"idle_timeout": 5000}) as (gateway, upstream):
        client = await gateway.client()
        await client.send(GET)
        backend = await upstream.accept()
        await backend.read_request()
        await backend.send(BIG + b"x")
        await client.read_until(b"\r\n\r\nx")
        gateway.pass_time(4)
        await backend.send(b"y")
        assert await client.read_exactly(1) == b"y"
        gateway.pass_time(4.9)
        assert gateway.busy == {"connections": 1, "exchanges": 1}
        gateway.pass_time(0.2)
        assert await client.read_to_end() == b""
        assert await backend.read_to_end() == b""
        await client.close()
        await backend.close()
        await gateway.settled()


@pytest.mark.parametrize("idle_ms", [0, 300_000])
async def test_an_exchange_ends_with_call_and_stream_although_nothing_moves(idle_ms: float) -> None:
    limits = PATIENT | {"call_and_stream_timeout": 120_000, "idle_timeout": idle_ms}
    # The global time-out covers the head only, but is never the shorter of the two.
    async with fronting(client=limits | {"global_timeout": 30_000}) as (gateway, upstream):
        client = await gateway.client()
        await client.send(GET)
        backend = await upstream.accept()
        await backend.read_request()
        await backend.send(BIG + b"x")
        await client.read_until(b"\r\n\r\nx")
        for _ in range(11):
            gateway.pass_time(10)
        assert gateway.busy == {"connections": 1, "exchanges": 1}
        gateway.pass_time(10.1)
        assert await client.read_to_end() == b""
        assert await backend.read_to_end() == b""
        await client.close()
        await backend.close()


async def test_a_body_that_ends_with_its_connection_is_not_cut_off_as_if_it_were_whole() -> None:
    limits = PATIENT | {"call_and_stream_timeout": 20_000, "global_timeout": 10_000}
    async with fronting(client=limits) as (gateway, upstream):
        client = await gateway.client()
        await client.send(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
        backend = await upstream.accept()
        await backend.read_request()
        await backend.send(b"HTTP/1.1 200 OK\r\n\r\nx")
        await client.read_until(b"\r\n\r\nx")
        gateway.pass_time(20.1)
        assert await client.read_to_end() == b""
        assert client.was_reset
        await client.close()
        await backend.close()


async def test_an_unused_connection_to_a_backend_is_closed() -> None:
    async with fronting(pool_idle_s=30) as (gateway, upstream):
        client = await gateway.client()
        await client.send(GET)
        backend = await upstream.accept()
        await backend.read_request()
        await backend.send(OK)
        await client.read_response()
        assert gateway.engine.in_flight()["pooled"] == 1
        gateway.pass_time(29)
        assert gateway.engine.in_flight()["pooled"] == 1
        gateway.pass_time(1.1)
        assert await backend.read_to_end() == b""
        assert gateway.engine.in_flight()["pooled"] == 0
        await client.close()
        await backend.close()


async def test_a_host_name_that_is_never_found_is_a_504_and_one_that_is_not_there_a_502() -> None:
    targets = [{"hostname": "backend.test", "port": 80}]
    limits = PATIENT | {"global_timeout": 5000}
    async with running(route(targets=targets, client=limits)) as gateway:
        first, second = await gateway.client(), await gateway.client()
        await first.send(GET)
        await gateway.caught_up(first)
        assert gateway.wanted_hosts == ["backend.test"]
        gateway.pass_time(5.1)
        assert (await first.read_response()).status == 504
        await second.send(GET)
        await gateway.caught_up(second)
        assert gateway.wanted_hosts == ["backend.test", "backend.test"]
        gateway.note(gateway.engine.resolved("backend.test", [], gateway.now))
        assert (await second.read_response()).status == 502
        await first.close()
        await second.close()


async def test_a_host_name_is_looked_up_once_for_all_who_wait() -> None:
    upstream = await Upstream.open()
    targets = [{"hostname": "backend.test", "port": upstream.port}]
    async with running(route(targets=targets)) as gateway:
        clients = [await gateway.client() for _ in range(3)]
        for client in clients:
            await client.send(GET)
        await gateway.caught_up(*clients)
        assert gateway.wanted_hosts == ["backend.test"]
        gateway.note(gateway.engine.resolved("backend.test", ["127.0.0.1"], gateway.now))
        for _ in clients:
            backend = await upstream.accept()
            await backend.read_request()
            await backend.send(OK)
            await gateway.caught_up(backend)
            await backend.close()
        for client in clients:
            assert (await client.read_response()).status == 200
            await client.close()
    await upstream.close()


async def test_an_address_that_refuses_is_passed_over_for_the_next_one() -> None:
    # As a name of both families where the backend listens on one.
    upstream = await Upstream.open()
    targets = [{"hostname": "both.test", "port": upstream.port}]
    post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"
    async with running(route(targets=targets, client={"retries": 1})) as gateway:
        clients = [await gateway.client() for _ in range(4)]
        await clients[0].send(post)
        await gateway.caught_up(clients[0])
        addresses = ["127.0.0.1", "127.0.0.2", "::1"]
        gateway.note(gateway.engine.resolved("both.test", addresses, gateway.now))
        for client in clients:
            if client is not clients[0]:
                await client.send(post)
            backend = await upstream.accept()
            assert (await backend.read_request()).body == b"body"
            await backend.send(OK)
            await gateway.caught_up(backend)
            assert (await client.read_response()).status == 200
            await backend.close()
            await client.close()
        assert gateway.count("upstream_failures") == 0, "no attempt was lost by it"
        await upstream.close()
        last = await gateway.client()
        await last.send(post)
        assert (await last.read_response()).status == 502
        await last.close()

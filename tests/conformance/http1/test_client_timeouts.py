"""A client that is slow, silent or gone holds nothing for long. Time is an argument: no test waits."""

import pytest

from tests.conformance.http1.conversation import fronting
from tests.conformance.http1.descriptors import open_sockets
from tests.conformance.http1.upstream import OK

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"
# The route's own time-outs are out of the way.
PATIENT = {"call_timeout": 0, "global_timeout": 0, "call_and_stream_timeout": 0, "idle_timeout": 0}


async def test_a_connection_that_says_nothing_is_closed_without_a_word() -> None:
    async with fronting(head_timeout_s=10) as (gateway, _):
        client = await gateway.client()
        await gateway.caught_up(client)
        gateway.pass_time(9.9)
        assert gateway.busy == {"connections": 1}
        gateway.pass_time(0.2)
        assert await client.read_to_end() == b""
        assert gateway.busy == {}
        await client.close()


@pytest.mark.parametrize("head", [b"G", b"GET / HTTP/1.1\r\n", GET[:-1]])
async def test_a_slow_head_is_answered_408_however_it_drips(head: bytes) -> None:
    async with fronting(head_timeout_s=10) as (gateway, _):
        client = await gateway.client()
        for byte in head:
            await client.send(bytes([byte]))
            await gateway.caught_up(client)
            gateway.pass_time(9.9 / len(head))
        gateway.pass_time(0.2)
        response = await client.read_response()
        assert response.status == 408
        assert await client.read_to_end() == b""
        await client.close()
        await gateway.settled()
        assert gateway.count("connected") == 0


async def test_a_slow_second_head_has_its_own_time() -> None:
    async with fronting(head_timeout_s=10, keep_alive_idle_s=60) as (gateway, upstream):
        client = await gateway.client()
        await client.send(GET)
        backend = await upstream.accept()
        await backend.read_request()
        await backend.send(OK)
        await client.read_response()
        gateway.pass_time(50)
        await client.send(GET[:5])
        await gateway.caught_up(client)
        gateway.pass_time(9.9)
        assert gateway.busy == {"connections": 1}
        gateway.pass_time(0.2)
        assert (await client.read_response()).status == 408
        await client.close()
        await backend.close()


async def test_a_pipelined_beginning_is_given_the_time_of_a_head() -> None:
    async with fronting(head_timeout_s=10, keep_alive_idle_s=60) as (gateway, upstream):
        client = await gateway.client()
        await client.send(GET + GET[:5])
        backend = await upstream.accept()
        await backend.read_request()
        await backend.send(OK)
        await client.read_response()
        await gateway.caught_up()
        gateway.pass_time(10.1)
        assert (await client.read_response()).status == 408
        await client.close()
        await backend.close()


async def test_an_idle_connection_is_closed() -> None:
    async with fronting(keep_alive_idle_s=60) as (gateway, upstream):
        client = await gateway.client()
        await client.send(GET)
        backend = await upstream.accept()
        await backend.read_request()
        await backend.send(OK)
        await client.read_response()
        await gateway.caught_up()
        gateway.pass_time(59)
        assert gateway.busy == {"connections": 1}
        gateway.pass_time(1.1)
        assert await client.read_to_end() == b""
        await client.close()
        await backend.close()


@pytest.mark.parametrize("sent", [b"", b"12345"])
async def test_a_slow_body_is_answered_408_and_the_backend_let_go(sent: bytes) -> None:
    async with fronting(client=PATIENT, body_idle_s=20) as (gateway, upstream):
        client = await gateway.client()
        await client.send(POST + sent)
        backend = await upstream.accept()
        await backend.read_until(b"\r\n\r\n" + sent)
        await gateway.caught_up(client)
        gateway.pass_time(19.9)
        assert gateway.busy == {"connections": 1, "exchanges": 1}
        gateway.pass_time(0.2)
        assert (await client.read_response()).status == 408
        assert await client.read_to_end() == b""
        assert await backend.read_to_end() == b""
        await client.close()
        await backend.close()
        await gateway.settled()


async def test_a_body_that_goes_on_is_waited_for() -> None:
    async with fronting(client=PATIENT, body_idle_s=20) as (gateway, upstream):
        client = await gateway.client()
        await client.send(POST)
        backend = await upstream.accept()
        await backend.read_until(b"\r\n\r\n")
        for byte in b"0123456789":
            gateway.pass_time(19)
            await client.send(bytes([byte]))
            assert await backend.read_exactly(1) == bytes([byte])
        await backend.send(OK)
        assert (await client.read_response()).status == 200
        await client.close()
        await backend.close()


@pytest.mark.parametrize("limit", ["call_timeout", "global_timeout"])
async def test_a_slow_body_is_the_clients_fault_also_when_the_call_is_over(limit: str) -> None:
    async with fronting(client=PATIENT | {limit: 5000}) as (gateway, upstream):
        client = await gateway.client()
        await client.send(POST)
        backend = await upstream.accept()
        await backend.read_until(b"\r\n\r\n")
        await gateway.caught_up(client)
        gateway.pass_time(5.1)
        assert (await client.read_response()).status == 408
        await client.close()
        await backend.close()


async def test_slow_clients_do_not_open_the_breaker_of_a_backend() -> None:
    limits = PATIENT | {"call_timeout": 5000, "max_errors": 2}
    async with fronting(client=limits) as (gateway, upstream):
        for _ in range(3):
            client = await gateway.client()
            await client.send(POST)
            backend = await upstream.accept()
            await backend.read_until(b"\r\n\r\n")
            await gateway.caught_up(client)
            gateway.pass_time(5.1)
            await client.read_to_end()
            await client.close()
            await backend.close()
        client = await gateway.client()
        await client.send(GET)
        backend = await upstream.accept()
        await backend.read_request()
        await backend.send(OK)
        assert (await client.read_response()).status == 200
        await client.close()
        await backend.close()


async def test_a_closed_connection_is_read_for_a_while_and_no_longer() -> None:
    async with fronting(linger_s=2) as (gateway, _):
        client = await gateway.client()
        await client.send(b"nonsense\r\n\r\n")
        assert (await client.read_response()).status == 400
        await client.send(b"x" * 1000)
        await gateway.caught_up(client)
        assert gateway.busy == {}, "nobody waits for it"
        lingering = open_sockets()
        gateway.pass_time(1.9)
        assert open_sockets() == lingering
        gateway.pass_time(0.2)
        assert len(lingering - open_sockets()) == 1
        await client.close()

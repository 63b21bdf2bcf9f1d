"""Keep-alive, pipelining, expectations, early responses, and clients that leave."""

from typing import Final

import pytest

from tests.conformance.http1.conversation import fronting, staged
from tests.conformance.http1.gateway import Gateway
from tests.conformance.http1.messages import responses_in
from tests.conformance.http1.upstream import OK, Upstream
from tests.conformance.http1.wire import Wire

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
EXPECTING = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
UPLOAD = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n"
FULL = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\nfull"


async def test_one_connection_serves_many_requests_over_one_backend_connection() -> None:
    async with staged() as stage:
        client = await stage.gateway.client()
        for number in range(20):
            await client.send(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number)
            assert (await client.read_response()).status == 200
        await client.close()
        assert [request.target for request in stage.recorder.requests] == [
            b"/%d" % number for number in range(20)
        ]
        assert len(stage.recorder.connections) == 1


async def test_pipelined_requests_are_answered_in_order_one_after_the_other() -> None:
    async with fronting() as (gateway, upstream):
        client = await gateway.client()
        await client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % n for n in range(50)))
        backend = await upstream.accept()
        for number in range(50):
            request = await backend.read_until(b"\r\n\r\n")
            assert request.startswith(b"GET /%d " % number)
            assert backend.held == b"", "the next request waits for this one's answer"
            await backend.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n%02d" % number)
        for number in range(50):
            assert (await client.read_response()).body == b"%02d" % number
        await client.close()
        await backend.close()


async def test_a_flood_of_pipelined_requests_is_read_only_as_it_is_served() -> None:
    """The client can push no more than one read and the kernel's own buffers."""
    request = b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 1000 + b"\r\n\r\n"
    async with fronting() as (gateway, upstream):
        client = await gateway.client()
        backend_wire = None
        pushed = 0
        while taken := client.send_at_once(request * 10):
            pushed += taken
            gateway.turn()
            backend_wire = backend_wire or await upstream.accept()
        assert backend_wire is not None
        assert await backend_wire.read_until(b"\r\n\r\n") == request
        await gateway.caught_up()
        assert gateway.count("requests") == 0
        assert gateway.busy == {"connections": 1, "exchanges": 1}
        await client.close()
        await backend_wire.close()
        assert pushed > 100_000


async def test_an_http10_client_that_asks_for_it_is_kept() -> None:
    async with staged() as stage:
        client = await stage.gateway.client()
        for _ in range(2):
            await client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            response = await client.read_response()
            assert response.values(b"connection") == [b"keep-alive"]
        await client.send(b"GET / HTTP/1.0\r\n\r\n")
        response = await client.read_response()
        assert response.values(b"connection") == [b"close"]
        assert await client.read_to_end() == b""
        await client.close()


async def test_continue_is_sent_when_the_backend_is_chosen_and_only_once() -> None:
    async with staged() as stage:
        client = await stage.gateway.client()
        await client.send(EXPECTING)
        assert await client.read_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send(b"hello")
        response = await client.read_response()
        assert (response.status, response.interim) == (200, [])
        assert stage.recorder.requests[0].body == b"hello"
        assert stage.recorder.requests[0].values(b"expect") == []
        await client.close()


async def test_a_refusal_spares_the_body_that_waits_for_continue() -> None:
    steps = [{"phase": "pre_route", "kind": "refuse", "status": 403, "message": "no"}]
    async with fronting(steps=steps) as (gateway, _):
        client = await gateway.client()
        await client.send(EXPECTING)
        response = await client.read_response()
        assert (response.status, response.interim) == (403, [])
        assert response.values(b"connection") == [b"close"], "the body may come or not"
        assert await client.read_to_end() == b""
        await client.close()


async def test_an_http10_client_waits_for_no_continue() -> None:
    async with staged() as stage:
        client = await stage.gateway.client()
        await client.send(EXPECTING.replace(b"HTTP/1.1", b"HTTP/1.0") + b"hello")
        assert (await client.read_to_end()).startswith(b"HTTP/1.1 200 OK\r\n")
        await client.close()


async def test_an_answer_before_the_end_of_the_upload_reaches_the_client() -> None:
    async with fronting() as (gateway, upstream):
        client, backend = await uploading(gateway, upstream)
        await backend.send(FULL)
        response = await client.read_response()
        assert (response.status, response.body) == (413, b"full")
        assert response.values(b"connection") == [b"close"]
        assert await client.read_to_end() == b""
        assert await backend.read_to_end() == b"", "half a request is on it: it serves no other"
        await client.close()
        await backend.close()
        await gateway.settled()


async def test_an_upload_goes_on_below_an_early_answer() -> None:
    async with fronting() as (gateway, upstream):
        client, backend = await uploading(gateway, upstream)
        await backend.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nearly\r\n")
        await client.read_until(b"early")
        await client.send(b"y" * 900)
        assert await backend.read_exactly(900) == b"y" * 900
        await backend.send(b"4\r\nlate\r\n0\r\n\r\n")
        assert b"late" in await client.read_until(b"0\r\n\r\n")
        await client.close()
        await backend.close()


async def test_an_answer_of_a_backend_that_closes_its_ears_reaches_the_client() -> None:
    """The rest of the upload cannot be written; what the backend said can still be read."""
    async with fronting() as (gateway, upstream):
        client, backend = await uploading(gateway, upstream)
        await backend.send(FULL)
        await backend.close()
        await client.send(b"y" * 900)
        assert responses_in(await client.read_to_end(), "POST")[0].status == 413
        await client.close()


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
async def test_a_client_that_only_closed_its_sending_side_gets_its_answer(version: bytes) -> None:
    async with fronting() as (gateway, upstream):
        client = await gateway.client()
        await client.send(GET.replace(b"1.1", version))
        await client.finish()
        backend = await upstream.accept()
        await backend.read_request()
        await backend.send(OK)
        assert (await client.read_response()).status == 200
        assert await client.read_to_end() == b""
        await client.close()
        await backend.close()


async def test_a_half_closed_client_is_asked_whether_it_is_still_there() -> None:
    async with fronting(half_close_probe_s=0.1) as (gateway, upstream):
        client = await gateway.client()
        await client.send(GET)
        await client.finish()
        backend = await upstream.accept()
        await backend.read_request()
        await gateway.caught_up(client)
        gateway.pass_time(0.2)
        assert await client.read_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        gateway.pass_time(0.5)
        assert gateway.busy == {"connections": 1, "exchanges": 1}
        await backend.send(OK)
        assert (await client.read_response()).status == 200
        await client.close()
        await backend.close()


async def test_an_http10_client_that_closed_its_sending_side_has_left_after_a_moment() -> None:
    async with fronting(half_close_probe_s=0.1) as (gateway, upstream):
        client = await gateway.client()
        await client.send(GET.replace(b"1.1", b"1.0"))
        await client.finish()
        backend = await upstream.accept()
        await backend.read_request()
        await gateway.caught_up(client)
        gateway.pass_time(0.2)
        assert await client.read_to_end() == b""
        assert await backend.read_to_end() == b""
        await client.close()
        await backend.close()


async def test_a_client_that_resets_takes_its_backend_connection_along() -> None:
    async with fronting() as (gateway, upstream):
        client = await gateway.client()
        await client.send(GET)
        backend = await upstream.accept()
        await backend.read_request()
        client.reset()
        assert await backend.read_to_end() == b""
        await backend.close()
        await gateway.settled()
        assert gateway.count("client_left") == 1


async def test_a_client_that_left_is_noticed_by_the_question() -> None:
    async with fronting(half_close_probe_s=0.1) as (gateway, upstream):
        client = await gateway.client()
        await client.send(GET)
        backend = await upstream.accept()
        await backend.read_request()
        await client.close()
        await gateway.caught_up()
        gateway.pass_time(0.2)
        assert await backend.read_to_end() == b""
        await backend.close()
        await gateway.settled()
        assert gateway.count("client_left") == 1


BEGUN: Final = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n"


async def test_a_client_that_leaves_in_a_quiet_answer_is_noticed_after_a_moment() -> None:
    async with fronting(half_close_quiet_s=1.0) as (gateway, upstream):
        client = await gateway.client()
        await client.send(GET)
        backend = await upstream.accept()
        await backend.read_request()
        await backend.send(BEGUN)
        assert await client.read_until(b"one\r\n")
        await client.close()
        await gateway.caught_up()
        gateway.pass_time(0.9)
        assert gateway.busy == {"connections": 1, "exchanges": 1}
        gateway.pass_time(0.2)
        assert await backend.read_to_end() == b""
        await backend.close()
        await gateway.settled()
        assert gateway.count("client_left") == 1


@pytest.mark.parametrize("closes_early", [True, False])
async def test_a_half_closed_client_gets_the_rest_of_an_answer_that_goes_on(
    *, closes_early: bool
) -> None:
    async with fronting(half_close_quiet_s=1.0) as (gateway, upstream):
        client = await gateway.client()
        await client.send(GET)
        if closes_early:
            await client.finish()
        backend = await upstream.accept()
        await backend.read_request()
        await backend.send(BEGUN)
        await client.read_until(b"one\r\n")
        if not closes_early:
            await client.finish()
        for _ in range(3):
            await gateway.caught_up(client)
            gateway.pass_time(0.9)
            await backend.send(b"3\r\ntwo\r\n")
            assert await client.read_until(b"two\r\n") == b"3\r\ntwo\r\n"
        await gateway.caught_up(client)
        gateway.pass_time(1.1)
        assert await client.read_to_end() == b""
        assert await backend.read_to_end() == b""
        await client.close()
        await backend.close()


async def test_a_client_that_leaves_in_its_upload_takes_its_backend_connection_along() -> None:
    async with fronting() as (gateway, upstream):
        client, backend = await uploading(gateway, upstream)
        await client.close()
        assert await backend.read_to_end() == b""
        await backend.close()
        await gateway.settled()
        assert gateway.count("client_left") == 1


async def test_a_drain_answers_what_is_in_flight_and_closes() -> None:
    async with fronting() as (gateway, upstream):
        client = await gateway.client()
        await client.send(GET)
        backend = await upstream.accept()
        await backend.read_request()
        gateway.engine.drain(gateway.now)
        await backend.send(OK)
        response = await client.read_response()
        assert (response.status, response.values(b"connection")) == (200, [b"close"])
        assert await client.read_to_end() == b""
        await client.close()
        await backend.close()
        await gateway.settled()


async def test_a_drain_gives_an_unused_connection_time_for_one_more_request() -> None:
    async with staged(settings={"drain_idle_s": 1}) as stage:
        gateway = stage.gateway
        silent, unused, used = [await gateway.client() for _ in range(3)]
        for client in (unused, used):
            await client.send(GET)
            assert (await client.read_response()).values(b"connection") == []
        await gateway.caught_up(silent, unused, used)
        gateway.engine.drain(gateway.now)
        gateway.pass_time(0.9)
        await used.send(GET)
        response = await used.read_response()
        assert (response.status, response.values(b"connection")) == (200, [b"close"])
        assert gateway.busy == {"connections": 2}
        gateway.pass_time(0.2)
        for client in (silent, unused, used):
            assert await client.read_to_end() == b""
            await client.close()
        await gateway.settled()


async def uploading(gateway: Gateway, upstream: Upstream) -> tuple[Wire, Wire]:
    """A client in the middle of an upload, and the backend that got the first part."""
    client = await gateway.client()
    await client.send(UPLOAD + b"x" * 100)
    backend = await upstream.accept()
    await backend.read_until(b"\r\n\r\n")
    assert await backend.read_exactly(100) == b"x" * 100
    return client, backend

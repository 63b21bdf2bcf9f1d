"""Bounds on what a peer may make the gateway hold, each from both sides of its edge."""

import json
from functools import partial

import pytest

from oto_trio._core import Engine
from tests.conformance.http1.conversation import fronting, staged
from tests.conformance.http1.messages import RequestSeen
from tests.conformance.http1.upstream import OK

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
LAST = b"0\r\n\r\n"
PATIENT = {"call_timeout": 0, "global_timeout": 0, "call_and_stream_timeout": 0, "idle_timeout": 0}


def head_of(size: int) -> bytes:
    """A request head of so many bytes."""
    return GET[:-2] + b"X: " + b"x" * (size - len(GET) - 5) + b"\r\n\r\n"


def target_of(size: int) -> bytes:
    """A request with a target of so many bytes."""
    return GET.replace(b"/ ", b"/" + b"x" * (size - 1) + b" ")


def fields_of(count: int) -> bytes:
    """A request with so many fields."""
    return GET[:-2] + b"X: y\r\n" * (count - 1) + b"\r\n"


def extensions_of(size: int) -> bytes:
    """A chunked request with so many bytes of extensions: behind each semicolon, the CR included."""
    half = size // 2
    return CHUNKED + b"1;%s\r\nx\r\n0;%s\r\n\r\n" % (b"a" * (half - 1), b"a" * (size - half - 1))


def trailers_of(size: int) -> bytes:
    """A chunked request with a trailer section of so many bytes, its empty line included."""
    return CHUNKED + b"0\r\nX: " + b"x" * (size - 7) + b"\r\n\r\n"


@pytest.mark.parametrize(
    ("settings", "fits", "too_much", "status"),
    [
        ({"head_bytes": 1000}, head_of(1000), head_of(1001), 431),
        ({"target_bytes": 1000}, target_of(1000), target_of(1001), 414),
        ({"head_fields": 10}, fields_of(10), fields_of(11), 431),
        ({}, head_of(32 * 1024), head_of(32 * 1024 + 1), 431),
        ({}, target_of(16 * 1024), target_of(16 * 1024 + 1), 414),
        ({}, fields_of(100), fields_of(101), 431),
        ({}, extensions_of(4096), extensions_of(4097), 400),
        ({}, trailers_of(8192), trailers_of(8193), 400),
    ],
    ids=[
        "head as set",
        "target as set",
        "fields as set",
        "head",
        "target",
        "fields",
        "chunk extensions",
        "trailers",
    ],
)
async def test_what_fits_is_served_and_one_more_is_refused(
    settings: dict[str, float], fits: bytes, too_much: bytes, status: int
) -> None:
    async with staged(settings=settings) as stage:
        assert (await stage.converse([fits])).statuses == [200]
        outcome = await stage.converse([too_much], finishes=False)
        assert outcome.statuses == [status]
        assert outcome.requests == []


async def test_a_head_that_never_ends_is_refused_when_it_is_too_long() -> None:
    async with staged() as stage:
        endless = [GET[:-2], *[b"X-%d: y\r\n" % number for number in range(90)]]
        endless += [b"X: " + b"y" * 1000] * 40
        outcome = await stage.converse(endless, finishes=False)
        assert outcome.statuses == [431]


async def test_a_response_head_is_bounded_as_a_request_head_is() -> None:
    line, _, rest = OK.partition(b"\r\n")
    for size, status in ((1000, 200), (1001, 502)):
        padding = b"x" * (size - len(OK) + len(b"ok") - len(b"X: \r\n"))
        answer = line + b"\r\nX: " + padding + b"\r\n" + rest
        assert len(answer) == size + len(b"ok")
        async with staged(partial(_always, answer), settings={"head_bytes": 1000}) as stage:
            assert (await stage.converse([GET])).statuses == [status]


async def test_interim_responses_are_read_only_as_the_client_takes_them() -> None:
    async with fronting(client=PATIENT | {"call_timeout": 5000}) as (gateway, upstream):
        client = await gateway.client()
        await client.send(GET)
        backend = await upstream.accept()
        await backend.read_request()
        hint = b"HTTP/1.1 103 Early Hints\r\nLink: </%s>\r\n\r\n" % (b"a" * 1000)
        pushed = 0
        while pushed < 1 << 26 and (taken := backend.send_at_once(hint * 60)):
            pushed += taken
            gateway.turn()
        assert pushed < 1 << 26, "the flood was stopped"
        gateway.pass_time(5.1)
        reply = await client.read_until(b"HTTP/1.1 504 Gateway Timeout\r\n")
        assert reply.endswith(b"504 Gateway Timeout\r\n"), "and it does not put off the time-out"
        await client.close()
        await backend.close()


async def test_more_connections_than_allowed_wait_their_turn() -> None:
    async with staged(settings={"max_connections": 2}) as stage:
        gateway = stage.gateway
        clients = [await gateway.client() for _ in range(3)]
        for client in clients:
            await client.send(GET)
        for client in clients[:2]:
            assert (await client.read_response()).status == 200
        await gateway.caught_up()
        assert gateway.busy == {"connections": 2}
        await clients[0].close()
        await gateway.caught_up()
        gateway.pass_time(0.2)
        assert (await clients[2].read_response()).status == 200
        for client in clients[1:]:
            await client.close()


async def test_so_many_unused_backend_connections_are_kept_and_no_more() -> None:
    async with fronting(pool_idle_per_target=2) as (gateway, upstream):
        clients = [await gateway.client() for _ in range(3)]
        backends = []
        for client in clients:
            await client.send(GET)
            backends.append(await upstream.accept())
        for backend in backends:
            await backend.read_request()
            await backend.send(OK)
        for client in clients:
            assert (await client.read_response()).status == 200
        assert gateway.engine.in_flight()["pooled"] == 2
        for wire in [*clients, *backends]:
            await wire.close()


def _always(answer: bytes, request: RequestSeen) -> bytes:
    return answer


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"head_byte": 1}, "head_byte"),
        ({"head_bytes": "many"}, "string"),
        ({"head_timeout_s": None}, "null"),
    ],
)
def test_settings_that_are_none_name_the_key(settings: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Engine(json.dumps(settings).encode())

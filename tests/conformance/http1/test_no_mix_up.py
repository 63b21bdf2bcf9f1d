"""Whatever clients and backends do to each other, an answer reaches the one who asked, or nobody.

Many clients send numbered requests over few backend connections; clients leave in the middle, and
backends split, close, reset, answer early and talk too much. Each answer carries the request's
number.
"""

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from itertools import count
from random import Random

import h11
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conformance.http1.gateway import Gateway, route, running
from tests.conformance.http1.upstream import Upstream
from tests.conformance.http1.wire import Wire

CLIENTS = 12
REQUESTS = 8
LIMITS = {"retries": 3, "retry_initial_delay": 0, "max_errors": 1_000_000}


@settings(max_examples=20)
@given(st.integers(0, 2**32))
def test_an_answer_reaches_the_one_who_asked(seed: int) -> None:
    trio.run(partial(play, Random(seed)))


async def play(random: Random) -> None:
    upstream = await Upstream.open()
    numbers = count(1)
    async with running(route(upstream.port, client=LIMITS)) as gateway:
        async with trio.open_nursery() as backends:
            backends.start_soon(accept, upstream, random, backends)
            async with trio.open_nursery() as clients:
                for _ in range(CLIENTS):
                    clients.start_soon(ask, gateway, random, numbers)
            await gateway.caught_up()
            gateway.pass_time(0.2)
            gateway.pass_time(400)
            await gateway.settled()
            backends.cancel_scope.cancel()
        assert gateway.engine.in_flight()["exchanges"] == 0
    await upstream.close()


async def ask(gateway: Gateway, random: Random, numbers: Iterator[int]) -> None:
    """Be a client that asks a few times, and may leave in the middle of it."""
    client = await gateway.client()
    with suppress(h11.RemoteProtocolError):
        for _ in range(REQUESTS):
            if client.is_finished or client.was_reset:
                break
            number = next(numbers)
            method = random.choice(["GET", "POST", "PUT", "HEAD"])
            for piece in pieces(random, request(random, method, number)):
                await client.send(piece)
                await trio.lowlevel.checkpoint()
            if random.random() < 0.1:
                break
            if random.random() < 0.1:
                await client.finish()
            response = await client.read_response(method)
            if response.status == 200:
                assert response.values(b"x-number") == [b"%d" % number]
                assert response.body == (b"" if method == "HEAD" else b"<%d>" % number)
            else:
                assert response.status in {408, 502, 504}
            if response.values(b"connection") == [b"close"]:
                break
    if random.random() < 0.5:
        client.reset()
    else:
        await client.close()


def request(random: Random, method: str, number: int) -> bytes:
    """A request with this number in its target."""
    head = f"{method} /{number} HTTP/1.1\r\nHost: a\r\n".encode()
    if method in {"GET", "HEAD"}:
        return head + b"\r\n"
    body = b"x" * random.choice([0, 1, 1000, 70_000])
    if random.random() < 0.5:
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    chunk = b"%x\r\n%s\r\n" % (len(body), body) if body else b""
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk + b"0\r\n\r\n"


async def accept(upstream: Upstream, random: Random, nursery: trio.Nursery) -> None:
    """Be a backend with as many connections as the gateway wants."""
    while True:
        nursery.start_soon(answer, await upstream.accept(), random)


async def answer(wire: Wire, random: Random) -> None:
    """Answer requests on one connection, seldom as one should."""
    try:
        with suppress(h11.RemoteProtocolError, trio.ClosedResourceError):
            while not wire.was_reset:
                await answer_one(wire, random)
    finally:
        with trio.CancelScope(shield=True):
            await wire.close()


async def answer_one(wire: Wire, random: Random) -> None:
    """Answer one request, perhaps before it is whole, perhaps not at all."""
    mood = random.choice(
        ["well", "well", "well", "early", "close", "reset", "chatty", "cut", "old"]
    )
    if mood == "early":
        head = await wire.read_until(b"\r\n\r\n")
        method, target = head.split(b" ", 2)[:2] if head else (b"", b"")
    else:
        seen = await wire.read_request()
        method, target = seen.method, seen.target
    if mood == "reset":
        wire.reset()
    if mood in {"close", "reset"} or not target:
        raise trio.ClosedResourceError
    response = response_to(random, method, target[1:], old=mood == "old")
    if mood == "cut":
        response = response[: random.randrange(len(response))]
    if mood == "chatty":
        response += b"HTTP/1.1 200 OK\r\nX-Number: 0\r\nContent-Length: 3\r\n\r\n<0>"
    # What a backend says later, unasked, is its answer to whatever it is asked then.
    for piece in [response] if mood == "chatty" else pieces(random, response):
        await wire.send(piece)
        await trio.lowlevel.checkpoint()
    if mood in {"cut", "old", "early"}:
        raise trio.ClosedResourceError


def response_to(random: Random, method: bytes, number: bytes, *, old: bool) -> bytes:
    """A response that carries this number, in one of the framings."""
    head = b"HTTP/1.%d 200 OK\r\nX-Number: %s\r\n" % (not old, number)
    body = b"<%s>" % number
    if old:
        return head + b"\r\n" + (b"" if method == b"HEAD" else body)
    if random.random() < 0.5:
        framed, field = body, b"Content-Length: %d\r\n" % len(body)
    else:
        framed, field = (
            b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body),
            b"Transfer-Encoding: chunked\r\n",
        )
    return head + field + b"\r\n" + (b"" if method == b"HEAD" else framed)


def pieces(random: Random, data: bytes) -> list[bytes]:
    """The bytes in one to three pieces."""
    cuts = sorted(random.randrange(len(data) + 1) for _ in range(random.choice([0, 0, 1, 2])))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]

"""Whatever moment an exchange is cut short at, nothing of it is left.

Three ways to end it: the client resets, the client closes, the engine itself is closed. The moments
are scripts that bring an exchange to a point and hand back what the test holds of it.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import msgspec
import pytest
import trio

from oto_trio._core import Exchange
from tests.conformance.http1.descriptors import open_sockets
from tests.conformance.http1.gateway import Gateway, python_step, route, running, until
from tests.conformance.http1.upstream import Upstream
from tests.conformance.http1.wire import Wire

GET = b"GET /plain HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /plain HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n"
HELD = b"POST /%s HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n12345"
UPGRADE = b"GET /plain HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"
SWITCH = b"HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"
STATUS = 9
"""Where records have it."""
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n12345"


class Scene:
    """A gateway, its backend, one client, and what the exchange opened."""

    def __init__(self, gateway: Gateway, upstream: Upstream, client: Wire) -> None:
        self.gateway = gateway
        self.upstream = upstream
        self.client = client
        self.backend: Wire | None = None
        self.exchange: Exchange | None = None

    async def reach_backend(self, sent: bytes, seen: bytes) -> Wire:
        """Send a request and see its bytes arrive."""
        await self.client.send(sent)
        self.backend = await self.upstream.accept()
        await self.backend.read_until(seen)
        return self.backend

    async def be_held(self, sent: bytes) -> Exchange:
        """Send a request and have Python hold its exchange."""
        await self.client.send(sent)
        self.exchange = await self.gateway.held.receive()
        return self.exchange


Moment: TypeAlias = Callable[[Scene], Awaitable[object]]


async def connected(scene: Scene) -> None:
    await until(lambda: scene.gateway.busy != {})


async def in_head(scene: Scene) -> None:
    await scene.client.send(GET[:20])
    await scene.gateway.caught_up(scene.client)


async def in_body(scene: Scene) -> None:
    await scene.reach_backend(POST + b"12345", b"12345")


async def resolving(scene: Scene) -> None:
    await scene.client.send(GET.replace(b"/plain", b"/named"))
    await until(lambda: scene.gateway.wanted_hosts != [])


async def between_attempts(scene: Scene) -> None:
    await scene.client.send(GET.replace(b"/plain", b"/gone"))
    await until(lambda: scene.gateway.count("retries") == 1)


async def waiting_for_the_answer(scene: Scene) -> None:
    await scene.reach_backend(GET, b"\r\n\r\n")


async def in_the_answers_head(scene: Scene) -> None:
    backend = await scene.reach_backend(GET, b"\r\n\r\n")
    await backend.send(ANSWER[:20])
    await scene.gateway.caught_up(backend)


async def in_the_answers_body(scene: Scene) -> None:
    backend = await scene.reach_backend(GET, b"\r\n\r\n")
    await backend.send(ANSWER)
    await scene.client.read_until(b"12345")


async def in_body_and_answer(scene: Scene) -> None:
    backend = await scene.reach_backend(POST + b"12345", b"12345")
    await backend.send(ANSWER)
    await scene.client.read_until(b"12345")


async def with_a_full_client(scene: Scene) -> None:
    backend = await scene.reach_backend(GET, b"\r\n\r\n")
    await backend.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    while backend.send_at_once(chunk):
        scene.gateway.turn()


async def with_a_full_backend(scene: Scene) -> None:
    await scene.reach_backend(POST.replace(b"100", b"1000000000"), b"\r\n\r\n")
    while scene.client.send_at_once(b"x" * 65536):
        scene.gateway.turn()


async def held_before_the_backend(scene: Scene) -> None:
    await scene.be_held(HELD % b"early")


async def held_for_its_body(scene: Scene) -> None:
    exchange = await scene.be_held(HELD % b"early")
    assert scene.gateway.read_body(exchange, 1000)


async def held_with_the_answer(scene: Scene) -> None:
    backend = await scene.reach_backend(HELD % b"late", b"12345")
    await backend.send(ANSWER)
    scene.exchange = await scene.gateway.held.receive()


async def held_for_the_answers_body(scene: Scene) -> None:
    await held_with_the_answer(scene)
    assert scene.exchange is not None
    assert scene.gateway.read_response(scene.exchange, 1000)


async def in_a_tunnel(scene: Scene) -> None:
    backend = await scene.reach_backend(UPGRADE, b"\r\n\r\n")
    await backend.send(SWITCH)
    await scene.client.read_until(b"\r\n\r\n")


async def in_a_half_closed_tunnel(scene: Scene) -> None:
    await in_a_tunnel(scene)
    assert scene.backend is not None
    await scene.backend.finish()
    assert await scene.client.read_to_end() == b""


async def refused_and_lingering(scene: Scene) -> None:
    await scene.client.send(b"nonsense\r\n\r\n")
    await scene.client.read_to_end()


async def with_requests_behind(scene: Scene) -> None:
    await scene.reach_backend(GET * 50, b"\r\n\r\n")


MOMENTS: list[Moment] = [
    connected,
    in_head,
    in_body,
    resolving,
    between_attempts,
    waiting_for_the_answer,
    in_the_answers_head,
    in_the_answers_body,
    in_body_and_answer,
    with_a_full_client,
    with_a_full_backend,
    held_before_the_backend,
    held_for_its_body,
    held_with_the_answer,
    held_for_the_answers_body,
    in_a_tunnel,
    in_a_half_closed_tunnel,
    refused_and_lingering,
    with_requests_behind,
]
UNASKED: tuple[Moment, ...] = (connected, in_head, refused_and_lingering)
"""Moments at which there is no request that could be told of."""
STATUSES: dict[Moment, int] = {
    in_the_answers_body: 200,
    in_body_and_answer: 200,
    with_a_full_client: 200,
    in_a_tunnel: 101,
    in_a_half_closed_tunnel: 101,
}
"""What clients were told by moments at which they had an answer, or its beginning."""
moments = pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: moment.__name__)


@moments
@pytest.mark.parametrize("leaves", ["by reset", "by closing"])
async def test_a_client_that_leaves_leaves_nothing(moment: Moment, leaves: str) -> None:
    upstream, gone = await Upstream.open(), await Upstream.open()
    await gone.close()
    async with running(*routes(upstream.port, gone.port)) as gateway:
        before = open_sockets()
        scene = Scene(gateway, upstream, await gateway.client())
        await moment(scene)
        if leaves == "by reset":
            scene.client.reset()
        else:
            await scene.client.close()
        await gateway.caught_up()
        # A client that closed may still wait for its answer: it is asked.
        gateway.pass_time(0.2)
        async with trio.open_nursery() as nursery:
            if scene.backend is not None:
                nursery.start_soon(talk_on, scene.backend)
            await gateway.settled()
            nursery.cancel_scope.cancel()
        assert gateway.gone == ([] if scene.exchange is None else [scene.exchange.id])
        if scene.exchange is not None:
            gateway.resume(scene.exchange)
        if scene.backend is not None:
            await scene.backend.close()
        assert gateway.engine.in_flight()["pooled"] == 0
        assert open_sockets() - before == set()
    await upstream.close()


@moments
async def test_an_engine_that_is_closed_leaves_nothing(moment: Moment) -> None:
    upstream, gone = await Upstream.open(), await Upstream.open()
    await gone.close()
    async with running(*routes(upstream.port, gone.port)) as gateway:
        gateway.engine.capture(b'{"records": 1000}')
        scene = Scene(gateway, upstream, await gateway.client())
        await moment(scene)
        gateway.engine.close()
        assert gateway.engine.in_flight() == {
            "connections": 0,
            "exchanges": 0,
            "tunnels": 0,
            "pooled": 0,
        }
        await scene.client.read_to_end()
        if scene.backend is not None:
            await scene.backend.read_to_end()
            await scene.backend.close()
        if scene.exchange is not None:
            gateway.resume(scene.exchange)
        # Whether its client could see a part of an answer, it is told of once.
        records: list[list[Any]] = msgspec.msgpack.decode(gateway.engine.drain_records(1000))
        statuses = [record[STATUS] for record in records]
        if moment in UNASKED:
            assert statuses == []
        else:
            assert statuses == [STATUSES.get(moment, 503)]
            assert scene.client.was_reset or moment in (in_a_tunnel, in_a_half_closed_tunnel)
        await scene.client.close()
    await upstream.close()


async def test_an_answer_that_the_end_of_the_gateway_cuts_off_does_not_look_whole() -> None:
    upstream = await Upstream.open()
    async with running(*routes(upstream.port, upstream.port)) as gateway:
        scene = Scene(gateway, upstream, await gateway.client())
        backend = await scene.reach_backend(GET.replace(b"HTTP/1.1", b"HTTP/1.0"), b"\r\n\r\n")
        await backend.send(b"HTTP/1.0 200 OK\r\n\r\na part")  # up to the end of the connection
        await scene.client.read_until(b"a part")
        gateway.engine.close()
        await scene.client.read_to_end()
        assert scene.client.was_reset
        await scene.client.close()
        await backend.close()
    await upstream.close()


@moments
async def test_a_backend_that_leaves_leaves_nothing(moment: Moment) -> None:
    upstream, gone = await Upstream.open(), await Upstream.open()
    await gone.close()
    async with running(*routes(upstream.port, gone.port)) as gateway:
        scene = Scene(gateway, upstream, await gateway.client())
        await moment(scene)
        await upstream.close()
        if scene.backend is not None:
            scene.backend.reset()
            await gateway.caught_up()
        if scene.exchange is not None:
            gateway.resume(scene.exchange)
        await scene.client.close()
        await gateway.caught_up()
        gateway.pass_time(0.2)
        await gateway.settled()
        assert gateway.engine.in_flight()["pooled"] == 0


async def talk_on(backend: Wire) -> None:
    """Be a backend that has more to say: only a write shows that nobody listens."""
    while not (backend.was_reset or backend.is_finished):
        await backend.send(b"x")
        await trio.lowlevel.checkpoint()


def routes(port: int, nobodys_port: int) -> list[bytes]:
    """Routes for every moment: plain, by name, to nobody, held early and held late."""
    named = [{"hostname": "backend.test", "port": 80}]
    slow = {"retries": 3, "retry_initial_delay": 10_000}
    return [
        route(port, identity="plain", path="/plain"),
        route(identity="named", path="/named", targets=named),
        route(nobodys_port, identity="gone", path="/gone", client=slow),
        route(port, identity="early", path="/early", steps=[python_step("access")]),
        route(port, identity="late", path="/late", steps=[python_step("transform_response")]),
    ]

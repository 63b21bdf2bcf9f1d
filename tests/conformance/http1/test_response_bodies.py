"""Response bodies that a hook asks for: gathered while the head waits, and passed on as they came."""

import re
from collections.abc import Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from oto_trio._core import Exchange
from tests.conformance.http1.conversation import fronting
from tests.conformance.http1.gateway import Gateway, python_step, until
from tests.conformance.http1.test_body_bounds import bandwidth, chunks, length
from tests.conformance.http1.upstream import OK
from tests.conformance.http1.wire import Wire

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
RESPONSE = "transform_response"
HOOK = python_step(RESPONSE)
HEAD = b"HTTP/1.1 200 OK\r\n"
COUNTED = HEAD + b"Content-Length: %d\r\n\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
TO_CLOSE = HEAD + b"\r\n"
TRAILED = b"4\r\n0123\r\n6\r\n456789\r\n0\r\nX-Trailer: 1\r\n\r\n"


class Held:
    """A client whose answer waits for a hook, and the backend that gives it."""

    def __init__(self, gateway: Gateway, client: Wire, backend: Wire, exchange: Exchange) -> None:
        self.gateway = gateway
        self.client = client
        self.backend = backend
        self.exchange = exchange

    def read(self, limit: int = 1000) -> bytes | str | None:
        """Ask for the body: it, None when it is too long, or "waits"."""
        assert self.gateway.read_response(self.exchange, limit)
        return self.told

    @property
    def told(self) -> bytes | str | None:
        """What came of it, once."""
        return self.gateway.bodies.pop(self.exchange.id, "waits")

    async def says(self, data: bytes) -> None:
        """Let the backend say something more."""
        await self.backend.send(data)
        await self.gateway.caught_up(self.backend)


@asynccontextmanager
async def held(
    said: bytes,
    steps: Sequence[dict[str, Any]] = (HOOK,),
    *,
    request: bytes = GET,
    reads: bytes = b"\r\n\r\n",
    **more: Any,
) -> "AsyncGenerator[Held]":
    """Hold the answer that begins so."""
    async with fronting(steps=steps, **more) as (gateway, upstream):
        client = await gateway.client()
        await client.send(request)
        backend = await upstream.accept()
        await backend.read_until(reads)
        await backend.send(said)
        yield Held(gateway, client, backend, await gateway.held.receive())
        await client.close()
        await backend.close()


@pytest.mark.parametrize(
    ("said", "framed"),
    [
        (COUNTED % 10 + b"0123456789", b"content-length"),
        (CHUNKED + TRAILED, b"transfer-encoding"),
        (TO_CLOSE + b"0123456789", b"transfer-encoding"),
    ],
    ids=["length", "chunks", "until close"],
)
@pytest.mark.parametrize("cut", [0, 1, 5, 10])
async def test_a_hook_reads_the_whole_body_and_the_client_gets_it_as_it_came(
    said: bytes, framed: bytes, cut: int
) -> None:
    to_close = said.startswith(TO_CLOSE)
    async with held(said[: len(said) - cut]) as it:
        told = it.read()
        if cut or to_close:
            assert told == "waits"
            await it.says(said[len(said) - cut :])
            if to_close:
                assert it.told == "waits"
                await it.backend.finish()
                await it.gateway.caught_up()
            told = it.told
        assert told == b"0123456789"
        assert it.read(10) == b"0123456789", "it may be read twice"
        assert it.exchange.response is not None
        it.exchange.response.headers.set("X-Digest", "known")
        it.gateway.resume(it.exchange)
        response = await it.client.read_response()
        assert (response.body, response.values(b"x-digest")) == (b"0123456789", [b"known"])
        assert len(response.values(framed)) == 1
        assert response.trailers == ([(b"x-trailer", b"1")] if said.startswith(CHUNKED) else [])
        assert it.gateway.engine.in_flight()["pooled"] == (not to_close)
        assert it.gateway.gone == []


@pytest.mark.parametrize(
    ("method", "said"),
    [
        (b"HEAD", COUNTED % 10),
        (b"HEAD", CHUNKED),
        (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        (b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n"),
        (b"GET", COUNTED % 0),
    ],
)
async def test_an_answer_without_a_body_has_an_empty_one_at_once(
    method: bytes, said: bytes
) -> None:
    async with held(said, request=GET.replace(b"GET", method)) as it:
        assert it.read(0) == b""
        it.gateway.resume(it.exchange)
        response = await it.client.read_response(method.decode())
        assert response.body == b""
        assert response.status == int(said[9:12])
        assert it.gateway.engine.in_flight()["pooled"] == 1
        await it.client.send(GET)
        assert await it.backend.read_until(b"\r\n\r\n"), (
            "the connection is good for another request"
        )


@pytest.mark.parametrize("shape", ["length", "chunks"])
async def test_a_body_that_is_too_long_goes_on_from_where_it_is(shape: str) -> None:
    body = bytes(range(256)) * 1000
    said = COUNTED % len(body) + body if shape == "length" else CHUNKED + chunks(body, 777)
    async with held(said[:100_000]) as it:
        await it.gateway.caught_up(it.backend)
        assert it.read(1000) is None
        assert it.read(2000) is None
        assert it.read(len(body)) == "waits"
        await it.says(said[100_000:150_000])
        assert it.told == "waits"
        # Whoever gives up waiting may ask again, for less.
        assert it.read(1000) is None
        it.gateway.resume(it.exchange)
        await it.backend.send(said[150_000:])
        response = await it.client.read_response()
        assert response.body == body
        assert it.gateway.engine.in_flight()["pooled"] == 1


async def test_a_hook_that_gives_up_reading_loses_nothing() -> None:
    async with held(COUNTED % 10 + b"01234") as it:
        assert it.read() == "waits"
        it.gateway.resume(it.exchange)
        await it.backend.send(b"56789")
        assert (await it.client.read_response()).body == b"0123456789"


async def test_a_hook_that_gave_up_reading_may_think_as_long_as_it_likes() -> None:
    steps = [HOOK, python_step(RESPONSE, 1)]
    async with held(COUNTED % 10 + b"01234", steps, client={"idle_timeout": 1000}) as it:
        assert it.read() == "waits"
        it.gateway.resume(it.exchange)
        second = it.gateway.held.receive_nowait()
        it.gateway.pass_time(5)
        assert it.gateway.gone == []
        it.exchange = second
        assert it.read() == "waits"
        await it.says(b"56789")
        assert it.told == b"0123456789"
        it.gateway.resume(second)
        assert (await it.client.read_response()).body == b"0123456789"


@pytest.mark.parametrize("rest", [b"", b"56789"])
async def test_a_hook_that_read_the_body_may_answer_with_another(rest: bytes) -> None:
    async with held(COUNTED % 10 + b"01234" + rest) as it:
        assert it.read() == (b"0123456789" if rest else "waits")
        it.gateway.respond(it.exchange, 418, b"mine")
        response = await it.client.read_response()
        assert (response.status, response.body) == (418, b"mine")
        is_reused = it.gateway.engine.in_flight()["pooled"]
        assert is_reused == bool(rest), "a backend that said all it had to say is used again"


@pytest.mark.parametrize(
    ("said", "how"),
    [
        (COUNTED % 10 + b"01234", "by reset"),
        (COUNTED % 10 + b"01234", "by closing"),
        (CHUNKED + b"5\r\n01234\r\n", "by reset"),
        (CHUNKED + b"5\r\n01234\r\n", "by closing"),
        (CHUNKED + b"5\r\n01234\r\n", "by nonsense"),
        (TO_CLOSE + b"01234", "by reset"),
    ],
)
async def test_a_backend_that_breaks_off_is_a_502(said: bytes, how: str) -> None:
    async with held(said) as it:
        assert it.read() == "waits"
        if how == "by reset":
            it.backend.reset()
        elif how == "by closing":
            await it.backend.finish()
        else:
            await it.backend.send(b"nonsense\r\n")
        response = await it.client.read_response()
        assert response.status == 502
        assert b"in the middle of its answer" in response.body
        assert await it.client.read_to_end() == b""
        assert it.gateway.gone == [it.exchange.id]
        assert not it.gateway.read_response(it.exchange, 10)
        it.gateway.resume(it.exchange)
        assert it.gateway.engine.in_flight()["pooled"] == 0
        assert it.gateway.count("upstream_failures") == 1


async def test_a_backend_that_stops_in_the_middle_is_a_504() -> None:
    limits = {"idle_timeout": 3000, "global_timeout": 60_000}
    async with held(COUNTED % 10 + b"01234", client=limits) as it:
        assert it.read() == "waits"
        it.gateway.pass_time(2.9)
        await it.says(b"5")
        it.gateway.pass_time(2.9)
        assert it.gateway.gone == []
        it.gateway.pass_time(0.2)
        assert (await it.client.read_response()).status == 504
        assert it.gateway.gone == [it.exchange.id]
        it.gateway.resume(it.exchange)


async def test_an_exchange_that_takes_too_long_is_a_504() -> None:
    async with held(COUNTED % 10 + b"01234", client={"global_timeout": 5000}) as it:
        assert it.read() == "waits"
        it.gateway.pass_time(5.1)
        assert (await it.client.read_response()).status == 504
        assert it.gateway.gone == [it.exchange.id]
        it.gateway.resume(it.exchange)


async def test_there_is_no_response_before_there_is_one() -> None:
    async with fronting(steps=[python_step("access"), python_step("done", 1)]) as (gateway, up):
        client = await gateway.client()
        await client.send(GET)
        exchange = await gateway.held.receive()
        assert not gateway.read_response(exchange, 10)
        gateway.resume(exchange)
        backend = await up.accept()
        await backend.read_until(b"\r\n\r\n")
        await backend.send(OK)
        assert (await client.read_response()).status == 200
        done = await gateway.held.receive()
        assert not gateway.read_response(done, 10)
        gateway.resume(done)
        await client.close()
        await backend.close()


@pytest.mark.parametrize(("method", "wanted"), [(b"GET", b"made here"), (b"HEAD", b"")])
async def test_the_body_of_a_plugins_answer_is_read_too(method: bytes, wanted: bytes) -> None:
    steps = [python_step("call_backend"), python_step(RESPONSE, 1)]
    async with fronting(steps=steps) as (gateway, _):
        client = await gateway.client()
        await client.send(GET.replace(b"GET", method))
        gateway.respond(await gateway.held.receive(), 200, b"made here")
        exchange = gateway.held.receive_nowait()
        assert gateway.read_response(exchange, 9)
        assert gateway.bodies.pop(exchange.id) == wanted
        assert gateway.read_response(exchange, 8)
        assert gateway.bodies.pop(exchange.id) == (None if wanted else b"")
        gateway.resume(exchange)
        assert (await client.read_response(method.decode())).body == wanted
        await client.close()


async def test_the_request_goes_on_while_its_answer_is_read() -> None:
    post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234"
    async with held(CHUNKED + b"5\r\n01234\r\n", request=post, reads=b"01234") as it:
        assert it.read() == "waits"
        await it.client.send(b"56789")
        assert await it.backend.read_exactly(5) == b"56789"
        await it.says(b"5\r\n56789\r\n0\r\n\r\n")
        assert it.told == b"0123456789"
        it.gateway.resume(it.exchange)
        assert (await it.client.read_response()).body == b"0123456789"
        assert it.gateway.engine.in_flight()["pooled"] == 1


async def test_a_slow_request_whose_answer_is_read_is_a_408() -> None:
    post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234"
    settings: dict[str, Any] = {
        "body_idle_s": 20,
        "client": {"global_timeout": 0, "idle_timeout": 0},
    }
    said = CHUNKED + b"5\r\n01234\r\n"
    async with held(said, request=post, reads=b"01234", **settings) as it:
        assert it.read() == "waits"
        it.gateway.pass_time(20.1)
        assert (await it.client.read_response()).status == 408
        assert it.gateway.gone == [it.exchange.id]
        it.gateway.resume(it.exchange)


@pytest.mark.slow
async def test_a_large_body_waits_for_a_client_that_reads_slowly() -> None:
    body = b"".join(b"%07d\n" % number for number in range(2_000_000))
    async with held(COUNTED % len(body)) as it:
        assert it.read(len(body)) == "waits"
        view, told = memoryview(body), it.told
        while told == "waits":
            sent = it.backend.send_at_once(view[:65536].tobytes())
            view = view[sent:]
            it.gateway.turn()
            told = it.told
        assert told == body
        it.gateway.resume(it.exchange)
        await it.gateway.caught_up()
        assert it.gateway.busy["exchanges"] == 1, "the client has not taken it"
        assert (await it.client.read_response()).body == body
        await until(lambda: it.gateway.engine.in_flight()["pooled"] == 1)


@pytest.mark.parametrize("order", ["bound first", "hook first"])
@pytest.mark.parametrize("shape", ["length", "chunks"])
async def test_what_a_step_before_shortens_is_read_as_short(order: str, shape: str) -> None:
    bound = length(RESPONSE, 4, fail=False)
    body = b"0123456789"
    said = COUNTED % 10 + body if shape == "length" else CHUNKED + chunks(body, 3)
    steps = [bound, HOOK] if order == "bound first" else [HOOK, bound]
    async with held(said, steps) as it:
        assert it.read() == (body[:4] if order == "bound first" else body)
        it.gateway.resume(it.exchange)
        assert (await it.client.read_response()).body == body[:4]


async def test_a_body_that_was_read_keeps_to_its_rate() -> None:
    body = b"x" * 30_000
    steps = [HOOK, bandwidth(RESPONSE, 10_000, 1000, fail=False)]
    async with held(COUNTED % len(body) + body, steps) as it:
        assert it.read(len(body)) == body
        it.gateway.resume(it.exchange)
        await it.client.read_until(b"\r\n\r\n")
        for _ in range(2):
            assert await it.client.read_exactly(10_000) == body[:10_000]
            await it.gateway.caught_up()
            assert it.gateway.busy["exchanges"] == 1
            it.gateway.pass_time(1.01)
        assert await it.client.read_exactly(10_000) == body[:10_000]
        await until(lambda: it.gateway.engine.in_flight()["pooled"] == 1)


async def test_an_old_client_sees_where_a_gathered_body_ends() -> None:
    request = b"GET / HTTP/1.0\r\nHost: a\r\n\r\n"
    async with held(CHUNKED + TRAILED, request=request) as it:
        assert it.read() == b"0123456789"
        it.gateway.resume(it.exchange)
        reply = await it.client.read_to_end()
        head, _, body = reply.partition(b"\r\n\r\n")
        assert body == b"0123456789"
        assert not re.search(rb"(?i)transfer-encoding|content-length", head)


async def test_bytes_behind_a_gathered_body_are_nobodys() -> None:
    async with held(COUNTED % 2 + b"ok" + OK) as it:
        assert it.read() == b"ok"
        it.gateway.resume(it.exchange)
        assert (await it.client.read_response()).body == b"ok"
        assert it.gateway.engine.in_flight()["pooled"] == 0


async def test_an_upgrade_that_was_asked_for_its_body_still_opens_the_tunnel() -> None:
    request = GET[:-2] + b"Connection: upgrade\r\nUpgrade: x\r\n\r\n"
    said = b"HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nhello"
    async with held(said, request=request) as it:
        assert it.read() == b""
        it.gateway.resume(it.exchange)
        await it.client.read_until(b"\r\n\r\n")
        assert await it.client.read_exactly(5) == b"hello"
        await it.client.send(b"world")
        assert await it.backend.read_exactly(5) == b"world"


async def test_a_gathered_body_is_not_too_fast_because_all_of_it_is_here() -> None:
    """The backend took its time; that its answer then passes at once is the gateway's doing."""
    steps = [HOOK, bandwidth(RESPONSE, 1000, 1000, fail=True)]
    async with held(COUNTED % 3000, steps) as it:
        assert it.read(5000) == "waits"
        for _ in range(3):
            it.gateway.pass_time(2.0)
            await it.says(b"x" * 1000)
        assert it.told == b"x" * 3000
        it.gateway.resume(it.exchange)
        body = b""
        head = await it.client.read_until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        while len(body) < 3000:
            it.gateway.pass_time(1.0)
            body += await it.client.read_exactly(min(1000, 3000 - len(body)))
        assert body == b"x" * 3000

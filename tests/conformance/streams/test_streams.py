"""Streams of the engine: exchanges whose client side is carried outside, here by the test itself."""

import socket
import struct
from typing import Any

import pytest
import trio

from oto_trio._core import Engine, FieldBlock
from oto_trio.gateway.engine import (
    ANSWER,
    BROKEN,
    BYTES,
    CARRIED,
    CONSUMED,
    DATA,
    GONE,
    HALVED,
    HEAD,
    IDLE,
    LOST,
    RUN,
    TRAILERS,
)
from tests.conformance.http1.gateway import python_step
from tests.conformance.streams.carrier import Carrier, carrying
from tests.conformance.streams.turned import PREFACE, fronting

AHEAD_BYTES = 64 * 1024


async def test_bytes_go_both_ways() -> None:
    async with carrying(preface=PREFACE + b"first") as carrier:
        assert await carrier.told(BYTES) == (carrier.connection, PREFACE + b"first")
        await carrier.client.send_all(b"second")
        assert await carrier.told(BYTES) == (carrier.connection, b"second")
        assert carrier.engine.send(carrier.connection, b"answer")
        assert await carrier.client.receive_some() == b"answer"
        carrier.engine.patience(carrier.connection, carrier.now + 5)
        carrier.pass_time(6)
        assert await carrier.told(IDLE) == carrier.connection
        carrier.engine.hang_up(carrier.connection, carrier.now)
        assert await carrier.client.receive_some() == b""


async def test_a_preface_may_come_in_pieces() -> None:
    engine = Engine()
    async with (
        fronting(engine) as (port, _),
        await trio.open_tcp_stream("127.0.0.1", port) as client,
    ):
        events: list[tuple[int, Any]] = []
        for byte in PREFACE:
            await client.send_all(bytes([byte]))
            await trio.lowlevel.wait_readable(engine.fileno())
            events += engine.turn(1.0)
        while not events:
            await trio.lowlevel.wait_readable(engine.fileno())
            events += engine.turn(1.0)
        assert [kind for kind, _ in events] == [CARRIED, BYTES]
        assert events[1][1][1] == PREFACE


@pytest.mark.parametrize("first", [b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", b"POST / HTTP/1.1\r\n\r\n"])
async def test_what_is_no_preface_is_http1(first: bytes) -> None:
    engine = Engine()
    async with (
        fronting(engine) as (port, _),
        await trio.open_tcp_stream("127.0.0.1", port) as client,
    ):
        await client.send_all(first)
        answer = b""
        async with trio.open_nursery() as nursery:

            async def turn() -> None:
                while True:
                    await trio.lowlevel.wait_readable(engine.fileno())
                    assert engine.turn(1.0) == []
                    await trio.lowlevel.checkpoint()

            nursery.start_soon(turn)
            answer = await client.receive_some()
            nursery.cancel_scope.cancel()
        assert answer.startswith((b"HTTP/1.1 505", b"HTTP/1.1 400"))


async def test_an_exchange_is_served_as_any_other() -> None:
    async with carrying() as carrier:
        stream = carrier.open(("x-a", "1"), ("cookie", "a=b"), ("cookie", "c=d"), path="/p?q=r")
        backend = await carrier.backend()
        head = await carrier.hears(backend, b"\r\n\r\n")
        assert head.startswith(b"POST /p?q=r HTTP/1.1\r\nHost: ")
        assert b"\r\nx-a: 1\r\n" in head
        assert b"\r\ncookie: a=b; c=d\r\n" in head
        assert b"Content-Length" not in head
        assert b"Transfer-Encoding" not in head
        await backend.send_all(b"HTTP/1.1 201 Created\r\nX-B: 2\r\nContent-Length: 3\r\n\r\nabc")
        told, fields, body = await carrier.told(ANSWER)
        assert (told, body) == (stream, b"abc")
        assert next(iter(fields)) == (b":status", b"201")
        assert (b"x-b", b"2") in list(fields)
        assert (b"content-length", b"3") in list(fields)
        assert carrier.engine.in_flight()["exchanges"] == 0
        assert carrier.engine.in_flight()["connections"] == 1
        assert carrier.engine.metrics()["requests"] == 1
        # Over and forgotten: nothing of it can be touched any more.
        carrier.engine.feed(stream, b"late", True, carrier.now)
        carrier.engine.reset_stream(stream, carrier.now)
        again = carrier.open()
        assert again != stream
        assert await carrier.hears(backend, b"\r\n\r\n")
        await backend.send_all(b"HTTP/1.1 204 No Content\r\n\r\n")
        assert (await carrier.told(ANSWER))[0] == again


async def test_bodies_stream_both_ways() -> None:
    async with carrying() as carrier:
        stream = carrier.open(ends=False)
        carrier.engine.feed(stream, b"one", False, carrier.now)
        backend = await carrier.backend()
        heard = await carrier.hears(backend, b"one\r\n")
        assert b"\r\nTransfer-Encoding: chunked\r\n" in heard
        assert await carrier.told(CONSUMED) == (stream, 3)
        await backend.send_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        told, fields = await carrier.told(HEAD)
        assert (told, fields.status) == (stream, 200)
        assert fields.get(b"content-length") is None
        assert fields.get(b"transfer-encoding") is None
        assert await carrier.told(DATA) == (stream, b"abc", False)
        carrier.engine.feed_trailers(stream, FieldBlock([("x-sum", "7")]), carrier.now)
        assert await carrier.hears(backend, b"0\r\nx-sum: 7\r\n\r\n")
        await backend.send_all(b"0\r\nX-T: 9\r\n\r\n")
        told, trailers = await carrier.told(TRAILERS)
        assert (told, list(trailers)) == (stream, [(b"x-t", b"9")])


async def test_a_slow_reader_stops_its_backend() -> None:
    async with carrying() as carrier:
        stream = carrier.open()
        backend = await carrier.backend()
        await carrier.hears(backend, b"\r\n\r\n")
        size = 8 * 1024 * 1024
        sent = 0

        async def answer() -> None:
            nonlocal sent
            await backend.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            for _ in range(size // 4096):
                await backend.send_all(b"x" * 4096)
                sent += 4096

        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer)
            await carrier.told(HEAD)
            got = 0
            while got < AHEAD_BYTES:
                _, data, ends = await carrier.told(DATA)
                assert not ends
                got += len(data)
            assert got == AHEAD_BYTES
            # Nobody takes anything: turning brings no more, and the backend's kernel fills up.
            for _ in range(200):
                carrier.events += carrier.engine.turn(carrier.now)
                await trio.lowlevel.checkpoint()
            assert not carrier.values(DATA)
            assert sent < size
            held = got
            while True:
                carrier.engine.taken(stream, held)
                _, data, ends = await carrier.told(DATA)
                held = len(data)
                got += held
                assert held <= AHEAD_BYTES
                if ends:
                    break
            assert got == size


async def test_a_client_that_leaves_cancels_its_work() -> None:
    async with carrying(python_step("pre_route")) as carrier:
        stream = carrier.open()
        exchange = await carrier.told(RUN)
        assert exchange is not None
        carrier.engine.reset_stream(stream, carrier.now)
        await carrier.told(GONE)
        assert not [kind for kind, _ in carrier.events if kind >= HEAD]
        assert carrier.engine.in_flight()["exchanges"] == 0
        assert carrier.engine.metrics()["client_left"] == 1


async def test_a_backend_that_breaks_off_is_told() -> None:
    async with carrying() as carrier:
        stream = carrier.open()
        backend = await carrier.backend()
        await carrier.hears(backend, b"\r\n\r\n")
        await backend.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        await carrier.told(HEAD)
        await carrier.told(DATA)
        await backend.aclose()
        assert await carrier.told(BROKEN) == stream
        assert not [kind for kind, _ in carrier.events if kind >= HEAD]


async def test_a_hook_that_takes_too_long_is_answered_for() -> None:
    async with carrying(python_step("pre_route")) as carrier:
        stream = carrier.open()
        await carrier.told(RUN)
        carrier.pass_time(3600)
        told, fields, _ = await carrier.told(ANSWER)
        assert (told, fields.status) == (stream, 504)


async def test_a_hook_reads_the_body_of_a_stream() -> None:
    async with carrying(python_step("transform_request")) as carrier:
        stream = carrier.open(("expect", "100-continue"), ends=False)
        exchange = await carrier.told(RUN)
        is_held, events = carrier.engine.read_body(exchange, 100, carrier.now)
        assert is_held
        carrier.events += events
        told, fields = await carrier.told(HEAD)
        assert (told, fields.status) == (stream, 100)
        carrier.engine.feed(stream, b"abc", False, carrier.now)
        carrier.engine.feed(stream, b"def", True, carrier.now)
        _, body = await carrier.told(3)
        assert body == b"abcdef"
        carrier.events += carrier.engine.resume(exchange, carrier.now)
        backend = await carrier.backend()
        heard = await carrier.hears(backend, b"\r\n\r\nabcdef")
        assert b"\r\nContent-Length: 6\r\n" in heard


async def test_malformed_requests_raise_and_refused_ones_are_answered() -> None:
    async with carrying() as carrier:
        for bad in [("X-A", "1"), ("connection", "close"), (":path", "/"), ("te", "gzip")]:
            with pytest.raises(ValueError, match=r"field|TE"):
                carrier.open(bad)
        stream = carrier.open(("expect", "the unexpected"))
        told, fields, body = await carrier.told(ANSWER)
        assert (told, fields.status) == (stream, 417)
        assert b"expectation" in body
        with pytest.raises(ValueError, match="pseudo-field in trailers"):
            carrier.engine.feed_trailers(
                carrier.open(ends=False), FieldBlock([(":status", "200")]), carrier.now
            )


async def test_errors_are_said_to_grpc_callers_in_their_way() -> None:
    async with carrying(python_step("access")) as carrier:
        grpc = ("content-type", "application/grpc+proto")
        stream = carrier.open(grpc, ("te", "trailers"), ends=False)
        exchange = await carrier.told(RUN)
        carrier.events += carrier.engine.refuse(exchange, 403, "Not 100% yours", None, carrier.now)
        told, fields, body = await carrier.told(ANSWER)
        assert (told, fields.status, body) == (stream, 200, b"")
        assert fields.get(b"grpc-status") == b"7"
        assert fields.get(b"grpc-message") == b"Not 100%25 yours"
        assert fields.get(b"content-type") == b"application/grpc"
        assert fields.get(b"content-length") is None
        # What is counted is the refusal.
        by_class = carrier.engine.metrics()["by_class"]
        assert isinstance(by_class, list)
        assert sum(by_class) == 1
        assert by_class[2] == 0


async def test_a_grpc_caller_says_how_long_it_waits() -> None:
    async with carrying() as carrier:
        stream = carrier.open(("content-type", "application/grpc"), ("grpc-timeout", "2S"))
        backend = await carrier.backend()
        heard = await carrier.hears(backend, b"\r\n\r\n")
        assert b"\r\ngrpc-timeout: 2S\r\n" in heard
        carrier.pass_time(1.9)
        assert not carrier.engine.pending
        carrier.pass_time(0.2)
        told, fields, _ = await carrier.told(ANSWER)
        assert (told, fields.status, fields.get(b"grpc-status")) == (stream, 200, b"4")


@pytest.mark.parametrize(
    ("kind", "answered"),
    [
        ("application/grpc", b"application/grpc"),
        ("application/grpc-web-text", b"application/grpc-web-text+proto"),
        ("application/json", None),
    ],
)
async def test_grpc_callers_hear_of_errors_in_their_way_while_a_hook_holds_the_call(
    kind: str, answered: bytes | None
) -> None:
    bridge = {"phase": "transform_request", "plugin": "web", "kind": "grpc_web"}
    times = {"global_timeout": 2e3, "call_and_stream_timeout": 2e3}
    async with carrying(python_step("access"), bridge, times=times) as carrier:
        stream = carrier.open(("content-type", kind), ends=False)
        exchange = await carrier.told(RUN)
        carrier.pass_time(2.1)
        assert await carrier.told(GONE) == exchange.id
        told, fields, body = await carrier.told(ANSWER)
        assert told == stream
        if answered is None:
            assert (fields.status, fields.get(b"grpc-status")) == (504, None)
            assert b"took too long" in body
            return
        assert (fields.status, body) == (200, b"")
        assert fields.get(b"content-type") == answered
        assert fields.get(b"grpc-status") == b"4"
        assert fields.get(b"grpc-message") == b"The request took too long"


async def test_a_lost_connection_is_told() -> None:
    async with carrying() as carrier:
        stream = carrier.open(ends=False)
        await carrier.client.aclose()
        assert await carrier.told(LOST) == carrier.connection
        carrier.engine.reset_stream(stream, carrier.now)
        with pytest.raises(ValueError, match="gone"):
            carrier.open()
        assert carrier.engine.in_flight()["connections"] == 0


async def tunnel(carrier: Carrier) -> tuple[int, trio.SocketStream]:
    """Open a WebSocket on a stream; returns the stream and the backend's connection, which said `hi`."""
    block = FieldBlock(
        [
            (":method", "CONNECT"),
            (":protocol", "websocket"),
            (":scheme", "http"),
            (":authority", "a.b"),
            (":path", "/chat"),
            ("sec-websocket-version", "13"),
        ]
    )
    stream = carrier.engine.open_stream(carrier.connection, block, False, carrier.now)
    backend = await carrier.backend()
    head = await carrier.hears(backend, b"\r\n\r\n")
    assert head.startswith(b"GET /chat HTTP/1.1\r\n")
    assert b"\r\nUpgrade: websocket\r\n" in head
    assert b"\r\nsec-websocket-key: " in head
    await backend.send_all(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhi"
    )
    told, fields = await carrier.told(HEAD)
    assert (told, fields.status) == (stream, 200)
    assert await carrier.told(DATA) == (stream, b"hi", False)
    return stream, backend


async def test_a_websocket_over_a_stream_is_a_tunnel() -> None:
    async with carrying() as carrier:
        stream, backend = await tunnel(carrier)
        carrier.engine.feed(stream, b"ping", False, carrier.now)
        assert await carrier.hears(backend, b"ping")
        await backend.send_all(b"pong")
        assert await carrier.told(DATA) == (stream, b"pong", False)
        carrier.engine.feed(stream, b"", True, carrier.now)
        async with carrier.turning():
            assert await backend.receive_some() == b""
        await backend.send_all(b"bye")
        await backend.aclose()
        assert await carrier.told(DATA) in [(stream, b"bye", False), (stream, b"bye", True)]


async def test_half_a_tunnel_outlives_the_other() -> None:
    # The backend says all it has to say, and reads on.
    async with carrying() as carrier:
        stream, backend = await tunnel(carrier)
        await backend.send_all(b"bye")
        await backend.send_eof()
        assert await carrier.told(DATA) == (stream, b"bye", False)
        assert await carrier.told(HALVED) == stream
        size, passed = 1024 * 1024, 0
        async with trio.open_nursery() as nursery:
            heard = 0

            async def read() -> None:
                nonlocal heard
                while piece := await backend.receive_some(65536):
                    heard += len(piece)

            nursery.start_soon(read)
            # As a client sends whose window opens as far as the backend took what came before.
            for _ in range(size // 65536):
                carrier.engine.feed(stream, bytes(65536), False, carrier.now)
                taken = 0
                while taken < 65536:
                    told, count = await carrier.told(CONSUMED)
                    assert told == stream
                    taken += count
                passed += taken
            carrier.engine.feed(stream, b"", True, carrier.now)
            assert await carrier.told(BROKEN) == stream
        assert heard == passed == size
        assert carrier.engine.in_flight()["tunnels"] == 0
        assert not [kind for kind, _ in carrier.events if kind in {DATA, HALVED, BROKEN}]


@pytest.mark.parametrize("leaves", ["backend", "client", "both halves"])
async def test_half_a_tunnel_ends_with_whoever_leaves(leaves: str) -> None:
    async with carrying() as carrier:
        stream, backend = await tunnel(carrier)
        if leaves == "both halves":
            carrier.engine.feed(stream, b"", True, carrier.now)
            await backend.aclose()
            # Nothing is half over: the stream is.
            assert (await carrier.told(DATA))[2]
        else:
            await backend.send_eof()
            assert await carrier.told(HALVED) == stream
            if leaves == "client":
                carrier.engine.reset_stream(stream, carrier.now)
                async with carrier.turning():
                    assert await backend.receive_some() == b""
            else:
                linger = struct.pack("ii", 1, 0)
                backend.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                await backend.aclose()
                assert await carrier.told(BROKEN) == stream
        assert carrier.engine.in_flight()["tunnels"] == 0
        assert not [kind for kind, _ in carrier.events if kind in {HALVED, BROKEN}]


async def test_a_turn_reads_no_more_of_a_connection_than_it_may() -> None:
    async with carrying() as carrier:
        assert await carrier.told(BYTES) == (carrier.connection, PREFACE)
        await carrier.client.send_all(b"x" * 100_000)
        await trio.lowlevel.wait_readable(carrier.engine.fileno())
        got: list[int] = []
        while sum(got) < 100_000:
            carrier.events += carrier.engine.turn(carrier.now)
            told, carrier.events = carrier.values(BYTES), []
            assert len(told) <= 1
            got += [len(data) for _, data in told]
            if len(got) == 1:
                assert got == [16 * 1024]
                carrier.engine.set_appetite(carrier.connection, 1000)
            await trio.lowlevel.checkpoint()
        assert max(got[1:]) == 1000

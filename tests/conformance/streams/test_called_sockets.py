"""WebSockets to backends that share connections, up to where their frames would be written."""

from __future__ import annotations

import socket
import struct
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from oto_trio._core import FieldBlock, Snapshot
from oto_trio.gateway.engine import (
    ANSWER,
    BROKEN,
    BYTES,
    CALL,
    CARRIED,
    CONSUMED,
    DATA,
    DIAL,
    HEAD,
    LOST,
    REACHED,
    RUN,
)
from tests.conformance.http1.gateway import python_step, route
from tests.conformance.streams.caller import GET, Caller, calling
from tests.conformance.streams.turned import PREFACE
from tests.conformance.tls.secure import authority, ca_certificate

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


UPGRADE = (
    b"GET /chat?b HTTP/1.1\r\nHost: api.test\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
AGREED = FieldBlock([(":status", "200"), ("sec-websocket-protocol", "chat")])
CONNECT = FieldBlock(
    [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "https"),
        (":authority", "api.test"),
        (":path", "/chat?b"),
        ("sec-websocket-version", "13"),
    ]
)


def reset_at_close(client: trio.SocketStream) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def asked(caller: Caller) -> int:
    """Ask for a WebSocket on a connection whose backend takes them; returns its stream."""
    connection = await caller.told(REACHED)
    await caller.until(lambda: not caller.engine.pending)
    assert not caller.values(CALL), "its settings are not there yet"
    caller.engine.set_sockets(connection, True, caller.now)
    stream: int
    called, stream, fields, ends = await caller.told(CALL)
    assert (called, ends) == (connection, False)
    names = {name: value for name, value in fields if name.startswith(b":")}
    assert names == {
        b":method": b"CONNECT",
        b":protocol": b"websocket",
        b":scheme": b"http",
        b":authority": b"api.test",
        b":path": b"/chat?b",
    }
    assert fields.get(b"sec-websocket-key") is None
    assert fields.get(b"sec-websocket-version") == b"13"
    return stream


@pytest.fixture
async def opened() -> AsyncGenerator[tuple[Caller, trio.SocketStream, int]]:
    """A WebSocket of a client of HTTP/1.1 that is open."""
    async with calling() as caller:
        client = await caller.client(UPGRADE)
        stream = await asked(caller)
        caller.engine.answer_head(stream, AGREED, caller.now)
        head = await caller.hears(client, b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
        assert fields == {
            b"connection": b"upgrade",
            b"upgrade": b"websocket",
            b"sec-websocket-accept": b"s3pplmbitxaq9kygzzhzrbk+xoo=",
            b"sec-websocket-protocol": b"chat",
        }
        yield caller, client, stream


async def test_bytes_pass_both_ways_and_so_do_ends(
    opened: tuple[Caller, trio.SocketStream, int],
) -> None:
    caller, client, stream = opened
    await client.send_all(b"hello")
    assert await caller.told(DATA) == (stream, b"hello", False)
    caller.engine.taken(stream, 5)
    caller.engine.feed(stream, b"there", False, caller.now)
    assert await caller.hears(client, b"there") == b"there"
    assert await caller.told(CONSUMED) == (stream, 5)
    await client.send_eof()
    assert await caller.told(DATA) == (stream, b"", True)
    caller.engine.feed(stream, b"more", False, caller.now)
    assert await caller.hears(client, b"more") == b"more"
    caller.engine.feed(stream, b"last", True, caller.now)
    assert await caller.hears(client, b"last") == b"last"
    await caller.tunnels_over()
    assert await client.receive_some() == b""
    assert not caller.values(BROKEN)


async def test_the_backend_may_end_first(opened: tuple[Caller, trio.SocketStream, int]) -> None:
    caller, client, stream = opened
    caller.engine.feed(stream, b"last", True, caller.now)
    assert await caller.hears(client, b"last") == b"last"
    async with caller.turning():
        assert await client.receive_some() == b""
    await client.send_all(b"one more")
    assert await caller.told(DATA) == (stream, b"one more", False)
    caller.engine.taken(stream, 8)
    await client.aclose()
    assert await caller.told(DATA) == (stream, b"", True)
    await caller.tunnels_over()
    assert not caller.values(BROKEN)


async def test_a_backend_that_takes_nothing_stops_its_client(
    opened: tuple[Caller, trio.SocketStream, int],
) -> None:
    caller, client, stream = opened
    sent = 0

    async def send() -> None:
        nonlocal sent
        while True:
            await client.send_all(bytes(16384))
            sent += 16384

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        told = 0
        for _ in range(300):
            caller.events += caller.engine.turn(caller.now)
            told += sum(len(data) for _, data, _ in caller.values(DATA))
            caller.events = [event for event in caller.events if event[0] != DATA]
            await trio.lowlevel.checkpoint()
        assert told == 64 * 1024, "and no more until some was taken"
        caller.engine.taken(stream, 100)
        _, data, _ = await caller.told(DATA)
        assert len(data) == 100
        nursery.cancel_scope.cancel()


async def test_a_client_that_takes_nothing_stops_its_backend(
    opened: tuple[Caller, trio.SocketStream, int],
) -> None:
    caller, client, stream = opened
    fed = consumed = 0
    while fed - consumed < 256 * 1024:
        caller.engine.feed(stream, bytes(16384), False, caller.now)
        fed += 16384
        for _ in range(20):
            caller.events += caller.engine.turn(caller.now)
        consumed += sum(count for _, count in caller.values(CONSUMED))
        caller.events = [event for event in caller.events if event[0] != CONSUMED]
    heard = 0
    async with caller.turning():
        while heard < fed:
            heard += len(await client.receive_some(1 << 20))
    await caller.until(lambda: consumed + sum(it for _, it in caller.values(CONSUMED)) == fed)


async def test_a_client_that_leaves_cancels_its_stream(
    opened: tuple[Caller, trio.SocketStream, int],
) -> None:
    caller, client, stream = opened
    reset_at_close(client)
    await client.aclose()
    assert await caller.told(BROKEN) == stream
    assert caller.engine.metrics()["tunnels"] == 0


async def test_what_a_backend_said_before_it_broke_off_arrives(
    opened: tuple[Caller, trio.SocketStream, int],
) -> None:
    caller, client, stream = opened
    caller.engine.feed(stream, b"goodbye", False, caller.now)
    caller.engine.break_stream(stream, False, caller.now)
    assert await caller.hears(client, b"goodbye") == b"goodbye"
    async with caller.turning():
        assert await client.receive_some() == b""
    await caller.tunnels_over()


async def test_a_backend_that_ended_and_wants_no_more_is_done(
    opened: tuple[Caller, trio.SocketStream, int],
) -> None:
    caller, client, stream = opened
    caller.engine.feed(stream, b"goodbye", True, caller.now)
    caller.engine.break_stream(stream, False, caller.now)
    assert await caller.hears(client, b"goodbye") == b"goodbye"
    await caller.tunnels_over()


async def test_a_stream_of_a_client_is_joined_to_one_of_a_backend() -> None:
    async with calling() as caller:
        await caller.client(PREFACE)
        carried, _, _ = await caller.told(CARRIED)
        client = caller.engine.open_stream(carried, CONNECT, False, caller.now)
        stream = await asked(caller)
        caller.engine.answer_head(stream, AGREED, caller.now)
        told, fields = await caller.told(HEAD)
        assert told == client
        assert list(fields) == [(b":status", b"200"), (b"sec-websocket-protocol", b"chat")]
        caller.engine.feed(client, b"hello", False, caller.now)
        assert await caller.told(DATA) == (stream, b"hello", False)
        caller.engine.feed(stream, b"there", False, caller.now)
        assert await caller.told(DATA) == (client, b"there", False)
        caller.engine.break_stream(stream, False, caller.now)
        assert await caller.told(BROKEN) == client
        again = caller.engine.open_stream(carried, CONNECT, False, caller.now)
        _, stream, _, _ = await caller.told(CALL)
        caller.engine.answer_head(stream, AGREED, caller.now)
        assert (await caller.told(HEAD))[0] == again
        caller.engine.reset_stream(again, caller.now)
        assert await caller.told(BROKEN) == stream


async def test_requests_and_websockets_share_a_connection() -> None:
    async with calling() as caller:
        await caller.client(GET)
        connection = await caller.told(REACHED)
        await caller.told(CALL)
        await caller.client(UPGRADE)
        await caller.until(lambda: not caller.engine.pending)
        caller.engine.set_sockets(connection, True, caller.now)
        assert (await caller.told(CALL))[0] == connection
        await caller.client(UPGRADE)
        assert (await caller.told(CALL))[0] == connection, "it is known now"
        assert caller.engine.metrics()["connected"] == 1


async def plainly(caller: Caller) -> trio.SocketStream:
    """Accept the next connection, and see that a WebSocket is asked for in HTTP/1.1."""
    async with caller.turning():
        backend = await caller.accept()
        request = await backend.receive_some(65536)
    assert request.startswith(b"GET /chat?b HTTP/1.1\r\n")
    assert b"\r\nUpgrade: WebSocket\r\n" in request
    return backend


async def test_a_backend_without_websockets_on_streams_is_asked_in_http1() -> None:
    async with calling() as caller:
        client = await caller.client(UPGRADE)
        connection = await caller.told(REACHED)
        await caller.accept()
        caller.engine.set_sockets(connection, False, caller.now)
        backend = await plainly(caller)
        await backend.send_all(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhi"
        )
        assert (await caller.hears(client, b"hi")).startswith(b"HTTP/1.1 101 ")
        # The next one does not ask, also when the connection is gone.
        caller.engine.set_room(connection, 0, caller.now)
        caller.engine.hang_up(connection, caller.now)
        await caller.client(UPGRADE)
        await plainly(caller)
        assert not caller.values(CALL)
        # In time one asks again: it may have learned.
        caller.now += 301
        await caller.client(UPGRADE)
        await asked(caller)


async def test_a_backend_that_speaks_something_else_is_asked_in_http1() -> None:
    async with calling() as caller:
        await caller.client(UPGRADE)
        connection = await caller.told(REACHED)
        await caller.accept()
        caller.engine.hang_up(connection, caller.now)
        await plainly(caller)


async def test_a_backend_that_says_nothing_is_asked_in_http1() -> None:
    async with calling(connection_timeout=2000) as caller:
        await caller.client(UPGRADE)
        await caller.told(REACHED)
        await caller.accept()
        caller.pass_time(2.5)
        await plainly(caller)


async def test_other_upgrades_go_in_http1() -> None:
    async with calling() as caller:
        await caller.client(UPGRADE.replace(b"WebSocket\r", b"irc\r"))
        async with caller.turning():
            backend = await caller.accept()
            assert b"\r\nUpgrade: irc\r\n" in await backend.receive_some(65536)


async def test_a_refusal_is_an_answer_like_others() -> None:
    async with calling() as caller:
        client = await caller.client(UPGRADE)
        stream = await asked(caller)
        refused = FieldBlock([(":status", "403"), ("content-length", "2")])
        caller.engine.answer_head(stream, refused, caller.now)
        caller.engine.feed(stream, b"no", True, caller.now)
        answer = await caller.hears(client, b"no")
        assert answer.startswith(b"HTTP/1.1 403 ")
        # Its request never ended.
        assert await caller.told(BROKEN) == stream
        await client.send_all(UPGRADE)
        _, stream, _, _ = await caller.told(CALL)
        caller.engine.answer_head(stream, AGREED, caller.now)
        assert (await caller.hears(client, b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")


async def test_one_that_was_not_seen_is_asked_for_again() -> None:
    async with calling() as caller:
        await caller.client(UPGRADE)
        stream = await asked(caller)
        caller.engine.break_stream(stream, True, caller.now)
        _, again, fields, ends = await caller.told(CALL)
        assert again != stream
        assert (fields.get(b":protocol"), ends) == (b"websocket", False)


async def test_a_hook_may_look_at_the_answer_first() -> None:
    async with calling(python_step("transform_response")) as caller:
        client = await caller.client(UPGRADE)
        stream = await asked(caller)
        caller.engine.answer_head(stream, AGREED, caller.now)
        exchange = await caller.told(RUN)
        caller.engine.feed(stream, b"early", False, caller.now)
        caller.events += caller.engine.resume(exchange, caller.now)
        head = await caller.hears(client, b"early")
        assert head.startswith(b"HTTP/1.1 101 ")


async def test_a_client_that_leaves_before_the_settings_leaves_nothing() -> None:
    async with calling() as caller:
        client = await caller.client(UPGRADE)
        connection = await caller.told(REACHED)
        reset_at_close(client)
        await client.aclose()
        await caller.until(lambda: caller.engine.metrics()["exchanges"] == 0)
        caller.engine.set_sockets(connection, True, caller.now)
        caller.events += caller.engine.turn(caller.now)
        assert not caller.values(CALL)
        await caller.client(UPGRADE)
        assert (await caller.told(CALL))[0] == connection


# ------------------------------------------------------------------------------------------ QUIC


@asynccontextmanager
async def dialling(**client: float) -> AsyncGenerator[Caller]:
    """Run an engine in front of a target of HTTP/3."""
    async with calling(**client) as caller:
        caller.target = {**caller.target, "protocol": "HTTP/3.0"}
        caller.engine.install(Snapshot().apply([route(targets=[caller.target], client=client)], []))
        yield caller


async def under_tls(caller: Caller) -> trio.SocketStream:
    """Accept the next connection, and see that TLS begins on it."""
    async with caller.turning():
        backend = await caller.accept()
        assert (await backend.receive_some(3))[:2] == b"\x16\x03"
    return backend


async def test_a_websocket_asks_for_a_stream_over_quic() -> None:
    async with dialling() as caller:
        client = await caller.client(UPGRADE)
        conn, *_ = await caller.told(DIAL)
        caller.engine.dialled(conn, 3, caller.now)
        await caller.until(lambda: not caller.engine.pending)
        assert not caller.values(CALL)
        caller.engine.set_sockets(conn, True, caller.now)
        called, stream, fields, ends = await caller.told(CALL)
        assert (called, ends, fields.get(b":protocol")) == (conn, False, b"websocket")
        assert fields.get(b":scheme") == b"https"
        caller.engine.answer_head(stream, AGREED, caller.now)
        await caller.hears(client, b"\r\n\r\n")
        await client.send_all(b"hello")
        assert await caller.told(DATA) == (stream, b"hello", False)


@pytest.mark.parametrize("ending", ["refused", "silent"])
async def test_without_a_way_over_quic_it_goes_over_tcp(ending: str) -> None:
    async with dialling() as caller:
        upgrading = [await caller.client(UPGRADE) for _ in range(2)]
        plain = await caller.client(GET)
        conn, *_ = await caller.told(DIAL)
        await caller.until(lambda: caller.engine.metrics()["exchanges"] == 3)
        if ending == "refused":
            caller.engine.dial_failed(conn, "nobody is there", False, caller.now)
        else:
            caller.pass_time(11)
            assert await caller.told(LOST) == conn
        for _ in upgrading:
            # As such a target has it over TCP too.
            await under_tls(caller)
        # Other requests have no such way.
        assert (await caller.hears(plain, b"}")).startswith(b"HTTP/1.1 50")
        assert not caller.values(BYTES)
        assert not caller.values(ANSWER)


async def test_one_failure_to_connect_is_soon_forgotten() -> None:
    async with dialling() as caller:
        await caller.client(UPGRADE)
        conn, *_ = await caller.told(DIAL)
        caller.engine.dial_failed(conn, "it restarts", False, caller.now)
        await under_tls(caller)
        caller.now += 4
        await caller.client(UPGRADE)
        await under_tls(caller)
        assert not caller.values(DIAL)
        caller.now += 2
        await caller.client(UPGRADE)
        await caller.told(DIAL)


async def test_where_tcp_is_no_way_the_next_one_asks_over_quic_at_once() -> None:
    async with dialling() as caller:
        caller.backends.socket.close()
        for _ in range(2):
            client = await caller.client(
                UPGRADE.replace(b"Host", b"Accept: application/json\r\nHost")
            )
            conn, *_ = await caller.told(DIAL)
            caller.engine.dial_failed(conn, "it restarts", False, caller.now)
            assert (await caller.hears(client, b"}")).startswith(b"HTTP/1.1 502 ")
        await caller.client(UPGRADE)
        conn, *_ = await caller.told(DIAL)
        caller.engine.dialled(conn, 3, caller.now)
        caller.engine.set_sockets(conn, True, caller.now)
        assert (await caller.told(CALL))[0] == conn


async def test_a_connection_that_takes_websockets_is_used_whatever_befell_another() -> None:
    async with dialling() as caller:
        first = await caller.client(UPGRADE)
        conn, *_ = await caller.told(DIAL)
        caller.engine.dialled(conn, 1, caller.now)
        caller.engine.set_sockets(conn, True, caller.now)
        assert (await caller.told(CALL))[0] == conn
        await caller.client(UPGRADE)
        other, *_ = await caller.told(DIAL)
        caller.engine.dial_failed(other, "no more of them", False, caller.now)
        await under_tls(caller)
        reset_at_close(first)
        await first.aclose()
        await caller.told(BROKEN)
        await caller.client(UPGRADE)
        assert (await caller.told(CALL))[0] == conn


async def test_one_that_waits_for_settings_begins_although_the_certificates_changed() -> None:
    async with dialling() as caller:
        await caller.client(UPGRADE)
        await caller.client(UPGRADE)
        conn, *_ = await caller.told(DIAL)
        await caller.until(lambda: caller.engine.metrics()["exchanges"] == 2)
        caller.engine.dialled(conn, 1, caller.now)
        trusted = [("certificates", "ca", ca_certificate(authority()))]
        routes = [route(targets=[caller.target])]
        caller.engine.install(Snapshot().apply(routes, [], None, trusted))
        caller.engine.set_sockets(conn, True, caller.now)
        assert (await caller.told(CALL))[0] == conn
        # There was room for one.
        other, *_ = await caller.told(DIAL)
        caller.engine.dialled(other, 1, caller.now)
        caller.engine.set_sockets(other, True, caller.now)
        assert (await caller.told(CALL))[0] == other


async def test_a_request_takes_no_connection_that_a_websocket_left() -> None:
    async with calling() as caller:
        client = await caller.client(UPGRADE)
        connection = await caller.told(REACHED)
        await caller.accept()
        caller.engine.set_sockets(connection, False, caller.now)
        backend = await plainly(caller)
        await backend.send_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
        await caller.hears(client, b"no")
        caller.engine.set_room(connection, 0, caller.now)
        caller.engine.hang_up(connection, caller.now)
        await client.send_all(GET)
        again = await caller.told(REACHED)
        assert (await caller.told(CALL))[0] == again


async def test_what_a_backend_said_before_it_broke_off_outlives_a_hook() -> None:
    async with calling(python_step("transform_response")) as caller:
        client = await caller.client(UPGRADE)
        stream = await asked(caller)
        caller.engine.answer_head(stream, AGREED, caller.now)
        exchange = await caller.told(RUN)
        caller.engine.feed(stream, b"goodbye", False, caller.now)
        caller.engine.break_stream(stream, False, caller.now)
        caller.events += caller.engine.resume(exchange, caller.now)
        head = await caller.hears(client, b"goodbye")
        assert head.startswith(b"HTTP/1.1 101 ")
        await caller.tunnels_over()


async def test_a_client_may_end_its_stream_as_it_asks() -> None:
    async with calling() as caller:
        await caller.client(PREFACE)
        carried, _, _ = await caller.told(CARRIED)
        client = caller.engine.open_stream(carried, CONNECT, True, caller.now)
        stream = await asked(caller)
        caller.engine.answer_head(stream, AGREED, caller.now)
        assert (await caller.told(HEAD))[0] == client
        assert await caller.told(DATA) == (stream, b"", True)
        caller.engine.feed(stream, b"alone", False, caller.now)
        assert await caller.told(DATA) == (client, b"alone", False)

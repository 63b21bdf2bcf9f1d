"""Requests to backends that speak HTTP/2, up to where their frames would be written."""

import socket

import pytest
import trio

from oto_trio._core import FieldBlock, Snapshot
from oto_trio.gateway.engine import (
    ANSWER,
    BODY,
    BROKEN,
    BYTES,
    CALL,
    CARRIED,
    CONSUMED,
    DATA,
    HEAD,
    IDLE,
    LOST,
    REACHED,
    RUN,
    TRAILERS,
    WRITABLE,
)
from tests.conformance.http1.gateway import python_step, route
from tests.conformance.streams.caller import GET, OK, THREE, TRAILER, asked, calling
from tests.conformance.streams.turned import PREFACE


async def test_requests_share_a_connection() -> None:
    async with calling() as caller:
        clients = [await caller.client(GET) for _ in range(3)]
        connection = await caller.told(REACHED)
        backend = await caller.accept()
        streams: list[int] = []
        for _ in clients:
            called, stream, fields, ends = await caller.told(CALL)
            assert (called, ends) == (connection, True)
            assert list(fields)[:4] == [
                (b":method", b"GET"),
                (b":scheme", b"http"),
                (b":authority", b"api.test"),
                (b":path", b"/a?b"),
            ]
            assert (b"x-a", b"1") in list(fields)
            assert (b"te", b"trailers") in list(fields)
            streams.append(stream)
        assert len(set(streams)) == 3
        assert caller.engine.metrics()["connected"] == 1
        assert caller.engine.send(connection, b"frames")
        assert await backend.receive_some() == b"frames"
        await backend.send_all(b"other frames")
        assert await caller.told(BYTES) == (connection, b"other frames")
        answers: set[bytes] = set()
        for number, stream in enumerate(streams):
            head = FieldBlock([(":status", "200"), ("x-b", str(number))])
            caller.engine.answer_head(stream, head, caller.now)
            caller.engine.feed(stream, b"abc", False, caller.now)
            caller.engine.feed_trailers(stream, FieldBlock([("x-t", "9")]), caller.now)
        for client in clients:
            answer = await caller.hears(client, b"0\r\nx-t: 9\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 200 OK\r\nx-b: ")
            assert b"\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n" in answer
            answers.add(answer)
        assert len(answers) == 3
        assert not caller.values(BROKEN)
        consumed = caller.values(CONSUMED)
        assert sorted(consumed) == sorted((stream, 3) for stream in streams)
        # The connection is there for the next one.
        await clients[0].send_all(GET)
        assert (await caller.told(CALL))[0] == connection


async def test_a_connection_is_known_by_its_backend() -> None:
    async with calling() as caller:
        await caller.client(GET)
        connection = await caller.told(REACHED)
        await caller.told(CALL)
        assert caller.engine.backend_of(connection) == f"127.0.0.1:{caller.target['port']}"
        caller.engine.hang_up(connection, caller.now)
        assert caller.engine.backend_of(connection) == ""


async def test_no_more_streams_than_the_backend_takes() -> None:
    async with calling() as caller:
        await caller.client(GET)
        first = await caller.told(REACHED)
        _, stream, _, _ = await caller.told(CALL)
        caller.engine.set_room(first, 1, caller.now)
        await caller.client(GET)
        second = await caller.told(REACHED)
        assert second != first
        assert (await caller.told(CALL))[0] == second
        caller.engine.answer_head(stream, FieldBlock([(":status", "204")]), caller.now)
        caller.engine.feed(stream, b"", True, caller.now)
        caller.engine.set_room(second, 0, caller.now)
        await caller.client(GET)
        assert (await caller.told(CALL))[0] == first


async def test_a_request_body_streams() -> None:
    async with calling() as caller:
        client = await caller.client(
            b"POST / HTTP/1.1\r\nHost: a.b\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
        )
        await caller.told(REACHED)
        _, stream, fields, ends = await caller.told(CALL)
        assert not ends
        assert fields.get(b"content-length") is None
        assert fields.get(b"transfer-encoding") is None
        assert await caller.told(DATA) == (stream, b"abc", False)
        await client.send_all(b"3\r\ndef\r\n0\r\nX-Sum: 7\r\n\r\n")
        assert await caller.told(DATA) == (stream, b"def", False)
        told, trailers = await caller.told(TRAILERS)
        assert (told, list(trailers)) == (stream, [(b"x-sum", b"7")])
        caller.engine.taken(stream, 6)
        caller.engine.answer_head(
            stream, FieldBlock([(":status", "200"), ("content-length", "2")]), caller.now
        )
        caller.engine.feed(stream, b"ok", True, caller.now)
        assert (await caller.hears(client, b"ok")).count(b"Content-Length: 2\r\n") == 1


async def test_a_large_upload_waits_for_the_backend() -> None:
    async with calling() as caller:
        size = 4 * 1024 * 1024
        client = await caller.client(
            b"POST / HTTP/1.1\r\nHost: a.b\r\nContent-Length: %d\r\n\r\n" % size
        )
        await caller.told(REACHED)
        _, stream, fields, _ = await caller.told(CALL)
        assert fields.get(b"content-length") == b"%d" % size
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.send_all, b"x" * size)
            got = 0
            while got < 64 * 1024:
                got += len((await caller.told(DATA))[1])
            assert got == 64 * 1024
            for _ in range(200):
                caller.events += caller.engine.turn(caller.now)
                await trio.lowlevel.checkpoint()
            assert not caller.values(DATA)
            held = got
            while True:
                caller.engine.taken(stream, held)
                _, data, ends = await caller.told(DATA)
                held = len(data)
                got += held
                if ends:
                    break
        assert got == size


async def test_a_client_that_leaves_breaks_its_stream() -> None:
    async with calling() as caller:
        client, stream = await caller.called(GET)
        caller.engine.answer_head(stream, OK, caller.now)
        await caller.hears(client, b"\r\n\r\n")
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.socket.close()
        assert await caller.told(BROKEN) == stream


async def test_a_lost_connection_is_told_and_not_used_again() -> None:
    async with calling(retries=1) as caller:
        client = await caller.client(GET)
        connection = await caller.told(REACHED)
        backend = await caller.accept()
        _, stream, _, _ = await caller.told(CALL)
        await backend.aclose()
        assert await caller.told(LOST) == connection
        caller.engine.break_stream(stream, False, caller.now)
        await caller.hears(client, b"}")
        await client.send_all(GET)
        assert await caller.told(REACHED) != connection


async def test_malformed_answers_are_a_bad_gateway() -> None:
    for fields in [
        [(":status", "101")],
        [(":status", "20")],
        [("x-a", "1")],
        [(":status", "200"), ("X-A", "1")],
        [(":status", "200"), ("connection", "close")],
        [(":status", "200"), ("x-a", "1\r\nx-b: 2")],
        [(":status", "200"), ("content-length", "1"), ("content-length", "2")],
    ]:
        async with calling() as caller:
            client, stream = await caller.called(GET)
            caller.engine.answer_head(stream, FieldBlock(fields), caller.now)
            assert b"502 Bad Gateway" in await caller.hears(client, b"}")
            assert await caller.told(BROKEN) == stream


async def test_a_backend_that_is_not_there_fails_all_that_wait() -> None:
    async with calling() as caller:
        caller.backends.socket.close()
        clients = [await caller.client(GET) for _ in range(3)]
        for client in clients:
            assert b"502 Bad Gateway" in await caller.hears(client, b"}")


async def test_an_unused_connection_is_left_in_time() -> None:
    async with calling() as caller:
        await caller.client(GET)
        connection = await caller.told(REACHED)
        caller.engine.patience(connection, caller.now + 5)
        caller.pass_time(6)
        assert await caller.told(IDLE) == connection
        backend = await caller.accept()
        caller.engine.hang_up(connection, caller.now)
        assert await backend.receive_some() == b""
        assert not caller.values(LOST)


async def test_a_place_that_is_free_again_is_no_way_to_the_backend_that_had_it() -> None:
    (others,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with others, calling() as caller:
        target = {
            "hostname": "127.0.0.1",
            "port": others.socket.getsockname()[1],
            "protocol": "HTTP/2.0",
        }
        other = route(identity="other", path="/other", targets=[target])
        caller.engine.install(Snapshot().apply([route(targets=[caller.target]), other], []))
        client = await caller.client(GET)
        first = await caller.told(REACHED)
        _, stream, _, _ = await caller.told(CALL)
        caller.engine.answer_head(stream, FieldBlock([(":status", "204")]), caller.now)
        caller.engine.feed(stream, b"", True, caller.now)
        await caller.hears(client, b"\r\n\r\n")
        # As a connection ends that takes no more.
        caller.engine.set_room(first, 0, caller.now)
        caller.engine.hang_up(first, caller.now)
        await caller.client(GET.replace(b"/a?b", b"/other"))
        second = await caller.told(REACHED)
        assert (await caller.told(CALL))[0] == second
        await client.send_all(GET)
        third, _, fields, _ = await caller.told(CALL)
        assert fields.get(b":path") == b"/a?b"
        assert third not in {first, second}


async def test_what_a_client_took_of_an_answer_is_told_up_to_its_end() -> None:
    async with calling() as caller:
        client, stream = await caller.called(GET)
        caller.engine.answer_head(stream, OK, caller.now)
        await caller.hears(client, b"\r\n\r\n")
        caller.engine.feed(stream, b"abc", False, caller.now)
        caller.engine.feed(stream, b"", True, caller.now)
        await caller.hears(client, b"0\r\n\r\n")
        assert await caller.told(CONSUMED) == (stream, 3)


async def test_an_answer_that_broke_off_is_not_whole_to_a_hook() -> None:
    async with calling(python_step("transform_response")) as caller:
        client, stream = await caller.called(GET)
        caller.engine.answer_head(stream, OK, caller.now)
        exchange = await caller.told(RUN)
        caller.engine.feed(stream, b"half of it", False, caller.now)
        caller.engine.break_stream(stream, False, caller.now)
        _, events = caller.engine.read_response(exchange, 100, caller.now)
        caller.events += events
        assert b"502 Bad Gateway" in await caller.hears(client, b"}")


async def test_an_answer_that_is_all_there_outlives_its_connection() -> None:
    async with calling(python_step("transform_response")) as caller:
        client, stream = await caller.called(GET)
        caller.engine.answer_head(stream, OK, caller.now)
        exchange = await caller.told(RUN)
        caller.engine.feed(stream, b"all of it", True, caller.now)
        caller.engine.break_stream(stream, False, caller.now)
        caller.events += caller.engine.resume(exchange, caller.now)
        assert b"all of it" in await caller.hears(client, b"0\r\n\r\n")


async def test_a_backend_that_takes_nothing_is_not_read() -> None:
    async with calling() as caller:
        await caller.client(GET)
        connection = await caller.told(REACHED)
        backend = await caller.accept()
        waits = 0
        while waits < 20:
            waits += not caller.engine.send(connection, bytes(64 * 1024))
        await backend.send_all(b"more")
        for _ in range(200):
            caller.events += caller.engine.turn(caller.now)
            await trio.lowlevel.checkpoint()
        assert not caller.values(BYTES)

        async def take() -> None:
            while await backend.receive_some(65536):
                pass

        async with trio.open_nursery() as nursery:
            nursery.start_soon(take)
            assert await caller.told(BYTES) == (connection, b"more")
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("reads", [True, False])
async def test_what_a_backend_was_not_sent_yet_goes_out_before_the_end(reads: bool) -> None:
    async with calling() as caller:
        await caller.client(GET)
        connection = await caller.told(REACHED)
        backend = await caller.accept()
        piece, sent = bytes(64 * 1024), 64 * 1024
        while caller.engine.send(connection, piece):
            sent += len(piece)
        caller.engine.send(connection, b"why")
        caller.engine.hang_up(connection, caller.now)
        if not reads:
            caller.now += 3  # it lingers for two seconds
            caller.events += caller.engine.expire(caller.now)
        heard = b""
        async with caller.turning():
            while more := await backend.receive_some(1 << 20):
                heard += more
        assert (heard.endswith(b"why"), len(heard) == sent + 3) == (reads, reads)
        assert not [kind for kind, _ in caller.events if kind in {LOST, WRITABLE}]


async def test_trailers_of_a_stream_go_on_to_a_stream() -> None:
    async with calling() as caller:
        await caller.client(PREFACE)
        carried, _, _ = await caller.told(CARRIED)
        head = [(":method", "POST"), (":scheme", "http"), (":authority", "a.b"), (":path", "/")]
        asked = caller.engine.open_stream(carried, FieldBlock(head), False, caller.now)
        await caller.told(REACHED)
        _, stream, _, ends = await caller.told(CALL)
        assert not ends
        caller.engine.feed(asked, b"abc", False, caller.now)
        caller.engine.feed_trailers(asked, FieldBlock([("x-sum", "7")]), caller.now)
        assert await caller.told(DATA) == (stream, b"abc", False)
        told, trailers = await caller.told(TRAILERS)
        assert (told, list(trailers)) == (stream, [(b"x-sum", b"7")])


async def test_trailers_come_behind_a_body_of_known_length() -> None:
    async with calling() as caller:
        stream, call = await asked(caller)
        caller.engine.answer_head(call, THREE, caller.now)
        caller.engine.feed(call, b"abc", False, caller.now)
        assert (await caller.told(HEAD))[1].get(b"content-length") == b"3"
        assert await caller.told(DATA) == (stream, b"abc", False)
        caller.engine.feed_trailers(call, TRAILER, caller.now)
        told, trailers = await caller.told(TRAILERS)
        assert (told, list(trailers)) == (stream, [(b"grpc-status", b"0")])
        assert not caller.values(BROKEN)


async def test_trailers_come_behind_a_body_of_known_length_that_a_hook_read() -> None:
    async with calling(python_step("transform_response")) as caller:
        stream, call = await asked(caller)
        caller.engine.answer_head(call, THREE, caller.now)
        exchange = await caller.told(RUN)
        caller.engine.feed(call, b"abc", False, caller.now)
        _, events = caller.engine.read_response(exchange, 100, caller.now)
        caller.events += events
        caller.events += caller.engine.turn(caller.now)
        caller.engine.feed_trailers(call, TRAILER, caller.now)
        assert (await caller.told(BODY))[1] == b"abc"
        caller.events += caller.engine.resume(exchange, caller.now)
        told, trailers = await caller.told(TRAILERS)
        assert (told, list(trailers)) == (stream, [(b"grpc-status", b"0")])


async def test_a_body_of_known_length_may_end_without_trailers_and_later() -> None:
    async with calling() as caller:
        client = await caller.client(GET)
        await caller.told(REACHED)
        for _ in range(2):
            _, call, _, _ = await caller.told(CALL)
            caller.engine.answer_head(call, THREE, caller.now)
            caller.engine.feed(call, b"abc", False, caller.now)
            assert (await caller.hears(client, b"\r\n\r\nabc")).startswith(b"HTTP/1.1 200")
            caller.engine.feed(call, b"", True, caller.now)
            # The backend's stream was not broken off, and the client's connection goes on.
            await client.send_all(GET)
        assert not caller.values(BROKEN)


async def test_what_an_answer_has_beyond_its_length_is_nobodys() -> None:
    async with calling() as caller:
        stream, call = await asked(caller)
        caller.engine.answer_head(call, THREE, caller.now)
        caller.engine.feed(call, b"abcde", False, caller.now)
        told, _, body = await caller.told(ANSWER)
        assert (told, body) == (stream, b"abc")
        assert await caller.told(BROKEN) == call


async def test_trailers_come_behind_a_request_of_known_length() -> None:
    async with calling() as caller:
        stream, call = await asked(caller, ("content-length", "3"), ends=False)
        caller.engine.feed(stream, b"abc", False, caller.now)
        assert await caller.told(DATA) == (call, b"abc", False)
        caller.engine.feed_trailers(stream, FieldBlock([("x-sum", "7")]), caller.now)
        told, trailers = await caller.told(TRAILERS)
        assert (told, list(trailers)) == (call, [(b"x-sum", b"7")])


@pytest.mark.parametrize("length", [0, 3])
@pytest.mark.parametrize("passes_s", [3, 6])
async def test_a_client_that_does_not_end_its_request_is_to_blame(
    length: int, passes_s: int
) -> None:
    # The time of a call is over after 3, that of a body after 6.
    limits = {"call_timeout": 2000} if passes_s == 3 else {}
    async with calling(**limits, max_errors=1, retries=3) as caller:
        stream, call = await asked(caller, ("content-length", str(length)), ends=False)
        caller.engine.feed(stream, b"x" * length, False, caller.now)
        if length:
            assert await caller.told(DATA) == (call, b"xxx", False)
            caller.engine.taken(call, length)
        caller.pass_time(passes_s)
        told, fields, _ = await caller.told(ANSWER)
        assert (told, fields.status) == (stream, 408)
        assert await caller.told(BROKEN) == call
        # Its backend can still be used.
        await caller.client(GET)
        await caller.told(CALL)

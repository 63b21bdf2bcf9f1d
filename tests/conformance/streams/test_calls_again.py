"""Requests to backends over HTTP/2 that are sent again, and those that are not."""

import pytest
import trio

from oto_trio._core import Snapshot
from oto_trio.gateway.engine import ANSWER, CALL, DATA, REACHED, TRAILERS
from tests.conformance.http1.gateway import route
from tests.conformance.streams.caller import GET, POST, THREE, TRAILER, asked, calling

UPLOAD = POST.replace(b"Content-Length: 0", b"Content-Length: 6") + b"abc"


async def test_a_stream_that_the_backend_did_not_see_is_tried_again() -> None:
    async with calling(retries=1) as caller:
        client, stream = await caller.called(GET)
        caller.engine.break_stream(stream, True, caller.now)
        _, again, _, _ = await caller.told(CALL)
        assert again != stream
        caller.engine.break_stream(again, False, caller.now)
        assert b"502 Bad Gateway" in await caller.hears(client, b"}")


async def test_what_must_not_be_sent_twice_is_sent_again_if_it_was_not_seen() -> None:
    async with calling(retries=3, retry_initial_delay=0) as caller:
        client, stream = await caller.called(POST)
        caller.engine.break_stream(stream, True, caller.now)
        _, again, _, _ = await caller.told(CALL)
        assert again != stream
        caller.engine.break_stream(again, False, caller.now)
        assert b"502 Bad Gateway" in await caller.hears(client, b"}")
        assert not caller.values(CALL)


async def test_a_body_that_the_backend_did_not_see_is_sent_again() -> None:
    async with calling() as caller:
        client, call = await caller.called(UPLOAD)
        assert await caller.told(DATA) == (call, b"abc", False)
        caller.engine.break_stream(call, True, caller.now)
        _, again, fields, ends = await caller.told(CALL)
        assert (ends, fields.get(b"content-length")) == (False, b"6")
        assert await caller.told(DATA) == (again, b"abc", False)
        await client.send_all(b"def")
        assert await caller.told(DATA) == (again, b"def", True)
        # Nor did the next one, of all of it.
        caller.engine.break_stream(again, True, caller.now)
        _, last, _, _ = await caller.told(CALL)
        assert await caller.told(DATA) == (last, b"abcdef", True)
        caller.engine.answer_head(last, THREE, caller.now)
        caller.engine.feed(last, b"abc", True, caller.now)
        assert (await caller.hears(client, b"\r\n\r\nabc")).startswith(b"HTTP/1.1 200")
        assert caller.engine.metrics()["bytes_in"] == 6


async def test_trailers_that_the_backend_did_not_see_are_sent_again() -> None:
    async with calling() as caller:
        stream, call = await asked(caller, ends=False)
        caller.engine.feed(stream, b"abc", False, caller.now)
        caller.engine.feed_trailers(stream, TRAILER, caller.now)
        assert (await caller.told(TRAILERS))[0] == call
        caller.engine.break_stream(call, True, caller.now)
        again = (await caller.told(CALL))[1]
        told = [await caller.told(DATA), await caller.told(DATA)]
        assert told == [(call, b"abc", False), (again, b"abc", False)]
        assert await caller.told(TRAILERS) == (again, TRAILER)


async def test_a_body_that_is_too_large_to_keep_is_not_sent_again() -> None:
    for size, is_kept in ((64 * 1024, True), (64 * 1024 + 1, False)):
        async with calling() as caller:
            stream, call = await asked(caller, ends=False)
            got = 0
            for piece in (bytes(size - 1), b"x"):
                caller.engine.feed(stream, piece, False, caller.now)
            while got < size:
                told, data, _ = await caller.told(DATA)
                caller.engine.taken(told, len(data))
                got += len(data)
            caller.engine.break_stream(call, True, caller.now)
            if is_kept:
                again = (await caller.told(CALL))[1]
                assert len((await caller.told(DATA))[1]) == size
                assert again != call
            else:
                assert (await caller.told(ANSWER))[1].status == 502


async def test_a_body_is_not_sent_again_when_the_backend_may_have_seen_it() -> None:
    async with calling(retries=3, retry_initial_delay=0) as caller:
        client, call = await caller.called(UPLOAD)
        await caller.told(DATA)
        caller.engine.break_stream(call, False, caller.now)
        assert b"502 Bad Gateway" in await caller.hears(client, b"}")
        # What may be done twice is, as far as there are retries.
        client = await caller.client(UPLOAD.replace(b"POST", b"PUT") + b"def")
        for _ in range(3):
            _, call, _, _ = await caller.told(CALL)
            assert await caller.told(DATA) == (call, b"abcdef", True)
            caller.engine.break_stream(call, False, caller.now)
        assert b"502 Bad Gateway" in await caller.hears(client, b"}")
        assert not caller.values(CALL)


async def test_a_body_is_kept_until_its_answer_begins() -> None:
    async with calling() as caller:
        client, call = await caller.called(UPLOAD)
        await caller.told(DATA)
        caller.engine.answer_head(call, THREE, caller.now)
        await caller.hears(client, b"\r\n\r\n")
        caller.engine.break_stream(call, True, caller.now)
        await client.send_all(b"def")
        async with caller.turning():
            assert await client.receive_some() == b""
        assert not caller.values(CALL)


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_goes_to_a_target_that_speaks_http1_as_well(chunked: bool) -> None:
    (others,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with others, calling() as caller:
        other = {"hostname": "127.0.0.1", "port": others.socket.getsockname()[1]}
        retries = {"retries": 2, "retry_initial_delay": 0}
        caller.engine.install(
            Snapshot().apply([route(targets=[caller.target, other], client=retries)], [])
        )
        body = b"Content-Length: 6\r\n\r\nabcdef"
        if chunked:
            body = b"Transfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n0\r\nX-T: 9\r\n\r\n"
        # Targets take turns.
        _, call = await caller.called(b"PUT / HTTP/1.1\r\nHost: a.b\r\n" + body)
        assert (await caller.told(DATA))[:2] == (call, b"abcdef")
        caller.engine.break_stream(call, False, caller.now)
        async with caller.turning():
            backend = await others.accept()
            caller.opened.append(backend)
            heard = await backend.receive_some(65536)
        end = b"\r\n\r\n6\r\nabcdef\r\n0\r\nX-T: 9\r\n\r\n" if chunked else b"\r\n\r\nabcdef"
        assert heard.endswith(end), heard


async def test_a_backend_that_sees_nothing_is_not_asked_for_ever() -> None:
    async with calling() as caller:
        client = await caller.client(POST)
        await caller.told(REACHED)
        for _ in range(5):
            _, stream, _, _ = await caller.told(CALL)
            caller.engine.break_stream(stream, True, caller.now)
        assert b"502 Bad Gateway" in await caller.hears(client, b"}")
        assert not caller.values(CALL)

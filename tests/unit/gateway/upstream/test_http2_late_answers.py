"""What a backend of HTTP/2 says too late, or must not say, harms nobody's requests but those that it is about."""

from __future__ import annotations

import pytest

from oto_trio._core import FieldBlock
from oto_trio.gateway.listeners.http2 import plain
from oto_trio.gateway.upstream.http2 import UNREAD_MOST
from tests.unit.gateway.upstream.test_http2_calls import GET, POST, Conversation


def frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    return len(body).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + body


@pytest.mark.parametrize("status", ["100", "103", "200"])
def test_an_answer_that_crosses_its_cancellation_breaks_nothing(status: str) -> None:
    talk = Conversation()
    for stream in (50, 51, 52):
        talk.session.call(stream, GET, True, talk.now)
    talk.exchange()
    talk.session.broken(50)
    talk.session.flush(talk.now)
    talk.engine.sent.clear()
    talk.server.send_headers(1, [(":status", status)])
    talk.session.receive(talk.server.data_to_send(), talk.now)
    assert not talk.session.is_over
    assert not talk.engine.broken
    talk.answer(3, end=True)
    talk.exchange()
    assert talk.engine.ended == {51}


def test_nor_does_it_when_the_stream_was_swept_meanwhile() -> None:
    talk = Conversation(max_concurrent_streams=100)
    for stream in range(100):
        talk.session.call(50 + stream, GET, True, talk.now)
    talk.exchange()
    for stream in range(40):
        talk.session.broken(50 + stream)
    talk.session.flush(talk.now)
    talk.engine.sent.clear()
    talk.session.call(1000, GET, True, talk.now)
    assert 79 not in talk.session._h2.streams
    talk.server.send_headers(79, [(":status", "200")])
    talk.session.receive(talk.server.data_to_send(), talk.now)
    assert not talk.session.is_over
    assert not talk.engine.broken


@pytest.mark.parametrize("stream", [2, 3, 99])
def test_a_backend_opens_no_streams(stream: int, caplog: pytest.LogCaptureFixture) -> None:
    talk = Conversation()
    talk.session.call(50, GET, True, talk.now)
    talk.exchange()
    talk.session.receive(frame(1, 5, stream, b"\x88"), talk.now)
    assert talk.session.is_over
    assert "broke HTTP/2" in caplog.text or not caplog.text
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
    assert talk.engine.sent[-4:] == b"\0\0\0\1", "it is told that it broke the protocol"


def test_a_backend_that_reads_nothing_is_not_answered_without_end() -> None:
    talk = Conversation()
    talk.session.call(50, GET, True, talk.now)
    talk.exchange()
    talk.answer(1, end=True)
    talk.exchange()
    talk.engine.full = True
    for _ in range(100):
        talk.session.receive(frame(0, 0, 1, b"") * 1000, talk.now)
        if talk.session.is_over:
            break
        talk.session.flush(talk.now)
    assert talk.session.is_over
    assert UNREAD_MOST < len(talk.engine.sent) < 2 * UNREAD_MOST


def test_one_that_reads_now_and_then_is() -> None:
    talk = Conversation()
    talk.session.call(50, GET, True, talk.now)
    talk.exchange()
    talk.answer(1, end=True)
    talk.exchange()
    for _ in range(100):
        talk.engine.full = True
        talk.session.receive(frame(0, 0, 1, b"") * 1000, talk.now)
        talk.session.flush(talk.now)
        talk.session.receive(frame(0, 0, 1, b"") * 1000, talk.now)
        talk.session.flush(talk.now)
        talk.session.writable(talk.now)
    assert not talk.session.is_over


def test_requests_that_begin_while_it_reads_nothing_do_it_no_harm() -> None:
    talk = Conversation()
    talk.engine.full = True
    token = FieldBlock([*GET, (b"authorization", b"x" * 3000)])
    for stream in range(100):
        talk.session.call(50 + stream, token, True, talk.now)
        talk.session.flush(talk.now)
        talk.session.receive(frame(6, 0, 0, b"12345678"), talk.now)
    assert len(talk.engine.sent) > 2 * UNREAD_MOST
    assert not talk.session.is_over
    assert not talk.engine.broken


def test_trailers_without_fields_are_an_end() -> None:
    talk = Conversation()
    talk.session.call(50, POST, False, talk.now)
    talk.session.data(50, b"body", False)
    talk.session.trailers(50, FieldBlock())
    heard = talk.exchange()
    assert heard[-1].__class__.__name__ == "StreamEnded"
    assert not talk.session.is_over


def test_what_the_library_throws_away_is_the_connections_own_buffer() -> None:
    talk = Conversation()
    connection = talk.session._h2
    connection.ping(b"12345678")
    connection.clear_outbound_data_buffer()
    connection.ping(b"87654321")
    assert connection.data_to_send() == frame(6, 0, 0, b"87654321")
    assert plain.KEPT_CLOSED >= 1000, "a setting lets clients have so many requests at once"

"""What a session does for a client that behaves."""

from __future__ import annotations

import h2.connection
import h2.events
import h2.exceptions
import h2.settings
import pytest

from oto_trio._core import FieldBlock
from oto_trio.gateway.listeners.http2 import Http2Limits
from oto_trio.gateway.listeners.http2.priorities import parse_priority
from tests.unit.gateway.listeners.http2.conversation import GET, OK, POST, Conversation

NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, REFUSED_STREAM = 0, 1, 2, 7


def resets(talk: Conversation) -> list[tuple[int, int]]:
    return [
        (event.stream_id, int(event.error_code))
        for event in talk.of(h2.events.StreamReset)
        if isinstance(event, h2.events.StreamReset)
    ]


def ended(talk: Conversation, identity: int) -> bool:
    return any(
        isinstance(event, h2.events.StreamEnded) and event.stream_id == identity
        for event in talk.events
    )


def test_a_request_becomes_a_stream_and_its_answer_goes_back() -> None:
    talk = Conversation()
    identity, stream = talk.ask()
    told = talk.engine.streams[stream]
    assert told.complete
    assert list(told.fields) == [(name.encode(), value.encode()) for name, value in GET]
    talk.session.answer(stream, OK, b"hello")
    talk.exchange()
    assert talk.body(identity) == b"hello"
    assert ended(talk, identity)
    assert not talk.registry
    assert not talk.registry
    assert not told.cancelled


def test_what_comes_together_goes_out_in_one_call() -> None:
    talk = Conversation()
    for _ in range(32):
        talk.client.send_headers(talk.client.get_next_available_stream_id(), GET, end_stream=True)
    talk.session.receive(talk.client.data_to_send(), talk.now)
    assert len(talk.engine.streams) == 32
    before = talk.engine.sends
    for stream in list(talk.engine.streams):
        talk.session.answer(stream, OK, b"x" * 1024)
    talk.exchange()
    assert talk.engine.sends == before + 1
    assert all(talk.body(identity) == b"x" * 1024 for identity in range(1, 65, 2))


@pytest.mark.parametrize("status", [b"204", b"304", b"200"])
def test_an_answer_without_body_ends_with_its_head(status: bytes) -> None:
    talk = Conversation()
    identity, stream = talk.ask()
    talk.session.answer(stream, FieldBlock([(b":status", status), (b"content-length", b"5")]), b"")
    talk.client.streams[identity].request_method = b"HEAD"
    talk.exchange()
    (head,) = talk.of(h2.events.ResponseReceived)
    assert isinstance(head, h2.events.ResponseReceived)
    assert head.stream_ended is not None
    assert not talk.of(h2.events.DataReceived)


def test_interim_heads_body_and_trailers_go_in_order() -> None:
    talk = Conversation()
    identity, stream = talk.ask()
    talk.session.head(stream, FieldBlock([(b":status", b"103"), (b"link", b"</a>")]))
    talk.session.head(stream, OK)
    talk.session.data(stream, b"one", False)
    talk.exchange()
    assert talk.body(identity) == b"one"
    talk.session.data(stream, b"two", False)
    talk.session.trailers(stream, FieldBlock([(b"grpc-status", b"0")]))
    talk.exchange()
    assert [event.__class__.__name__ for event in talk.events if "Settings" not in repr(event)] == [
        *("WindowUpdated", "InformationalResponseReceived", "ResponseReceived", "DataReceived"),
        *("DataReceived", "TrailersReceived", "StreamEnded"),
    ]
    assert not talk.registry


def test_a_head_larger_than_a_frame_goes_in_pieces() -> None:
    talk = Conversation()
    _, stream = talk.ask()
    values = [(b"x-%d" % number, bytes([65 + number]) * 5000) for number in range(9)]
    talk.session.answer(stream, FieldBlock([(b":status", b"200"), *values]), b"")
    talk.exchange()
    (head,) = talk.of(h2.events.ResponseReceived)
    assert isinstance(head, h2.events.ResponseReceived)
    assert head.headers is not None
    assert len(head.headers) == 10


def test_a_body_waits_for_the_window_and_the_engine_hears_what_left() -> None:
    talk = Conversation(initial_window_size=10_000)
    identity, stream = talk.ask()
    talk.session.head(stream, OK)
    talk.session.data(stream, b"a" * 25_000, False)
    talk.exchange()
    assert len(talk.body(identity)) == 10_000
    assert talk.engine.streams[stream].taken == 10_000
    talk.client.increment_flow_control_window(12_000, identity)
    talk.exchange()
    assert len(talk.body(identity)) == 22_000
    assert talk.engine.streams[stream].taken == 22_000
    talk.client.increment_flow_control_window(12_000, identity)
    talk.session.data(stream, b"", True)
    talk.exchange()
    assert talk.body(identity) == b"a" * 25_000
    assert ended(talk, identity)


def test_nothing_of_a_body_is_written_while_the_socket_is_full() -> None:
    talk = Conversation()
    identity, stream = talk.ask()
    talk.engine.full = True
    talk.session.head(stream, OK)
    talk.session.flush(talk.now)
    talk.session.data(stream, b"late", True)
    talk.exchange()
    assert talk.body(identity) == b""
    talk.engine.full = False
    talk.session.writable(talk.now)
    talk.exchange()
    assert talk.body(identity) == b"late"


def test_a_request_body_gives_its_window_back_when_the_backend_took_it() -> None:
    limits = Http2Limits(stream_window=100_000, connection_window=100_000)
    talk = Conversation(limits)
    identity, stream = talk.ask(POST, end=False)
    for _ in range(6):
        talk.client.send_data(identity, b"b" * 16_000)
    talk.exchange()
    assert talk.engine.streams[stream].body == b"b" * 96_000
    assert talk.client.local_flow_control_window(identity) == 4000
    talk.session.consumed(stream, 90_000)
    talk.exchange()
    assert talk.client.local_flow_control_window(identity) >= 94_000
    talk.client.send_data(identity, b"end", end_stream=True)
    talk.exchange()
    assert talk.engine.streams[stream].complete


def test_padding_is_given_back_at_once() -> None:
    limits = Http2Limits(stream_window=65_535, connection_window=65_535)
    talk = Conversation(limits)
    identity, stream = talk.ask(POST, end=False)
    for _ in range(400):
        talk.client.send_data(identity, b"x", pad_length=255)
        talk.exchange()
    assert len(talk.engine.streams[stream].body) == 400
    assert talk.client.local_flow_control_window(identity) > 20_000


def test_trailers_of_a_request_end_it() -> None:
    talk = Conversation()
    identity, stream = talk.ask(POST, end=False)
    talk.client.send_data(identity, b"body")
    talk.client.send_headers(identity, [("x-sum", "1")], end_stream=True)
    talk.exchange()
    told = talk.engine.streams[stream]
    assert told.body == b"body"
    assert told.trailers == FieldBlock([(b"x-sum", b"1")])


@pytest.mark.parametrize(
    ("more", "body", "trailers"),
    [
        ([("connection", "close")], None, None),
        ([("content-length", "5")], b"four", None),
        ([("content-length", "3")], b"four", None),
        ([("content-length", "5")], b"four", [("x-a", "b")]),
        ([("content-length", "5")], None, None),
        ([("content-length", "+4")], b"four", None),
        ([], b"four", [(":path", "/")]),
    ],
)
def test_a_malformed_request_ends_its_stream_and_no_other(
    more: list[tuple[str, str]], body: bytes | None, trailers: list[tuple[str, str]] | None
) -> None:
    talk = Conversation()
    other, stream = talk.ask()
    identity, _ = talk.ask(POST, end=body is None, more=more)
    if body is not None and not resets(talk):
        talk.client.send_data(identity, body, end_stream=trailers is None)
        if trailers is not None:
            talk.client.send_headers(identity, trailers, end_stream=True)
        talk.exchange()
    assert resets(talk) == [(identity, PROTOCOL_ERROR)]
    assert all(told.cancelled for number, told in talk.engine.streams.items() if number != stream)
    talk.session.answer(stream, OK, b"fine")
    talk.exchange()
    assert talk.body(other) == b"fine"


def test_a_client_that_resets_cancels_the_work() -> None:
    talk = Conversation()
    identity, stream = talk.ask()
    talk.session.head(stream, OK)
    talk.session.data(stream, b"x" * 200_000, False)
    talk.client.reset_stream(identity)
    talk.exchange()
    assert talk.engine.streams[stream].cancelled
    assert not talk.registry
    # What the engine still tells of it is too late, and harmless.
    talk.session.data(stream, b"more", True)
    talk.session.consumed(stream, 3)
    talk.session.broken(stream)
    talk.exchange()
    assert not talk.registry


def test_a_response_that_breaks_does_not_look_whole() -> None:
    talk = Conversation()
    identity, stream = talk.ask()
    talk.session.head(stream, OK)
    talk.session.broken(stream)
    talk.exchange()
    assert resets(talk) == [(identity, INTERNAL_ERROR)]


def test_a_response_before_the_end_of_its_request_stops_the_upload() -> None:
    limits = Http2Limits(stream_window=65_535, connection_window=65_535)
    talk = Conversation(limits)
    identity, stream = talk.ask(POST, end=False)
    talk.client.send_data(identity, b"x" * 16_000)
    talk.exchange()
    talk.session.answer(stream, OK, b"no")
    # Still under way when the answer is sent.
    for _ in range(3):
        talk.client.send_data(identity, b"y" * 16_000)
    talk.exchange()
    assert talk.body(identity) == b"no"
    assert resets(talk)[0] == (identity, NO_ERROR)
    # None of it stays owed to the connection.
    assert talk.client.outbound_flow_control_window > 40_000
    other, stream = talk.ask()
    talk.session.answer(stream, OK, b"next")
    talk.exchange()
    assert talk.body(other) == b"next"


def test_a_response_before_the_bare_end_of_its_request_resets_nothing() -> None:
    """Clients such as httpx end a request in a frame of its own, which may come after the response."""
    talk = Conversation()
    identity, stream = talk.ask(POST, end=False, more=[("content-length", "3")])
    talk.client.send_data(identity, b"abc")
    talk.exchange()
    talk.session.answer(stream, OK, b"quick")
    talk.exchange()
    assert talk.body(identity) == b"quick"
    talk.client.end_stream(identity)
    talk.exchange()
    assert resets(talk) == []
    assert not talk.session._by_id  # pyright: ignore[reportPrivateUsage]


def test_a_request_whose_end_never_comes_does_not_keep_its_stream() -> None:
    talk = Conversation()
    identity, stream = talk.ask(POST, end=False, more=[("content-length", "3")])
    talk.client.send_data(identity, b"abc")
    talk.exchange()
    talk.session.answer(stream, OK, b"quick")
    talk.exchange()
    talk.session.idle(talk.now + 31)
    talk.exchange()
    assert resets(talk) == [(identity, NO_ERROR)]
    assert not talk.session._by_id  # pyright: ignore[reportPrivateUsage]


def test_more_streams_than_agreed_are_refused_one_by_one() -> None:
    talk = Conversation(Http2Limits(max_streams=2))
    talk.client.remote_settings[h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS] = 10
    talk.client.remote_settings.acknowledge()
    first, stream = talk.ask()
    talk.ask()
    third, _ = talk.ask()
    assert resets(talk) == [(third, REFUSED_STREAM)]
    talk.session.answer(stream, OK, b"1")
    talk.exchange()
    assert talk.body(first) == b"1"
    talk.ask()
    assert len(resets(talk)) == 1


def test_closed_streams_do_not_pile_up() -> None:
    talk = Conversation(Http2Limits(max_streams=10))
    for _ in range(200):
        _, stream = talk.ask()
        talk.session.answer(stream, OK, b"")
        talk.exchange()
    assert len(talk.session._h2.streams) <= 20  # pyright: ignore[reportPrivateUsage]
    assert not talk.of(h2.events.ConnectionTerminated)


def test_a_drain_answers_what_is_under_way_and_closes() -> None:
    talk = Conversation()
    identity, stream = talk.ask()
    talk.session.drain(talk.now)
    talk.client.send_headers(3, GET, end_stream=True)
    late = talk.client.data_to_send()
    talk.exchange()
    (goaway,) = talk.of(h2.events.ConnectionTerminated)
    assert isinstance(goaway, h2.events.ConnectionTerminated)
    assert (goaway.error_code, goaway.last_stream_id) == (NO_ERROR, identity)
    talk.session.receive(late, talk.now)
    talk.session.flush(talk.now)
    assert b"\x00\x00\x04\x03\x00\x00\x00\x00\x03\x00\x00\x00\x07" in talk.engine.sent
    assert not talk.is_closed()
    talk.engine.sent.clear()
    talk.session.answer(stream, OK, b"last")
    talk.session.flush(talk.now)
    assert b"last" in talk.engine.sent
    assert talk.is_closed()
    assert talk.session.is_over


def test_a_drain_without_requests_closes_at_once() -> None:
    talk = Conversation()
    talk.session.drain(talk.now)
    assert talk.is_closed()


def test_a_client_that_says_goodbye_still_gets_its_answers() -> None:
    talk = Conversation()
    _, stream = talk.ask()
    talk.client.close_connection()
    talk.session.receive(talk.client.data_to_send(), talk.now)
    assert not talk.is_closed()
    talk.session.answer(stream, OK, b"late")
    talk.session.flush(talk.now)
    assert b"late" in talk.engine.sent
    assert talk.is_closed()


def test_a_lost_client_cancels_all_its_work() -> None:
    talk = Conversation()
    for _ in range(3):
        talk.ask(POST, end=False)
    talk.session.lost(talk.now)
    assert all(told.cancelled for told in talk.engine.streams.values())
    assert not talk.registry
    assert talk.session.is_over


def order(talk: Conversation, said: list[str | None]) -> list[int]:
    """Requests with these priorities, each answered with three frames: which frame is whose."""
    streams: list[int] = []
    talk.engine.full = True
    for priority in said:
        _, stream = talk.ask(more=[("priority", priority)] if priority is not None else None)
        streams.append(stream)
    talk.engine.full = False
    for stream in streams:
        talk.session.head(stream, OK)
        talk.session.data(stream, b"x" * 3000, False)
        talk.session.data(stream, b"x" * 3000, False)
        talk.session.data(stream, b"x" * 3000, True)
    heard = talk.exchange()
    return [
        (event.stream_id - 1) // 2
        for event in heard
        if isinstance(event, h2.events.DataReceived) and event.data
    ]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ([None, None], [0, 1, 0, 1, 0, 1]),
        (["u=3", "u=3"], [0, 0, 0, 1, 1, 1]),
        (["u=5, i", "u=1"], [1, 1, 1, 0, 0, 0]),
        (["u=2, i", "u=2, i", "u=0"], [2, 2, 2, 0, 1, 0, 1, 0, 1]),
        (["u=7", None, "i, u=3"], [1, 2, 1, 2, 1, 2, 0, 0, 0]),
    ],
)
def test_urgent_responses_go_first(said: list[str | None], expected: list[int]) -> None:
    assert order(Conversation(), said) == expected


def test_a_priority_can_change_and_come_early() -> None:
    talk = Conversation()
    early = b"u=0"
    frame = (len(early) + 4).to_bytes(3) + b"\x10\0" + bytes(4) + (3).to_bytes(4) + early
    talk.raw(frame)
    assert order(talk, ["u=1", "u=5"]) == [1, 1, 1, 0, 0, 0]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (b"", (3, False)),
        (b"u=0", (0, False)),
        (b"u=7, i", (7, True)),
        (b"i;x=1 ,u=2;q", (2, True)),
        (b"i=?1", (3, True)),
        (b"i, i=?0", (3, False)),
        (b"u=8", (3, False)),
        (b"u=-1", (3, False)),
        (b"u=1.5, zz=9", (3, False)),
        (b"u=1, u=9", (3, False)),
        (b"u=9, u=1, i, i=?0", (1, False)),
        (b"i=?0, i;x", (3, True)),
        (b"i=1, u, ui=?1", (3, False)),
        (b"x" * 1000, None),
    ],
)
def test_a_priority_is_read(value: bytes | None, expected: tuple[int, bool] | None) -> None:
    assert parse_priority(value) == expected


@pytest.mark.parametrize("size", [1, 1000, 16_384, 16_385, 40_000, 70_000])
@pytest.mark.parametrize("wide", [10, 20_000, 40_000])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_response_at_once_is_what_its_frames_would_be(size: int, wide: int, method: str) -> None:
    # The same talk twice: one answer takes the short way where it can, the other never does.
    short, long = Conversation(), Conversation()
    fields = FieldBlock([*OK, (b"x-wide", b"\xff" * wide)])
    for talk in (short, long):
        talk.exchange()
        identity, stream = talk.ask([(":method", method), *GET[1:]], end=method == "GET")
        if talk is short:
            talk.session.answer(stream, fields, b"d" * size)
        else:
            talk.session.head(stream, fields)
            talk.session.data(stream, b"d" * size, True)
        talk.session.flush(talk.now)
        assert identity == 1
    assert short.engine.sent == long.engine.sent
    for talk in (short, long):
        talk.exchange()
        _, stream = talk.ask()
        talk.session.answer(stream, fields, b"again")
        talk.session.flush(talk.now)
    assert short.engine.sent == long.engine.sent


def test_a_stream_that_was_answered_at_once_is_closed_as_any_other() -> None:
    talk = Conversation()
    identity, stream = talk.ask()
    talk.session.answer(stream, OK, b"done")
    talk.exchange()
    assert talk.body(identity) == b"done"
    # Late frames of the client: a window and a priority mean nothing, data are an error of the connection.
    talk.raw(b"\0\0\4\x08\0" + identity.to_bytes(4) + b"\0\0\0\1")
    talk.raw(b"\0\0\5\2\0" + identity.to_bytes(4) + bytes(5))
    assert not talk.is_closed()
    assert not talk.registry


def test_the_reserved_bit_of_a_stream_is_read_over() -> None:
    talk = Conversation()
    talk.client.send_headers(1, GET, end_stream=True)
    octets = bytearray(talk.client.data_to_send())
    octets[5] |= 0x80
    talk.raw(bytes(octets))
    talk.session.answer(next(iter(talk.engine.streams)), OK, b"fine")
    talk.exchange()
    assert talk.body(1) == b"fine"


def test_half_a_tunnel_goes_on() -> None:
    talk = Conversation()
    identity, stream = talk.ask(POST, end=False)
    talk.session.head(stream, OK)
    talk.session.data(stream, b"bye", False)
    talk.session.halved(stream)
    talk.exchange()
    assert talk.body(identity) == b"bye"
    assert ended(talk, identity)
    talk.client.send_data(identity, b"x" * 1000)
    talk.exchange()
    talk.session.consumed(stream, 1000)
    assert talk.engine.streams[stream].body == b"x" * 1000
    talk.client.end_stream(identity)
    talk.exchange()
    assert talk.engine.streams[stream].complete
    assert talk.registry
    talk.session.broken(stream)
    talk.exchange()
    assert not talk.registry
    assert not resets(talk)
    assert not talk.engine.streams[stream].cancelled


def test_a_tunnel_whose_backend_goes_after_its_half_says_all_of_it_first() -> None:
    talk = Conversation(initial_window_size=10)
    identity, stream = talk.ask(POST, end=False)
    talk.session.head(stream, OK)
    talk.session.data(stream, b"x" * 15, False)
    talk.session.halved(stream)
    talk.session.broken(stream)
    talk.exchange()
    assert not resets(talk)
    talk.client.increment_flow_control_window(10, identity)
    talk.exchange()
    assert talk.body(identity) == b"x" * 15
    assert ended(talk, identity)
    assert resets(talk) == [(identity, NO_ERROR)]

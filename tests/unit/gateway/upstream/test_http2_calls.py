"""A session of ours and a server of the `h2` library, with an engine in memory between them."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest
from h2.errors import ErrorCodes

from oto_trio._core import FieldBlock
from oto_trio.gateway.listeners.http2 import Http2Limits, plain
from oto_trio.gateway.upstream.calls import CALLS_MOST
from oto_trio.gateway.upstream.http2 import Http2Calls, _Connection

GET = FieldBlock([(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/")])
POST = FieldBlock([(":method", "POST"), (":scheme", "http"), (":authority", "a"), (":path", "/")])
CONNECTION = 7


@dataclass
class FakeEngine:
    """The calls of one connection, kept."""

    sent: bytearray = field(default_factory=bytearray)
    heads: dict[int, list[FieldBlock]] = field(default_factory=dict[int, list[FieldBlock]])
    bodies: dict[int, bytes] = field(default_factory=dict[int, bytes])
    ended: set[int] = field(default_factory=set[int])
    trailers: dict[int, list[tuple[bytes, bytes]]] = field(default_factory=dict[int, Any])
    broken: dict[int, bool] = field(default_factory=dict[int, bool])
    taken_of: dict[int, int] = field(default_factory=dict[int, int])
    room: int | None = None
    takes_sockets: bool | None = None
    due: float | None = None
    full: bool = False
    hung_up: bool = False

    def send(self, conn: int, data: bytes, /) -> bool:
        assert conn == CONNECTION
        assert not self.hung_up
        self.sent += data
        return not self.full

    def patience(self, conn: int, due: float, /) -> None:
        self.due = due

    def hang_up(self, conn: int, now: float, /) -> None:
        self.hung_up = True

    def backend_of(self, conn: int, /) -> str:
        return "b.test:80"

    def set_sockets(self, conn: int, allowed: bool, now: float, /) -> None:
        assert self.room is not None, "those that wait begin at once, as many as there is room for"
        self.takes_sockets = allowed

    def set_room(self, conn: int, most: int, now: float, /) -> None:
        self.room = most

    def answer_head(self, stream: int, fields: FieldBlock, now: float, /) -> None:
        self.heads.setdefault(stream, []).append(fields)

    def feed(self, stream: int, data: bytes, end: bool, now: float, /) -> None:
        assert stream not in self.ended
        self.bodies[stream] = self.bodies.get(stream, b"") + data
        if end:
            self.ended.add(stream)

    def feed_trailers(self, stream: int, fields: FieldBlock, now: float, /) -> None:
        if any(name.startswith(b":") for name, _ in fields):
            raise ValueError("a pseudo-field in trailers")
        self.trailers[stream] = list(fields)
        self.ended.add(stream)

    def break_stream(self, stream: int, unseen: bool, now: float, /) -> None:
        assert stream not in self.broken
        self.broken[stream] = unseen

    def taken(self, stream: int, count: int, /) -> None:
        self.taken_of[stream] = self.taken_of.get(stream, 0) + count


class Conversation:
    """Both ends; `now` is the clock."""

    def __init__(self, limits: Http2Limits | None = None, **settings: int) -> None:
        self.now = 100.0
        self.engine = FakeEngine()
        self.registry: dict[int, Any] = {}
        self.session = Http2Calls(self.engine, CONNECTION, self.registry, self.now, limits)
        self.server = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, validate_outbound_headers=False)
        )
        if settings:
            codes = h2.settings.SettingCodes
            self.server.local_settings.update(
                {getattr(codes, name.upper()): value for name, value in settings.items()}
            )
            self.server.local_settings.acknowledge()
        self.server.initiate_connection()
        self.exchange()

    def exchange(self) -> list[h2.events.Event]:
        """Let both say what they have to say; returns what the server heard."""
        heard: list[h2.events.Event] = []
        while True:
            self.session.flush(self.now)
            out, self.engine.sent = bytes(self.engine.sent), bytearray()
            if out:
                heard += self.server.receive_data(out)
            data = self.server.data_to_send()
            if data and not self.session.is_over:
                self.session.receive(data, self.now)
            elif not out:
                return heard

    def answer(self, stream: int, *fields: tuple[str, str], end: bool = False) -> None:
        """Have the server send a head."""
        self.server.send_headers(stream, [(":status", "200"), *fields], end_stream=end)


def test_a_request_and_its_answer() -> None:
    talk = Conversation()
    talk.session.call(50, GET, True, 100.0)
    (request,) = [e for e in talk.exchange() if isinstance(e, h2.events.RequestReceived)]
    assert request.headers[:1] == [(b":method", b"GET")]
    assert request.stream_ended
    talk.server.send_headers(request.stream_id, [(":status", "103"), ("link", "x")])
    talk.answer(request.stream_id, ("x-a", "1"))
    talk.server.send_data(request.stream_id, b"abc", pad_length=9)
    talk.server.send_headers(request.stream_id, [("x-t", "9")], end_stream=True)
    talk.exchange()
    assert [head.status for head in talk.engine.heads[50]] == [103, 200]
    assert (b"x-a", b"1") in list(talk.engine.heads[50][1])
    assert talk.engine.bodies == {50: b"abc"}
    assert talk.engine.trailers == {50: [(b"x-t", b"9")]}
    talk.session.consumed(50, 3)
    assert talk.registry == {}


def test_bodies_keep_to_both_windows() -> None:
    talk = Conversation(Http2Limits(stream_window=70_000), initial_window_size=20_000)
    talk.session.call(50, POST, False, 100.0)
    talk.session.data(50, b"x" * 50_000, True)
    heard = talk.exchange()
    got = sum(len(e.data) for e in heard if isinstance(e, h2.events.DataReceived))
    assert (got, talk.engine.taken_of[50]) == (20_000, 20_000)
    talk.server.increment_flow_control_window(30_000, 1)
    heard = talk.exchange()
    assert any(isinstance(e, h2.events.StreamEnded) for e in heard)
    assert talk.engine.taken_of[50] == 50_000
    talk.answer(1)
    for _ in range(4):
        talk.server.send_data(1, b"y" * 16_000)
    talk.exchange()
    assert talk.server.local_flow_control_window(1) == 6_000
    talk.session.consumed(50, 64_000)
    talk.exchange()
    assert talk.server.local_flow_control_window(1) > 60_000


def test_a_request_ends_with_trailers() -> None:
    talk = Conversation()
    talk.session.call(50, POST, False, 100.0)
    talk.session.data(50, b"abc", False)
    talk.session.trailers(50, FieldBlock([("x-t", "1")]))
    kinds = [type(e) for e in talk.exchange()]
    assert kinds[-2:] == [h2.events.TrailersReceived, h2.events.StreamEnded]


def test_what_nobody_wants_is_cancelled() -> None:
    talk = Conversation()
    talk.session.call(50, GET, True, 100.0)
    talk.exchange()
    talk.session.broken(50)
    (reset,) = [e for e in talk.exchange() if isinstance(e, h2.events.StreamReset)]
    assert reset.error_code == ErrorCodes.CANCEL
    assert talk.registry == {}
    # What was on its way is dropped, and its window given back.
    assert talk.engine.broken == {}


def test_a_connection_on_which_much_is_given_up_is_left_before_the_backend_ends_it() -> None:
    # Else a few clients that come and go have the backend say GOAWAY to everybody's requests.
    talk = Conversation()
    talk.session.call(1, GET, True, 100.0)
    talk.exchange()
    count = 0
    while talk.engine.room != 0 and count < 1000:
        engine_id = 1000 + count
        talk.session.call(engine_id, GET, True, 100.0)
        talk.exchange()
        talk.session.broken(engine_id)
        talk.exchange()
        count += 1
    assert count == 101
    assert not talk.engine.hung_up, "one request is still under way"
    talk.answer(1, end=True)
    talk.exchange()
    assert talk.engine.ended == {1}
    assert talk.engine.hung_up


def test_requests_that_are_given_up_now_and_then_do_no_harm() -> None:
    talk = Conversation()
    for count in range(1000):
        talk.now += 1
        for engine_id in (3 * count, 3 * count + 1, 3 * count + 2):
            talk.session.call(engine_id, GET, True, 100.0)
        talk.exchange()
        for engine_id in (3 * count, 3 * count + 1, 3 * count + 2):
            talk.session.broken(engine_id)
        talk.exchange()
    assert talk.engine.room != 0


def test_refused_streams_were_not_seen_and_others_were() -> None:
    talk = Conversation()
    for engine_id in (50, 51):
        talk.session.call(engine_id, GET, True, 100.0)
    talk.exchange()
    talk.server.reset_stream(1, ErrorCodes.REFUSED_STREAM)
    talk.server.reset_stream(3, ErrorCodes.INTERNAL_ERROR)
    talk.exchange()
    assert talk.engine.broken == {50: True, 51: False}


def test_an_answer_that_ends_before_the_request_is_whole() -> None:
    talk = Conversation()
    talk.session.call(50, POST, False, 100.0)
    talk.exchange()
    talk.answer(1, end=True)
    talk.server.reset_stream(1, ErrorCodes.NO_ERROR)
    talk.exchange()
    assert talk.engine.ended == {50}
    assert talk.engine.broken == {}


def test_a_goaway_sends_what_was_not_seen_elsewhere() -> None:
    talk = Conversation()
    for engine_id in (50, 51):
        talk.session.call(engine_id, GET, True, 100.0)
    talk.exchange()
    talk.server.close_connection(last_stream_id=1)
    goaway = talk.server.data_to_send()
    talk.session.receive(goaway, talk.now)
    assert talk.engine.room == 0
    assert talk.engine.broken == {51: True}
    assert not talk.session.is_over
    talk.session.call(52, GET, True, 100.0)
    assert talk.engine.broken[52]
    talk.session.broken(50)
    talk.session.flush(talk.now)
    assert talk.engine.hung_up


def test_no_more_than_the_backend_takes() -> None:
    talk = Conversation(max_concurrent_streams=2)
    assert talk.engine.room == 2
    for engine_id in (50, 51, 52):
        talk.session.call(engine_id, GET, True, 100.0)
    assert talk.engine.broken == {52: True}
    many = Conversation(max_concurrent_streams=100_000)
    assert many.engine.room == CALLS_MOST


def test_a_lost_connection_fails_its_requests() -> None:
    talk = Conversation()
    talk.session.call(50, GET, True, 100.0)
    talk.session.lost(talk.now)
    assert talk.engine.broken == {50: False}
    assert talk.session.is_over


@pytest.mark.parametrize(
    "garbage",
    [
        # A push, which it was told not to send.
        b"\0\0\4\5\4\0\0\0\1\0\0\0\2",
        # DATA on a stream that nobody opened.
        b"\0\0\1\0\0\0\0\0\3x",
    ],
)
def test_garbage_ends_the_connection(garbage: bytes) -> None:
    talk = Conversation()
    talk.session.call(50, GET, True, 100.0)
    talk.exchange()
    talk.session.receive(garbage, talk.now)
    talk.session.flush(talk.now)
    assert talk.engine.hung_up
    assert talk.engine.broken == {50: False}


@pytest.mark.parametrize("first", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xff" * 100])
def test_a_backend_that_speaks_something_else_is_left(
    first: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    engine = FakeEngine()
    session = Http2Calls(engine, CONNECTION, {}, 1.0)
    session.call(50, GET, True, 100.0)
    session.flush(1.0)
    for at in range(len(first)):
        session.receive(first[at : at + 1], 1.0)
    assert "backend b.test:80, connection 7: it does not speak HTTP/2" in caplog.text
    assert engine.hung_up
    assert engine.broken == {50: False}


def test_a_backend_cannot_flood() -> None:
    talk = Conversation()
    for _ in range(2000):
        if talk.session.is_over:
            break
        talk.server.ping(b"12345678")
        talk.session.receive(talk.server.data_to_send(), talk.now)
    assert talk.engine.hung_up


def test_bad_trailers_break_their_stream_only() -> None:
    talk = Conversation()
    talk.session.call(50, GET, True, 100.0)
    talk.exchange()
    talk.answer(1)
    talk.server.send_headers(1, [(":status", "200")], end_stream=True)
    talk.exchange()
    assert talk.engine.broken == {50: False}
    assert not talk.session.is_over


def test_an_unused_connection_is_left() -> None:
    talk = Conversation()
    assert talk.engine.due == 130.0
    talk.session.call(50, GET, True, 100.0)
    talk.exchange()
    talk.now = 131.0
    talk.session.idle(talk.now)
    assert not talk.session.is_over
    talk.answer(1, end=True)
    talk.exchange()
    talk.now = 170.0
    talk.session.idle(talk.now)
    assert talk.engine.hung_up


def test_a_full_socket_holds_bodies_back() -> None:
    talk = Conversation()
    talk.session.call(50, POST, False, 100.0)
    talk.exchange()
    talk.engine.full = True
    talk.session.data(50, b"x" * 10_000, False)
    talk.session.flush(talk.now)
    talk.session.data(50, b"x" * 10_000, True)
    talk.session.flush(talk.now)
    assert talk.engine.taken_of == {50: 10_000}
    talk.engine.full = False
    talk.session.writable(talk.now)
    talk.exchange()
    assert talk.engine.taken_of == {50: 20_000}


@pytest.mark.parametrize(
    ("told", "body"), [("5", b"abc"), ("2", b"abc"), ("x", b"abc"), ("1" * 5000, b"abc")]
)
@pytest.mark.parametrize("has_trailers", [False, True])
def test_an_answer_of_another_length_than_it_says_breaks_its_stream_only(
    told: str, body: bytes, has_trailers: bool
) -> None:
    talk = Conversation()
    talk.session.call(50, GET, True, 100.0)
    talk.session.call(51, GET, True, 100.0)
    talk.exchange()
    talk.server.send_headers(1, [(":status", "200"), ("content-length", told)])
    talk.server.send_data(1, body, end_stream=not has_trailers)
    if has_trailers:
        talk.server.send_headers(1, [("x-t", "9")], end_stream=True)
    talk.exchange()
    assert talk.engine.broken == {50: False}
    assert 50 not in talk.engine.ended
    talk.answer(3, ("content-length", "2"))
    talk.server.send_data(3, b"ok", end_stream=True)
    talk.exchange()
    assert talk.engine.bodies[51] == b"ok"
    assert talk.engine.ended == {51}


@pytest.mark.parametrize(("method", "status"), [("HEAD", "200"), ("GET", "304")])
def test_the_length_of_a_body_that_is_not_sent_is_no_fault(method: str, status: str) -> None:
    talk = Conversation()
    talk.session.call(50, FieldBlock([(":method", method), *list(GET)[1:]]), True, 100.0)
    talk.exchange()
    talk.server.send_headers(1, [(":status", status), ("content-length", "9")])
    talk.server.send_data(1, b"", end_stream=True)
    talk.exchange()
    assert talk.engine.broken == {}
    assert talk.engine.ended == {50}
    assert not talk.engine.hung_up


def test_a_connection_whose_numbers_are_used_up_is_left() -> None:
    talk = Conversation()
    talk.session.call(50, GET, True, 100.0)
    talk.session._h2.highest_outbound_stream_id = 2**31 - 1
    talk.session.call(51, GET, True, 100.0)
    assert talk.engine.broken == {51: True}
    assert talk.engine.room == 0
    talk.exchange()
    talk.answer(1, end=True)
    talk.exchange()
    assert talk.engine.ended == {50}
    assert talk.engine.hung_up


def test_little_is_kept_of_requests_that_are_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "KEPT_CLOSED", 500)
    talk = Conversation()
    for number in range(1500):
        talk.session.call(number, GET, True, 100.0)
        talk.exchange()
        talk.answer(2 * number + 1, end=True)
        talk.exchange()
    assert len(talk.session._h2._closed_streams) <= 1000
    assert len(talk.session._h2.streams) <= 2


def no_short_way(*_: object) -> None:
    return None


def talked(parts: list[str], *, piece: int) -> tuple[object, ...]:
    """What engine and backend were told of three calls, whose answers come in pieces of so many octets."""
    talk = Conversation()
    for engine_id in (50, 51, 52):
        talk.session.call(engine_id, POST if engine_id == 51 else GET, engine_id != 51, 100.0)
    talk.session.data(51, b"question", True)
    heard = [(event.__class__, vars(event)) for event in talk.exchange()]
    assert len(heard) > 5
    for identity in (1, 3, 5):
        if "interim" in parts:
            talk.server.send_headers(identity, [(":status", "103"), ("link", "x")])
        talk.answer(identity, ("x-kind", "short"), end=parts == ["head"])
        if "data" in parts:
            talk.server.send_data(identity, b"some", pad_length=2 if "padding" in parts else None)
            talk.server.send_data(identity, b"more", end_stream="trailers" not in parts)
        if "trailers" in parts:
            talk.server.send_headers(identity, [("grpc-status", "0")], end_stream=True)
    octets = talk.server.data_to_send()
    for at in range(0, len(octets), piece):
        talk.session.receive(octets[at : at + piece], talk.now)
    for engine_id in (50, 51, 52):
        talk.session.consumed(engine_id, 8)
    talk.session.flush(talk.now)
    engine = talk.engine
    heads = {key: [list(head) for head in found] for key, found in engine.heads.items()}
    h2 = talk.session._h2
    return (
        [(kind, {k: v for k, v in told.items() if k != "stream_ended"}) for kind, told in heard],
        heads,
        engine.bodies,
        engine.ended,
        engine.trailers,
        engine.taken_of,
        bytes(engine.sent),
        h2.inbound_flow_control_window,
        h2.open_outbound_streams,
        talk.session._by_id,
    )


@pytest.mark.parametrize("piece", [1, 7, 10_000])
@pytest.mark.parametrize(
    "parts",
    [
        ["head"],
        ["head", "data"],
        ["head", "data", "trailers"],
        ["head", "trailers"],
        ["interim", "head", "data", "padding", "trailers"],
    ],
    ids="+".join,
)
def test_an_answer_is_taken_as_the_library_takes_it(
    parts: list[str], piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = talked(parts, piece=piece)
    assert short[3] == {50, 51, 52}
    monkeypatch.setattr(_Connection, "_take_plain", no_short_way)
    assert talked(parts, piece=piece) == short


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(b"\0\0\4\0\1\0\0\0\1body", id="a body before its head"),
        pytest.param(b"\0\0\1\1\4\0\0\0\1\x88" * 2, id="trailers that end nothing"),
        pytest.param(b"\0\0\5\1\5\0\0\0\1\x08\x03103", id="an interim response at the end"),
        pytest.param(b"\0\0\1\1\4\0\0\0\1\xff", id="a head that cannot be decoded"),
        pytest.param(b"\0\0\1\1\5\0\0\0\1\x88" * 2, id="a head behind the end"),
        pytest.param(b"\0\0\1\1\5\0\0\0\x09\x88", id="an answer that nobody asked for"),
    ],
)
def test_what_a_backend_may_not_send_is_refused_as_the_library_refuses_it(
    octets: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[bytes, dict[int, bool]]] = []
    for is_short in (True, False):
        if not is_short:
            monkeypatch.setattr(_Connection, "_take_plain", no_short_way)
        talk = Conversation()
        talk.session.call(50, POST, False, 100.0)
        talk.exchange()
        talk.session.receive(octets, talk.now)
        if not talk.session.is_over:
            talk.session.flush(talk.now)
        assert talk.engine.sent
        told.append((bytes(talk.engine.sent), talk.engine.broken))
    assert told[0] == told[1]


def test_no_more_streams_are_opened_than_the_backend_takes() -> None:
    talk = Conversation(max_concurrent_streams=2)
    for engine_id in (50, 51, 52):
        talk.session.call(engine_id, GET, True, 100.0)
    assert talk.engine.broken == {52: True}
    talk.exchange()
    talk.answer(1, end=True)
    talk.exchange()
    talk.session.call(53, GET, True, 100.0)
    assert 53 not in talk.engine.broken


# ------------------------------------------------------------------------------------ WebSockets

SOCKET = FieldBlock(
    [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":authority", "a"),
        (":path", "/"),
    ]
)


def test_the_settings_tell_of_websockets() -> None:
    assert Conversation().engine.takes_sockets is False
    assert Conversation(enable_connect_protocol=1).engine.takes_sockets is True
    talk = Conversation()
    talk.server.update_settings({h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL: 1})
    talk.exchange()
    assert talk.engine.takes_sockets is True


def test_a_websocket_closes_its_own_window_and_no_other() -> None:
    limits = Http2Limits(stream_window=70_000, connection_window=100_000)
    talk = Conversation(limits, enable_connect_protocol=1)
    talk.session.call(50, SOCKET, False, 100.0)
    talk.session.call(51, GET, True, 100.0)
    asked = {
        dict(event.headers)[b":method"]: event.stream_id
        for event in talk.exchange()
        if isinstance(event, h2.events.RequestReceived)
    }
    socket = asked[b"CONNECT"]
    talk.answer(socket, ("content-length", "3"))
    sent = 0
    while room := min(talk.server.local_flow_control_window(socket), 16_384):
        talk.server.send_data(socket, bytes(room))
        sent += room
        talk.exchange()
    assert sent == len(talk.engine.bodies[50]) == 70_000
    talk.answer(asked[b"GET"])
    assert talk.server.local_flow_control_window(asked[b"GET"]) == 70_000
    # What it takes opens its own, and the connection's not once more.
    talk.session.consumed(50, 70_000)
    talk.exchange()
    assert talk.server.local_flow_control_window(socket) == 70_000
    assert talk.server.outbound_flow_control_window <= 100_000
    assert talk.registry.keys() == {50, 51}


def test_a_websocket_that_its_backend_ended_may_still_be_broken_off() -> None:
    talk = Conversation(enable_connect_protocol=1)
    talk.session.call(50, SOCKET, False, 100.0)
    talk.exchange()
    talk.answer(1)
    talk.server.send_data(1, b"bye", end_stream=True)
    talk.exchange()
    assert talk.engine.ended == {50}
    talk.session.data(50, b"still here", False)
    talk.exchange()
    talk.server.reset_stream(1, 8)
    talk.exchange()
    assert talk.engine.broken == {50: False}
    assert talk.registry == {}

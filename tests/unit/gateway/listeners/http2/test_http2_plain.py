"""The short ways of a connection do what the library does, and say what it says."""

from __future__ import annotations

import h2.connection
import h2.events
import h2.exceptions
import h2.settings
import pytest

from oto_trio._core import FieldBlock
from oto_trio.gateway.listeners.http2 import Http2Limits, plain
from oto_trio.gateway.listeners.http2.connection import Http2Connection
from oto_trio.gateway.listeners.http2.plain import DATA, HEADERS, PlainEvent
from tests.unit.gateway.listeners.http2.conversation import GET, OK, POST, Conversation


def ended(talk: Conversation, identity: int) -> bool:
    return any(
        isinstance(event, h2.events.StreamEnded) and event.stream_id == identity
        for event in talk.events
    )


def test_of_closed_streams_only_the_latest_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    talk = Conversation()
    monkeypatch.setattr(plain, "KEPT_CLOSED", 3)
    seen: list[int] = []
    for _ in range(15):
        identity, stream = talk.ask()
        talk.session.answer(stream, OK, b"done")
        talk.exchange()
        seen.append(identity)
        known = list(talk.session._h2._closed_streams)
        assert known == seen[-len(known) :]
        assert min(len(seen), 3) <= len(known) <= 6


def test_a_new_stream_has_the_windows_of_the_latest_settings() -> None:
    talk = Conversation()
    talk.ask()
    for window in (10, 20_000):
        talk.client.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window})
        talk.exchange()
        identity, _ = talk.ask()
        assert talk.session._h2.local_flow_control_window(identity) == window


def test_a_whole_request_is_taken_as_the_library_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    # The same octets twice, the second time without the short way for whole requests.
    told: list[object] = []
    for is_short in (True, False):
        with monkeypatch.context() as patched:
            if not is_short:
                patched.setattr(Http2Connection, "_begin_request", unused)
                patched.setattr(Http2Connection, "_take_plain", no_short_way)
            connection = Http2Connection(Http2Limits())
            client = h2.connection.H2Connection()
            client.initiate_connection()
            for identity in (1, 3, 7):
                client.send_headers(identity, GET, end_stream=identity != 3)
            client.send_data(3, b"first")
            client.send_data(3, b"")
            client.send_data(3, b"padded", pad_length=3)
            client.send_data(3, b"last", end_stream=True)
            octets = client.data_to_send()
            events: list[h2.events.Event | PlainEvent] = []
            for at in range(len(octets)):
                events += connection.receive_data(octets[at : at + 1])
            events += connection.receive_data(b"\0\0\4\x08\0\0\0\0\1\0\0\0\1")
            # The library tells the end of a stream a second time, by itself.
            seen: list[object] = [
                described(event) for event in events if not isinstance(event, h2.events.StreamEnded)
            ]
            seen += [
                (identity, stream.state_machine.state, stream.state_machine.headers_received)
                for identity, stream in connection.streams.items()
            ]
            seen.append(connection.inbound_flow_control_window)
            seen.append(connection.remote_flow_control_window(3))
            seen.append(connection.data_to_send())
            # An old stream again, on the same connection.
            with pytest.raises(h2.exceptions.ProtocolError):
                connection.receive_data(b"\0\0\1\1\5\0\0\0\5\x82")
            seen.append(connection.data_to_send())
            told.append(seen)
    assert told[0] == told[1]


def described(event: h2.events.Event | PlainEvent) -> tuple[object, ...]:
    """What is in an event of either way."""
    if isinstance(event, tuple):
        kind, identity, content, ends = event
        assert kind == (DATA if isinstance(content, bytes) else HEADERS)
        return identity, content if isinstance(content, bytes) else list(content), ends, 0
    if isinstance(event, h2.events.DataReceived):
        padding = event.flow_controlled_length - len(event.data)
        return event.stream_id, event.data, event.stream_ended is not None, padding
    if isinstance(event, h2.events.RequestReceived):
        return event.stream_id, list(event.headers), event.stream_ended is not None, 0
    return (event.__class__,)


def no_short_way(*_: object) -> None:
    return None


BODY_FRAME = b"\0\0\4\0%c\0\0\0\1body"


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(BODY_FRAME % 1 + BODY_FRAME % 0, id="behind the end"),
        pytest.param(b"\0\0\4\0\1\0\0\0\5body", id="on a stream that nobody opened"),
        pytest.param(b"\0\0\4\0\1\0\0\0\0body", id="on the connection"),
        pytest.param(b"\0\0\4\0\x08\0\0\0\1\4ody", id="with more padding than there is"),
        pytest.param(b"".join([BODY_FRAME % 0] * 6), id="beyond the window"),
        pytest.param(b"\0\0\2\1\5\0\0\0\3\xff\xff", id="a head that cannot be decoded"),
        pytest.param(BODY_FRAME % 0xF0 + BODY_FRAME % 1, id="with flags that mean nothing"),
    ],
)
def test_frames_out_of_place_are_told_as_the_library_tells_them(
    octets: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[bytes, bool, bytes]] = []
    for is_short in (True, False):
        with monkeypatch.context() as patched:
            if not is_short:
                patched.setattr(Http2Connection, "_take_plain", no_short_way)
            talk = Conversation(Http2Limits(stream_window=20))
            talk.ask(POST, end=False)
            talk.session.receive(octets, talk.now)
            if not talk.session.is_over:
                talk.session.flush(talk.now)
            body = talk.engine.streams[1000].body
            told.append((bytes(talk.engine.sent), talk.engine.hung_up, body))
    assert told[0] == told[1]
    assert told[0][0] or told[0][2] == b"bodybody"


@pytest.mark.parametrize("size", [1, 16_384, 16_385, 60_000])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_response_with_trailers_at_once_is_what_its_frames_would_be(
    size: int, method: str
) -> None:
    # The same talk twice; the second time each part goes out before the next is there.
    short, long = Conversation(), Conversation()
    trailers = FieldBlock([(b"grpc-status", b"0")])
    for talk in (short, long):
        _, stream = talk.ask([(":method", method), *GET[1:]], end=method == "GET")
        talk.session.head(stream, OK)
        if talk is long:
            talk.session.flush(talk.now)
        talk.session.data(stream, b"d" * size, False)
        if talk is long:
            talk.session.flush(talk.now)
        talk.session.trailers(stream, trailers)
        talk.session.flush(talk.now)
    assert short.engine.sent == long.engine.sent
    for talk in (short, long):
        talk.exchange()
        assert talk.body(1) == b"d" * size
        assert ended(talk, 1)
        assert not talk.registry


def test_trailers_alone_follow_their_head() -> None:
    talk = Conversation()
    identity, stream = talk.ask()
    talk.session.head(stream, OK)
    talk.session.trailers(stream, FieldBlock([(b"grpc-status", b"5")]))
    talk.exchange()
    heard = [event.__class__ for event in talk.events if getattr(event, "stream_id", 0) == identity]
    assert heard == [
        h2.events.ResponseReceived,
        h2.events.TrailersReceived,
        h2.events.StreamEnded,
    ]


def test_a_head_goes_out_though_nothing_follows_it_yet() -> None:
    talk = Conversation(initial_window_size=0)
    identity, stream = talk.ask()
    talk.session.head(stream, OK)
    talk.session.data(stream, b"later", False)
    talk.exchange()
    assert any(isinstance(event, h2.events.ResponseReceived) for event in talk.events)
    assert talk.body(identity) == b""


def unused(*_: object) -> None:
    raise AssertionError("the short way is taken")

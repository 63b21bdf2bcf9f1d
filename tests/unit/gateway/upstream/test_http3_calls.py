"""Connections to a backend over a network in memory, with aioquic's server and an engine that only remembers."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import pytest
from aioquic.h3.connection import FrameType, H3Connection, encode_frame
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, HandshakeCompleted, QuicEvent
from typing_extensions import override

from oto_trio._core import FieldBlock
from oto_trio.gateway.upstream.backend_state import BackendState
from oto_trio.gateway.upstream.dialling import Dialler
from oto_trio.gateway.upstream.http3 import DOUBTED_S, FRAMES, Http3Calls
from tests.unit.gateway.quic.network import SERVER, Net, Owner

if TYPE_CHECKING:
    from oto_trio.gateway.quic import QuicLink

GET = FieldBlock([(":method", "GET"), (":scheme", "https"), (":authority", "a"), (":path", "/")])
POST = FieldBlock([(":method", "POST"), (":scheme", "https"), (":authority", "a"), (":path", "/")])


class RememberingEngine:
    def __init__(self) -> None:
        self.is_made = False
        self.broken: dict[int, bool] = {}
        self.hung_up = False
        self.takes_sockets: bool | None = None
        self.fed = 0

    def backend_of(self, conn: int) -> str:
        return "b.test:443"

    def set_sockets(self, conn: int, allowed: bool, now: float) -> None:
        self.takes_sockets = allowed

    def feed(self, stream: int, data: bytes, end: bool, now: float) -> None:
        self.fed += len(data)

    def dialled(self, conn: int, room: int, now: float) -> None:
        self.is_made = True

    def break_stream(self, stream: int, unseen: bool, now: float) -> None:
        self.broken[stream] = unseen

    def hang_up(self, conn: int, now: float) -> None:
        self.hung_up = True

    def __getattr__(self, name: str) -> Any:
        return lambda *_told: None


class Backend(Owner):
    def __init__(self, link: QuicLink) -> None:
        super().__init__(link)
        self.h3: H3Connection | None = None

    @override
    def quic_event(self, event: QuicEvent, now: float) -> None:
        super().quic_event(event, now)
        if isinstance(event, HandshakeCompleted):
            self.h3 = H3Connection(self.link.state)
        if self.h3 is not None:
            self.h3.handle_event(event)


class World:
    def __init__(self) -> None:
        self.net = Net()
        self.engine = RememberingEngine()
        self.streams: dict[int, Any] = {}
        self.backends: list[Backend] = []
        self.net.acceptor._make_owner = self.own
        endpoint, wire = self.net.client, self.net.wires["client"]
        configuration = QuicConfiguration(alpn_protocols=["h3"], server_name="back.test")
        configuration.verify_mode = ssl.CERT_NONE
        state = BackendState(configuration, endpoint.limits, endpoint.prefix, lambda _: None)
        state.heard_at = self.net.now
        link = endpoint.enter(state, wire, self.net.now)
        engine: Any = self.engine
        self.session = Http3Calls(
            engine, 7, self.streams, self.net.now, link, state, mark=lambda _: None
        )
        link.owner = self.session
        self.state = state
        state.connect(SERVER, self.net.now)
        link.transmit(self.net.now)
        assert self.net.run(lambda: self.engine.is_made)

    def own(self, link: QuicLink, path: object, now: float) -> Any:
        self.backends.append(Backend(link))
        return self.backends[-1]

    def call(self, stream: int, fields: FieldBlock, *, ends: bool) -> None:
        self.session.call(stream, fields, ends, self.net.now)
        self.session.flush(self.net.now)


def test_requests_go_elsewhere_when_a_backend_that_was_asked_says_that_it_leaves() -> None:
    world = World()
    world.net.run(most_s=DOUBTED_S * 2)
    for stream in (1, 2):
        world.call(stream, GET, ends=True)
    assert world.session._held
    backend = world.backends[0].link
    # The answer to the question and the end of the connection come in one.
    sent: list[bytes] = []
    wire = world.net.wires["server"]
    carry = wire.send
    wire.send = lambda datagrams: sent.extend(data for data, _ in datagrams)
    world.net.run(lambda: bool(sent), 1)
    backend.close(0x100, "", world.net.now)
    backend.transmit(world.net.now)
    wire.send = carry
    for data in sent:
        world.net.client.receive(data, SERVER, world.net.wires["client"], world.net.now)
    world.net.client.settle(world.net.now)
    assert world.engine.broken == {1: True, 2: True}
    assert world.streams == {}
    assert world.engine.hung_up


def test_a_body_waits_with_its_head_while_the_backend_is_asked_whether_it_is_there() -> None:
    world = World()
    world.net.run(most_s=DOUBTED_S * 2)
    session = world.session
    session.call(1, POST, False, world.net.now)
    session.data(1, b"a body", True)
    assert session._held
    # Nothing of it can go out yet, so that nobody may try for ever.
    assert not session._transmit(world.net.now)
    session.flush(world.net.now)
    assert world.net.run(lambda: not session._held)
    session.flush(world.net.now)
    backend = world.backends[0]
    assert world.net.run(lambda: b"a body" in backend.received.get(0, b""))


def test_a_request_whose_backend_gave_it_up_is_ended_on_our_side_too() -> None:
    world = World()
    world.call(1, POST, ends=False)
    backend = world.backends[0]
    assert world.net.run(lambda: 0 in backend.received)
    backend.link.state.reset_stream(0, 0x102)
    backend.link.transmit(world.net.now)
    assert world.net.run(lambda: 1 in world.engine.broken)
    world.session.flush(world.net.now)
    world.net.run(most_s=2)
    assert world.engine.broken == {1: False}
    assert not world.state.is_known(0)
    assert not backend.link.state.is_known(0)


def test_of_a_request_whose_backend_answers_before_its_end_the_rest_is_dropped() -> None:
    world = World()
    engine: Any = world.engine
    taken: list[int] = []
    engine.taken = lambda _stream, count: taken.append(count)
    world.call(1, POST, ends=False)
    backend = world.backends[0]
    assert world.net.run(lambda: 0 in backend.received)
    assert backend.h3 is not None
    backend.h3.send_headers(0, [(b":status", b"200")])
    backend.link.state.stop_stream(0, 0x100)
    # More than the connection keeps at once, and then some that comes when nobody wants it any more.
    world.session.data(1, bytes(300_000), False)
    world.session.flush(world.net.now)
    assert sum(taken) < 300_000
    backend.link.transmit(world.net.now)
    assert world.net.run(lambda: sum(taken) == 300_000)
    world.session.data(1, bytes(1000), False)
    world.session.flush(world.net.now)
    assert sum(taken) == 301_000
    # The answer goes on, and so does the connection.
    backend.h3.send_data(0, b"answer", end_stream=True)
    backend.link.transmit(world.net.now)
    assert world.net.run(lambda: world.engine.fed == 6)
    world.session.consumed(1, 6)
    assert (world.streams, world.engine.broken) == ({}, {})
    world.net.run(most_s=1)
    assert not world.state.is_known(0)
    world.call(2, GET, ends=True)
    assert world.net.run(lambda: 4 in backend.received)
    assert not world.state.is_closing


@pytest.mark.parametrize("body", [b"", b"\x40"])
def test_a_goaway_that_says_nothing_ends_the_connection(body: bytes) -> None:
    world = World()
    world.call(1, GET, ends=True)
    backend = world.backends[0]
    assert world.net.run(lambda: 0 in backend.received)
    assert backend.h3 is not None
    control = backend.h3._local_control_stream_id
    assert control is not None
    backend.link.state.send_stream_data(control, encode_frame(FrameType.GOAWAY, body))
    backend.link.transmit(world.net.now)
    assert world.net.run(lambda: world.engine.hung_up)
    # Nobody knows whether the backend looked at it.
    assert world.engine.broken == {1: False}

    def codes() -> list[int]:
        return [it.error_code for it in backend.events if isinstance(it, ConnectionTerminated)]

    assert world.net.run(lambda: codes() == [0x106])


def test_a_backend_makes_no_requests() -> None:
    world = World()
    world.call(1, GET, ends=True)
    backend = world.backends[0]
    assert world.net.run(lambda: 0 in backend.received)
    own = backend.link.state.get_next_available_stream_id()
    backend.link.state.send_stream_data(own, b"\1\0", end_stream=True)
    backend.link.transmit(world.net.now)
    assert world.net.run(lambda: world.engine.hung_up)

    def codes() -> list[int]:
        return [it.error_code for it in backend.events if isinstance(it, ConnectionTerminated)]

    assert world.net.run(lambda: codes() == [0x103])


def test_a_connection_that_cannot_even_begin_leaves_nothing() -> None:
    failed: list[tuple[Any, ...]] = []
    engine: Any = RememberingEngine()
    engine.dial_failed = lambda *told: failed.append(told)
    dialler = Dialler(engine, lambda: 5.0, lambda _: None)
    # No name that TLS could ask for.
    wanted = (7, ("127.0.0.1", 9), "b\u00fccher.test", None)
    assert dialler.dial(wanted, {}, lambda _: None, 5.0) is None
    assert [(told[0], told[2]) for told in failed] == [(7, False)]
    assert len(dialler) == 0
    assert not dialler._endpoint._readers


def test_a_websocket_closes_its_own_window_and_not_the_connections() -> None:
    world = World()
    assert world.net.run(lambda: world.engine.takes_sockets is not None)
    assert world.engine.takes_sockets is True
    socket = FieldBlock([(":method", "CONNECT"), (":protocol", "websocket"), *list(GET)[1:]])
    world.call(1, socket, ends=False)
    backend = world.backends[0]
    assert world.net.run(lambda: 0 in backend.received)
    assert backend.h3 is not None
    backend.h3.send_headers(0, [(b":status", b"200")])
    window = world.net.client.limits.stream_window
    backend.h3.send_data(0, bytes(window), end_stream=False)
    backend.link.transmit(world.net.now)
    world.net.run(lambda: world.engine.fed > window // 2)
    held = world.engine.fed
    assert world.state._held == {0: held}
    assert world.state._held_bytes == 0
    world.session.consumed(1, held)
    assert world.state._held == {}
    world.session.broken(1)
    assert (world.state._held_bytes, world.state.apart) == (0, set())


@pytest.mark.parametrize("is_reset", [False, True])
def test_streams_of_one_direction_leave_nothing_and_endless_ones_end_the_connection(
    is_reset: bool,
) -> None:
    world = World()
    world.call(1, GET, ends=True)
    backend = world.backends[0]
    assert world.net.run(lambda: 0 in backend.received)
    frames = world.session._h3
    assert frames is not None
    # Its control stream, and two for heads.
    assert world.net.run(lambda: len(frames._controls) == 3)
    state = backend.link.state
    known = (set(frames._controls), set(frames._stream))
    opened = 0

    def open_some(count: int) -> None:
        nonlocal opened
        opened += count
        news = [state.get_next_available_stream_id(is_unidirectional=True)]
        news += [news[0] + 4 * step for step in range(1, count)]
        for identity in news:
            # A type that nobody knows, and that has to be let pass (RFC 9114 section 6.2.3).
            state.send_stream_data(identity, b"\x40\x21", end_stream=not is_reset)
        backend.link.transmit(world.net.now)
        world.net.run(most_s=0.05)
        if is_reset:
            for identity in news:
                state.reset_stream(identity, 0)
            backend.link.transmit(world.net.now)
            world.net.run(most_s=0.05)

    open_some(60)
    assert (set(frames._controls), set(frames._stream)) == known
    assert not world.state.is_closing
    while not world.engine.hung_up and opened < 4 * FRAMES:
        open_some(30)
    assert FRAMES // 2 <= opened < 4 * FRAMES

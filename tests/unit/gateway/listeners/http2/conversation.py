"""A session of ours and a client of the `h2` library, with an engine in memory between them."""

from __future__ import annotations

from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
import h2.settings

from oto_trio._core import FieldBlock
from oto_trio.gateway.listeners.http2 import Http2Limits, Http2Session

GET = [(":method", "GET"), (":scheme", "https"), (":authority", "a.test"), (":path", "/")]
POST = [(":method", "POST"), *GET[1:]]
OK = FieldBlock([(b":status", b"200"), (b"content-type", b"text/plain")])


@dataclass
class EngineStream:
    """What the engine was told of one stream."""

    fields: FieldBlock
    complete: bool
    body: bytes = b""
    trailers: FieldBlock | None = None
    cancelled: bool = False
    taken: int = 0


@dataclass
class FakeEngine:
    """The calls of one connection, kept."""

    streams: dict[int, EngineStream] = field(default_factory=dict[int, EngineStream])
    sent: bytearray = field(default_factory=bytearray)
    sends: int = 0
    full: bool = False
    hung_up: bool = False
    due: float | None = None
    appetite: int | None = None

    def send(self, conn: int, data: bytes, /) -> bool:
        assert not self.hung_up, "nothing is sent on a closed connection"
        self.sent += data
        self.sends += 1
        return not self.full

    def patience(self, conn: int, due: float, /) -> None:
        self.due = due

    def set_appetite(self, conn: int, most: int, /) -> None:
        self.appetite = most

    def hold(self, conn: int, held: bool, /) -> None:
        raise AssertionError("HTTP/2 holds back by its windows")

    def hang_up(self, conn: int, now: float, /) -> None:
        assert not self.hung_up
        self.hung_up = True

    def open_stream(self, conn: int, fields: FieldBlock, end: bool, now: float, /) -> int:
        if fields.get(b"connection") is not None:
            raise ValueError("a connection field")
        identity = 1000 + len(self.streams)
        self.streams[identity] = EngineStream(fields, end)
        return identity

    def feed(self, stream: int, data: bytes, end: bool, now: float, /) -> None:
        told = self.streams[stream]
        assert not told.complete
        assert not told.cancelled
        told.body += data
        told.complete = end

    def feed_trailers(self, stream: int, fields: FieldBlock, now: float, /) -> None:
        if any(name.startswith(b":") for name, _ in fields):
            raise ValueError("a pseudo-header in trailers")
        self.streams[stream].trailers = fields
        self.streams[stream].complete = True

    def reset_stream(self, stream: int, now: float, /) -> None:
        told = self.streams[stream]
        assert not told.cancelled
        told.cancelled = True

    def taken(self, stream: int, count: int, /) -> None:
        self.streams[stream].taken += count

    def answer_head(self, stream: int, fields: FieldBlock, now: float, /) -> None:
        raise AssertionError("there is no backend here")

    def break_stream(self, stream: int, unseen: bool, now: float, /) -> None:
        raise AssertionError("there is no backend here")

    def dialled(self, conn: int, room: int, now: float, /) -> None:
        raise AssertionError("nothing was dialled")

    def dial_failed(self, conn: int, problem: str, is_tls: bool, now: float, /) -> None:
        raise AssertionError("nothing was dialled")

    def check_backend(self, conn: int, name: str, chain: list[bytes], /) -> None:
        raise AssertionError("nothing was dialled")

    def backend_of(self, conn: int, /) -> str:
        raise AssertionError("there is no backend here")

    def set_sockets(self, conn: int, allowed: bool, now: float, /) -> None:
        raise AssertionError("there is no backend here")

    def set_room(self, conn: int, most: int, now: float, /) -> None:
        raise AssertionError("there is no backend here")


class Conversation:
    """Both ends; `now` is the clock."""

    def __init__(self, limits: Http2Limits | None = None, **settings: int) -> None:
        self.now = 100.0
        self.engine = FakeEngine()
        self.registry: dict[int, Http2Session] = {}
        self.session = Http2Session(
            self.engine, 7, self.registry, self.now, limits or Http2Limits()
        )
        config = h2.config.H2Configuration(
            client_side=True,
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
        self.client = h2.connection.H2Connection(config)
        self.events: list[h2.events.Event] = []
        if settings:
            codes = h2.settings.SettingCodes
            self.client.local_settings.update(
                {getattr(codes, name.upper()): value for name, value in settings.items()}
            )
            self.client.local_settings.acknowledge()
        self.client.initiate_connection()
        self.exchange()

    def exchange(self) -> list[h2.events.Event]:
        """Let both say what they have to say; returns what the client heard."""
        heard: list[h2.events.Event] = []
        while True:
            data = self.client.data_to_send()
            if data and not self.session.is_over:
                self.session.receive(data, self.now)
            if not self.session.is_over:
                self.session.flush(self.now)
            answer = bytes(self.engine.sent)
            self.engine.sent.clear()
            if not answer:
                break
            heard += self.client.receive_data(answer)
        self.events += heard
        return heard

    def raw(self, data: bytes) -> list[h2.events.Event]:
        """Send octets as they are, behind what the client has to say."""
        if not self.session.is_over:
            self.session.receive(self.client.data_to_send() + data, self.now)
        return self.exchange()

    def ask(
        self,
        headers: list[tuple[str, str]] | None = None,
        *,
        end: bool = True,
        more: list[tuple[str, str]] | None = None,
    ) -> tuple[int, int]:
        """Send a request; returns the client's number of the stream and the engine's."""
        identity = self.client.get_next_available_stream_id()
        self.client.send_headers(identity, (headers or GET) + (more or []), end_stream=end)
        before = set(self.engine.streams)
        self.exchange()
        new = set(self.engine.streams) - before
        return identity, (new.pop() if new else 0)

    def body(self, identity: int) -> bytes:
        """What the client got of a response so far."""
        return b"".join(
            event.data
            for event in self.events
            if isinstance(event, h2.events.DataReceived) and event.stream_id == identity
        )

    def of(self, kind: type[h2.events.Event]) -> list[h2.events.Event]:
        """The events of one kind that the client heard."""
        return [event for event in self.events if isinstance(event, kind)]

    def acknowledge(self) -> None:
        """Give the windows back for all that came."""
        for event in self.of(h2.events.DataReceived):
            assert isinstance(event, h2.events.DataReceived)
            self.client.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        self.events = [
            event for event in self.events if not isinstance(event, h2.events.DataReceived)
        ]
        self.exchange()

    def is_closed(self) -> bool:
        """Whether the session closed the connection."""
        return self.engine.hung_up

    def is_calmed(self) -> bool:
        """Whether the client was told ENHANCE_YOUR_CALM, and the connection closed."""
        told = [
            event
            for event in self.of(h2.events.ConnectionTerminated)
            if isinstance(event, h2.events.ConnectionTerminated)
        ]
        return self.engine.hung_up and [event.error_code for event in told] == [0xB]

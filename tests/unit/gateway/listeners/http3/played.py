"""A session of HTTP/3 in memory, between a client and an engine that are played."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aioquic.h3.connection import H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.events import (
    ConnectionTerminated,
    HandshakeCompleted,
    QuicEvent,
    StopSendingReceived,
    StreamReset,
)
from typing_extensions import override

from oto_trio._core import FieldBlock
from oto_trio.gateway.listeners.http3 import Http3Limits, Http3Session
from tests.unit.gateway.quic.network import Net, Owner

if TYPE_CHECKING:
    from collections.abc import Callable

    from oto_trio.gateway.quic import QuicLink

HEAD = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"a.test"), (b":path", b"/")]
OK = FieldBlock([(b":status", b"200")])


class RememberingEngine:
    """The engine as a session has it; remembers what it is told."""

    def __init__(self) -> None:
        self.ip = ""
        self.server_name: str | None = None
        self.chain: list[bytes] = []
        self.is_resumed = False
        self.opened: list[FieldBlock] = []
        self.ended_at_once: list[bool] = []
        self.fed: dict[int, int] = {}
        self.ended: set[int] = set()
        self.trailers: list[FieldBlock] = []
        self.resets: list[int] = []
        self.taken_bytes: dict[int, int] = {}
        self.hung_up = False
        self.due = 0.0

    def carry(
        self,
        listener: int,
        ip: str,
        server_name: str | None,
        now: float,
        chain: list[bytes],
        is_resumed: bool,
    ) -> int:
        self.ip = ip
        self.server_name = server_name
        self.chain = chain
        self.is_resumed = is_resumed
        return 7

    def open_stream(self, conn: int, fields: FieldBlock, end: bool, now: float) -> int:
        if fields.get(b"x-bad") is not None:
            raise ValueError("malformed")
        self.opened.append(fields)
        self.ended_at_once.append(end)
        return len(self.opened)

    def feed(self, stream: int, data: bytes, end: bool, now: float) -> None:
        self.fed[stream] = self.fed.get(stream, 0) + len(data)
        if end:
            self.ended.add(stream)

    def feed_trailers(self, stream: int, fields: FieldBlock, now: float) -> None:
        self.trailers.append(fields)
        self.ended.add(stream)

    def reset_stream(self, stream: int, now: float) -> None:
        self.resets.append(stream)

    def taken(self, stream: int, count: int) -> None:
        self.taken_bytes[stream] = self.taken_bytes.get(stream, 0) + count

    def hang_up(self, conn: int, now: float) -> None:
        self.hung_up = True

    def patience(self, conn: int, due: float) -> None:
        self.due = due

    def send(self, conn: int, data: bytes) -> bool:
        raise AssertionError("there is no socket")


class Client(Owner):
    """The client's side, with aioquic's own HTTP/3."""

    def __init__(self, link: QuicLink) -> None:
        super().__init__(link)
        self.h3: Any = None
        self.heads: dict[int, list[Any]] = {}
        self.bodies: dict[int, bytes] = {}
        self.over: set[int] = set()
        self.resets: dict[int, int] = {}
        self.stops: dict[int, int] = {}
        self.holds = False

    @override
    def quic_event(self, event: QuicEvent, now: float) -> None:
        self.events.append(event)
        if isinstance(event, HandshakeCompleted) and self.h3 is None:
            self.h3 = H3Connection(self.link.state)
        if isinstance(event, StreamReset):
            self.resets[event.stream_id] = event.error_code
        if isinstance(event, StopSendingReceived):
            self.stops[event.stream_id] = event.error_code
        for told in self.h3.handle_event(event) if self.h3 is not None else ():
            if isinstance(told, HeadersReceived):
                self.heads.setdefault(told.stream_id, []).append(dict(told.headers))
            if isinstance(told, DataReceived):
                self.bodies[told.stream_id] = self.bodies.get(told.stream_id, b"") + told.data
                if self.holds:
                    self.link.state.hold(told.stream_id, len(told.data))
            if isinstance(told, HeadersReceived | DataReceived) and told.stream_ended:
                self.over.add(told.stream_id)

    @property
    def code(self) -> int | None:
        ends = [it.error_code for it in self.events if isinstance(it, ConnectionTerminated)]
        return ends[0] if ends else None


class World:
    """A session, a client of it, and the network between them."""

    def __init__(self, limits: Http3Limits | None = None) -> None:
        self.net = Net()
        self.engine = RememberingEngine()
        self.streams: dict[int, Any] = {}
        self.sessions: list[Http3Session] = []
        self.left: list[int] = []
        self.limits = limits or Http3Limits()
        self.net.acceptor._make_owner = self.own
        owner = self.net.connect()
        self.client = owner.link.owner = Client(owner.link)
        assert self.run(lambda: self.client.h3 is not None and self.session.conn == 7)
        assert (self.engine.ip, self.engine.server_name) == ("198.51.100.7", "api.test")

    @property
    def session(self) -> Http3Session:
        return self.sessions[-1]

    def own(self, link: QuicLink, path: object, now: float) -> Any:
        engine: Any = self.engine
        made = Http3Session(engine, link, 1, self.streams, now, self.limits, leave=self.left.append)
        self.sessions.append(made)
        return made

    def run(self, until: Callable[[], object], most_s: float = 20) -> bool:
        return self.net.run(lambda: bool(until()), most_s)

    def ask(self, *more: tuple[bytes, bytes], body: bytes | None = None, end: bool = True) -> int:
        link = self.client.link
        stream: int = link.state.get_next_available_stream_id()
        self.client.h3.send_headers(stream, [*HEAD, *more], end_stream=body is None)
        if body:
            self.client.h3.send_data(stream, body, end_stream=end)
        link.transmit(self.net.now)
        return stream

    def flush(self) -> None:
        self.session.flush(self.net.now)

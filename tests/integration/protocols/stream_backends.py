"""Backends over HTTP/2 and HTTP/3 whose answers a test says itself, piece by piece."""

from __future__ import annotations

import math
import socket
from abc import abstractmethod
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
import trio
from aioquic.h3.events import DataReceived, H3Event, HeadersReceived
from aioquic.quic.events import QuicEvent, StopSendingReceived, StreamReset
from typing_extensions import override

from tests.integration.backends import serving
from tests.integration.protocols.http3_backend import Http3Backend, Session

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    import trustme
    from aioquic.h3.connection import H3Connection

Fields: TypeAlias = list[tuple[bytes, bytes]]
PIECE = 16 * 1024
PATIENCE_S = 60


class Asked(trio.abc.HalfCloseableStream):
    """A request; after `answer` the bytes of its stream, both ways.

    Args:
        fields: Its head.
    """

    def __init__(self, fields: Fields) -> None:
        self.fields = dict(fields)
        self.body = bytearray()
        self.has_ended = False
        self.code: int | None = None
        """With what the gateway reset the stream; -1 when its connection is gone."""
        self._news = trio.Event()

    @abstractmethod
    async def answer(self, status: int, *more: tuple[str, str], end: bool = False) -> None:
        """Send the head of an answer, which goes on unless it ends here."""

    @abstractmethod
    def room(self) -> int:
        """Return how much the gateway takes on this stream now."""

    @abstractmethod
    async def write(self, data: bytes, *, end: bool = False) -> None:
        """Send what there is room for."""

    @abstractmethod
    async def reset(self, code: int) -> None:
        """Break the stream off."""

    @abstractmethod
    async def take(self, count: int) -> None:
        """Let the gateway send so much more."""

    def note(self) -> None:
        """Wake who waits for something to happen on the stream."""
        self._news.set()
        self._news = trio.Event()

    async def news(self) -> None:
        """Wait until something happens on the stream."""
        with trio.fail_after(PATIENCE_S):
            await self._news.wait()

    async def cancelled(self) -> int:
        """Wait until the gateway gives the stream up; returns the code."""
        while self.code is None:
            await self.news()
        return self.code

    @override
    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        rest = memoryview(data)
        while rest:
            if self.code is not None:
                raise trio.BrokenResourceError
            room = min(self.room(), PIECE)
            if room > 0:
                piece, rest = rest[:room], rest[room:]
                await self.write(bytes(piece))
            else:
                await self.news()

    @override
    async def wait_send_all_might_not_block(self) -> None:
        raise NotImplementedError

    @override
    async def send_eof(self) -> None:
        await self.write(b"", end=True)

    @override
    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        while not self.body:
            if self.has_ended:
                return b""
            if self.code is not None:
                raise trio.BrokenResourceError
            await self.news()
        data = bytes(self.body)
        self.body.clear()
        await self.take(len(data))
        return data

    @override
    async def aclose(self) -> None:
        if self.code is None:
            await self.send_eof()


class StreamBackend:
    """What a test knows of such a backend.

    Args:
        port: Where it is.
    """

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.connections = 0
        self._tell, self._told = trio.open_memory_channel[Asked](math.inf)

    def asked(self, request: Asked) -> None:
        """Take note of a request."""
        self._tell.send_nowait(request)

    async def next(self) -> Asked:
        """Wait for the next request."""
        with trio.fail_after(PATIENCE_S):
            return await self._told.receive()


# ---------------------------------------------------------------------------------------- HTTP/2


class _Http2Connection:
    def __init__(self, backend: StreamBackend, wire: trio.SocketStream, *, sockets: bool) -> None:
        config = h2.config.H2Configuration(
            client_side=False, header_encoding=None, validate_inbound_headers=False
        )
        self.h2 = h2.connection.H2Connection(config)
        if sockets:
            changed = {h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL: 1}
            self.h2.local_settings = h2.settings.Settings(client=False, initial_values=changed)
        self.backend = backend
        self.wire = wire
        self.streams: dict[int, _Http2Stream] = {}
        self._turn = trio.Lock()

    async def run(self) -> None:
        self.backend.connections += 1
        self.h2.initiate_connection()
        try:
            await self.flush()
            while data := await self.wire.receive_some(65536):
                for event in self.h2.receive_data(data):
                    self._on(event)
                await self.flush()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        for stream in self.streams.values():
            stream.code = -1 if stream.code is None else stream.code
            stream.note()

    def _on(self, event: h2.events.Event) -> None:
        known: Any = event
        if isinstance(event, h2.events.RequestReceived):
            stream = _Http2Stream(self, known.stream_id, list(known.headers))
            self.streams[known.stream_id] = stream
            self.backend.asked(stream)
        elif isinstance(event, h2.events.WindowUpdated):
            for stream in self.streams.values():
                stream.note()
        found = self.streams.get(getattr(event, "stream_id", 0) or 0)
        if found is None:
            return
        if isinstance(event, h2.events.DataReceived):
            found.body += known.data
        elif isinstance(event, h2.events.StreamEnded):
            found.has_ended = True
        elif isinstance(event, h2.events.StreamReset):
            found.code = int(known.error_code)
        found.note()

    async def flush(self) -> None:
        async with self._turn:
            if data := self.h2.data_to_send():
                await self.wire.send_all(data)


class _Http2Stream(Asked):
    def __init__(self, connection: _Http2Connection, identity: int, fields: Fields) -> None:
        super().__init__(fields)
        self.connection = connection
        self.identity = identity

    @override
    async def answer(self, status: int, *more: tuple[str, str], end: bool = False) -> None:
        head = [(":status", str(status)), *more]
        self.connection.h2.send_headers(self.identity, head, end_stream=end)
        await self.connection.flush()

    @override
    def room(self) -> int:
        known = self.connection.h2
        try:
            window = known.local_flow_control_window(self.identity)
        except h2.exceptions.StreamClosedError:
            return 0
        return min(window, known.max_outbound_frame_size)

    @override
    async def write(self, data: bytes, *, end: bool = False) -> None:
        try:
            self.connection.h2.send_data(self.identity, data, end_stream=end)
        except h2.exceptions.ProtocolError as error:
            raise trio.BrokenResourceError from error
        await self.connection.flush()

    @override
    async def reset(self, code: int) -> None:
        self.connection.h2.reset_stream(self.identity, code)
        await self.connection.flush()

    @override
    async def take(self, count: int) -> None:
        self.connection.h2.acknowledge_received_data(count, self.identity)
        await self.connection.flush()


@asynccontextmanager
async def http2_streams(*, sockets: bool = True) -> AsyncGenerator[StreamBackend]:
    """Run a backend over HTTP/2 without TLS; `sockets`: it takes WebSockets on streams."""
    backend = StreamBackend()

    async def serve(wire: trio.SocketStream) -> None:
        async with wire:
            await _Http2Connection(backend, wire, sockets=sockets).run()

    async with serving(serve) as backend.port:
        yield backend


# ---------------------------------------------------------------------------------------- HTTP/3


class _Http3Session(Session):
    def __init__(self, backend: Http3Backend, quic: Any) -> None:
        super().__init__(backend, quic)
        self.streams: dict[int, _Http3Stream] = {}
        assert isinstance(backend, _Http3Streams)
        self.told = backend.told

    @override
    def work(self) -> None:
        super().work()
        for stream in list(self.streams.values()):
            stream.note()

    @override
    def on_event(self, event: QuicEvent) -> None:
        if isinstance(event, StreamReset | StopSendingReceived):
            stream = self.streams.get(event.stream_id)
            if stream is not None:
                stream.code = event.error_code

    @override
    def on_message(self, h3: H3Connection, event: H3Event) -> None:
        if isinstance(event, HeadersReceived) and event.stream_id not in self.streams:
            stream = _Http3Stream(self, h3, event.stream_id, event.headers)
            self.streams[event.stream_id] = stream
            self.told.connections = self.backend.connections
            self.told.asked(stream)
        elif isinstance(event, DataReceived):
            self.streams[event.stream_id].body += event.data
        if isinstance(event, HeadersReceived | DataReceived) and event.stream_ended:
            self.streams[event.stream_id].has_ended = True


class _Http3Stream(Asked):
    def __init__(
        self, session: _Http3Session, h3: H3Connection, identity: int, fields: Fields
    ) -> None:
        super().__init__(fields)
        self.session = session
        self.h3 = h3
        self.identity = identity

    async def _flush(self) -> None:
        self.session.backend.send_all()
        await trio.lowlevel.checkpoint()

    @override
    async def answer(self, status: int, *more: tuple[str, str], end: bool = False) -> None:
        fields = [(n.encode(), v.encode()) for n, v in ((":status", str(status)), *more)]
        self.h3.send_headers(self.identity, fields, end_stream=end)
        await self._flush()

    @override
    def room(self) -> int:
        quic: Any = self.session.quic
        stream = quic._streams.get(self.identity)
        if stream is None:
            return 0
        # What the library keeps for later is not gone; the frame around a piece takes some bytes, too.
        sender = stream.sender
        return min(
            int(stream.max_stream_data_remote) - int(sender._buffer_stop) - 16,
            4 * PIECE - (int(sender._buffer_stop) - int(sender.highest_offset)),
        )

    @override
    async def write(self, data: bytes, *, end: bool = False) -> None:
        self.h3.send_data(self.identity, data, end_stream=end)
        await self._flush()

    @override
    async def reset(self, code: int) -> None:
        self.session.quic.reset_stream(self.identity, code)
        await self._flush()

    @override
    async def take(self, count: int) -> None:
        """The library has let it send more already."""


class _Http3Streams(Http3Backend):
    session = _Http3Session
    told: StreamBackend


@asynccontextmanager
async def http3_streams(certificate: trustme.LeafCert) -> AsyncGenerator[StreamBackend]:
    """Run a backend over HTTP/3, which takes WebSockets on streams."""
    with trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        await sock.bind(("127.0.0.1", 0))
        server = _Http3Streams(sock, certificate, b"streams", 0.0, asks=False)
        server.told = StreamBackend(server.port)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.run)
            yield server.told
            nursery.cancel_scope.cancel()

"""A client of HTTP/3 on aioquic as it comes, driven from Trio: requests one at a time, or many."""

from __future__ import annotations

import math
import socket
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import trio
from aioquic.h3.connection import FrameType, H3Connection, H3Stream
from aioquic.h3.events import DataReceived, Headers, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import (
    ConnectionTerminated,
    HandshakeCompleted,
    StopSendingReceived,
    StreamReset,
)
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from typing_extensions import override

from tests.integration.protocols.http2_client import Heard

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    import trustme
    from aioquic.tls import SessionTicket

Fields = list[tuple[bytes, bytes]]
PATIENCE_S: Final = 120.0
"""The longest single wait: this client works through a few MiB in seconds, and may have a small part of a machine."""


class _Http3(H3Connection):
    """The library's, which would take a HEAD's answer for one whose body is cut off."""

    def __init__(self, quic: QuicConnection) -> None:
        super().__init__(quic)
        self.without_bodies: set[int] = set()
        self.goaway = False
        """Whether the server sent a GOAWAY, which the library reads over."""

    @override
    def _check_control_frame_type(self, frame_type: int) -> None:
        self.goaway |= frame_type == FrameType.GOAWAY
        super()._check_control_frame_type(frame_type)

    @override
    def _check_content_length(self, stream: H3Stream) -> None:
        if stream.stream_id not in self.without_bodies:
            super()._check_content_length(stream)


class Http3Client:
    """A connection that speaks HTTP/3."""

    def __init__(self, port: int, name: str, **more: Any) -> None:
        configuration = QuicConfiguration(is_client=True, alpn_protocols=["h3"], server_name=name)
        configuration.verify_mode = ssl.CERT_NONE
        for key, value in more.items():
            setattr(configuration, key, value)
        self.server = ("127.0.0.1", port)
        self.tickets: list[SessionTicket] = []
        self.tokens: list[bytes] = []
        self.quic = QuicConnection(
            configuration=configuration,
            session_ticket_handler=self.tickets.append,
            token_handler=self.tokens.append,
        )
        self.h3: _Http3 | None = None
        self.sock = self._bound()
        self.heard: dict[int, Heard] = {}
        self.stopped: dict[int, int] = {}
        self.certificate: Any = None
        self.is_resumed: bool | None = None
        """Whether a session went on; None before the handshake is over."""
        self.is_reading = True
        self.ended: ConnectionTerminated | None = None
        self.lose: Callable[[bytes], bool] = lambda _: False
        """Whether a datagram, of either side, is lost."""
        self._news = trio.Event()
        self._scope: trio.CancelScope | None = None

    @property
    def goaway(self) -> bool:
        """Whether the server said that it takes no more requests."""
        return self.h3 is not None and self.h3.goaway

    async def settings(self) -> dict[int, int]:
        """Wait for the server's settings: they are on a stream of their own, which may come behind an answer."""
        await self.until(lambda: self.h3 is not None and self.h3.received_settings is not None)
        assert self.h3 is not None
        return self.h3.received_settings or {}

    def _bound(self) -> trio.socket.SocketType:
        sock = trio.socket.from_stdlib_socket(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        sock._sock.bind(("127.0.0.1", 0))  # type: ignore[attr-defined]
        return sock

    def move(self) -> None:
        """Go on from another port."""
        self.sock.close()
        self.sock = self._bound()
        self._tell()

    async def run(self) -> None:
        """Read and keep time, until cancelled."""
        while True:
            due = self.quic.get_timer()
            with trio.CancelScope(deadline=math.inf if due is None else due) as scope:
                self._scope = scope
                try:
                    data, _ = await self.sock.recvfrom(65536)
                except trio.ClosedResourceError:
                    continue
                if not self.lose(data):
                    self.quic.receive_datagram(data, self.server, trio.current_time())
            if scope.cancelled_caught and due is not None and due <= trio.current_time():
                self.quic.handle_timer(trio.current_time())
            self._act()
            await self.flush()

    def _act(self) -> None:
        while (event := self.quic.next_event()) is not None:
            if isinstance(event, HandshakeCompleted):
                self.h3 = self.h3 or _Http3(self.quic)
                self.is_resumed = event.session_resumed
                self.certificate = self.quic.tls._peer_certificate
            elif isinstance(event, ConnectionTerminated):
                self.ended = event
            elif isinstance(event, StreamReset):
                heard = self.heard.get(event.stream_id, Heard())
                heard.reset, heard.is_over = event.error_code, True
            elif isinstance(event, StopSendingReceived):
                self.stopped[event.stream_id] = event.error_code
            if self.h3 is not None:
                for told in self.h3.handle_event(event):
                    self._hear(told)
        self._tell()

    def _hear(self, told: Any) -> None:
        heard = self.heard.get(told.stream_id)
        if heard is None:
            return
        if isinstance(told, HeadersReceived):
            if heard.fields and dict(heard.fields)[b":status"][0] != 0x31:
                heard.trailers = told.headers
            else:
                heard.fields = told.headers
        elif isinstance(told, DataReceived):
            heard.octets += told.data
        heard.is_over |= told.stream_ended

    def _tell(self) -> None:
        self._news.set()
        self._news = trio.Event()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until something is so."""
        with trio.fail_after(PATIENCE_S):
            while not condition():
                await self._news.wait()

    async def flush(self) -> None:
        """Send what there is to send."""
        for data, _ in self.quic.datagrams_to_send(trio.current_time()):
            if not self.lose(data):
                await self.sock.sendto(data, self.server)
        due = self.quic.get_timer()
        if self._scope is not None and due is not None:
            self._scope.deadline = min(self._scope.deadline, due)

    def begin_early(self, *heads: tuple[str, str, str]) -> list[int]:
        """Send requests with the first packets, which a session ticket has to allow; returns their streams.

        All of it is sent before anything can be heard.
        """
        self.h3 = _Http3(self.quic)
        self.quic.connect(self.server, trio.current_time())
        streams: list[int] = []
        for method, host, path in heads:
            told = (
                (":method", method),
                (":scheme", "https"),
                (":authority", host),
                (":path", path),
            )
            streams.append(self.quic.get_next_available_stream_id())
            self.heard[streams[-1]] = Heard()
            fields = [(name.encode(), value.encode()) for name, value in told]
            self.h3.send_headers(streams[-1], fields, end_stream=True)
        for data, _ in self.quic.datagrams_to_send(trio.current_time()):
            self.sock._sock.sendto(data, self.server)  # type: ignore[attr-defined]
        return streams

    async def begin(
        self, method: str, host: str, path: str, *more: tuple[str, str], end: bool = True
    ) -> int:
        """Send a request head; returns the stream."""
        head = [(":method", method), (":scheme", "https"), (":authority", host), (":path", path)]
        fields: Headers = [(n.encode(), v.encode("latin-1")) for n, v in (*head, *more)]
        return await self.begin_with(fields, end=end)

    async def begin_with(self, fields: Headers, *, end: bool = True) -> int:
        """Send fields as the head of a request, whatever they are."""
        assert self.h3 is not None
        identity = self.quic.get_next_available_stream_id()
        self.heard[identity] = Heard()
        if (b":method", b"HEAD") in fields:
            self.h3.without_bodies.add(identity)
        self.h3.send_headers(identity, fields, end_stream=end)
        await self.flush()
        return identity

    async def send_body(self, identity: int, data: bytes, *, end: bool = True) -> None:
        """Write a body; it goes out as the windows allow."""
        assert self.h3 is not None
        self.h3.send_data(identity, data, end_stream=end)
        await self.flush()

    async def cancel(self, identity: int) -> None:
        """Give a request up."""
        self.quic.reset_stream(identity, 0x10C)
        if self.quic._stream_can_receive(identity) and identity in self.quic._streams:
            self.quic.stop_stream(identity, 0x10C)
        await self.flush()

    async def answer(self, identity: int) -> Heard:
        """Wait for the end of a response."""
        heard = self.heard[identity]
        await self.until(lambda: heard.is_over or self.ended)
        return heard

    async def ask(
        self, method: str, host: str, path: str, *more: tuple[str, str], body: bytes | None = None
    ) -> Heard:
        """Send a request and wait for its response."""
        identity = await self.begin(method, host, path, *more, end=body is None)
        if body is not None:
            await self.send_body(identity, body)
        return await self.answer(identity)


def quic_certificate(leaf: trustme.LeafCert) -> dict[str, Any]:
    """What `http3_client` takes to show a certificate to servers that ask for one."""
    chain = [x509.load_pem_x509_certificate(it.bytes()) for it in leaf.cert_chain_pems]
    key = load_pem_private_key(leaf.private_key_pem.bytes(), None)
    return {"certificate": chain[0], "certificate_chain": chain[1:], "private_key": key}


@asynccontextmanager
async def http3_client(
    port: int, name: str = "a.test", *, waits: bool = True, begins: bool = True, **more: Any
) -> AsyncGenerator[Http3Client]:
    """A client of a port on loopback, with its handshake done; without `begins` it has sent nothing."""
    client = Http3Client(port, name, **more)
    if begins:
        client.quic.connect(client.server, trio.current_time())
    try:
        async with trio.open_nursery() as nursery:
            if begins:
                await client.flush()
            nursery.start_soon(client.run)
            if waits and begins:
                await client.until(lambda: client.h3 is not None or client.ended)
            try:
                yield client
            finally:
                client.quic.close()
                await client.flush()
                nursery.cancel_scope.cancel()
    finally:
        client.sock.close()

"""A backend that speaks HTTP/3: aioquic's own server side, on a socket that may lose datagrams."""

from __future__ import annotations

import math
import random
import socket
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import trio
from aioquic._buffer import Buffer
from aioquic.buffer import encode_uint_var
from aioquic.h3.connection import ErrorCode, FrameType, H3Connection, encode_frame
from aioquic.h3.events import DataReceived, H3Event, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import (
    ConnectionIdIssued,
    HandshakeCompleted,
    QuicEvent,
    StopSendingReceived,
    StreamReset,
)
from aioquic.quic.packet import pull_quic_header
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    import trustme

    Address = tuple[Any, ...]

PIECE = 16 * 1024
PATIENCE_S = 60
REJECTED = 0x10B


@dataclass
class Request:
    """What came on a stream."""

    headers: dict[bytes, bytes]
    body: bytearray = field(default_factory=bytearray)
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list[tuple[bytes, bytes]])
    is_refused: bool = False


class _Asking(QuicConnection):
    """Asks its client for a certificate."""

    @override
    def _initialize(self, peer_cid: bytes) -> None:
        super()._initialize(peer_cid)
        tls: Any = self.tls
        tls._request_client_certificate = True


class Session:
    """One connection; what it does with a request is in the path."""

    def __init__(self, backend: Http3Backend, quic: QuicConnection) -> None:
        self.backend = backend
        self.quic = quic
        self.h3: H3Connection | None = None
        self.requests: dict[int, Request] = {}
        self.owed: dict[int, memoryview] = {}

    def work(self) -> None:
        while (event := self.quic.next_event()) is not None:
            if isinstance(event, HandshakeCompleted):
                self.h3 = H3Connection(self.quic)
                tls: Any = self.quic.tls
                shown = tls._peer_certificate
                name = shown.subject.rfc4514_string() if shown is not None else ""
                self.backend.shown.append(name)
            elif isinstance(event, ConnectionIdIssued):
                self.backend.known[event.connection_id] = self
            elif isinstance(event, StreamReset | StopSendingReceived):
                self.owed.pop(event.stream_id, None)
                self.backend.cancelled.add(event.error_code)
                self.backend.changed()
            if self.h3 is not None:
                for told in self.h3.handle_event(event):
                    self.on_message(self.h3, told)
            self.on_event(event)
        for identity in list(self.owed):
            self.send_some(identity)

    def on_event(self, event: QuicEvent) -> None:
        """Act on what happened to the connection."""

    def on_message(self, h3: H3Connection, event: H3Event) -> None:
        if isinstance(event, HeadersReceived):
            known = self.requests.get(event.stream_id)
            if known is None:
                request = self.requests[event.stream_id] = Request(dict(event.headers))
                self.backend.paths.append(request.headers[b":path"])
                self.backend.changed()
                self.begin(h3, event.stream_id, request)
            else:
                known.trailers = event.headers
        elif isinstance(event, DataReceived):
            self.requests[event.stream_id].body += event.data
            self.backend.received += len(event.data)
        else:
            return
        if event.stream_ended:
            self.answer(h3, event.stream_id, self.requests[event.stream_id])

    def begin(self, h3: H3Connection, identity: int, request: Request) -> None:
        """What is done before the body is there."""
        path = request.headers[b":path"]
        if path == b"/refuse" and self.backend.refusals:
            self.backend.refusals -= 1
            request.is_refused = True
            self.quic.reset_stream(identity, REJECTED)
            self.quic.stop_stream(identity, REJECTED)
        elif path == b"/early":
            h3.send_headers(identity, [(b":status", b"413")], end_stream=True)
            self.quic.stop_stream(identity, ErrorCode.H3_NO_ERROR)
        elif path == b"/leave":
            # Whatever comes after this request is not looked at.
            control: Any = h3
            frame = encode_frame(FrameType.GOAWAY, encode_uint_var(identity + 4))
            self.quic.send_stream_data(control._local_control_stream_id, frame)

    def answer(self, h3: H3Connection, identity: int, request: Request) -> None:
        path = request.headers[b":path"]
        body = bytes(request.body)
        if request.is_refused or path in {b"/hang", b"/early"}:
            return
        if path == b"/broken":
            h3.send_headers(identity, [(b":status", b"200"), (b"content-length", b"10")])
            h3.send_data(identity, b"123", end_stream=True)
            return
        if path == b"/half":
            h3.send_headers(identity, [(b":status", b"200")])
            h3.send_data(identity, b"123", end_stream=False)
            self.quic.reset_stream(identity, ErrorCode.H3_INTERNAL_ERROR)
            return
        if path == b"/trailers" or request.headers.get(b"content-type") == b"application/grpc":
            head = [(b":status", b"200"), (b"content-type", b"application/grpc")]
            if path == b"/trailers":
                h3.send_headers(identity, [(b":status", b"103"), (b"link", b"</a>")])
            h3.send_headers(identity, head)
            h3.send_data(identity, body, end_stream=False)
            said = next((value for name, value in request.trailers if name == b"x-said"), b"")
            h3.send_headers(identity, [(b"grpc-status", b"0"), (b"x-heard", said)], end_stream=True)
            return
        if path.startswith(b"/large"):
            body = b"0123456789abcdef" * (int(path.partition(b"?")[2]) // 16)
        headers = [
            (b":status", b"200"),
            (b"x-version", b"3"),
            (b"x-path", path),
            (b"x-host", request.headers[b":authority"]),
            (b"x-scheme", request.headers[b":scheme"]),
            (b"x-server", self.backend.name),
            (b"x-heard", request.headers.get(b"x-said", b"")),
            (b"content-length", str(len(body)).encode()),
        ]
        if request.headers[b":method"] == b"HEAD":
            h3.send_headers(identity, headers, end_stream=True)
            return
        h3.send_headers(identity, headers, end_stream=not body)
        if body:
            self.owed[identity] = memoryview(body)
            self.send_some(identity)

    def send_some(self, identity: int) -> None:
        """Hand out what the connection sends soon, so that the other end's window is felt here."""
        quic: Any = self.quic
        sender = quic._streams[identity].sender
        h3 = self.h3
        while h3 is not None and self.owed.get(identity):
            if sender._buffer_stop - sender.highest_offset > 4 * PIECE:
                return
            piece, self.owed[identity] = self.owed[identity][:PIECE], self.owed[identity][PIECE:]
            self.backend.sent += len(piece)
            h3.send_data(identity, bytes(piece), end_stream=not self.owed[identity])
        self.owed.pop(identity, None)


class Http3Backend:
    """A server that runs.

    Args:
        sock: Its socket.
        certificate: What it shows.
        name: What it says of itself.
        loss: The part of datagrams that it loses, each way.
        asks: Ask clients for a certificate.
    """

    session: type[Session] = Session
    """What acts on a connection."""

    def __init__(
        self,
        sock: trio.socket.SocketType,
        certificate: trustme.LeafCert,
        name: bytes,
        loss: float,
        *,
        asks: bool,
    ) -> None:
        self.name = name
        self.port: int = sock.getsockname()[1]
        self.known: dict[bytes, Session] = {}
        self.paths: list[bytes] = []
        self.shown: list[str] = []
        """The subjects of the certificates that clients showed, a connection each; empty for none."""
        self.cancelled: set[int] = set()
        """The codes of what was reset or stopped."""
        self.refusals = 0
        """Requests for /refuse that are still refused."""
        self.received = 0
        self.sent = 0
        self.is_silent = False
        """Whether it hears and says nothing any more."""
        self._asks = asks
        self._sock = sock
        self._loss = loss
        self._luck = random.Random(3)
        self._sessions: dict[Session, Address] = {}
        self._changed = trio.Event()
        self._waiting = trio.CancelScope()
        """What `run` waits in, up to the next timer."""
        self._configuration = QuicConfiguration(
            is_client=False, alpn_protocols=["h3"], max_stream_data=64 * 1024, max_data=256 * 1024
        )
        pem = certificate.private_key_and_cert_chain_pem.bytes()
        own, *chain = x509.load_pem_x509_certificates(pem)
        self._configuration.certificate, self._configuration.certificate_chain = own, chain
        self._configuration.private_key = load_pem_private_key(pem, None)

    @property
    def connections(self) -> int:
        """How many handshakes were made."""
        return len(self.shown)

    def changed(self) -> None:
        """Wake who waits for something to come."""
        self._changed.set()
        self._changed = trio.Event()

    async def wait_for(self, what: Any) -> None:
        """Wait until `what()` is true."""
        with trio.fail_after(PATIENCE_S):
            while not what():
                await self._changed.wait()

    def vanish(self) -> None:
        """Be as if the machine had been cut off."""
        self.is_silent = True
        self._sessions.clear()
        self.known.clear()

    def close_all(self) -> None:
        """Say CONNECTION_CLOSE on every connection."""
        for session in self._sessions:
            session.quic.close(error_code=ErrorCode.H3_NO_ERROR)
        self.send_all()

    async def run(self) -> None:
        """Serve until cancelled."""
        while True:
            with trio.move_on_at(self._due()) as self._waiting:
                data, address = await self._sock.recvfrom(65536)
                self._hear(data, address)
            now = trio.current_time()
            if self._waiting.cancelled_caught:
                for session in list(self._sessions):
                    timer = session.quic.get_timer()
                    if timer is not None and timer <= now:
                        session.quic.handle_timer(now)
                        session.work()
                self.changed()
            self.send_all()

    def _due(self) -> float:
        """When the first timer strikes."""
        timers = (it.quic.get_timer() for it in self._sessions)
        return min((it for it in timers if it is not None), default=math.inf)

    def _loses(self) -> bool:
        return self.is_silent or self._luck.random() < self._loss

    def _hear(self, data: bytes, address: Address) -> None:
        if self._loses():
            return
        header = pull_quic_header(Buffer(data=data), host_cid_length=8)
        session = self.known.get(header.destination_cid)
        if session is None:
            if header.packet_type.name != "INITIAL":
                return  # of a connection that another life of this server had
            quic = (_Asking if self._asks else QuicConnection)(
                configuration=self._configuration,
                original_destination_connection_id=header.destination_cid,
            )
            session = self.session(self, quic)
            self.known[header.destination_cid] = session
            self.known[quic.host_cid] = session
        self._sessions[session] = address
        session.quic.receive_datagram(data, address, trio.current_time())
        session.work()
        self.changed()

    def send_all(self) -> None:
        """Send what there is to send."""
        now = trio.current_time()
        for session in list(self._sessions):
            for data, address in session.quic.datagrams_to_send(now):
                if not self._loses():
                    self._put(data, address)
            session.work()
            if session.quic.get_timer() is None:
                del self._sessions[session]
        # A stream may have called while `run` waits: what the pacer holds back, or what is lost, goes out in time.
        self._waiting.deadline = min(self._waiting.deadline, self._due())

    def _put(self, data: bytes, address: Address) -> None:
        try:
            socket.socket.sendto(self._raw, data, address)
        except OSError:
            return  # as any router would

    @property
    def _raw(self) -> socket.socket:
        sock: Any = self._sock
        raw: socket.socket = sock._sock
        return raw


@asynccontextmanager
async def http3_backend(
    certificate: trustme.LeafCert,
    *,
    port: int = 0,
    name: bytes = b"one",
    loss: float = 0.0,
    asks: bool = False,
) -> AsyncGenerator[Http3Backend]:
    """Run a backend on a port of this machine."""
    sock = trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        await sock.bind(("127.0.0.1", port))
        backend = Http3Backend(sock, certificate, name, loss, asks=asks)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(backend.run)
            yield backend
            nursery.cancel_scope.cancel()
    finally:
        sock.close()

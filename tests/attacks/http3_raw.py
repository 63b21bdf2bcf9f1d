"""A client of HTTP/3 that sends whatever it likes: octets on streams, and packets with any frames of QUIC.

The handshake, and what has to be heard and acknowledged for it, are aioquic's. Behind it, `send` writes octets to a stream as
the windows allow, and `packets` sends packets of frames that nobody counts or keeps.
"""

from __future__ import annotations

import math
import socket
import ssl
from collections import defaultdict
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pylsqpack
import trio
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection, stream_is_client_initiated
from aioquic.quic.events import (
    ConnectionTerminated,
    HandshakeCompleted,
    StopSendingReceived,
    StreamDataReceived,
    StreamReset,
)
from aioquic.tls import Epoch
from typing_extensions import override

from tests.attacks.streams import Outcomes, Text, literal, octets_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable

    from aioquic.quic.stream import QuicStream

__all__ = ["RawHttp3", "frame", "packet_of", "raw_http3"]

DATA, HEADERS, CANCEL_PUSH, SETTINGS, PUSH_PROMISE, GOAWAY, MAX_PUSH_ID = 0, 1, 3, 4, 5, 7, 13
CONTROL, PUSH, QPACK_ENCODER, QPACK_DECODER = range(4)
"""What a stream of one direction begins with."""
NO_ERROR, EXCESSIVE_LOAD, SETTINGS_ERROR, MESSAGE_ERROR = 0x100, 0x107, 0x109, 0x10E
QPACK_FAILED = 0x200
FIRST_OF_ONE_WAY: Final = 2
AT_ONCE: Final = 64
"""Packets that are sent before the gateway has to have read them."""
PATIENCE_S: Final = 120.0
"""The longest single wait: what is allowed may take the gateway 30,000 requests of CPU, on a machine that others use."""
PING: Final = b"\1"


def number(value: int) -> bytes:
    """An integer as QUIC writes it, in as few octets as there can be."""
    for size, mark in ((1, 0), (2, 1), (4, 2)):
        if value < 1 << 8 * size - 2:
            return (mark << 8 * size - 2 | value).to_bytes(size)
    return (3 << 62 | value).to_bytes(8)


def frame(kind: int, body: bytes = b"") -> bytes:
    """The octets of a frame of HTTP/3."""
    return number(kind) + number(len(body)) + body


def block(fields: Iterable[tuple[Text, Text]]) -> bytes:
    """An encoded block of fields, whatever is in them: literals, in no table (RFC 9204 section 4.5.6)."""
    coded = (literal(name, 3, 0x20) + literal(value) for name, value in octets_of(fields))
    return b"\0\0" + b"".join(coded)


def head(path: str = "/", *more: tuple[str, str], host: str = "a.test") -> bytes:
    """The HEADERS frame of a request."""
    pseudo = [(":method", "GET"), (":scheme", "https"), (":authority", host), (":path", path)]
    return frame(HEADERS, block([*pseudo, *more]))


def stream_frame(stream: int, data: bytes, offset: int = 0, *, end: bool = False) -> bytes:
    """A STREAM frame of QUIC."""
    return bytes([0x0E | end]) + number(stream) + number(offset) + number(len(data)) + data


def packet_of(state: Any, frames: bytes) -> bytes:
    """A packet with these frames, of a connection of aioquic's that takes no notice of it."""
    count = state._packet_number
    state._packet_number += 1
    plain = bytes([0x43]) + state._peer_cid.cid + (count & 0xFFFFFFFF).to_bytes(4)
    padded = frames + bytes(max(4 - len(frames), 0))
    return bytes(state._cryptos[Epoch.ONE_RTT].encrypt_packet(plain, padded, count))


def unread(port: int) -> int:
    """Bytes that wait in the UDP sockets of a port, with what they take of the kernel."""
    waiting = 0
    for name in ("udp", "udp6"):
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
            words = line.split()
            if int(words[1].rpartition(":")[2], 16) == port:
                waiting += int(words[4].rpartition(":")[2], 16)
    return waiting


async def until_read(port: int) -> None:
    """Wait until a UDP port has read what was sent to it; the kernel tells nobody."""
    while unread(port):  # noqa: ASYNC110 (as said)
        await trio.sleep(0.001)


class _Careless(QuicConnection):
    """Hears of streams that were opened behind its back, in packets that are not its own."""

    @override
    def _stream_is_discarded(self, stream_id: int) -> bool:
        return False

    @override
    def _get_or_create_stream(self, frame_type: int, stream_id: int) -> QuicStream:
        if stream_is_client_initiated(stream_id):
            return self._get_or_create_stream_for_send(stream_id)
        return super()._get_or_create_stream(frame_type, stream_id)


class RawHttp3(Outcomes):
    """One connection, and what came of it.

    Attributes:
        quic: aioquic's state.
        ended: What the gateway closed the connection with; None while it is open.
        stopped: Codes of streams that the gateway reads no more.
        sent_bytes: Bytes of datagrams that went out.
        heard_bytes: Bytes of datagrams that came.
    """

    def __init__(self, port: int, **more: Any) -> None:
        super().__init__()
        configuration = QuicConfiguration(
            is_client=True, alpn_protocols=["h3"], server_name="a.test"
        )
        configuration.verify_mode = ssl.CERT_NONE
        for key, value in more.items():
            setattr(configuration, key, value)
        self.port = port
        self.quic = _Careless(configuration=configuration)
        self.ended: ConnectionTerminated | None = None
        self.is_ready = False
        self.is_deaf = False
        """Whether what comes is left unread."""
        self.stopped: dict[int, int] = {}
        self.sent_bytes = 0
        self.heard_bytes = 0
        self._held: defaultdict[int, bytearray] = defaultdict(bytearray)
        self._decoder = pylsqpack.Decoder(0, 0)
        self._sock = trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._news = trio.Event()
        self._scope = trio.CancelScope()

    @property
    def server(self) -> tuple[str, int]:
        """Where the gateway is."""
        return "127.0.0.1", self.port

    async def begin(self) -> None:
        """Send the first message of the handshake."""
        await self._sock.bind(("127.0.0.1", 0))
        self.quic.connect(self.server, trio.current_time())
        await self.flush()

    async def run(self) -> None:
        """Hear what comes, and keep time, until cancelled."""
        while True:
            due = self.quic.get_timer()
            with trio.CancelScope(deadline=math.inf if due is None else due) as self._scope:
                try:
                    data, _ = await self._sock.recvfrom(65536)
                except OSError:
                    await trio.lowlevel.checkpoint()  # it moved
                    continue
                except trio.ClosedResourceError:
                    continue
                self.heard_bytes += len(data)
                if self.is_deaf:
                    continue
                self.quic.receive_datagram(data, self.server, trio.current_time())
            if self._scope.cancelled_caught and due is not None and due <= trio.current_time():
                self.quic.handle_timer(trio.current_time())
            self._act()
            await self.flush()

    def _act(self) -> None:
        state: Any = self.quic
        while (event := self.quic.next_event()) is not None:
            if isinstance(event, HandshakeCompleted):
                self.is_ready = True
                # It keeps count of what it sends no better than of what it is sent.
                state._local_active_connection_id_limit = 1 << 30
            elif isinstance(event, StreamReset):
                self.note_reset(event.stream_id, event.error_code)
            elif isinstance(event, StopSendingReceived):
                self.stopped[event.stream_id] = event.error_code
            elif isinstance(event, StreamDataReceived) and not event.stream_id & FIRST_OF_ONE_WAY:
                self._hear(event.stream_id, event.data, ends=event.end_stream)
        self.ended = state._close_event  # that event comes when all is over, which is later
        self._news.set()
        self._news = trio.Event()

    def _hear(self, stream: int, data: bytes, *, ends: bool) -> None:
        held = self._held[stream]
        held += data
        while len(held) >= 2:
            kind, at = _read_number(held, 0)
            size, at = _read_number(held, at)
            if len(held) < at + size:
                break
            body = bytes(held[at : at + size])
            del held[: at + size]
            if kind == HEADERS:
                _, fields = self._decoder.feed_header(stream, body)
                self.note_head(stream, dict(fields))
            elif kind == DATA:
                self.note_body(stream, body)
        if ends:
            self.over.add(stream)

    async def flush(self) -> None:
        """Send what there is to send."""
        for data, _ in self.quic.datagrams_to_send(trio.current_time()):
            await self.put(data)
        due = self.quic.get_timer()
        if due is not None:
            self._scope.deadline = min(self._scope.deadline, due)

    async def acknowledge(self) -> None:
        """Acknowledge all that came, at once."""
        state: Any = self.quic
        state._spaces[Epoch.ONE_RTT].ack_at = trio.current_time()
        await self.flush()

    async def put(self, data: bytes) -> None:
        """Send a datagram, whatever it is."""
        self.sent_bytes += len(data)
        await self._sock.sendto(data, self.server)

    async def move(self) -> None:
        """Go on from another port, without a word."""
        sock = trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        await sock.bind(("127.0.0.1", 0))
        left, self._sock = self._sock, sock
        left.close()

    async def send(self, stream: int, data: bytes, *, end: bool = False) -> None:
        """Write octets to a stream; they go out as the windows allow."""
        if self.ended is None:
            self.quic.send_stream_data(stream, data, end)
            await self.flush()

    def packet(self, frames: bytes) -> bytes:
        """A packet of the application's with these frames, which is never sent again."""
        return packet_of(self.quic, frames)

    async def packets(self, payloads: Iterable[bytes]) -> int:
        """Send packets of these frames, no faster than they are read, until the gateway ends the connection.

        Returns:
            How many were sent.
        """
        count, left = 0, iter(payloads)
        # All of them are made before any is sent: a gateway that is quicker than this client would read them one by one.
        while self.ended is None and (made := [self.packet(it) for it in islice(left, AT_ONCE)]):
            for data in made:
                await self.put(data)
            count += len(made)
            await until_read(self.port)
        return count

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until something is so, or the connection is over."""
        with trio.fail_after(PATIENCE_S):
            while self.ended is None and not condition():
                await self._news.wait()

    async def until_over(self, stream: int) -> None:
        """Wait until a stream, or the whole connection, is over."""
        await self.until(lambda: self.has_ended(stream))

    async def until_heard(self, size: int) -> None:
        """Wait until so many bytes of datagrams came, or the connection is over."""
        await self.until(lambda: self.heard_bytes >= size)

    async def until_streams(self, count: int, *, is_one_way: bool) -> None:
        """Wait until there may have been so many streams, or the connection is over."""
        state: Any = self.quic
        kind = "uni" if is_one_way else "bidi"
        await self.until(lambda: getattr(state, f"_remote_max_streams_{kind}") >= count)

    async def until_ended(self) -> int:
        """Wait until the gateway closed the connection; returns its code."""
        await self.until(lambda: False)
        assert self.ended is not None, "waited for"
        return self.ended.error_code

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()


def _read_number(data: bytes | bytearray, at: int) -> tuple[int, int]:
    """Read an integer of QUIC; returns it and the place behind it, which is far away when it is not whole."""
    if at >= len(data):
        return 0, 1 << 62
    size = 1 << (data[at] >> 6)
    if at + size > len(data):
        return 0, 1 << 62
    return int.from_bytes(data[at : at + size]) & (1 << 8 * size - 2) - 1, at + size


@asynccontextmanager
async def raw_http3(
    port: int, *, speaks: bool = True, waits: bool = True, **more: Any
) -> AsyncGenerator[RawHttp3]:
    """Connect, and say SETTINGS unless `speaks` is False; `waits` is False for one that makes no handshake yet."""
    client = RawHttp3(port, **more)
    try:
        async with trio.open_nursery() as nursery:
            await client.begin()
            nursery.start_soon(client.run)
            if waits:
                await client.until(lambda: client.is_ready)
            if waits and speaks:
                await client.send(FIRST_OF_ONE_WAY, number(CONTROL) + frame(SETTINGS))
            yield client
            nursery.cancel_scope.cancel()
    finally:
        # Said whatever happened here, or the gateway would wait for it while others are tested.
        with trio.CancelScope(shield=True):
            client.quic.close()
            await client.flush()
        client.close()

"""A client of HTTP/2 that sends whatever it likes, frame by frame, and notes what it gets back."""

from __future__ import annotations

from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import hpack
import trio

from tests.attacks.streams import Outcomes, Text, literal, octets_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, Iterable

__all__ = ["PREFACE", "RawHttp2", "frame", "head", "raw_http2"]

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY = range(8)
WINDOW_UPDATE, CONTINUATION, PRIORITY_UPDATE = 8, 9, 16
END_STREAM, ACK, END_HEADERS, PADDED = 1, 1, 4, 8
PROTOCOL_ERROR, REFUSED_STREAM, ENHANCE_YOUR_CALM = 1, 7, 11
FRAME_HEAD: Final = 9


def frame(kind: int, stream: int = 0, body: bytes = b"", flags: int = 0) -> bytes:
    """The octets of a frame."""
    return len(body).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + body


def block(fields: Iterable[tuple[Text, Text]]) -> bytes:
    """An encoded block of fields, whatever is in them: literals, in no table (RFC 7541 section 6.2.2)."""
    return b"".join(b"\0" + literal(name) + literal(value) for name, value in octets_of(fields))


def head(
    path: str = "/", *more: tuple[str, str], method: str = "GET", host: str = "a.test"
) -> bytes:
    """The encoded head of a request."""
    pseudo = [(":method", method), (":scheme", "http"), (":authority", host), (":path", path)]
    return block([*pseudo, *more])


class RawHttp2(Outcomes):
    """One connection, and what came of it.

    Attributes:
        goaway: The error code of a GOAWAY that closes; None without one.
        frames: How many frames of each kind came.
        closed: Set when the gateway ended the connection.
    """

    def __init__(self, stream: trio.abc.Stream) -> None:
        super().__init__()
        self.stream = stream
        self.goaway: int | None = None
        self.frames: Counter[int] = Counter()
        self.closed = trio.Event()
        self._decoder = hpack.Decoder()
        self._news = trio.Event()

    async def send(self, data: bytes) -> bool:
        """Send octets; False once the gateway ended the connection."""
        if self.closed.is_set():
            return False
        try:
            await self.stream.send_all(data)
        except trio.BrokenResourceError:
            return False
        return True

    async def flood(self, data: bytes, most: int) -> int:
        """Send the same octets again and again until the gateway ends the connection.

        Returns:
            How often; `most` when the gateway let it all happen.
        """
        for count in range(most):
            if not await self.send(data):
                return count
        return most

    async def read(self) -> None:
        """Note what comes until the end. Run by `raw_http2`."""
        held = bytearray()
        try:
            while data := await self.stream.receive_some(65536):
                held += data
                while len(held) >= FRAME_HEAD:
                    end = FRAME_HEAD + int.from_bytes(held[:3])
                    if len(held) < end:
                        break
                    self._note(
                        held[3], held[4], int.from_bytes(held[5:9]), bytes(held[FRAME_HEAD:end])
                    )
                    del held[:end]
                self._tell()
        except trio.BrokenResourceError:
            pass
        self.closed.set()
        self._tell()

    def _note(self, kind: int, flags: int, stream: int, body: bytes) -> None:
        self.frames[kind] += 1
        if kind == HEADERS:
            self.note_head(stream, dict(self._decoder.decode(body, raw=True)))
        elif kind == DATA:
            self.note_body(stream, body)
        elif kind == RST_STREAM:
            self.note_reset(stream, int.from_bytes(body))
        elif kind == GOAWAY:
            self.goaway = int.from_bytes(body[4:8])
        if kind in {DATA, HEADERS} and flags & END_STREAM:
            self.over.add(stream)

    def _tell(self) -> None:
        self._news.set()
        self._news = trio.Event()

    async def until(self, stream: int) -> None:
        """Wait until a stream, or the whole connection, is over."""
        while not (self.closed.is_set() or self.has_ended(stream)):
            await self._news.wait()

    async def until_received(self, size: int) -> None:
        """Wait until so many bytes of bodies came, or the connection is over."""
        while not self.closed.is_set() and self.received < size:
            await self._news.wait()


@asynccontextmanager
async def raw_http2(
    port: int,
    *settings: tuple[int, int],
    context: ssl.SSLContext | None = None,
    reads: bool = True,
) -> AsyncGenerator[RawHttp2]:
    """Connect, say the preface and these settings; `reads` is False for a client that takes nothing."""
    stream: trio.abc.Stream = await trio.open_tcp_stream("127.0.0.1", port)
    if context is not None:
        context.set_alpn_protocols(["h2"])
        secure = trio.SSLStream(stream, context, server_hostname="a.test", https_compatible=True)
        await secure.do_handshake()
        stream = secure
    async with stream, trio.open_nursery() as nursery:
        client = RawHttp2(stream)
        if reads:
            nursery.start_soon(client.read)
        said = b"".join(code.to_bytes(2) + value.to_bytes(4) for code, value in settings)
        await client.send(PREFACE + frame(SETTINGS, 0, said) + frame(SETTINGS, flags=ACK))
        yield client
        nursery.cancel_scope.cancel()

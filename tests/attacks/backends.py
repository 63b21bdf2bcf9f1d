"""Backends that count what they are asked for, and keep what reached them."""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import trio

__all__ = ["LARGE_BYTES", "Backend", "Http2Backend"]

SMALL: Final = b"s" * 1024
PIECE: Final = SMALL * 16
LARGE_BYTES: Final = 4 * 1024 * 1024
LENGTH: Final = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
KEPT: Final = 100
"""Heads that are kept at most."""


class Backend:
    """Speaks HTTP/1.1: 1 KiB for every path but `/large`, and nothing for `/held` until the client leaves."""

    def __init__(self) -> None:
        self.port = 0
        self.asked: Counter[str] = Counter()
        self.heard = 0
        """Bytes of heads, and of what never becomes one."""
        self.received = 0
        """Bytes of requests' bodies, with what frames them."""
        self.sent = 0
        """Bytes of answers' bodies that a socket took."""
        self.held = 0
        """Answers that are under way."""
        self.heads: list[bytes] = []
        """The last heads."""

    async def serve(self, stream: trio.SocketStream) -> None:
        """Serve one connection."""
        buffered = b""
        async with stream:
            try:
                while True:
                    while b"\r\n\r\n" not in buffered:
                        data = await stream.receive_some(65536)
                        if not data:
                            return
                        self.heard += len(data)
                        buffered += data
                    head, _, buffered = buffered.partition(b"\r\n\r\n")
                    # Whatever came: what got past the gateway is to be counted.
                    path = head.partition(b" ")[2].partition(b" ")[0].decode("latin-1")
                    self.asked[path] += 1
                    self.heads = [*self.heads[-KEPT:], head]
                    self.held += 1
                    try:
                        buffered = await self._read_body(stream, head, buffered)
                        await self._answer(stream, path)
                    finally:
                        self.held -= 1
            except (trio.BrokenResourceError, EOFError):
                return

    async def _read_body(self, stream: trio.SocketStream, head: bytes, body: bytes) -> bytes:
        """Read a body, and return what is behind it."""
        length = LENGTH.search(head)
        if length is not None:
            left = int(length[1])
            while len(body) < left:
                left -= len(body)
                self.received += len(body)
                body = await _more(stream)
            self.received += left
            return body[left:]
        if b"\r\ntransfer-encoding: chunked" in head.lower():
            while b"0\r\n\r\n" not in body:
                self.received += max(len(body) - 4, 0)
                body = body[-4:] + await _more(stream)
            rest, _, behind = body.partition(b"0\r\n\r\n")
            self.received += len(rest)
            return behind
        return body

    async def _answer(self, stream: trio.SocketStream, path: str) -> None:
        if path == "/held":
            await _more(stream)
            return
        size, piece = (LARGE_BYTES, PIECE) if path == "/large" else (len(SMALL), SMALL)
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // len(piece)):
            await stream.send_all(piece)
            self.sent += len(piece)


async def _more(stream: trio.SocketStream) -> bytes:
    data = await stream.receive_some(65536)
    if not data:
        raise EOFError
    return bytes(data)


class Http2Backend:
    """Speaks HTTP/2 without TLS: an empty answer with 200 for every path."""

    def __init__(self) -> None:
        self.port = 0
        self.asked: Counter[str] = Counter()
        self.connections = 0
        self.resets = 0
        """RST_STREAM frames that the gateway sent."""
        self.held = 0
        """Answers that are under way: those to `/held` wait for the client to leave."""
        self.heads: list[list[tuple[bytes, bytes]]] = []
        """The last heads."""

    async def serve(self, stream: trio.SocketStream) -> None:
        """Serve one connection."""
        self.connections += 1
        config = h2.config.H2Configuration(client_side=False, header_encoding=None)
        peer = h2.connection.H2Connection(config)
        peer.initiate_connection()
        held: set[int] = set()
        async with stream:
            try:
                await stream.send_all(peer.data_to_send())
                while data := await stream.receive_some(65536):
                    for event in peer.receive_data(data):
                        self._note(peer, event, held)
                    await stream.send_all(peer.data_to_send())
            except (trio.BrokenResourceError, h2.exceptions.ProtocolError):
                return
            finally:
                self.held -= len(held)

    def _note(
        self, peer: h2.connection.H2Connection, event: h2.events.Event, held: set[int]
    ) -> None:
        if isinstance(event, h2.events.RequestReceived):
            fields = [(bytes(name), bytes(value)) for name, value in event.headers or []]
            path = dict(fields)[b":path"].decode("latin-1")
            self.asked[path] += 1
            self.heads = [*self.heads[-KEPT:], fields]
            if path == "/held":
                held.add(event.stream_id or 0)
                self.held += 1
        elif isinstance(event, h2.events.DataReceived):
            peer.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamReset):
            self.resets += 1
            if event.stream_id in held:
                held.discard(event.stream_id)
                self.held -= 1
        elif isinstance(event, h2.events.StreamEnded) and event.stream_id not in held:
            peer.send_headers(event.stream_id, [(":status", "200")], end_stream=True)

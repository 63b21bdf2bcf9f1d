"""A client of HTTP/2 over a real connection, on the `h2` library: one request at a time, or many."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import h2.config
import h2.connection
import h2.events
import trio
from h2.connection import ConnectionInputs, ConnectionState

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, Callable

Fields = list[tuple[bytes, bytes]]


@dataclass
class Heard:
    """A response."""

    fields: Fields = field(default_factory=Fields)
    octets: bytearray = field(default_factory=bytearray)
    """The body, which grows in place: a large one comes in thousands of pieces."""
    trailers: Fields = field(default_factory=Fields)
    reset: int | None = None
    """The error code of a RST_STREAM."""
    is_over: bool = False

    @property
    def body(self) -> bytes:
        """What came of the body so far."""
        return bytes(self.octets)

    @property
    def status(self) -> int:
        return int(dict(self.fields).get(b":status", b"0"))


class Http2Client:
    """A connection that speaks HTTP/2."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        config = h2.config.H2Configuration(
            client_side=True, validate_outbound_headers=False, normalize_outbound_headers=False
        )
        self.h2 = h2.connection.H2Connection(config)
        # To the library a GOAWAY is the end of everything; streams that are open go on (RFC 9113 section 6.8).
        machine: Any = self.h2.state_machine
        going = (ConnectionState.CLIENT_OPEN, ConnectionInputs.RECV_GOAWAY)
        machine._transitions = machine._transitions | {going: (None, ConnectionState.CLIENT_OPEN)}
        self.heard: dict[int, Heard] = {}
        self.goaway: int | None = None

    async def flush(self) -> None:
        """Send what there is to send."""
        await self.stream.send_all(self.h2.data_to_send())

    async def begin(
        self, method: str, host: str, path: str, *more: tuple[str, str], end: bool = True
    ) -> int:
        """Send a request head; returns the stream."""
        identity = self.h2.get_next_available_stream_id()
        head = [(":method", method), (":scheme", "https"), (":authority", host), (":path", path)]
        self.h2.send_headers(identity, [*head, *more], end_stream=end)
        self.heard[identity] = Heard()
        await self.flush()
        return identity

    async def send_body(self, identity: int, data: bytes, *, end: bool = True) -> None:
        """Send a body as the windows allow."""
        rest = memoryview(data)
        while rest:
            room = min(self.h2.local_flow_control_window(identity), self.h2.max_outbound_frame_size)
            if room == 0:
                await self.hear()
                continue
            self.h2.send_data(identity, bytes(rest[:room]))
            rest = rest[room:]
            await self.flush()
        if end:
            self.h2.end_stream(identity)
            await self.flush()

    async def hear(self) -> bool:
        """Take what comes next; False at the end of the connection."""
        try:
            data = await self.stream.receive_some(65536)
        except trio.BrokenResourceError:
            return False
        for event in self.h2.receive_data(data):
            self._note(event)
        await self.flush()
        return bool(data)

    def _note(self, event: h2.events.Event) -> None:
        known: Any = event
        heard = self.heard.get(getattr(event, "stream_id", 0) or 0, Heard())
        if isinstance(event, h2.events.ResponseReceived):
            heard.fields = list(known.headers)
        elif isinstance(event, h2.events.TrailersReceived):
            heard.trailers = list(known.headers)
        elif isinstance(event, h2.events.DataReceived):
            heard.octets += known.data
            self.h2.acknowledge_received_data(known.flow_controlled_length, known.stream_id)
        elif isinstance(event, h2.events.StreamReset):
            heard.reset, heard.is_over = int(known.error_code), True
        elif isinstance(event, h2.events.StreamEnded):
            heard.is_over = True
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.goaway = int(known.error_code)

    async def until(self, condition: Callable[[], object]) -> None:
        """Take what comes until something is so."""
        while not condition():
            assert await self.hear(), "the connection ended before that"

    async def answer(self, identity: int) -> Heard:
        """Wait for a whole response."""
        heard = self.heard[identity]
        await self.until(lambda: heard.is_over)
        return heard

    async def ask(
        self, method: str, host: str, path: str, *more: tuple[str, str], body: bytes = b""
    ) -> Heard:
        """Send a request and wait for its response."""
        identity = await self.begin(method, host, path, *more, end=not body)
        if body:
            await self.send_body(identity, body)
        return await self.answer(identity)


@asynccontextmanager
async def http2_client(
    port: int, host: str = "a.test", context: ssl.SSLContext | None = None
) -> AsyncGenerator[Http2Client]:
    """Connect, by TLS when there is a context, and open the connection of HTTP/2."""
    stream: trio.abc.Stream = await trio.open_tcp_stream("127.0.0.1", port)
    if context is not None:
        context.set_alpn_protocols(["h2"])
        secure = trio.SSLStream(stream, context, server_hostname=host, https_compatible=True)
        await secure.do_handshake()
        assert secure.selected_alpn_protocol() == "h2"
        stream = secure
    async with stream:
        client = Http2Client(stream)
        client.h2.initiate_connection()
        await client.flush()
        yield client

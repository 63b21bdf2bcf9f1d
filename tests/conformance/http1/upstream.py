"""Fake backends: one that a test plays by hand, and one that answers and writes down."""

from collections.abc import Callable
from dataclasses import dataclass, field

import h11
import trio

from tests.conformance.http1.messages import RequestReader, RequestSeen
from tests.conformance.http1.wire import Wire

__all__ = ["OK", "Recorder", "Recording", "Upstream"]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Upstream:
    """A listening socket; the test accepts and plays each connection itself."""

    def __init__(self, listener: trio.SocketListener) -> None:
        self._listener = listener
        self.port: int = listener.socket.getsockname()[1]

    @classmethod
    async def open(cls) -> "Upstream":
        """Listen on a free port of this machine."""
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        return cls(listener)

    async def accept(self) -> Wire:
        """The next connection of the gateway."""
        return Wire(await self._listener.accept())

    async def close(self) -> None:
        """Listen no more."""
        await self._listener.aclose()


@dataclass
class Recording:
    """One connection to a `Recorder`."""

    raw: bytearray = field(default_factory=bytearray)
    requests: list[RequestSeen] = field(default_factory=list)
    is_over: bool = False
    """The connection has ended."""
    fault: str | None = None
    """What h11 did not like."""


class Recorder:
    """Answers each whole request, and remembers every byte.

    Args:
        upstream: Where to accept.
        answer: The response to a request, in bytes.
    """

    def __init__(
        self, upstream: Upstream, answer: Callable[[RequestSeen], bytes] | None = None
    ) -> None:
        self.upstream = upstream
        self.connections: list[Recording] = []
        self._answer = answer or _ok

    @property
    def raw(self) -> bytes:
        """All bytes received, connection after connection."""
        return b"".join(bytes(connection.raw) for connection in self.connections)

    @property
    def requests(self) -> list[RequestSeen]:
        """All whole requests received."""
        return [request for connection in self.connections for request in connection.requests]

    async def run(self) -> None:
        """Serve until cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                wire = await self.upstream.accept()
                nursery.start_soon(self._serve, wire)

    async def _serve(self, wire: Wire) -> None:
        recording = Recording()
        self.connections.append(recording)
        try:
            while await self._serve_one(wire, recording):
                pass
        finally:
            recording.is_over = True
            with trio.CancelScope(shield=True):
                await wire.close()

    async def _serve_one(self, wire: Wire, recording: Recording) -> bool:
        """Receive and answer one request; say whether there was one."""
        reader = RequestReader()
        while True:
            piece = await wire.read_some()
            if not piece:
                return False
            recording.raw += piece
            try:
                whole = reader.feed(piece)
            except h11.RemoteProtocolError as error:
                recording.fault = str(error)
                return False
            if whole:
                recording.requests.append(reader.seen)
                recording.fault = "bytes behind a request" if reader.rest else recording.fault
                await wire.send(self._answer(reader.seen))
                return not reader.rest


def _ok(request: RequestSeen) -> bytes:
    return OK.removesuffix(b"ok") if request.method == b"HEAD" else OK

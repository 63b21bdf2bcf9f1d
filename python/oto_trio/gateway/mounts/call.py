"""One request to an application, and its answer: what all kinds of applications have in common.

Back-pressure
    The engine hands out 64 KiB of a request's body beyond what the application read. An application that
    writes waits while the client has more than `WINDOW_BYTES` to take.
"""

import json
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

import trio

from oto_trio._core import FieldBlock
from oto_trio.gateway.listeners.carried_engine import CallEngine

__all__ = ["Call", "Head", "HeadFields", "reason_of"]

WINDOW_BYTES: Final = 128 * 1024
"""Bytes of an answer that wait for the client before its writer does."""

PIECE_BYTES: Final = 64 * 1024
"""The most that goes to the engine at once."""

PORT_DIGITS: Final = 5

BODILESS: Final = frozenset({204, 304})

OF_A_CONNECTION: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade", b"te"}
)
"""Fields that say something of a connection, where there is none."""

HeadFields: TypeAlias = Iterable[tuple[bytes, bytes]]


def reason_of(error: BaseException) -> str:
    """Return what an error says of itself, or its name when it says nothing."""
    return str(error) or type(error).__name__


class Head:
    """The head of a request.

    Args:
        fields: Its fields as they would go to a backend of HTTP/2, and what only an application is told.
    """

    def __init__(self, fields: FieldBlock) -> None:
        said: dict[bytes, bytes] = {}
        self.headers: list[tuple[bytes, bytes]] = []
        """Names in lower case, `host` first."""
        for name, value in fields:
            if name.startswith(b":"):
                said[name] = value
            elif name != b"te":
                self.headers.append((name, value))
        self.method = said[b":method"].decode("latin-1")
        self.scheme = said[b":scheme"].decode("latin-1")
        self.host = said[b":authority"]
        self.headers.insert(0, (b"host", self.host))
        self.raw_path, _, self.query = said[b":path"].partition(b"?")
        self.client = said[b":client"].decode("latin-1")
        self.matched = said[b":matched"].decode("latin-1")
        """What of the client's path led to the route and was taken off."""

    @property
    def server(self) -> tuple[str, int | None]:
        """The host that the client asked, an address of IPv6 in brackets, and the port if it named one."""
        host = self.host.decode("latin-1")
        name, colon, port = host.rpartition(":")
        if not colon or host.endswith("]"):
            return host, None
        is_port = port.isascii() and port.isdigit() and len(port) <= PORT_DIGITS
        return name, int(port) if is_port else None


class Call:
    """A request as an application reads it, and where it writes its answer.

    Args:
        engine: Has the exchange.
        stream: The engine's number of it.
        fields: The head.
        ends: Whether there is no body.
        clock: Reads the Trio clock.
        wake: Has the engine turned soon.
    """

    def __init__(
        self,
        engine: CallEngine,
        stream: int,
        fields: FieldBlock,
        *,
        ends: bool,
        clock: Callable[[], float],
        wake: Callable[[], None],
    ) -> None:
        self.stream = stream
        self.head = Head(fields)
        self.scope = trio.CancelScope()
        """Cancelled when nobody wants the answer any more."""
        self.is_begun = False
        """Whether the head of the answer is out."""
        self.over = trio.Event()
        """Set when all of the answer is out, or the rest of it will never come."""
        self._engine = engine
        self._clock = clock
        self._wake = wake
        self._body: deque[bytes] = deque()
        self._is_whole = ends
        self._moved = trio.Event()
        self._owed = 0
        self._is_muted = self.head.method == "HEAD"

    # ----------------------------------------------------------------------- from the engine

    @property
    def is_over(self) -> bool:
        """Whether all of the answer is out, or the rest of it will never come."""
        return self.over.is_set()

    def push(self, data: bytes, *, ends: bool) -> None:
        """Take in some of the request's body."""
        if data:
            self._body.append(data)
        self._is_whole |= ends
        self._tell()

    def consumed(self, count: int) -> None:
        """Note that the client took so much of the answer."""
        self._owed -= count
        self._tell()

    def _tell(self) -> None:
        self._moved.set()
        self._moved = trio.Event()

    # ------------------------------------------------------------------ for the application

    @property
    def is_read(self) -> bool:
        """Whether all of the request's body was read."""
        return self._is_whole and not self._body

    async def read(self) -> bytes:
        """Return some of the request's body; nothing at its end.

        Cancellation: when the client leaves; nothing is lost.
        """
        await trio.lowlevel.checkpoint()
        while not self._body:
            if self._is_whole:
                return b""
            await self._moved.wait()
        data = self._body.popleft()
        self._engine.taken(self.stream, len(data))
        self._wake()
        return data

    def start(self, status: int, headers: HeadFields) -> None:
        """Send the head of the answer.

        Raises:
            RuntimeError: One is out already.
            ValueError: The status is none of a final answer.
        """
        if self.is_begun:
            raise RuntimeError("the answer has begun")
        if not 200 <= status <= 599:
            raise ValueError(f"{status} is no status of an answer; use 200 to 599")
        fields = [(b":status", b"%d" % status)]
        for name, value in headers:
            lower = bytes(name).lower()
            if lower not in OF_A_CONNECTION:
                fields.append((lower, bytes(value).strip(b" \t")))
        self.is_begun = True
        self._is_muted |= status in BODILESS
        self._engine.answer_head(self.stream, FieldBlock(fields), self._clock())
        self._wake()

    async def write(self, data: bytes) -> None:
        """Send some of the answer's body, when the client has taken enough of what was sent before.

        Raises:
            RuntimeError: The answer has not begun, or is over.

        Cancellation: when the client leaves; the rest is not sent.
        """
        if not self.is_begun or self.is_over:
            raise RuntimeError("the answer has not begun, or is over")
        await trio.lowlevel.checkpoint()
        if self._is_muted:
            return
        for start in range(0, len(data), PIECE_BYTES):
            while self._owed >= WINDOW_BYTES:
                await self._moved.wait()
            piece = bytes(data[start : start + PIECE_BYTES])
            self._owed += len(piece)
            self._engine.feed(self.stream, piece, False, self._clock())  # noqa: FBT003 (positional only)
            self._wake()

    def end(self) -> None:
        """End the answer. Idempotent."""
        if self.is_begun and not self.is_over:
            self.over.set()
            self._engine.feed(self.stream, b"", True, self._clock())  # noqa: FBT003 (positional only)
            self._wake()

    def fail(self, status: int, message: str) -> None:
        """Answer with an error, or break off an answer that has begun."""
        if not self.is_begun:
            body = json.dumps({"Otoroshi-Error": message}).encode()
            length = b"%d" % len(body)
            self.start(
                status, [(b"content-type", b"application/json"), (b"content-length", length)]
            )
            if not self._is_muted:
                self._engine.feed(self.stream, body, False, self._clock())  # noqa: FBT003 (positional only)
            self.end()
        elif not self.is_over:
            self.over.set()
            self._engine.break_stream(self.stream, False, self._clock())  # noqa: FBT003 (positional only)
            self._wake()

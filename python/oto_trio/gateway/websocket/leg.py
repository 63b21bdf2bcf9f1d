"""One side of a WebSocket: bytes to whole messages and control frames, and back.

The library wsproto is the state machine: masks, fragments, UTF-8, control frames, close codes. What it leaves open
is bounded here. A compressed frame is a protocol error, and inflates nothing, unless this side agreed on compression.
"""

import io
from collections.abc import Iterator
from typing import Final, Protocol, TypeAlias

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, Pong, TextMessage
from wsproto.frame_protocol import CloseReason

from oto_trio.gateway.websocket.deflating import Deflating
from oto_trio.gateway.websocket.limits import SocketLimits
from oto_trio.plugin_api.websocket_deflate import Deflate
from oto_trio.plugin_api.websockets import Message

__all__ = ["Frame", "Leg", "LegEngine"]

Frame: TypeAlias = Message | Ping | Pong | CloseConnection
"""What is passed on from one side to the other."""

_TEXT_REASON: Final = "non-UTF-8 data within content"
"""Otoroshi's words for a text that is none."""


class LegEngine(Protocol):
    """What a side needs of the engine. No method blocks."""

    def send(self, conn: int, data: bytes, /) -> bool:
        """Write; False when some of it waits, and WRITABLE will follow."""
        ...

    def hold(self, conn: int, held: bool, /) -> None:  # noqa: FBT001 (as compiled)
        """Read nothing of the connection for now, or go on."""
        ...

    def patience(self, conn: int, due: float, /) -> None:
        """Raise IDLE at this time of the Trio clock."""
        ...

    def hang_up(self, conn: int, now: float, /) -> None:
        """Close the connection once what was written has gone; nothing more is told of it."""
        ...


class Leg:
    """The frames of one side.

    Args:
        engine: Has the connection.
        conn: The engine's number of it.
        is_client: Whether this is the client's side, towards which the gateway is the server.
        limits: The bounds.
        deflate: What was agreed on about compression; None for none.
    """

    def __init__(
        self,
        engine: LegEngine,
        conn: int,
        *,
        is_client: bool,
        limits: SocketLimits,
        deflate: Deflate | None = None,
    ) -> None:
        self.conn = conn
        self.is_client = is_client
        self._engine = engine
        self._limits = limits
        kind = ConnectionType.SERVER if is_client else ConnectionType.CLIENT
        self._deflating = None if deflate is None else Deflating(deflate, limits.message_bytes)
        self._ws = Connection(kind, [self._deflating] if self._deflating is not None else [])
        self._out = bytearray()
        self._text: io.StringIO | None = None
        self._binary: bytearray | None = None
        self._size = self._fragments = 0
        self._credit, self._credited_at = float(limits.controls), 0.0
        self._is_held = False
        self.is_blocked = False
        """Whether some of what was written waits in the engine."""
        self.has_ended = False
        """Whether the other end said its last frame, or broke a rule: nothing more is read."""
        self.is_done = False
        """Whether the connection is to be closed once what was written has gone."""
        self.is_over = False
        """Whether the connection is closed."""
        self.has_more = False
        """Whether some of what came was not read yet."""
        self.fault: tuple[CloseReason, str] | None = None
        """The code and reason with which the other end was cut off for breaking a rule."""

    def note_time(self, now: float) -> None:
        """Give back what time gives of pings and pongs."""
        limits = self._limits
        came_back = (now - self._credited_at) * limits.controls_per_s
        self._credit = min(limits.controls, self._credit + came_back)
        self._credited_at = now

    def receive(self, data: bytes) -> Iterator[Frame]:
        """Read bytes; what they complete comes out in order, a close last.

        Args:
            data: What the other end sent.
        """
        if not self.has_ended:
            self._ws.receive_data(data)
        return self.frames()

    def frames(self) -> Iterator[Frame]:
        """Go on reading what came; while somebody stops in the middle `has_more` is set."""
        if self.has_ended:
            return
        self.has_more = True
        yield from self._frames()
        self.has_more = False
        if self.is_over:
            self.drop()

    @property
    def is_deflating(self) -> bool:
        """Whether what comes may be more than it looks."""
        return self._deflating is not None

    def _frames(self) -> Iterator[Frame]:
        for event in self._ws.events():
            if isinstance(event, CloseConnection):
                self.has_ended = True
                if self._state() in (ConnectionState.OPEN, ConnectionState.LOCAL_CLOSING):
                    self._fail(CloseReason(event.code), event.reason or "")
                    return
                self.is_done = self._state() is ConnectionState.CLOSED
                yield event
                return
            if isinstance(event, (TextMessage, BytesMessage)):
                message = self._gather(event)
                if self.fault is not None:
                    return
                if message is not None:
                    yield message
            elif isinstance(event, (Ping, Pong)):
                self._credit -= 1
                if self._credit < 0:
                    self._fail(CloseReason.POLICY_VIOLATION, "pings without end")
                    return
                yield event

    def _gather(self, event: TextMessage | BytesMessage) -> Message | None:
        """Add to the message that is under way; returns it when it is whole."""
        data = event.data
        if isinstance(data, str):
            if self._text is None:
                self._text = io.StringIO()
            self._text.write(data)
            self._size += len(data) if data.isascii() else len(data.encode())
        else:
            if self._binary is None:
                self._binary = bytearray()
            self._binary += data
            self._size += len(data)
        self._fragments += event.frame_finished
        if self._size > self._limits.message_bytes:
            self._fail(CloseReason.MESSAGE_TOO_BIG, "the message is too big")
            return None
        if self._fragments > self._limits.fragments:
            self._fail(CloseReason.POLICY_VIOLATION, "the message has too many fragments")
            return None
        if not event.message_finished:
            return None
        whole = bytes(self._binary or b"") if self._text is None else self._text.getvalue()
        self._text = self._binary = None
        self._size = self._fragments = 0
        return Message(whole)

    def _fail(self, code: CloseReason, reason: str) -> None:
        """Cut the other end off for what it sent."""
        self.has_ended = True
        if self._deflating is not None and self._deflating.fault is not None:
            reason = self._deflating.fault
        elif code is CloseReason.INVALID_FRAME_PAYLOAD_DATA:
            reason = _TEXT_REASON
        self.fault = (code, reason)
        self._text = self._binary = None
        self.close(code, reason)
        self.is_done = True

    def send(self, frame: Frame) -> None:
        """Write a frame with the next `flush`; one that may not be sent any more is dropped."""
        if isinstance(frame, CloseConnection):
            self.close(frame.code, frame.reason)
            return
        if self._state() is not ConnectionState.OPEN or self.is_over:
            return
        event: Event = frame if not isinstance(frame, Message) else _event(frame.data)
        self._out += self._ws.send(event)

    def close(self, code: int, reason: str | None) -> None:
        """Write a close frame with the next `flush`, unless one was written.

        Args:
            code: The close code; `CloseReason.NO_STATUS_RCVD` sends none.
            reason: The same in words.
        """
        states = (ConnectionState.OPEN, ConnectionState.REMOTE_CLOSING)
        if self.is_over or self._state() not in states:
            return
        self._out += self._ws.send(CloseConnection(code, reason))
        self.is_done |= self._state() is ConnectionState.CLOSED

    def _state(self) -> ConnectionState:
        """Tell what the library makes of the connection now."""
        return self._ws.state

    @property
    def has_closed(self) -> bool:
        """Whether a close frame was written."""
        return self._state() in (ConnectionState.LOCAL_CLOSING, ConnectionState.CLOSED)

    def hold(self, *, is_held: bool) -> None:
        """Read nothing for now, or go on."""
        if is_held is not self._is_held and not self.is_over:
            self._is_held = is_held
            self._engine.hold(self.conn, is_held)

    def flush(self, now: float) -> None:
        """Hand what was written to the engine, and close the connection when it is done."""
        if self.is_over:
            return
        if self._out:
            self.is_blocked = not self._engine.send(self.conn, bytes(self._out))
            self._out.clear()
        # The engine drops what waits for a backend when it closes; for a client it waits by itself.
        if self.is_done and (self.is_client or not self.is_blocked):
            self.hang_up(now)

    def hang_up(self, now: float) -> None:
        """Close the connection, and read nothing more of what came over it."""
        was_over = self.is_over
        self.end()
        self.drop()
        if not was_over:
            self._engine.hang_up(self.conn, now)

    def end(self) -> None:
        """Note that the connection is closed: nothing is written any more, and nothing read but what has come."""
        self.is_over = self.is_done = True
        if not self.has_more:
            self.drop()

    def drop(self) -> None:
        """Read nothing more, whatever came."""
        self.has_ended = True
        self.has_more = False
        if self._deflating is not None:
            self._deflating.close()


def _event(data: str | bytes) -> TextMessage | BytesMessage:
    """Return a whole message as the library has it."""
    return TextMessage(data) if isinstance(data, str) else BytesMessage(data)

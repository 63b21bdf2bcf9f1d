"""Requests of the engine on one connection to a backend that many of them share, whatever its frames are.

Place in the path
    The engine has such a connection made, and hands requests on it over as streams (`call`). What the backend
    answers goes back to the engine, head and body apart, and from there through the plan of its exchange as any
    answer. `BackendCalls` knows what HTTP/2 and HTTP/3 have in common; a subclass turns that into frames. Like a
    client's session it never blocks, reads no clock and owns no task; `flush` sends what came together in a round.

Back-pressure
    A request body is taken from the engine when the connection lets it out (`taken`); an answer's body
    is acknowledged when the client took it (`consumed`). So a slow side stops the other.

WebSockets
    A stream that a WebSocket has is one like others that does not end with its head. What its client does not take closes
    its own window only: it may last for hours, and the others need theirs.

Failures
    A stream that the backend certainly did not look at is given back as such, and the engine sends its request again
    as far as it can. Everything else is one answer that broke off.
"""

import logging
from abc import ABC, abstractmethod
from enum import Enum
from typing import Any, Final

from oto_trio._core import FieldBlock
from oto_trio.gateway.listeners.carried_engine import CallEngine
from oto_trio.gateway.listeners.http2.stream import OVER, Stream

__all__ = ["CALLS_MOST", "BackendCalls", "NoRoomError", "Why"]

logger = logging.getLogger(__name__)

CALLS_MOST: Final = 256
"""Requests at once on a connection, however many more the backend takes; then another one is made."""
BATCH: Final = 128 * 1024
"""Bytes of bodies that are handed to the protocol before it is asked to send them."""
MOST_DIGITS: Final = 18
"""Digits of a Content-Length; Python refuses to read thousands of them."""
NOT_MODIFIED: Final = 304
SUCCESSFUL: Final = range(200, 300)


class Why(Enum):
    """Why we end a stream or a connection before its time; each protocol has numbers of its own for it."""

    DONE = "nothing is wrong"
    CANCELLED = "nobody wants the answer"
    MALFORMED = "the backend broke the rules of a message"
    STRANGE = "the backend opened what only a client opens"
    EXCESSIVE = "the backend sends without end what moves nothing"
    FAULT = "a failure of the gateway"


class NoRoomError(Exception):
    """The connection takes no further stream now.

    Args:
        for_good: It never will again.
    """

    def __init__(self, *, for_good: bool = False) -> None:
        super().__init__("the connection takes no more streams")
        self.for_good = for_good


class BackendCalls(ABC):
    """The client's side of one connection to a backend.

    Args:
        engine: Has the exchanges.
        conn: The engine's number of the connection.
        streams: Where the session enters the engine's numbers of its streams.
        now: The Trio clock, as in every method here.
        idle_s: Without a request for so long, the connection is closed.
    """

    protocol: str
    """What it speaks, for the log."""

    def __init__(
        self, engine: CallEngine, conn: int, streams: dict[int, Any], now: float, idle_s: float
    ) -> None:
        self.conn = conn
        self._engine = engine
        self._registry = streams
        self._idle_s = idle_s
        self._by_id: dict[int, Stream] = {}
        self._by_engine: dict[int, Stream] = {}
        self._waiting: dict[int, Stream] = {}
        self._leaving = False
        self._ended = False
        self._quiet_since = now
        self._now = now

    @property
    def is_over(self) -> bool:
        """Whether the connection was closed, by either side."""
        return self._ended

    @property
    def _named(self) -> str:
        """Which connection it is, and whose, for the log."""
        return f"backend {self._engine.backend_of(self.conn)}, connection {self.conn}"

    # ------------------------------------------------------------------ what a protocol does

    @abstractmethod
    def _open(self, fields: FieldBlock, ends: bool) -> int:  # noqa: FBT001 (as the event has it)
        """Begin a stream with the head of a request; returns its number. Raises `NoRoomError`."""

    @abstractmethod
    def _room(self, identity: int) -> int:
        """Return how many bytes of a body the connection takes on a stream now."""

    @abstractmethod
    def _write(self, identity: int, data: bytes, end: bool) -> None:  # noqa: FBT001 (as the event has it)
        """Send body of a request; with `end` and no data, its end alone."""

    @abstractmethod
    def _write_trailers(self, identity: int, fields: FieldBlock) -> None:
        """Send the trailers that end a request."""

    @abstractmethod
    def _give_back(self, identity: int, count: int) -> None:
        """Let the backend send so much more on a stream; it may be over."""

    @abstractmethod
    def _give_back_own(self, identity: int, count: int) -> None:
        """The same of a WebSocket's stream: of its own window alone."""

    @abstractmethod
    def _give_back_shared(self, count: int) -> None:
        """Let the backend send so much more on all streams together: a WebSocket's closes its own window only."""

    @abstractmethod
    def _abort(self, identity: int, why: Why) -> None:
        """End a stream, both ways, if it has not ended."""

    @abstractmethod
    def _transmit(self, now: float) -> bool:
        """Send what was written; False when there was nothing, or no more can go out now."""

    @abstractmethod
    def _say_end(self, why: Why) -> None:
        """Tell the backend that the connection ends."""

    # ------------------------------------------------------------------- from the engine

    def call(self, engine_id: int, fields: FieldBlock, ends: bool, now: float) -> None:  # noqa: FBT001 (as the event has it)
        """Send the head of a request; `ends` tells that it has no body."""
        self._now = now
        if self._leaving or self._ended:
            self._engine.break_stream(engine_id, True, self._now)  # noqa: FBT003 (positional only)
            return
        try:
            identity = self._open(fields, ends)
        except NoRoomError as error:
            if error.for_good:
                self._leave()
            else:
                self._engine.set_room(self.conn, len(self._by_id), self._now)
            self._engine.break_stream(engine_id, True, self._now)  # noqa: FBT003 (positional only)
            return
        stream = Stream(identity, engine_id, self._now)
        stream.is_sent = ends
        stream.is_socket = fields.get(b":protocol") is not None
        if fields.get(b":method") == b"HEAD":
            stream.announced = 0  # whatever the answer says
        self._by_id[identity] = self._by_engine[engine_id] = stream
        self._registry[engine_id] = self

    def data(self, engine_id: int, data: bytes, end: bool) -> None:  # noqa: FBT001 (as the event has it)
        """Send body of a request, as the connection allows; `end` tells that it is the last."""
        stream = self._by_engine.get(engine_id)
        if stream is not None:
            stream.push(data)
            stream.is_answered = end
            self._waiting[stream.id] = stream

    def trailers(self, engine_id: int, fields: FieldBlock) -> None:
        """Send trailers behind what waits of the body."""
        stream = self._by_engine.get(engine_id)
        if stream is not None:
            stream.trailers = fields
            stream.is_answered = True
            self._waiting[stream.id] = stream

    def broken(self, engine_id: int) -> None:
        """Nobody wants the answer any more."""
        stream = self._by_engine.get(engine_id)
        if stream is not None:
            self._forget(stream)
            self._abort(stream.id, Why.CANCELLED)

    def consumed(self, engine_id: int, count: int) -> None:
        """The client took so much of an answer: the backend may send as much again."""
        stream = self._by_engine.get(engine_id)
        if stream is not None:
            count = min(count, stream.owed)
            stream.owed -= count
            if count and not self._ended:
                self._give_back_of(stream, count)
            self._settle(stream)

    def _give_back_of(self, stream: Stream, count: int) -> None:
        if stream.is_socket:
            self._give_back_own(stream.id, count)
        else:
            self._give_back(stream.id, count)

    # ------------------------------------------------------------------ from the backend

    def _heard_head(self, identity: int, fields: FieldBlock, now: float) -> None:
        """Take the head of an answer, or an interim one."""
        stream = self._by_id.get(identity)
        if stream is None or stream.engine_id == OVER:
            return
        length = fields.get(b"content-length")
        status = fields.status
        if stream.is_socket and status in SUCCESSFUL:
            length = None  # it means nothing there (RFC 9110 section 9.3.6)
        if length is not None and (status is None or status >= 200):
            if not length.isdigit() or len(length) > MOST_DIGITS:
                logger.info("%s: it sent a Content-Length that is none", self._named)
                self._give_up(stream, Why.MALFORMED)
                return
            if stream.announced is None:
                stream.announced = 0 if status == NOT_MODIFIED else int(length)
        self._engine.answer_head(stream.engine_id, fields, now)

    def _heard_data(self, identity: int, data: bytes, now: float) -> None:
        """Take some of an answer's body, at least a byte, which counts against a window."""
        stream = self._by_id.get(identity)
        if stream is None:
            # Nobody reads it, but the window belongs to the other streams too.
            self._give_back(identity, len(data))
            return
        stream.owed += len(data)
        stream.received += len(data)
        if stream.is_socket:
            self._give_back_shared(len(data))
        if stream.announced is not None and stream.received > stream.announced:
            self._give_up(stream, Why.MALFORMED)
            return
        self._engine.feed(stream.engine_id, data, False, now)  # noqa: FBT003 (positional only)

    def _heard_trailers(self, identity: int, fields: FieldBlock, now: float) -> None:
        """Take the trailers that end an answer; `_heard_end` follows."""
        stream = self._by_id.get(identity)
        if stream is None:
            return
        if stream.announced not in {None, stream.received}:
            self._give_up(stream, Why.MALFORMED)
            return
        stream.is_complete = True
        try:
            self._engine.feed_trailers(stream.engine_id, fields, now)
        except ValueError as error:
            logger.info("%s: it sent bad trailers: %s", self._named, error)
            self._give_up(stream, Why.MALFORMED)

    def _heard_end(self, identity: int, now: float) -> None:
        """Note that the backend ended its side of a stream."""
        stream = self._by_id.get(identity)
        if stream is None:
            return
        if not stream.is_complete:
            if stream.announced not in {None, stream.received}:
                self._give_up(stream, Why.MALFORMED)
                return
            self._engine.feed(stream.engine_id, b"", True, now)  # noqa: FBT003 (positional only)
            stream.is_complete = True
        self._settle(stream)

    def _heard_reset(self, identity: int, unseen: bool, now: float) -> None:  # noqa: FBT001 (as the engine has it)
        """Note that the backend gave a stream up; `unseen` when it never looked at the request."""
        stream = self._by_id.get(identity)
        if stream is None:
            return
        self._forget(stream)
        # A whole answer stands; the backend does not want the rest of the request (RFC 9113 section 8.1).
        if not stream.is_complete or stream.is_socket:
            self._engine.break_stream(stream.engine_id, unseen, now)

    def _heard_leaving(self, first_unseen: int, now: float) -> None:
        """Send no more; what the backend did not look at, from this number on, goes elsewhere."""
        self._leave()
        for stream in [one for one in self._by_id.values() if one.id >= first_unseen]:
            self._forget(stream)
            self._abort(stream.id, Why.CANCELLED)
            self._engine.break_stream(stream.engine_id, True, now)  # noqa: FBT003 (positional only)

    # --------------------------------------------------------------------------- sending

    def flush(self, now: float) -> None:
        """Send what there is: frames of the protocol, and bodies as far as it takes them."""
        self._now = now
        while not self._ended:
            self._send_bodies(now)
            if not self._transmit(now):
                break
        if self._by_id:
            self._quiet_since = now
        elif self._leaving and not self._ended:
            self._end(Why.DONE)

    def _send_bodies(self, now: float) -> None:
        """Hand out up to `BATCH` bytes, in turn."""
        room = BATCH
        for stream in list(self._waiting.values()):
            while room > 0 and (sent := self._send_turn(stream, now)):
                room -= sent
            if not stream.chunks:
                self._waiting.pop(stream.id, None)
            elif room <= 0:
                # The others first, the next time.
                self._waiting[stream.id] = self._waiting.pop(stream.id)
                return

    def _send_turn(self, stream: Stream, now: float) -> int:
        """Send one piece of a request, and tell its size; 0 when there is none, or none fits, or it was the last."""
        identity = stream.id
        if stream.is_sent:
            return 0
        if stream.chunks:
            room = self._room(identity)
            if room <= 0:
                return 0
            data = stream.take(room)
            last = stream.is_answered and not stream.chunks and stream.trailers is None
            self._write(identity, data, last)
            stream.moved_at = now
            self._engine.taken(stream.engine_id, len(data))
            if not last:
                return len(data)
        elif not stream.is_answered:
            return 0
        elif stream.trailers is not None:
            self._write_trailers(identity, stream.trailers)
        else:
            self._write(identity, b"", True)  # noqa: FBT003 (its end)
        stream.is_sent = True
        self._settle(stream)
        return 0

    # ---------------------------------------------------------------------------- ending

    def _settle(self, stream: Stream) -> None:
        """Let go of a stream whose answer is whole. The engine ends what is left of its request."""
        if stream.is_complete and stream.is_sent and not stream.owed:
            self._forget(stream)

    def _forget(self, stream: Stream) -> None:
        self._by_id.pop(stream.id, None)
        self._waiting.pop(stream.id, None)
        self._by_engine.pop(stream.engine_id, None)
        self._registry.pop(stream.engine_id, None)
        owed, stream.owed = stream.owed, 0
        if owed and not self._ended:
            self._give_back_of(stream, owed)

    def _give_up(self, stream: Stream, why: Why) -> None:
        self._forget(stream)
        self._abort(stream.id, why)
        self._engine.break_stream(stream.engine_id, False, self._now)  # noqa: FBT003 (positional only)

    def _leave(self) -> None:
        self._leaving = True
        self._engine.set_room(self.conn, 0, self._now)

    def lost(self, now: float) -> None:
        """The backend has gone: every request on the connection has failed."""
        self._now = now
        self._ended = True
        for stream in list(self._by_id.values()):
            self._forget(stream)
            self._engine.break_stream(stream.engine_id, False, now)  # noqa: FBT003 (positional only)

    def idle(self, now: float) -> None:
        """The deadline has passed: close the connection if nobody used it."""
        self._now = now
        if self._ended:
            return
        if not self._by_id and now - self._quiet_since >= self._idle_s:
            self._end(Why.DONE)
        else:
            self._engine.patience(self.conn, max(self._quiet_since, now) + self._idle_s)

    def close(self, why: Why, now: float) -> None:
        """End the connection at once, and say why. Idempotent."""
        self._now = now
        if not self._ended:
            self._end(why)

    def fail(self, now: float) -> None:
        """End the connection at once: the gateway failed. Idempotent."""
        self.close(Why.FAULT, now)

    def _end(self, why: Why) -> None:
        self._say_end(why)
        self._engine.set_room(self.conn, 0, self._now)
        self.lost(self._now)
        self._engine.hang_up(self.conn, self._now)

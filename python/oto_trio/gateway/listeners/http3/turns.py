"""RFC 9218 over HTTP/3: which response goes first.

What a connection was given leaves it in turns, a little of each stream. So bodies are kept here and given to the connection a
piece at a time, when nothing is left in it that goes before them and could go. Whose turn it is, and how a
priority is read, is HTTP/2's: see `priorities`. Of a client that says nothing, nothing is kept: its streams share.
"""

from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from aioquic._buffer import Buffer, BufferReadError

from oto_trio.gateway.listeners.http2.priorities import Prioritised, choose, parse_priority
from oto_trio.gateway.listeners.http3.control_frames import ControlFrames

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from oto_trio._core import FieldBlock
    from oto_trio.gateway.listeners.http3.stream import Http3Stream

__all__ = ["Piece", "Priorities", "Turns", "read_update"]

PRIORITY_UPDATE: Final = 0xF0700
"""The frame's type, for a request (RFC 9218 section 7.2)."""
UPDATE_BYTES: Final = 8 + 256
"""Of a frame that are looked at; a longer one says nothing."""
EARLY: Final = 100
"""Requests whose priority may come before they do."""
CONTROLS: Final = 3
"""Streams of one direction that are looked into for the control stream."""

Piece: TypeAlias = "tuple[bytes, bool] | FieldBlock"
"""Body and whether it is the last; or the trailers behind it."""


class Sending(Protocol):
    """What is asked of the connection."""

    def unsent(self, stream_id: int) -> int:
        """See `QuicState.unsent`."""
        ...

    def is_shut(self, stream_id: int) -> bool:
        """See `QuicState.is_shut`."""
        ...


class Turns:
    """The bodies of one connection, in the order in which they go.

    Args:
        state: The connection.
        sending: The session's streams of which something may be unsent.
        write: Gives a piece to the connection.
    """

    def __init__(
        self,
        state: Sending,
        sending: "Mapping[int, Http3Stream]",
        write: "Callable[[Http3Stream, Piece], None]",
    ) -> None:
        self._state = state
        self._sending = sending
        self._write = write
        self._waiting: dict[int, Http3Stream] = {}
        self._is_wanted = False
        self._turn = 0

    def __bool__(self) -> bool:
        """Whether anything is kept."""
        return bool(self._waiting)

    def place(self, stream: "Http3Stream", said: tuple[int, bool] | None) -> None:
        """Give a stream the priority that its client says; None when it says none."""
        if said is not None:
            stream.urgency, stream.incremental = said
            self._is_wanted = True

    def say(self, stream: "Http3Stream", piece: Piece) -> None:
        """Write a piece of a response; with priorities, when `let_go` finds that it is its turn."""
        if not self._is_wanted:
            self._write(stream, piece)
            return
        stream.pieces.append(piece)
        if isinstance(piece, tuple):
            stream.kept += len(piece[0])
        self._waiting[stream.id] = stream

    def let_go(self) -> bool:
        """Write one piece, if nothing goes before it that could go; tells whether there was one."""
        if not self._waiting:
            return False
        stream = choose(self._waiting)
        if self._state.is_shut(stream.id):
            able = {it.id: it for it in self._waiting.values() if not self._state.is_shut(it.id)}
            # Where none is able to go, the connection may as well have all of the first one.
            stream = choose(able) if able else stream
        if self._has_to_wait(stream):
            return False
        piece = stream.pieces.popleft()
        if isinstance(piece, tuple):
            stream.kept -= len(piece[0])
        self._turn += 1
        stream.turn = self._turn
        if not stream.pieces:
            del self._waiting[stream.id]
        self._write(stream, piece)
        return True

    def drop(self, stream: "Http3Stream") -> None:
        """Forget what is kept of a stream."""
        self._waiting.pop(stream.id, None)
        stream.pieces.clear()
        stream.kept = 0

    def _has_to_wait(self, stream: "Http3Stream") -> bool:
        """Whether something is on its way that goes before a stream, or enough of its own."""
        state = self._state
        return any(
            (other is stream or _is_before(other, stream))
            and state.unsent(other.id)
            and not state.is_shut(other.id)
            for other in self._sending.values()
        )


def _is_before(one: Prioritised, other: Prioritised) -> bool:
    """Whether a stream goes before another; neither does of two that share."""
    if one.urgency != other.urgency:
        return one.urgency < other.urgency
    if one.incremental and other.incremental:
        return False
    return (one.incremental, one.id) < (other.incremental, other.id)


class Priorities:
    """What a client says of its requests, in their heads and in frames.

    Args:
        turns: Told of them.
        streams: The session's requests.
    """

    def __init__(self, turns: Turns, streams: "Mapping[int, Http3Stream]") -> None:
        self._turns = turns
        self._streams = streams
        self._finders: dict[int, ControlFrames] = {}
        self._early: dict[int, tuple[int, bool]] = {}

    def begin(self, stream: "Http3Stream", fields: "FieldBlock") -> None:
        """Place a request that begins; a frame that came before it counts for more than its head."""
        said = self._early.pop(stream.id, None) or parse_priority(fields.get(b"priority"))
        self._turns.place(stream, said)

    def note(self, control: int, data: bytes, unseen: int) -> bool:
        """Read what came on one of the client's streams of one direction.

        Args:
            control: Its number.
            data: What came.
            unseen: The first request that has not come.

        Returns:
            False when a frame is about what is no request: the connection ends.
        """
        finder = self._finders.get(control)
        if finder is None:
            if len(self._finders) >= CONTROLS:
                return True
            finder = self._finders[control] = ControlFrames(PRIORITY_UPDATE, UPDATE_BYTES)
        for identity, said in map(read_update, finder.feed(data)):
            if identity < 0 or identity & 3:
                return False
            stream = self._streams.get(identity)
            if stream is not None:
                self._turns.place(stream, said)
            elif said is not None and identity >= unseen and len(self._early) < EARLY:
                self._early[identity] = said
        return True


def read_update(body: bytes) -> tuple[int, tuple[int, bool] | None]:
    """Return what a PRIORITY_UPDATE says: a stream, -1 where there is none, and what `parse_priority` makes of the rest."""
    buffer = Buffer(data=body)
    try:
        identity = buffer.pull_uint_var()
    except BufferReadError:
        return -1, None
    return identity, parse_priority(body[buffer.tell() :])

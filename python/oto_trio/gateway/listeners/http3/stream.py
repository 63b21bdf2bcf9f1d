"""One request and its response on an HTTP/3 connection."""

from collections import deque
from typing import TYPE_CHECKING

from oto_trio.gateway.listeners.http2.priorities import DEFAULT_URGENCY

if TYPE_CHECKING:
    from oto_trio.gateway.listeners.http3.turns import Piece

__all__ = ["Http3Stream", "WithoutSocket"]


class Http3Stream:
    """What a session knows of a request and its response.

    Args:
        identity: Its number on the connection.
        engine_id: Its number in the engine.
        now: The Trio clock.
    """

    __slots__ = (
        "announced",
        "engine_id",
        "id",
        "incremental",
        "is_answered",
        "is_complete",
        "is_halved",
        "kept",
        "moved_at",
        "pieces",
        "received",
        "turn",
        "unsent",
        "untaken",
        "urgency",
    )

    def __init__(self, identity: int, engine_id: int, now: float) -> None:
        self.id = identity
        self.engine_id = engine_id
        self.announced: int | None = None
        """What the request's Content-Length says."""
        self.received = 0
        """Bytes of the request's body."""
        self.is_complete = False
        """The client sent the whole request."""
        self.is_answered = False
        """The engine gave the whole response."""
        self.is_halved = False
        """Our half of a tunnel has ended; the client's goes on."""
        self.untaken = 0
        """Bytes of the response's body that the engine does not know to be taken."""
        self.unsent = 0
        """Bytes that were written and not sent, as of the last look."""
        self.moved_at = now
        """When some of them last went out."""
        self.urgency: int = DEFAULT_URGENCY
        self.incremental = True
        self.turn = 0
        """When the stream had its last turn, counted in turns."""
        self.pieces: deque[Piece] = deque()
        """Of the response, what waits for others to go first."""
        self.kept = 0
        """Its bytes; the engine bounds them, as all that it does not know to be taken."""


class WithoutSocket:
    """What a carried connection with a socket is told, and one of QUIC never is."""

    def receive(self, _data: bytes, _now: float) -> None:
        """Never called: bytes come through `quic_event`."""

    def writable(self, _now: float) -> None:
        """Never called: there is no socket to wait for."""

    def call(self, *_told: object) -> None:
        """Never called: a client's connection carries no calls."""

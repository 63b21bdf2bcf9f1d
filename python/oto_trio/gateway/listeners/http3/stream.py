"""What a session of HTTP/3 knows of a request and its response."""

__all__ = ["Http3Stream"]


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
        "is_answered",
        "is_complete",
        "is_halved",
        "moved_at",
        "received",
        "unsent",
        "untaken",
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

"""One request and its response on an HTTP/2 connection."""

from typing import TYPE_CHECKING, Final

from oto_trio.gateway.listeners.http2.priorities import DEFAULT_URGENCY

if TYPE_CHECKING:
    from oto_trio._core import FieldBlock

__all__ = ["OVER", "Stream", "announced_length"]

OVER: Final = -1
"""In place of the engine's number: the engine has nothing to do with the stream any more."""
SPENT_MOST: Final = 32
"""Pieces of a body that have gone before the list of them is shortened."""
MOST_DIGITS: Final = 18
"""Digits of a Content-Length; Python refuses to read thousands of them."""


def announced_length(fields: "FieldBlock", *, ends: bool) -> int | None:
    """Return what a request says of its body's length, None when it says nothing.

    Args:
        fields: Its head.
        ends: Whether the head is all of it.

    Raises:
        ValueError: It says what is no number, or what is not so.
    """
    text = fields.get(b"content-length")
    if text is None:
        return None
    if not text.isdigit() or len(text) > MOST_DIGITS:
        raise ValueError("Content-Length is no number")
    if ends and int(text):
        raise ValueError("there is no body of the announced length")
    return int(text)


class Stream:
    """What a session knows of a stream.

    Args:
        identity: Its number on the connection.
        engine_id: Its number in the engine.
        now: The Trio clock.
    """

    __slots__ = (
        "announced",
        "chunks",
        "engine_id",
        "first",
        "head",
        "id",
        "incremental",
        "is_answered",
        "is_complete",
        "is_halved",
        "is_sent",
        "is_socket",
        "moved_at",
        "offset",
        "owed",
        "received",
        "trailers",
        "turn",
        "urgency",
    )

    def __init__(self, identity: int, engine_id: int, now: float) -> None:
        self.id = identity
        self.engine_id = engine_id
        self.urgency: int = DEFAULT_URGENCY
        self.incremental = True
        self.turn = 0
        """When the stream had its last turn, counted in turns."""
        self.head: FieldBlock | None = None
        """The final head, from when the engine gave it until it is sent."""
        self.chunks: list[bytes] = []
        """Response body that waits for a window; the engine bounds it to 64 KiB beyond what was taken. A list, since
        making a deque costs more than it saves."""
        self.first = 0
        """Chunks at the front that have gone."""
        self.offset = 0
        """Bytes of the first chunk that have gone."""
        self.trailers: FieldBlock | None = None
        self.is_answered = False
        """The engine gave the whole response."""
        self.is_halved = False
        """It is a tunnel, and the engine gave all of our half; the client's goes on."""
        self.is_sent = False
        """The whole response was sent."""
        self.is_complete = False
        """The client sent the whole request."""
        self.is_socket = False
        """It is a WebSocket to a backend."""
        self.announced: int | None = None
        """What the request's Content-Length says."""
        self.received = 0
        """Bytes of the request's body."""
        self.owed = 0
        """Window to give back once the backend took the body."""
        self.moved_at = now
        """When the client last did its part: opened a window that was used."""

    @property
    def waits(self) -> bool:
        """Whether there is something of the response to send."""
        return bool(self.chunks) or self.head is not None or (self.is_answered and not self.is_sent)

    def ends_soon(self, since: float) -> bool:
        """Whether only the end of its request is missing, and not for long: clients may take a reset for a failed request.

        Args:
            since: When the client has to have moved last.
        """
        lacks_its_end = not self.is_complete and self.received == self.announced
        return lacks_its_end and self.moved_at > since

    def push(self, data: bytes) -> None:
        """Add body of the response."""
        if data:
            self.chunks.append(data)

    def take(self, count: int) -> bytes:
        """Take up to so many bytes of the body, all from one chunk."""
        chunks, first = self.chunks, self.first
        part = chunks[first]
        if self.offset or len(part) > count:
            start, size = self.offset, len(part)
            part = part[start : start + count]
            self.offset = start + len(part)
            if self.offset < size:
                return part
            self.offset = 0
        first += 1
        if first == len(chunks):
            chunks.clear()
            first = 0
        elif first == SPENT_MOST:
            del chunks[:first]
            first = 0
        else:
            chunks[first - 1] = b""
        self.first = first
        return part

"""One line of the corpus: bytes from a client, and what must come of them."""

from dataclasses import dataclass

__all__ = ["HEAD", "Case", "accepted", "cut", "got", "refused"]

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\n"
"""The beginning that most cases share; fields follow."""


@dataclass(frozen=True)
class Case:
    """What a client sends, and what must come of it."""

    name: str
    sent: bytes
    status: int
    """Of the last answer."""
    upstream: bytes | None
    """What the backend gets, to the byte; `None`: a beginning perhaps, and never a whole request."""


def refused(name: str, sent: bytes, status: int = 400) -> Case:
    """It is answered with this status, the connection closed, and the backend gets nothing."""
    return Case(name, sent, status, b"")


def cut(name: str, sent: bytes, status: int = 400) -> Case:
    """Its body breaks off: as `refused`, but the head may have gone to the backend before."""
    return Case(name, sent, status, None)


def accepted(name: str, sent: bytes, upstream: bytes) -> Case:
    """It is forwarded as exactly these bytes, and answered with 200."""
    return Case(name, sent, 200, upstream)


def got(target: bytes = b"/", fields: bytes = b"", *, method: bytes = b"GET") -> bytes:
    """A request as the backend gets it from this gateway, for host `a`."""
    return method + b" " + target + b" HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n"

"""Messages as h11 reads them: the oracle of these tests, on either side of the gateway."""

from dataclasses import dataclass, field
from typing import Final

import h11

__all__ = [
    "Fields",
    "RequestReader",
    "RequestSeen",
    "ResponseReader",
    "ResponseSeen",
    "requests_in",
    "responses_in",
]

Fields = list[tuple[bytes, bytes]]

# The gateway's own bounds are tested elsewhere; the oracle takes what it is given.
LONGEST_HEAD_BYTES: Final = 1 << 20


@dataclass
class RequestSeen:
    """A request; names of fields in lower case, wire order kept."""

    method: bytes = b""
    target: bytes = b""
    version: bytes = b""
    headers: Fields = field(default_factory=list)
    body: bytes = b""
    trailers: Fields = field(default_factory=list)

    def values(self, name: bytes) -> list[bytes]:
        """All values under a name."""
        return [value for key, value in self.headers if key == name]


@dataclass
class ResponseSeen:
    """A response, with the interim ones before it."""

    status: int = 0
    version: bytes = b""
    headers: Fields = field(default_factory=list)
    body: bytes = b""
    trailers: Fields = field(default_factory=list)
    interim: list[int] = field(default_factory=list)

    def values(self, name: bytes) -> list[bytes]:
        """All values under a name."""
        return [value for key, value in self.headers if key == name]


class RequestReader:
    """Reads one request."""

    def __init__(self) -> None:
        self.seen = RequestSeen()
        self._parser = h11.Connection(h11.SERVER, LONGEST_HEAD_BYTES)

    @property
    def rest(self) -> bytes:
        """What followed the message."""
        return self._parser.trailing_data[0]

    def feed(self, data: bytes) -> bool:
        """Take bytes, none at the end of the connection; say whether the message is whole.

        Raises:
            h11.RemoteProtocolError: The bytes are no request.
        """
        self._parser.receive_data(data)
        seen = self.seen
        while True:
            event = self._parser.next_event()
            if isinstance(event, h11.Request):
                seen.method, seen.target = event.method, event.target
                seen.version, seen.headers = event.http_version, list(event.headers)
            elif isinstance(event, h11.Data):
                seen.body += event.data
            elif isinstance(event, h11.EndOfMessage):
                seen.trailers = list(event.headers)
                return True
            else:
                return False


class ResponseReader:
    """Reads one final response, and the interim ones before it, to a request of this method."""

    def __init__(self, method: str = "GET") -> None:
        self.seen = ResponseSeen()
        self._parser = h11.Connection(h11.CLIENT, LONGEST_HEAD_BYTES)
        upgrade = [("Connection", "upgrade"), ("Upgrade", "any")] if method == "UPGRADE" else []
        request = h11.Request(method=method, target="/", headers=[("Host", "a"), *upgrade])
        self._parser.send(request)
        self._parser.send(h11.EndOfMessage())

    @property
    def rest(self) -> bytes:
        """What followed the message."""
        return self._parser.trailing_data[0]

    def feed(self, data: bytes) -> bool:
        """Take bytes, none at the end of the connection; say whether the message is whole.

        Raises:
            h11.RemoteProtocolError: The bytes are no response.
        """
        self._parser.receive_data(data)
        seen = self.seen
        while True:
            event = self._parser.next_event()
            if isinstance(event, h11.InformationalResponse):
                seen.interim.append(event.status_code)
            elif isinstance(event, h11.Response):
                seen.status, seen.version = event.status_code, event.http_version
                seen.headers = list(event.headers)
            elif isinstance(event, h11.Data):
                seen.body += event.data
            elif isinstance(event, h11.EndOfMessage):
                seen.trailers = list(event.headers)
                return True
            else:
                return False


def requests_in(data: bytes) -> tuple[list[RequestSeen], bytes]:
    """Read requests one after the other; what is left over is no whole request.

    Raises:
        h11.RemoteProtocolError: A request breaks the grammar.
    """
    seen: list[RequestSeen] = []
    while data:
        reader = RequestReader()
        if not reader.feed(data):
            break
        seen.append(reader.seen)
        data = reader.rest
    return seen, data


def responses_in(data: bytes, *methods: str) -> list[ResponseSeen]:
    """Read all that a client got for requests of these methods, up to the end of its connection.

    Raises:
        h11.RemoteProtocolError: A response breaks the grammar, is incomplete, or more came.
    """
    seen: list[ResponseSeen] = []
    for method in methods:
        reader = ResponseReader(method)
        if not reader.feed(data) and not reader.feed(b""):
            raise h11.RemoteProtocolError("the connection ended before a response")
        seen.append(reader.seen)
        data = reader.rest
    if data:
        raise h11.RemoteProtocolError(f"bytes behind the last response: {data!r}")
    return seen

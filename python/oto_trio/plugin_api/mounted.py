"""What a mounted function is called with."""

from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec

__all__ = ["MountedRequest", "RequestTooLargeError"]


class RequestTooLargeError(Exception):
    """A request has more body than its reader would hold.

    Args:
        limit: Bytes that it would.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(f"the request has more than {limit} bytes")
        self.limit = limit


class MountedRequest(msgspec.Struct, frozen=True):
    """A request to a function that answers in a backend's place.

    Args:
        method: In upper case.
        path: What the backend would get, percent-encoded as it came.
        query: Without its question mark; empty when there is none.
        headers: Names in lower case, and values, in their order.
        client: The client's address, as the gateway knows it.
        scheme: ``http`` or ``https``, as the client asked.
        body: The whole body, for a function that is not ``async``; empty for others, who read.
        take: Returns some of the body, nothing at its end.
    """

    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    client: str
    scheme: str
    body: bytes
    take: Callable[[], Awaitable[bytes]]

    def header(self, name: str) -> str | None:
        """Return the first value under a name, in any case; None without."""
        lower = name.lower()
        return next((value for known, value in self.headers if known == lower), None)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Read the body as it comes.

        Cancellation: when the client leaves.
        """
        while data := await self.take():
            yield data

    async def read(self, limit: int = 1 << 20) -> bytes:
        """Read the whole body.

        Args:
            limit: Bytes that it may have.

        Raises:
            RequestTooLargeError: It has more.

        Cancellation: when the client leaves.
        """
        whole = bytearray()
        while data := await self.take():
            whole += data
            if len(whole) > limit:
                raise RequestTooLargeError(limit)
        return bytes(whole)

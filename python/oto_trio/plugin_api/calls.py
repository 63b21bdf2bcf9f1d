"""Calls that a plugin makes itself: one bounded HTTP exchange."""

from collections.abc import Mapping
from typing import Any

__all__ = ["CallError", "fetch"]


class CallError(Exception):
    """The call got no whole answer; the message names no secret."""


async def fetch(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    most_bytes: int,
    timeout_s: float,
    insecure: bool = False,
    **content: Any,
) -> tuple[int, bytes]:
    """Make one call and read its whole answer. Redirects are not followed.

    Args:
        method: The method.
        url: The address.
        headers: The header fields.
        most_bytes: The longest body that is taken.
        timeout_s: Seconds for each step of the call; bound the whole of it with ``trio.fail_after``.
        insecure: Whether the server's certificate goes unchecked.
        content: ``data`` for a form, ``json`` for JSON, as httpx takes them.

    Returns:
        Status and body.

    Raises:
        CallError: The server could not be asked, or its answer is too long.

    Cancellation:
        Closes the connection.
    """
    import httpx  # noqa: PLC0415 (most workers call nobody, and it is slow to import)

    client = httpx.AsyncClient(
        verify=not insecure, trust_env=False, follow_redirects=False, timeout=timeout_s
    )
    body, length = bytearray(), 0
    try:
        async with (
            client,
            client.stream(method, url, headers=dict(headers), **content) as response,
        ):
            # Read to its end, however long: a stream that is left in the middle leaves generators
            # behind. What is too long is not kept, and the time-out ends what has no end.
            async for chunk in response.aiter_bytes():
                length += len(chunk)
                if length <= most_bytes:
                    body += chunk
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        raise CallError(type(error).__name__) from error
    if length > most_bytes:
        raise CallError("the answer is too long")
    return response.status_code, bytes(body)

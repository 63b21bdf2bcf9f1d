"""Functions that answer in a backend's place: ``async def`` in the worker's Trio run, ``def`` in a thread."""

import inspect
from collections.abc import AsyncIterable
from typing import Any, Final, cast

import trio

from oto_trio.gateway.mounts.call import Call
from oto_trio.plugin_api.answers import Response
from oto_trio.plugin_api.mounted import MountedRequest, RequestTooLargeError

__all__ = ["FunctionApp"]

BODY_BYTES: Final = 1 << 20
"""The most that is read for a function without ``async``."""

MEANT: Final = "a function answers with bytes, a text, None, a Response, an async iterable of bytes, or (status, headers, body)"


class FunctionApp:
    """A function.

    Args:
        function: It; called with a `MountedRequest`.
        threads: How many without ``async`` may be at work at once.
    """

    def __init__(self, function: Any, threads: trio.CapacityLimiter) -> None:
        self._function = function
        self._threads = threads
        asked = inspect.unwrap(function)
        if not inspect.isroutine(asked):
            asked = type(asked).__call__
        self._is_async = inspect.iscoroutinefunction(asked) or inspect.isasyncgenfunction(asked)

    async def answer(self, call: Call) -> None:
        """Call it with a request, and send what it answers.

        Cancellation: a function without ``async`` is waited for.
        """
        try:
            answered = await self._called(call)
            status, headers, body = _parts(answered)
            fields = [(name.encode("latin-1"), text.encode("latin-1")) for name, text in headers]
            if isinstance(body, bytes):
                if status not in {204, 304}:
                    fields = [
                        (name, text) for name, text in fields if name.lower() != b"content-length"
                    ]
                    fields.append((b"content-length", b"%d" % len(body)))
                call.start(status, fields)
                await call.write(body)
                return
            call.start(status, fields)
            async for data in body:
                await call.write(data)
        except RequestTooLargeError as error:
            call.fail(413, str(error))

    async def _called(self, call: Call) -> Any:
        body = b""
        if not self._is_async:
            body = await _request(call, b"").read(BODY_BYTES)
        request = _request(call, body)
        if not self._is_async:
            return await trio.to_thread.run_sync(self._function, request, limiter=self._threads)
        answered = self._function(request)
        return await answered if inspect.isawaitable(answered) else answered


def _request(call: Call, body: bytes) -> MountedRequest:
    head = call.head
    return MountedRequest(
        method=head.method,
        path=head.raw_path.decode("latin-1"),
        query=head.query.decode("latin-1"),
        headers=tuple((n.decode("latin-1"), v.decode("latin-1")) for n, v in head.headers),
        client=head.client,
        scheme=head.scheme,
        body=body,
        take=call.read,
    )


def _is_tuple(answered: object) -> bool:
    return isinstance(answered, tuple)


def _parts(
    answered: Any,
) -> tuple[int, list[tuple[str, str]], bytes | AsyncIterable[bytes]]:
    """Return status, headers and body of what a function answered.

    Raises:
        TypeError: It is none of what may be answered.
    """
    status, headers = 200, list[tuple[str, str]]()
    if _is_tuple(answered):
        if len(answered) != 3:
            raise TypeError(MEANT)
        status, given, answered = answered
        headers = [(str(name), str(text)) for name, text in given]
    elif isinstance(answered, Response):
        return answered.status, list(answered.headers), answered.body
    if answered is None:
        return (204 if status == 200 else status), headers, b""
    if isinstance(answered, str):
        if not any(name.lower() == "content-type" for name, _ in headers):
            headers.append(("content-type", "text/plain; charset=utf-8"))
        return status, headers, answered.encode()
    if isinstance(answered, bytes | bytearray):
        return status, headers, bytes(answered)
    if isinstance(answered, AsyncIterable):
        return status, headers, cast("AsyncIterable[bytes]", answered)
    raise TypeError(MEANT)

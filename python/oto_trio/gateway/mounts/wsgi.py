"""WSGI applications (PEP 3333), each request in a thread.

Threads are bounded for all applications of a worker; requests beyond that wait. A client that leaves ends its
request when the application next reads or writes: a thread cannot be stopped in between.
"""

import logging
from collections.abc import Callable, Iterable
from io import BufferedReader, RawIOBase
from typing import Any
from urllib.parse import unquote_to_bytes

import trio
import trio.from_thread
from typing_extensions import override

from oto_trio.gateway.mounts.call import Call

__all__ = ["WsgiApp"]

logger = logging.getLogger(__name__)


class _Body(RawIOBase):
    """The request's body, as a thread reads it."""

    def __init__(self, call: Call) -> None:
        super().__init__()
        self._call = call
        self._rest = b""

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            self._rest = trio.from_thread.run(self._call.read)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


class _Errors:
    """Where an application writes what went wrong: the log."""

    def write(self, text: str) -> int:
        """Log a line."""
        if text.strip():
            logger.warning("an application says: %s", text.rstrip())
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Log lines."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Do nothing."""


class WsgiApp:
    """An application of WSGI.

    Args:
        app: It.
        threads: How many requests may be worked on at once.
    """

    def __init__(self, app: Any, threads: trio.CapacityLimiter) -> None:
        self._app = app
        self._threads = threads

    async def answer(self, call: Call) -> None:
        """Call the application with a request, and send what it answers.

        Cancellation: waits for the thread, which learns of it when it reads or writes.
        """
        await trio.to_thread.run_sync(self._run, call, limiter=self._threads)

    def _run(self, call: Call) -> None:
        """Do so, in a thread."""
        answer = _Answer(call)
        answered = self._app(_environment(call), answer.start_response)
        try:
            for data in answered:
                answer.write(data)
            answer.send_head()
        finally:
            close = getattr(answered, "close", None)
            if close is not None:
                close()


class _Answer:
    """What a thread writes, on its way to the client."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._head: tuple[int, list[tuple[bytes, bytes]]] | None = None

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], None]:
        """Say the head of the answer; it goes out with the first byte behind it."""
        if exc_info is not None and self._call.is_begun:
            raise exc_info[1].with_traceback(exc_info[2])
        if exc_info is None and self._head is not None:
            raise RuntimeError("start_response was called twice")
        fields = [(name.encode("latin-1"), text.encode("latin-1")) for name, text in headers]
        self._head = int(status.split(" ", 1)[0]), fields
        return self.write

    def send_head(self) -> None:
        """Send the head, if it is not out."""
        if self._head is None:
            raise RuntimeError("the application wrote before it called start_response")
        if not self._call.is_begun:
            trio.from_thread.run_sync(self._call.start, *self._head)

    def write(self, data: bytes) -> None:
        """Send some of the body."""
        if data:
            self.send_head()
            trio.from_thread.run(self._call.write, data)


def _environment(call: Call) -> dict[str, Any]:
    """Return what PEP 3333 has an application told of a request."""
    head = call.head
    host, port = head.server
    # Texts are bytes here, each a character.
    environment: dict[str, Any] = {
        "REQUEST_METHOD": head.method,
        "SCRIPT_NAME": unquote_to_bytes(head.matched.rstrip("/")).decode("latin-1"),
        "PATH_INFO": unquote_to_bytes(head.raw_path).decode("latin-1"),
        "QUERY_STRING": head.query.decode("latin-1"),
        "SERVER_NAME": host,
        "SERVER_PORT": str(port or (443 if head.scheme == "https" else 80)),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": head.client,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": head.scheme,
        "wsgi.input": BufferedReader(_Body(call)),
        "wsgi.input_terminated": True,
        "wsgi.errors": _Errors(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for raw_name, raw_value in head.headers:
        if b"_" in raw_name:
            continue  # it would be taken for the one with a hyphen
        name = raw_name.decode("latin-1").upper().replace("-", "_")
        value = raw_value.decode("latin-1")
        if name not in {"CONTENT_TYPE", "CONTENT_LENGTH"}:
            name = f"HTTP_{name}"
        known = environment.get(name)
        environment[name] = value if known is None else f"{known},{value}"
    return environment

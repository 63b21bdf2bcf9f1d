"""Small servers: one that answers what a test tells it and writes down what it was asked, and their frame."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import msgspec
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

__all__ = ["Asked", "DocumentServer", "document_server", "served"]


@dataclass(frozen=True)
class Asked:
    """A request."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class DocumentServer:
    """What the server answers, and what it was asked.

    Attributes:
        url: Where it is.
        documents: Status and JSON by method and target.
        asked: Every request.
    """

    url: str = ""
    documents: dict[tuple[str, str], tuple[int, object]] = field(
        default_factory=dict[tuple[str, str], tuple[int, object]]
    )
    asked: list[Asked] = field(default_factory=list[Asked])

    def hold(
        self, target: str, document: object, *, status: int = 200, method: str = "GET"
    ) -> None:
        """Answer this from now on."""
        self.documents[method, target] = (status, document)

    def answer(self, asked: Asked) -> tuple[int, bytes]:
        """Answer a request."""
        self.asked.append(asked)
        status, document = self.documents.get((asked.method, asked.target), (404, {}))
        return status, msgspec.json.encode(document)


@contextmanager
def document_server() -> Generator[DocumentServer]:
    """Run a server until the end of the block."""
    held = DocumentServer()
    with served(held.answer) as held.url:
        yield held


@contextmanager
def served(answer: Callable[[Asked], tuple[int, bytes]]) -> Generator[str]:
    """Have every request answered with the status and the JSON that `answer` gives, at the URL this gives."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, sent = answer(Asked(self.command, self.path, headers, body))
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        def do_POST(self) -> None:
            self.do_GET()

        @override
        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()

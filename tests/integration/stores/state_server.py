"""A server of HTTP that keeps what it is sent under each path, as the HTTP persistence of a store needs it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import h11
import trio

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

__all__ = ["StateServer", "state_server"]

MOST_BYTES: Final = 2**16


class StateServer:
    """Answers GET with what was sent to the same path by POST or PUT, else with 404.

    Attributes:
        states: What is kept, by path.
        requests: Method, target and headers of each request, the latest last.
        status: When set, the status of every answer; nothing is kept then.
        stalled: When set, requests wait for this event.
    """

    def __init__(self) -> None:
        self.states: dict[str, bytes] = {}
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.status: int | None = None
        self.stalled: trio.Event | None = None
        self.url = ""

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
        task_status.started()
        await trio.serve_listeners(self._serve, [listener])

    async def _serve(self, stream: trio.SocketStream) -> None:
        async with stream:
            try:
                await self._answer(stream)
            except (h11.RemoteProtocolError, trio.BrokenResourceError):
                return

    async def _answer(self, stream: trio.SocketStream) -> None:
        connection = h11.Connection(h11.SERVER)
        body, request = bytearray(), None
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(bytes(await stream.receive_some(MOST_BYTES)))
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += event.data
            else:
                break
        if request is None:
            return
        method, target = request.method.decode(), request.target.decode()
        headers = {name.decode(): value.decode() for name, value in request.headers}
        self.requests.append((method, target, headers))
        if self.stalled is not None:
            await self.stalled.wait()
        status, content = self._outcome(method, target, bytes(body))
        head = [("Content-Length", str(len(content))), ("Connection", "close")]
        answer = h11.Response(status_code=status, headers=head)
        data = connection.send(answer) or b""
        data += connection.send(h11.Data(content)) or b""
        await stream.send_all(data + (connection.send(h11.EndOfMessage()) or b""))

    def _outcome(self, method: str, target: str, body: bytes) -> tuple[int, bytes]:
        if self.status is not None:
            return self.status, b""
        if method == "GET":
            return (200, self.states[target]) if target in self.states else (404, b"")
        self.states[target] = body
        return 200, b""


@asynccontextmanager
async def state_server() -> AsyncGenerator[StateServer]:
    """Run a server for as long as the block."""
    server = StateServer()
    async with trio.open_nursery() as nursery:
        await nursery.start(server.run)
        yield server
        nursery.cancel_scope.cancel()

"""A session of a WebSocket in memory: what both sides send and hear, on the library's own state machine."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import trio
from typing_extensions import override
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, TextMessage

from oto_trio.gateway.websocket.session import WebSocketSession
from oto_trio.plugin_api import Message, ServedSocket, WebSocketBackend, WebSocketPlugin
from oto_trio.plugin_api.websockets import Member, Watch
from oto_trio.testing.exchange import FakeExchange

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from oto_trio.gateway.websocket.limits import SocketLimits
    from oto_trio.gateway.websocket.running import Rejection
    from oto_trio.plugin_api.websocket_deflate import Deflate

CLIENT, BACKEND = 1, 2


class Hooked(WebSocketPlugin):
    """A plugin whose hooks are functions of the test."""

    id = "cp:test.Hooked"
    name = "Hooked"
    description = "Does what the test says."
    categories = ("Websocket",)

    def __init__(
        self,
        on_request: Callable[[Message], Any] | None = None,
        on_response: Callable[[Message], Any] | None = None,
    ) -> None:
        super().__init__(None)
        self.on_request = on_request
        self.on_response = on_response

    @override
    def on_request_message(self, message: Any, opened: Any) -> Any:
        return None if self.on_request is None else self.on_request(message)

    @override
    def on_response_message(self, message: Any, opened: Any) -> Any:
        return None if self.on_response is None else self.on_response(message)


class Waiting(Hooked):
    """The same with a hook that waits."""

    @override
    async def on_request_message(self, message: Any, opened: Any) -> Any:
        assert self.on_request is not None
        return await self.on_request(message)


class Serving(WebSocketBackend):
    """A plugin in the backend's place."""

    id = "cp:test.Serving"
    name = "Serving"
    description = "Serves as the test says."
    categories = ("Websocket",)

    def __init__(self, serve: Callable[[ServedSocket], Awaitable[None]]) -> None:
        super().__init__(None)
        self.serve = serve

    @override
    async def serve_socket(self, socket: ServedSocket, opened: Any) -> None:
        await self.serve(socket)


class Side:
    """One end of the session, as the other end of its connection sees it."""

    def __init__(self, kind: ConnectionType) -> None:
        self.ws = Connection(kind)
        self.heard: deque[Event] = deque()
        self.is_hung_up = False
        self.is_held = False
        self.due: float | None = None

    def take(self) -> list[Any]:
        """Return what was heard since the last time: texts, bytes, (code, reason) or other events."""
        taken: list[Any] = []
        while self.heard:
            event = self.heard.popleft()
            if isinstance(event, (TextMessage, BytesMessage)):
                assert event.message_finished
                taken.append(event.data)
            elif isinstance(event, CloseConnection):
                taken.append((int(event.code), event.reason or ""))
            else:
                taken.append(event)
        return taken


class Stage:
    """A session with both its sides, and what runs its hooks.

    Args:
        plugins: Who looks at the messages.
        limits: The bounds.
        nursery: Owns the tasks of hooks that wait.
        serve: What a plugin in the backend's place does; without it there is a backend.
        deflate: What the client and the backend agreed on about compression.
        is_answered: Whether the client was told of it.
    """

    def __init__(
        self,
        plugins: Sequence[WebSocketPlugin[Any]] = (),
        limits: SocketLimits | None = None,
        nursery: trio.Nursery | None = None,
        serve: Callable[[ServedSocket], Awaitable[None]] | None = None,
        deflate: tuple[Deflate | None, Deflate | None] = (None, None),
        is_answered: bool = True,
    ) -> None:
        self.nursery = nursery
        self.now = 100.0
        self.sides = {
            CLIENT: Side(ConnectionType.CLIENT),
            BACKEND: Side(ConnectionType.SERVER),
        }
        self.is_slow = {CLIENT: False, BACKEND: False}
        self.rejections: list[Rejection] = []
        self.faults: list[tuple[str, str, BaseException]] = []
        self.forgotten: set[int] = set()
        watch = Watch(FakeExchange())
        watch.members = [Member(plugin, None) for plugin in plugins]
        watch.client_deflate, watch.backend_deflate = deflate
        watch.is_answered = is_answered
        if serve is not None:
            watch.backend = Member(Serving(serve), None)
        self.session = WebSocketSession(
            self,
            self,
            watch,
            (CLIENT, BACKEND if serve is None else None),
            self.now,
            forget=self.forgotten.add,
            limits=limits,
        )
        self.client, self.backend = self.sides[CLIENT], self.sides[BACKEND]

    # what the session needs of the engine

    def send(self, conn: int, data: bytes, /) -> bool:
        side = self.sides[conn]
        assert not side.is_hung_up
        side.ws.receive_data(data)
        side.heard.extend(side.ws.events())
        return not self.is_slow[conn]

    def hold(self, conn: int, held: bool, /) -> None:
        self.sides[conn].is_held = held

    def patience(self, conn: int, due: float, /) -> None:
        self.sides[conn].due = due

    def hang_up(self, conn: int, now: float, /) -> None:
        assert now == self.now
        self.sides[conn].is_hung_up = True

    # what it needs of whoever runs it

    def start(self, run: Callable[[], Awaitable[None]], /) -> trio.CancelScope:
        assert self.nursery is not None
        scope = trio.CancelScope()

        async def within() -> None:
            with scope:
                await run()

        self.nursery.start_soon(within)
        return scope

    def clock(self) -> float:
        return self.now

    def settle(self) -> None:
        """Nothing is turned here."""

    def failed(self, plugin: str, hook: str, error: BaseException, /) -> None:
        self.faults.append((plugin, hook, error))

    def rejected(self, rejection: Rejection, /) -> None:
        self.rejections.append(rejection)

    # what the test does

    def end(self, conn: int) -> Any:
        """Return the session's end of a connection."""
        return self.session.client if conn == CLIENT else self.session.backend

    def say(self, conn: int, *events: Event) -> None:
        """Have a side send this."""
        self.raw(conn, b"".join(self.sides[conn].ws.send(event) for event in events))

    def raw(self, conn: int, data: bytes) -> None:
        """Have a side send bytes."""
        self.end(conn).receive(data, self.now)
        self.end(conn).flush(self.now)

    def lose(self, conn: int) -> None:
        """Have a side go away."""
        self.end(conn).lost(self.now)
        self.end(conn).flush(self.now)

    def expire(self, conn: int) -> None:
        """Let the time come that was asked for a side."""
        due = self.sides[conn].due
        assert due is not None
        self.now = max(self.now, due)
        self.end(conn).idle(self.now)
        self.end(conn).flush(self.now)

    def hung_up(self, conn: int) -> bool:
        """Whether a side's connection is closed."""
        return self.sides[conn].is_hung_up

    def held(self, conn: int) -> bool:
        """Whether nothing is read of a side."""
        return self.sides[conn].is_held

    @property
    def is_over(self) -> bool:
        """Whether both connections are closed, and forgotten."""
        hung = self.client.is_hung_up and self.backend.is_hung_up
        return hung and self.forgotten == {CLIENT, BACKEND}


def masked(data: bytes) -> bytes:
    """Return a frame as a client sends it; the mask is nothing but zeros."""
    length = data[1] & 0x7F
    more = {126: 2, 127: 8}.get(length, 0)
    return bytes([data[0], data[1] | 0x80]) + data[2 : 2 + more] + bytes(4) + data[2 + more :]


def frame_of(conn: int, data: bytes) -> bytes:
    """Return an unmasked frame as this side has to send it."""
    return masked(data) if conn == CLIENT else data

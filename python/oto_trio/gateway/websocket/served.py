"""A plugin in the backend's place: what it receives and sends, and the bytes of it in memory.

Theory of operation
    The session has a side for the backend as ever, and that side writes frames as to any backend. Here is the other end of it: it
    stands before the engine, takes what is meant for the connection that there is not, and reads frames as a server does.
    So closes, pings and bounds are the same for a plugin as for a backend elsewhere.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

import trio
from typing_extensions import override
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage

from oto_trio.gateway.websocket.leg import LegEngine
from oto_trio.gateway.websocket.limits import SocketLimits
from oto_trio.plugin_api.websockets import Message, ServedSocket

__all__ = ["SERVED", "Served", "ServedEngine"]

SERVED: Final = -1
"""The number of the connection that there is not."""


class Served(ServedSocket):
    """A WebSocket as the plugin that serves it has it.

    Args:
        limits: The bounds.
        writable: Called when messages that waited were received.
        follow_up: Called when something was sent outside of a turn.
    """

    def __init__(
        self,
        limits: SocketLimits,
        writable: Callable[[], None],
        follow_up: Callable[[], None],
    ) -> None:
        self._limits = limits
        self._writable = writable
        self._follow_up = follow_up
        self._ws = Connection(ConnectionType.SERVER)
        self._inbox: deque[Message] = deque()
        self._waiting = 0
        self._said = bytearray()
        self._is_held = False
        self._is_over = False
        self._news = trio.Event()

    # ------------------------------------------------------------------------- for the plugin

    @override
    async def receive(self) -> Message:
        await trio.lowlevel.checkpoint()
        while not self._inbox:
            if self.has_ended:
                raise trio.EndOfChannel
            await self._news.wait()
        return self._first()

    def _first(self) -> Message:
        was_full = self._is_full()
        message = self._inbox.popleft()
        self._waiting -= message.size
        if was_full and not self._is_full():
            self._writable()
        return message

    @override
    def take(self) -> Message | None:
        return self._first() if self._inbox else None

    @override
    def close(self, code: int, reason: str) -> None:
        self.finish(code, reason)
        self._follow_up()

    @override
    async def send(self, data: str | bytes) -> None:
        if self.has_ended:
            raise trio.BrokenResourceError("the WebSocket is closed")
        event = TextMessage(data) if isinstance(data, str) else BytesMessage(data)
        self._said += self._ws.send(event)
        self._follow_up()
        await trio.lowlevel.checkpoint()
        while self._is_held and not self.has_ended:
            await self._news.wait()

    def finish(self, code: int, reason: str) -> None:
        """Close from the plugin's side, unless the client did."""
        if not self.has_ended:
            self._said += self._ws.send(CloseConnection(code, reason))

    @property
    def has_ended(self) -> bool:
        """Whether nothing is said to the client any more."""
        return self._is_over or self._ws.state is not ConnectionState.OPEN

    def _is_full(self) -> bool:
        limits = self._limits
        return self._waiting > limits.waiting_bytes or len(self._inbox) > limits.waiting_frames

    def _tell(self) -> None:
        self._news.set()
        self._news = trio.Event()

    # ------------------------------------------------------------------------- for the session

    def said(self) -> bytes:
        """Return what the plugin's side sent since the last time."""
        said = bytes(self._said)
        self._said.clear()
        return said

    def hear(self, data: bytes) -> bool:
        """Take what is sent to the plugin; False when it is to be no more for now."""
        self._ws.receive_data(data)
        for event in self._ws.events():
            if isinstance(event, (TextMessage, BytesMessage)):
                message = Message(
                    event.data if isinstance(event, TextMessage) else bytes(event.data)
                )
                self._inbox.append(message)
                self._waiting += message.size
            elif isinstance(event, Ping):
                self._said += self._ws.send(event.response())
            elif isinstance(event, CloseConnection):
                if self._ws.state is ConnectionState.REMOTE_CLOSING:
                    self._said += self._ws.send(event.response())
                break
        self._tell()
        return not self._is_full()

    def hold(self, *, is_held: bool) -> None:
        """Have the plugin wait when it sends, or go on."""
        self._is_held = is_held
        self._tell()

    def hang_up(self) -> None:
        """End it; nothing passes any more."""
        self._is_over = True
        self._tell()


class ServedEngine:
    """The engine as a session has it whose backend is a plugin.

    Args:
        engine: Has the client's connection.
        served: The plugin's side.
    """

    def __init__(self, engine: LegEngine, served: Served) -> None:
        self._engine = engine
        self._served = served

    def send(self, conn: int, data: bytes, /) -> bool:
        """See `LegEngine.send`."""
        return self._served.hear(data) if conn == SERVED else self._engine.send(conn, data)

    def hold(self, conn: int, held: bool, /) -> None:  # noqa: FBT001 (as compiled)
        """See `LegEngine.hold`."""
        if conn == SERVED:
            self._served.hold(is_held=held)
        else:
            self._engine.hold(conn, held)

    def patience(self, conn: int, due: float, /) -> None:
        """See `LegEngine.patience`; a plugin answers at once."""
        if conn != SERVED:
            self._engine.patience(conn, due)

    def hang_up(self, conn: int, now: float, /) -> None:
        """See `LegEngine.hang_up`."""
        if conn == SERVED:
            self._served.hang_up()
        else:
            self._engine.hang_up(conn, now)

"""What a plugin that looks at the messages of WebSockets is.

Such a plugin is asked about each message, in either direction, once the handshake is done::

    class Shout(WebSocketPlugin):
        id = "cp:example.Shout"
        name = "Shout"
        description = "Turns what clients write into capitals."
        categories = ("Websocket",)

        @override
        def on_request_message(self, message: Message, opened: object) -> Message | None:
            return Message(message.data.upper()) if isinstance(message.data, str) else None

Plugins are asked in the order of the route's slots, each about what the one before made of the message. Messages of one
direction stay in order whatever the hooks do: one that an ``async def`` hook works on holds up those behind it.
Routes without such a plugin pass WebSockets on unread.
"""

import base64
import hashlib
from collections.abc import Awaitable
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Protocol, TypeAlias

import msgspec
from msgspec import Meta
from typing_extensions import TypeVar, override

from oto_trio.plugin_api.answers import Refusal, Response
from oto_trio.plugin_api.exchange import Exchange
from oto_trio.plugin_api.plugin import Plugin

__all__ = [
    "Member",
    "Message",
    "MessageAnswer",
    "Reject",
    "RejectStrategy",
    "ServedSocket",
    "Watch",
    "WebSocketBackend",
    "WebSocketPlugin",
    "is_attending",
]

ConfigT = TypeVar("ConfigT", bound=msgspec.Struct | None, default=None)


class Message(msgspec.Struct, frozen=True):
    """A whole message of a WebSocket.

    Args:
        data: A text message's text, or a binary message's bytes.
    """

    data: str | bytes

    @property
    def size(self) -> int:
        """How many bytes it is long as it is sent: those of a text in UTF-8."""
        data = self.data
        return len(data.encode()) if isinstance(data, str) and not data.isascii() else len(data)


class Reject(msgspec.Struct, frozen=True):
    """A plugin's word that a message goes no further.

    Args:
        code: The close code that tells why, 1000 to 4999.
        reason: The same in words; of more than 123 bytes the first are sent.
        closes: Whether the connection ends on both sides with them; else the message is dropped and nobody is told.
    """

    code: int
    reason: str
    closes: bool = False


MessageAnswer: TypeAlias = Message | Reject | None
"""What a hook makes of a message: another one in its place, no message, or (``None``) this one."""


RejectStrategy: TypeAlias = Annotated[
    Literal["drop", "close"],
    Meta(
        description="What becomes of a message that is refused: it is dropped, or the connection closed."
    ),
]


class Member(NamedTuple):
    """A plugin that looks at messages, with what its ``open_socket`` gave for this connection."""

    plugin: "WebSocketPlugin[Any]"
    opened: Any


class Watch:
    """Who looks at the messages of one connection; the gateway makes use of it once the handshake is done."""

    __slots__ = ("backend", "members", "route_id", "route_name", "target", "url")

    def __init__(self, exchange: Exchange) -> None:
        self.members: list[Member] = []
        """In the order in which they are asked."""
        self.backend: Member | None = None
        """The plugin in the backend's place."""
        self.route_id = exchange.route_id
        """The id of the route."""
        self.route_name = exchange.route_name
        """Its name."""
        request = exchange.request
        scheme = "wss" if exchange.secured else "ws"
        query = f"?{request.query}" if request.query else ""
        self.url = f"{scheme}://{request.host}{request.path}{query}"
        """What the client asked for."""
        self.target = exchange.upstream_url or ""
        """What the backend is asked for; empty when a plugin is the backend."""


class ServedSocket(Protocol):
    """A WebSocket as the plugin that serves it has it."""

    async def receive(self) -> Message:
        """Wait for the client's next message.

        Raises:
            trio.EndOfChannel: The client closed.

        Cancellation: no message is lost.
        """
        ...

    async def send(self, data: str | bytes, /) -> None:
        """Send a message, and wait until the client may be sent another.

        Raises:
            trio.BrokenResourceError: The client closed.

        Cancellation: the message was sent.
        """
        ...


_WATCH = "oto_trio.websocket"
_ACCEPT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""What a key is accepted with (RFC 6455 section 1.3)."""


def _watch_of(exchange: Exchange) -> Watch:
    """Return who looks at the messages of this connection; it is made with the first."""
    watch = exchange.attrs.get(_WATCH)
    if not isinstance(watch, Watch):
        watch = exchange.attrs[_WATCH] = Watch(exchange)
        exchange.watch(watch)
        exchange.request.headers.remove("Sec-WebSocket-Extensions")
    return watch


class WebSocketPlugin(Plugin[ConfigT]):
    """The base of plugins that look at messages; override the hooks that are needed.

    Extensions (compression) are not agreed on with either side on a route with such a plugin.
    """

    otoroshi_steps: ClassVar[tuple[str, ...]] = ("ValidateAccess",)
    """Otoroshi's names of the steps it lists the plugin under."""

    @override
    def transform_request(self, exchange: Exchange) -> None:
        if exchange.request.upgrade is None:
            return
        watch = _watch_of(exchange)
        # The request may be sent again, to another target.
        if all(member.plugin is not self for member in watch.members):
            watch.members.append(Member(self, self.open_socket(exchange)))

    def open_socket(self, exchange: Exchange) -> object:
        """Return what the other hooks are to know of this connection.

        Called once for each, before its handshake; ``exchange`` is of no use afterwards.
        """
        return None

    def on_request_message(
        self, message: Message, opened: Any
    ) -> MessageAnswer | Awaitable[MessageAnswer]:
        """Decide on a message of the client; ``opened`` is what `open_socket` returned."""
        return None

    def on_response_message(
        self, message: Message, opened: Any
    ) -> MessageAnswer | Awaitable[MessageAnswer]:
        """Decide on a message of the backend; ``opened`` is what `open_socket` returned."""
        return None

    async def attend_socket(self, opened: Any) -> None:
        """Do something of its own for as long as the connection is open; cancelled with it."""


class WebSocketBackend(WebSocketPlugin[ConfigT]):
    """The base of plugins that serve WebSockets themselves, in the backend's place; other requests go to the target."""

    otoroshi_steps = ("CallBackend",)
    delegates = True

    @override
    def call_backend(self, exchange: Exchange) -> Response | Refusal | None:
        request = exchange.request
        if request.upgrade is None:
            return None
        key = request.headers.get("Sec-WebSocket-Key")
        if request.upgrade.lower() != "websocket" or not key:
            return Refusal(400, "This is no request for a WebSocket")
        if request.headers.get("Sec-WebSocket-Version") != "13":
            return Response(426, (("Sec-WebSocket-Version", "13"),))
        refused = self.refuse_socket(exchange)
        if refused is not None:
            return refused
        watch = _watch_of(exchange)
        watch.backend = next(member for member in watch.members if member.plugin is self)
        digest = hashlib.sha1(key.encode() + _ACCEPT, usedforsecurity=False).digest()
        accepted = base64.b64encode(digest).decode()
        return Response(101, (("Upgrade", "websocket"), ("Sec-WebSocket-Accept", accepted)))

    def refuse_socket(self, exchange: Exchange) -> Response | Refusal | None:
        """Answer the handshake otherwise than by opening a WebSocket; ``None`` opens it."""
        return None

    async def serve_socket(self, socket: ServedSocket, opened: Any) -> None:
        """Serve a client; the connection is closed with 1000 behind it, or with 1011 when it raises.

        Cancelled when the client is gone, or has closed.
        """


def is_attending(plugin: WebSocketPlugin[Any]) -> bool:
    """Tell whether a plugin does something of its own for each connection."""
    return type(plugin).attend_socket is not WebSocketPlugin.attend_socket

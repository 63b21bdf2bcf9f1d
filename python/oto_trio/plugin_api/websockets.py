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
import inspect
from collections.abc import Awaitable, Callable
from functools import wraps
from types import FunctionType
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Protocol, TypeAlias

import msgspec
from msgspec import Meta
from typing_extensions import TypeVar, override

from oto_trio.plugin_api.answers import Refusal, Response
from oto_trio.plugin_api.exchange import Exchange, Headers
from oto_trio.plugin_api.plugin import Plugin
from oto_trio.plugin_api.websocket_deflate import (
    CONTEXTS,
    FIELD,
    OFFER,
    Deflate,
    accept_offer,
    read_answer,
)

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

    __slots__ = (
        "answer",
        "backend",
        "backend_deflate",
        "client_deflate",
        "is_answered",
        "members",
        "route_id",
        "route_name",
        "target",
        "url",
    )

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
        is_websocket = (request.upgrade or "").lower() == "websocket"
        offer = accept_offer(request.headers) if is_websocket and CONTEXTS.has_room else None
        self.client_deflate: Deflate | None = None if offer is None else offer[0]
        """What the client agreed on about compression; None for none."""
        self.answer: str | None = None if offer is None else offer[1]
        """What it is told of that."""
        self.backend_deflate: Deflate | None = None
        """What the backend agreed on, once it has answered."""
        self.is_answered = False
        """Whether the answer of the handshake says so."""


class ServedSocket(Protocol):
    """A WebSocket as the plugin that serves it has it."""

    async def receive(self) -> Message:
        """Wait for the client's next message.

        Raises:
            trio.EndOfChannel: The client closed.

        Cancellation: no message is lost.
        """
        ...

    def take(self) -> Message | None:
        """Return a message of the client that came already; ``None`` when none waits, closed or not."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Close with a code of 1000 to 4999, unless it is closed; `serve_socket` is to return then."""
        ...

    async def send(self, data: str | bytes, /) -> None:
        """Send a message, and wait until the client may be sent another.

        Raises:
            trio.BrokenResourceError: The client closed.

        Cancellation: the message was sent.
        """
        ...


_WATCH = "oto_trio.websocket"
_SWITCHING = 101
_ACCEPT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""What a key is accepted with (RFC 6455 section 1.3)."""


def _watch_of(exchange: Exchange) -> Watch:
    """Return who looks at the messages of this connection; it is made with the first."""
    watch = exchange.attrs.get(_WATCH)
    if not isinstance(watch, Watch):
        watch = exchange.attrs[_WATCH] = Watch(exchange)
        exchange.watch(watch)
    return watch


def _agree(watch: Watch, headers: Headers) -> Refusal | None:
    """Read what the backend agrees on, and tell the client what it does."""
    try:
        if watch.backend is None:
            watch.backend_deflate = read_answer(headers)
        if watch.answer is None and watch.backend_deflate is not None:
            raise ValueError("the backend agrees to an extension that was not offered")
    except ValueError as error:
        return Refusal(502, f"The handshake of the WebSocket failed: {error}")
    if watch.answer is not None and not CONTEXTS.has_room:
        # Others had the memory while this handshake was under way. With the backend it is agreed.
        watch.answer = watch.client_deflate = None
    if watch.answer is None:
        headers.remove(FIELD)
    else:
        headers.set(FIELD, watch.answer)
    return None


def _shake(exchange: Exchange) -> Refusal | None:
    """Agree on compression, once for each handshake that the backend accepts."""
    watch, response = exchange.attrs.get(_WATCH), exchange.response
    if not isinstance(watch, Watch) or response is None or response.status != _SWITCHING:
        return None
    if watch.is_answered:
        return None
    watch.is_answered = True
    return _agree(watch, response.headers)


def _shaking(own: Callable[[Any, Exchange], Any]) -> Callable[[Any, Exchange], Any]:
    """Have a plugin's ``transform_response`` agree, too, behind what it does; not when it answers itself."""
    if inspect.iscoroutinefunction(own):

        @wraps(own)
        async def waiting(plugin: Any, exchange: Exchange) -> Any:
            answer = await own(plugin, exchange)
            return _shake(exchange) if answer is None else answer

        return waiting

    @wraps(own)
    def inline(plugin: Any, exchange: Exchange) -> Any:
        answer = own(plugin, exchange)
        return _shake(exchange) if answer is None else answer

    return inline


class WebSocketPlugin(Plugin[ConfigT]):
    """The base of plugins that look at messages; override the hooks that are needed.

    Hooks see messages as they are, whether a side sends them compressed or not.
    """

    otoroshi_steps: ClassVar[tuple[str, ...]] = ("ValidateAccess",)
    """Otoroshi's names of the steps it lists the plugin under."""

    @override
    def __init_subclass__(cls) -> None:
        """See that the client is told of its terms also where ``transform_response`` leaves out ``super()``."""
        super().__init_subclass__()
        own = cls.__dict__.get("transform_response")
        if isinstance(own, FunctionType) and not _is_generator(own):
            cls.transform_response = _shaking(own)  # type: ignore[assignment]

    @override
    def transform_request(self, exchange: Exchange) -> None:
        if exchange.request.upgrade is None:
            return
        watch = _watch_of(exchange)
        if watch.answer is None:
            exchange.request.headers.remove(FIELD)
        else:
            exchange.request.headers.set(FIELD, OFFER)
        # The request may be sent again, to another target.
        if all(member.plugin is not self for member in watch.members):
            watch.members.append(Member(self, self.open_socket(exchange)))

    @override
    def transform_response(self, exchange: Exchange) -> Refusal | None:
        return _shake(exchange)

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


def _is_generator(function: FunctionType) -> bool:
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)


def is_attending(plugin: WebSocketPlugin[Any]) -> bool:
    """Tell whether a plugin does something of its own for each connection."""
    return type(plugin).attend_socket is not WebSocketPlugin.attend_socket

"""Send what clients say to a second WebSocket, too.

Phases: transform_request, transform_response.
Otoroshi: ``cp:otoroshi.next.plugins.WebsocketMirrorBackend``.
"""

import functools
import logging
import ssl
from collections import deque
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import SplitResult, urlsplit

import trio
from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import (
    Config,
    Exchange,
    Message,
    WebSocketPlugin,
    compiled_template,
)

if TYPE_CHECKING:
    from wsproto import WSConnection
    from wsproto.events import Event

__all__ = ["Mirror", "WebsocketMirrorBackend", "WebsocketMirrorBackendConfig"]

logger = logging.getLogger(__name__)

_CONNECT_S: Final = 10.0
_WAITING_BYTES: Final = 1024 * 1024
_WAITING: Final = 256
"""What waits for the mirror at most, in bytes and messages; further messages are not mirrored."""
_READ_BYTES: Final = 64 * 1024


class WebsocketMirrorBackendConfig(Config, frozen=True):
    """Where to."""

    url: Annotated[
        str | None,
        Meta(
            description="The URL of the second WebSocket, ws or wss; ${…} is evaluated. Empty: none."
        ),
    ] = None


class Mirror:
    """What waits for one connection to a mirror.

    Args:
        url: The mirror's.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._queue: deque[Message] = deque()
        self._waiting = 0
        self._arrived = trio.Event()

    def put(self, message: Message) -> None:
        """Have a message sent, unless too much waits."""
        if self._waiting + message.size <= _WAITING_BYTES and len(self._queue) < _WAITING:
            self._queue.append(message)
            self._waiting += message.size
            self._arrived.set()

    async def next(self) -> Message:
        """Wait for a message."""
        while not self._queue:
            self._arrived = trio.Event()
            await self._arrived.wait()
        message = self._queue.popleft()
        self._waiting -= message.size
        return message


class WebsocketMirrorBackend(WebSocketPlugin[WebsocketMirrorBackendConfig]):
    """Sends the client's messages to the backend and to a mirror, whose own are dropped.

    The connection to the mirror is made with the client's and ends with it. Nothing waits for the mirror: one that cannot
    be reached is logged, and one that is slow misses messages when more than 1 MiB or 256 of them wait. The
    certificate of a ``wss`` mirror is checked against the system's authorities.
    """

    id = "cp:otoroshi.next.plugins.WebsocketMirrorBackend"
    name = "Websocket mirror backend"
    description = "Sends the messages of clients to a second WebSocket, too."
    categories = ("Websocket",)
    otoroshi_steps = ("CallBackend",)

    def __init__(self, config: WebsocketMirrorBackendConfig) -> None:
        super().__init__(config)
        self._url = compiled_template("$.url", config.url) if config.url else None

    @override
    def open_socket(self, exchange: Exchange) -> Mirror | None:
        return None if self._url is None else Mirror(self._url.render(exchange))

    @override
    def on_request_message(self, message: Message, opened: Mirror | None) -> None:
        if opened is not None:
            opened.put(message)

    @override
    async def attend_socket(self, opened: Mirror | None) -> None:
        if opened is None:
            return
        try:
            await _mirror(opened)
        except* (OSError, trio.BrokenResourceError, trio.TooSlowError, _MirrorError) as errors:
            # Without what may be secret in its path and query.
            shown = opened.url.partition("?")[0].split("/")[2:3]
            logger.warning("the mirror %s is lost: %r", shown, errors.exceptions[0])


class _MirrorError(Exception):
    """The mirror is none, or ended."""


async def _mirror(mirror: Mirror) -> None:
    """Connect, and send what comes until cancelled."""
    # Loaded with the first: most gateways mirror nothing.
    from wsproto import ConnectionType, WSConnection  # noqa: PLC0415
    from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage  # noqa: PLC0415

    ws = WSConnection(ConnectionType.CLIENT)
    async with AsyncExitStack() as stack:
        with trio.fail_after(_CONNECT_S):
            parts = _read(mirror.url)
            stream = await stack.enter_async_context(await _connect(parts))
            await _shake_hands(ws, stream, parts)
        lock = trio.Lock()

        async def listen() -> None:
            while True:
                for event in await _heard(ws, stream):
                    if isinstance(event, CloseConnection):
                        raise _MirrorError("it closed")
                    if isinstance(event, Ping):
                        async with lock:
                            await stream.send_all(ws.send(event.response()))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            while True:
                data = (await mirror.next()).data
                said = TextMessage(data) if isinstance(data, str) else BytesMessage(data)
                async with lock:
                    await stream.send_all(ws.send(said))


async def _shake_hands(ws: "WSConnection", stream: trio.abc.Stream, parts: SplitResult) -> None:
    """Ask for a WebSocket.

    Raises:
        _MirrorError: There is none to be had.
    """
    from wsproto.events import (  # noqa: PLC0415 (as above)
        AcceptConnection,
        CloseConnection,
        RejectConnection,
        Request,
    )

    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    await stream.send_all(ws.send(Request(host=parts.netloc, target=target)))
    while True:
        for event in await _heard(ws, stream):
            if isinstance(event, AcceptConnection):
                return
            if isinstance(event, (RejectConnection, CloseConnection)):
                raise _MirrorError("it refuses the WebSocket")


async def _heard(ws: "WSConnection", stream: trio.abc.Stream) -> "list[Event]":
    """Wait for what the mirror says.

    Raises:
        _MirrorError: It speaks another language.
    """
    from wsproto.utilities import ProtocolError  # noqa: PLC0415 (as above)

    data = bytes(await stream.receive_some(_READ_BYTES))
    try:
        ws.receive_data(data or None)
        return list(ws.events())
    except ProtocolError as error:
        raise _MirrorError(f"it speaks no WebSocket: {error}") from None


def _read(url: str) -> SplitResult:
    """Read the URL of a mirror.

    Raises:
        _MirrorError: It is none of a WebSocket.
    """
    try:
        parts = urlsplit(url)
        is_fine = parts.scheme in ("ws", "wss") and parts.hostname and parts.port != 0
    except ValueError as error:
        raise _MirrorError(f"no URL: {error}") from None
    if not is_fine:
        raise _MirrorError("no URL of a WebSocket")
    return parts


async def _connect(parts: SplitResult) -> trio.abc.Stream:
    """Connect to a mirror."""
    host = parts.hostname or ""
    if parts.scheme == "ws":
        return await trio.open_tcp_stream(host, parts.port or 80)
    tcp = await trio.open_tcp_stream(host, parts.port or 443)
    stream = trio.SSLStream(tcp, _tls(), server_hostname=host, https_compatible=True)
    await stream.do_handshake()
    return stream


@functools.lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """Return what certificates of mirrors are checked by."""
    return ssl.create_default_context()

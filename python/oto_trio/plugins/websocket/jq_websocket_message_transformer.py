"""Put messages through a jq filter.

Phases: transform_request, transform_response.
Otoroshi: ``cp:otoroshi.next.plugins.JqWebsocketMessageTransformer``.
"""

import logging
from typing import Annotated

import msgspec
from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, Message, MessageAnswer, Reject, WebSocketPlugin
from oto_trio.plugin_api.call_context import call_context
from oto_trio.plugin_api.jq_filters import JqBoundError, JqError, bounds, check, run

__all__ = ["JqWebsocketMessageTransformer", "JqWebsocketMessageTransformerConfig"]

logger = logging.getLogger(__name__)

_NO_TEXT = Reject(1008, "message payload is not text")
_NO_JSON = Reject(1008, "message payload is not json")

_IDENTITY = "."


class JqWebsocketMessageTransformerConfig(Config, frozen=True):
    """What becomes of messages."""

    request_filter: Annotated[
        str, Meta(description="The jq filter for the client's messages; $context is the handshake.")
    ] = _IDENTITY
    response_filter: Annotated[
        str,
        Meta(description="The jq filter for the backend's messages; $context is the handshake."),
    ] = _IDENTITY

    def __post_init__(self) -> None:
        """Refuse a filter that is none when the config is read."""
        for name in ("request_filter", "response_filter"):
            fault = check(getattr(self, name), "context")
            if fault is not None:
                raise ValueError(f"{name}: not a jq filter: {fault}")


class _Opened(msgspec.Struct):
    """What holds for all messages of a connection."""

    context: bytes
    """The context of the handshake as JSON; empty when no filter asks for it."""
    route: str
    is_told: bool = False
    """Whether the log has had a line about this connection."""


class JqWebsocketMessageTransformer(WebSocketPlugin[JqWebsocketMessageTransformerConfig]):
    """Sends on what a jq filter makes of a message that is JSON; other messages go nowhere, with 1008 in the event.

    Several outputs are one message, a line each; no output is an empty message. When the filter fails, a JSON array with
    what it says of that goes on in the message's place. ``$context`` is what is known of the handshake (``request``, ``user``,
    ``apikey``, ``route``…). With the filter ``.`` a message goes on as it is; Otoroshi indents the JSON, here it
    is written without spaces. Filters run in processes of their own, within the bounds of the setting ``jq``.
    """

    id = "cp:otoroshi.next.plugins.JqWebsocketMessageTransformer"
    name = "Websocket JQ transformer"
    description = "Puts the JSON messages of clients and backends through jq filters."
    categories = ("Websocket",)
    otoroshi_steps = ("TransformResponse",)

    @override
    def open_socket(self, exchange: Exchange) -> _Opened:
        filters = self.config.request_filter + self.config.response_filter
        context = b""
        if "context" in filters:
            context = msgspec.json.encode(call_context(exchange, self.config))
        return _Opened(context, exchange.route_id)

    @override
    async def on_request_message(self, message: Message, opened: _Opened) -> MessageAnswer:
        return await self._filtered(self.config.request_filter, message, opened)

    @override
    async def on_response_message(self, message: Message, opened: _Opened) -> MessageAnswer:
        return await self._filtered(self.config.response_filter, message, opened)

    async def _filtered(self, text: str, message: Message, opened: _Opened) -> MessageAnswer:
        """Return what a filter makes of a message."""
        data = message.data
        if not isinstance(data, str):
            return _NO_TEXT
        is_identity = text.strip() == _IDENTITY
        try:
            document = data.encode()
            # What is too long for a filter is not looked at; `run` says so.
            if is_identity or len(document) <= bounds().document_bytes:
                # Nothing is made of it, and numbers may have as many digits as they like.
                msgspec.json.decode(document, type=msgspec.Raw)
        except (UnicodeEncodeError, msgspec.DecodeError, RecursionError):
            return _NO_JSON
        if is_identity:
            return None
        names = {"context": opened.context or b"null"}
        try:
            outputs = await run(text, document, names, whose=opened.route)
        except JqError as error:
            # What jq says may hold parts of the message; what is over a bound does not.
            if isinstance(error, JqBoundError) and not opened.is_told:
                opened.is_told = True
                logger.warning("a filter of route %s is stopped: %s", opened.route, error.message)
            return Message(msgspec.json.encode([error.message]).decode())
        return Message(b"\n".join(outputs).decode())

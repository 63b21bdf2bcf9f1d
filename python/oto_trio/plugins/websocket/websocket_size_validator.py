"""Bound the size of messages, in both directions.

Phases: transform_request, transform_response.
Otoroshi: ``cp:otoroshi.next.plugins.WebsocketSizeValidator``.
"""

from typing import Annotated, Any

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Config, Message, Reject, RejectStrategy, WebSocketPlugin

__all__ = ["WebsocketSizeValidator", "WebsocketSizeValidatorConfig"]

_TOO_BIG = 1009


class WebsocketSizeValidatorConfig(Config, frozen=True):
    """How long messages may be."""

    client_max_payload: Annotated[
        int, Meta(ge=0, description="Bytes of the client's longest message.")
    ] = 4096
    upstream_max_payload: Annotated[
        int, Meta(ge=0, description="Bytes of the backend's longest message.")
    ] = 4096
    reject_strategy: RejectStrategy = "drop"


class WebsocketSizeValidator(WebSocketPlugin[WebsocketSizeValidatorConfig]):
    """Refuses longer messages with 1009.

    Whatever it says, a message longer than the engine's ``websocket_message_bytes``, 1 MiB, closes the connection.
    """

    id = "cp:otoroshi.next.plugins.WebsocketSizeValidator"
    name = "Websocket size validator"
    description = "Lets through messages up to a size, in both directions."
    categories = ("Websocket",)
    otoroshi_steps = ("ValidateAccess", "TransformResponse")

    @override
    def on_request_message(self, message: Message, opened: Any) -> Reject | None:
        if message.size <= self.config.client_max_payload:
            return None
        return self._refused("limit exceeded")

    @override
    def on_response_message(self, message: Message, opened: Any) -> Reject | None:
        if message.size <= self.config.upstream_max_payload:
            return None
        return self._refused("upstream payload limit exceeded")

    def _refused(self, reason: str) -> Reject:
        return Reject(_TOO_BIG, reason, self.config.reject_strategy == "close")

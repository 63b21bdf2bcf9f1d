"""Let through messages of one format only.

Phases: transform_request, transform_response.
Otoroshi: ``cp:otoroshi.next.plugins.WebsocketTypeValidator``.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Config, Message, Reject, RejectStrategy, WebSocketPlugin

__all__ = ["WebsocketTypeValidator", "WebsocketTypeValidatorConfig"]

_UNACCEPTABLE = 1003


class WebsocketTypeValidatorConfig(Config, frozen=True):
    """Which messages pass."""

    allowed_format: Annotated[
        Literal["all", "binary", "text", "json"],
        Meta(
            description="The format of the client's messages; json: text that is JSON, or binary."
        ),
    ] = "all"
    reject_strategy: RejectStrategy = "drop"


class WebsocketTypeValidator(WebSocketPlugin[WebsocketTypeValidatorConfig]):
    """Refuses the client's messages of another format with 1003.

    Text that is no UTF-8 closes the connection with 1007, with this plugin or without it. With ``json``, binary messages
    pass unread, as in Otoroshi.
    """

    id = "cp:otoroshi.next.plugins.WebsocketTypeValidator"
    name = "Websocket type validator"
    description = "Lets through messages of clients that are text, binary or JSON."
    categories = ("Websocket",)

    @override
    def on_request_message(self, message: Message, opened: Any) -> Reject | None:
        wanted = self.config.allowed_format
        data = message.data
        if isinstance(data, str):
            passes = wanted in ("all", "text") or (wanted == "json" and _is_json(data))
        else:
            passes = wanted != "text"
        if passes:
            return None
        closes = self.config.reject_strategy == "close"
        return Reject(_UNACCEPTABLE, f"expected {wanted} content", closes)


def _is_json(text: str) -> bool:
    """Tell whether a text is a JSON value."""
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True

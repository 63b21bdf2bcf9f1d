"""Let through messages whose JSON holds a value at a path.

Phases: transform_request, transform_response.
Otoroshi: ``cp:otoroshi.next.plugins.WebsocketContentValidatorIn``.
"""

import re
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import (
    Config,
    Exchange,
    Message,
    Reject,
    RejectStrategy,
    WebSocketPlugin,
    compiled_template,
)
from oto_trio.plugin_api.call_context import call_context
from oto_trio.plugin_api.json_values import (
    JsonPathError,
    JsonPathValidator,
    compile_path,
    value_meets,
)

__all__ = ["MessageValidator", "WebsocketContentValidatorIn", "WebsocketContentValidatorInConfig"]

_POLICY = 1008


class MessageValidator(JsonPathValidator, frozen=True):
    """What the value at a path of the context of a message must be."""

    path: Annotated[
        str,
        Meta(description="A JSONPath into the context, the text in message; ${…} is evaluated."),
    ] = "$.message"
    value: Annotated[
        Any,
        Meta(
            description="What must be there: a JSON value, or a text such as Regex(…), Contains(…), "
            "Size(…), IsDefined(), NotDefined(); ${…} is evaluated in texts."
        ),
    ] = "foo"
    kind: Annotated[
        Literal["json-path-validator"], Meta(description="The kind of validator; there is one.")
    ] = "json-path-validator"


class WebsocketContentValidatorInConfig(Config, frozen=True):
    """What must hold."""

    validator: Annotated[
        MessageValidator, Meta(description="What the value at a JSONPath must be.")
    ] = MessageValidator()
    reject_strategy: RejectStrategy = "drop"

    def __post_init__(self) -> None:
        """Refuse a path or pattern that is none when the config is read."""
        fault = self.validator.fault()
        if fault is not None:
            raise ValueError(f"validator.{fault}")


class _Opened(NamedTuple):
    """What holds for all messages of a connection: the context, the path in it and what is expected there."""

    context: dict[str, Any]
    path: str
    expected: object


class WebsocketContentValidatorIn(WebSocketPlugin[WebsocketContentValidatorInConfig]):
    """Refuses the client's messages whose context is not as the validator says with 1008.

    The context is that of the handshake (``request``, ``user``, ``apikey``, ``route``…) with the text of the message as
    ``message``; a binary message is one if it is UTF-8. Expressions have the values of the handshake;
    where they make no path or no pattern, no message passes.
    """

    id = "cp:otoroshi.next.plugins.WebsocketContentValidatorIn"
    name = "Websocket content validator in"
    description = "Lets through messages of clients that are as a JSONPath validator says."
    categories = ("Websocket",)

    def __init__(self, config: WebsocketContentValidatorInConfig) -> None:
        super().__init__(config)
        value = config.validator.value
        self._path = compiled_template("$.validator.path", config.validator.path)
        self._value = (
            compiled_template("$.validator.value", value) if isinstance(value, str) else None
        )

    @override
    def open_socket(self, exchange: Exchange) -> _Opened:
        expected = self.config.validator.value if self._value is None else None
        return _Opened(
            call_context(exchange, self.config),
            self._path.render(exchange),
            expected if self._value is None else self._value.render(exchange),
        )

    @override
    def on_request_message(self, message: Message, opened: _Opened) -> Reject | None:
        data = message.data
        text = data if isinstance(data, str) else data.decode(errors="replace")
        document = {**opened.context, "message": text}
        try:
            is_fine = value_meets(compile_path(opened.path), document, opened.expected)
        except (JsonPathError, msgspec.DecodeError, re.error):
            is_fine = False
        if is_fine:
            return None
        closes = self.config.reject_strategy == "close"
        return Reject(_POLICY, "failed to validate message", closes)

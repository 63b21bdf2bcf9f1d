"""Let through messages that a JSON schema accepts.

Phases: transform_request, transform_response.
Otoroshi: ``cp:otoroshi.next.plugins.WebsocketJsonFormatValidator``.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Config, Message, Reject, RejectStrategy, WebSocketPlugin
from oto_trio.plugin_api.json_schemas import SchemaFault, schema_check

__all__ = ["WebsocketJsonFormatValidator", "WebsocketJsonFormatValidatorConfig"]

_POLICY = 1008


class WebsocketJsonFormatValidatorConfig(Config, frozen=True):
    """What messages must look like."""

    schema: Annotated[str, Meta(description="The JSON schema, as text.")] = (
        '{ "type": "object", "required": ["name"] }'
    )
    specification: Annotated[
        str, Meta(description="The URI of the JSON schema dialect that the schema is written in.")
    ] = "https://json-schema.org/draft/2020-12/schema"
    reject_strategy: RejectStrategy = "drop"

    def __post_init__(self) -> None:
        """Refuse a schema that is none when the config is read."""
        try:
            schema_check(self.schema, self.specification)
        except SchemaFault as error:
            raise ValueError(str(error)) from None


class WebsocketJsonFormatValidator(WebSocketPlugin[WebsocketJsonFormatValidatorConfig]):
    """Refuses the client's messages that are no JSON, or that the schema does not accept, with 1008.

    A binary message is read as JSON too. A reference to a schema elsewhere is not followed: such a message closes the
    connection with 1011.
    """

    id = "cp:otoroshi.next.plugins.WebsocketJsonFormatValidator"
    name = "Websocket json format validator"
    description = "Lets through messages of clients that a JSON schema accepts."
    categories = ("Websocket",)

    def __init__(self, config: WebsocketJsonFormatValidatorConfig) -> None:
        super().__init__(config)
        self._accepts = schema_check(config.schema, config.specification)

    @override
    def on_request_message(self, message: Message, opened: Any) -> Reject | None:
        try:
            is_fine = self._accepts(msgspec.json.decode(message.data))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            is_fine = False
        if is_fine:
            return None
        closes = self.config.reject_strategy == "close"
        return Reject(_POLICY, "failed to validate message", closes)

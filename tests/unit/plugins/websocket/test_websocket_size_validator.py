"""Messages up to a size."""

from oto_trio.plugin_api import Message, Reject
from oto_trio.plugins.websocket.websocket_size_validator import (
    WebsocketSizeValidator,
    WebsocketSizeValidatorConfig,
)


def test_each_direction_has_its_bound() -> None:
    plugin = WebsocketSizeValidator(
        WebsocketSizeValidatorConfig(client_max_payload=3, upstream_max_payload=5)
    )
    assert plugin.on_request_message(Message("abc"), None) is None
    assert plugin.on_request_message(Message("abcd"), None) == Reject(1009, "limit exceeded")
    assert plugin.on_response_message(Message(b"abcde"), None) is None
    refused = Reject(1009, "upstream payload limit exceeded")
    assert plugin.on_response_message(Message(b"abcdef"), None) == refused


def test_a_text_counts_as_it_is_sent() -> None:
    config = WebsocketSizeValidatorConfig(client_max_payload=3, reject_strategy="close")
    plugin = WebsocketSizeValidator(config)
    assert plugin.on_request_message(Message("éa"), None) is None
    refused = Reject(1009, "limit exceeded", closes=True)
    assert plugin.on_request_message(Message("éé"), None) == refused

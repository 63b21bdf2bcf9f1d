"""Messages of one format only."""

import pytest

from oto_trio.plugin_api import Message, Reject
from oto_trio.plugins.websocket.websocket_type_validator import (
    WebsocketTypeValidator,
    WebsocketTypeValidatorConfig,
)

MESSAGES: dict[str, str | bytes] = {"text": "plain", "json": '{"a": 1}', "binary": b"\0{}"}
PASSING = {
    "all": {"text", "json", "binary"},
    "text": {"text", "json"},
    "binary": {"binary"},
    "json": {"json", "binary"},
}


@pytest.mark.parametrize("wanted", PASSING)
@pytest.mark.parametrize("kind", MESSAGES)
def test_what_passes(wanted: str, kind: str) -> None:
    plugin = WebsocketTypeValidator(WebsocketTypeValidatorConfig(allowed_format=wanted))  # type: ignore[arg-type]
    answer = plugin.on_request_message(Message(MESSAGES[kind]), None)
    refused = Reject(1003, f"expected {wanted} content", closes=False)
    assert answer == (None if kind in PASSING[wanted] else refused)


def test_the_strategy_says_whether_the_connection_ends() -> None:
    config = WebsocketTypeValidatorConfig(allowed_format="binary", reject_strategy="close")
    answer = WebsocketTypeValidator(config).on_request_message(Message("text"), None)
    assert answer == Reject(1003, "expected binary content", closes=True)


def test_json_that_is_nested_without_end_is_none() -> None:
    plugin = WebsocketTypeValidator(WebsocketTypeValidatorConfig(allowed_format="json"))
    assert plugin.on_request_message(Message("[" * 100_000), None) is not None

"""Messages with a value at a path."""

from typing import Any

import pytest

from oto_trio.plugin_api import Message, Reject
from oto_trio.plugin_api.websockets import Watch
from oto_trio.plugins.websocket.websocket_content_validator_in import (
    MessageValidator,
    WebsocketContentValidatorIn,
    WebsocketContentValidatorInConfig,
)
from oto_trio.testing.exchange import FakeExchange

REFUSED = Reject(1008, "failed to validate message")


def judged(validator: MessageValidator, data: str | bytes, room: str = "red") -> Any:
    plugin = WebsocketContentValidatorIn(WebsocketContentValidatorInConfig(validator=validator))
    exchange = FakeExchange.of("GET", "http://api.localhost/chat", {"X-Room": room})
    exchange.request.upgrade = "websocket"
    plugin.transform_request(exchange)
    watch = exchange.watched
    assert isinstance(watch, Watch)
    ((_, opened),) = watch.members
    return plugin.on_request_message(Message(data), opened)


@pytest.mark.parametrize(
    ("path", "value", "data", "passes"),
    [
        ("$.message", "foo", "foo", True),
        ("$.message", "foo", b"foo", True),
        ("$.message", "foo", "bar", False),
        ("$.message", "foo", b"\xff", False),
        ("$.message", "Contains(o)", "foo", True),
        ("$.request.headers.X-Room", "red", "anything", True),
        ("$.request.headers.X-Room", "blue", "anything", False),
        ("$.route.id", "route_1", "anything", True),
        ("$.message", "NotDefined()", "foo", False),
    ],
)
def test_what_passes(path: str, value: str, data: str | bytes, *, passes: bool) -> None:
    assert judged(MessageValidator(path, value), data) == (None if passes else REFUSED)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$.message", "Regex(${req.headers.x-room})"),
        ("$.message", "RegexNot(${req.headers.x-room})"),
        ("${req.headers.x-room}", "foo"),
    ],
)
def test_where_expressions_make_no_pattern_or_path_nothing_passes(path: str, value: str) -> None:
    assert judged(MessageValidator(path, value), "foo", "$[(") == REFUSED


def test_a_path_that_is_none_is_refused_when_it_is_written() -> None:
    with pytest.raises(ValueError, match=r"validator\.path"):
        WebsocketContentValidatorInConfig(validator=MessageValidator(path="$["))


def test_requests_that_open_no_websocket_are_left_alone() -> None:
    plugin = WebsocketContentValidatorIn(WebsocketContentValidatorInConfig())
    exchange = FakeExchange.of("GET", "http://api.localhost/")
    plugin.transform_request(exchange)
    assert exchange.watched is None

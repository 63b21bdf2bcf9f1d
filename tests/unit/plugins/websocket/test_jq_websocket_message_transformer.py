"""Messages through jq filters."""

import json
import logging
from typing import Any

import pytest

from oto_trio import jq
from oto_trio.plugin_api import Message, Reject
from oto_trio.plugin_api.errors import PluginError
from oto_trio.plugin_api.registry import builtin_plugins
from oto_trio.plugin_api.websockets import Watch
from oto_trio.plugins.websocket.jq_websocket_message_transformer import (
    JqWebsocketMessageTransformer,
    JqWebsocketMessageTransformerConfig,
)
from oto_trio.testing.exchange import FakeExchange
from tests.unit.jq.patience import patient

NO_TEXT = Reject(1008, "message payload is not text")
NO_JSON = Reject(1008, "message payload is not json")


def opened(**filters: str) -> tuple[JqWebsocketMessageTransformer, Any]:
    """Return the plugin and what it knows of a connection."""
    plugin = JqWebsocketMessageTransformer(JqWebsocketMessageTransformerConfig(**filters))
    exchange = FakeExchange.of("GET", "http://api.localhost/chat", {"X-Room": "red"})
    exchange.request.upgrade = "websocket"
    plugin.transform_request(exchange)
    watch = exchange.watched
    assert isinstance(watch, Watch)
    ((_, known),) = watch.members
    return plugin, known


@pytest.mark.parametrize(
    ("text", "data", "answer"),
    [
        (".", '{"a":  1}', None),  # as it is
        (" . ", "1", None),
        (".", "{", NO_JSON),
        (".", "", NO_JSON),
        (".", "1 2", NO_JSON),
        (".", "[" * 100_000, NO_JSON),
        (".", "\ud800", NO_JSON),
        (".", b"{}", NO_TEXT),
        (".a", "nan", NO_JSON),
        (".a", "[01]", NO_JSON),
        (".", '{"a": 1e400}', None),
        (".a", '{"a": 1e400}', Message("1E+400")),
        (".a", '{"a": ' + "9" * 5000 + "}", Message("9" * 5000)),
        (".a", b"{}", NO_TEXT),
        (".a", '{"a": {"b": "€"}}', Message('{"b":"€"}')),
        ("..", "[1]", Message("[1]\n1")),
        ("empty", "1", Message("")),
        (".a", "1", Message('["Cannot index number with string (\\"a\\")"]')),
        ('error("no")', "1", Message('["no"]')),
        ('$context.request.headers["X-Room"], $context.route.id', "1", Message('"red"\n"route_1"')),
        ("env", "1", Message("{}")),
        ('"a" * 1000000000', "1", Message('["the filter needs more memory than it may have"]')),
    ],
)  # fmt: skip
async def test_what_becomes_of_messages(
    text: str, data: str | bytes, answer: Message | Reject | None
) -> None:
    async with jq.serving(patient()):
        plugin, known = opened(request_filter=text)
        assert await plugin.on_request_message(Message(data), known) == answer
        plugin, known = opened(response_filter=text)
        assert await plugin.on_response_message(Message(data), known) == answer


@pytest.mark.parametrize("data", ["[" + " " * 2000 + "]", "x" * 2000])
async def test_a_message_that_is_too_long_for_a_filter_is_not_looked_at(data: str) -> None:
    async with jq.serving(patient(document_bytes=1024)):
        plugin, known = opened(request_filter=".a")
        said = "the document is longer than the 1024 bytes it may have"
        answer = await plugin.on_request_message(Message(data), known)
        assert answer == Message(json.dumps([said]))


async def test_each_direction_has_its_own_filter() -> None:
    async with jq.serving(patient()):
        plugin, known = opened(request_filter=".q", response_filter=".r")
        message = Message('{"q": 1, "r": 2}')
        assert await plugin.on_request_message(message, known) == Message("1")
        assert await plugin.on_response_message(message, known) == Message("2")


async def test_the_log_tells_once_of_what_is_over_a_bound_and_never_of_messages(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    bounds = patient(output_bytes=1024)
    async with jq.serving(bounds):
        plugin, known = opened(request_filter="if .secret then .secret.a else range(1e12) end")
        for data in ('{"secret": "hidden"}', "{}", "{}"):
            answer = await plugin.on_request_message(Message(data), known)
            assert isinstance(answer, Message)
            assert len(json.loads(answer.data)) == 1
    assert [record.getMessage() for record in caplog.records] == [
        "a filter of route route_1 is stopped: the filter makes more than 1024 bytes"
    ]


@pytest.mark.parametrize("name", ["request_filter", "response_filter"])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("(", "syntax error, unexpected end of file at line 1, column 1"),
        ("$ctx", r"\$ctx is not defined"),
        ('import "a" as a; 1', "import, include and module are not available here"),
    ],
)
def test_a_filter_that_is_none_is_refused_when_it_is_written(
    name: str, text: str, said: str
) -> None:
    registry = {plugin.id: plugin for plugin in builtin_plugins()}
    assert JqWebsocketMessageTransformer.id in registry
    with pytest.raises((PluginError, ValueError), match=f"{name}: not a jq filter: {said}"):
        JqWebsocketMessageTransformerConfig(**{name: text})
    JqWebsocketMessageTransformerConfig(**{name: "$context"})

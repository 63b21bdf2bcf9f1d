"""How plugins that look at messages join a connection, and what a good one looks like."""

from typing import Any

from typing_extensions import override

from oto_trio.plugin_api import Message, WebSocketPlugin
from oto_trio.plugin_api.exchange import Exchange
from oto_trio.plugin_api.inspection import check_plugin, describe
from oto_trio.plugin_api.websockets import Member, Watch
from oto_trio.testing.exchange import FakeExchange


class Counted(WebSocketPlugin):
    id = "cp:test.Counted"
    name = "Counted"
    description = "Remembers what was asked for."
    categories = ("Websocket",)
    otoroshi_steps = ("TransformResponse",)

    @override
    def open_socket(self, exchange: Exchange) -> str:
        return exchange.request.path

    @override
    async def on_response_message(self, message: Message, opened: Any) -> None:
        return None


class Misspelt(Counted):
    def on_request_mesage(self, message: Message, opened: Any) -> None:
        """Never called."""


class Short(Counted):
    @override
    def on_request_message(self, message: Message) -> None:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        """Takes too little."""


def handshake() -> FakeExchange:
    headers = {"Sec-WebSocket-Extensions": "permessage-deflate"}
    exchange = FakeExchange.of("GET", "https://api.localhost/chat?a=b", headers)
    exchange.request.upgrade = "websocket"
    return exchange


def test_plugins_join_in_the_order_of_the_slots_and_once() -> None:
    exchange, first, second = handshake(), Counted(None), Counted(None)
    for plugin in (first, second, first):  # the request may be sent again
        plugin.transform_request(exchange)
    watch = exchange.watched
    assert isinstance(watch, Watch)
    assert watch.members == [Member(first, "/chat"), Member(second, "/chat")]
    assert (watch.route_id, watch.url) == ("route_1", "wss://api.localhost/chat?a=b")
    assert watch.target == "http://backend.internal/"


def test_hooks_for_messages_are_hooks() -> None:
    assert check_plugin(Counted) == []
    assert describe(Counted)["phases"] == ["transform_request", "transform_response"]
    assert describe(Counted)["steps"] == ["TransformResponse"]


def test_a_misspelt_hook_is_found() -> None:
    (problem,) = check_plugin(Misspelt)
    assert problem.fix.startswith("did you mean on_request_message")


def test_a_hook_that_takes_too_little_is_found() -> None:
    (problem,) = check_plugin(Short)
    assert "def on_request_message(self, message, opened)" in problem.fix


def test_the_size_of_a_text_is_that_of_its_bytes() -> None:
    assert [Message(data).size for data in ("ab", "é", b"\0\1")] == [2, 2, 2]

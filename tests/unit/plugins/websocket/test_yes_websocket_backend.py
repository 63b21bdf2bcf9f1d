"""A backend that says y."""

from __future__ import annotations

import pytest
import trio
import trio.lowlevel
import trio.testing

from oto_trio.plugin_api import Message, Refusal, Response
from oto_trio.plugin_api.websockets import Watch
from oto_trio.plugins.websocket.yes_websocket_backend import YesWebsocketBackend
from oto_trio.testing.exchange import FakeExchange

KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def handshake(query: str = "", key: str | None = KEY, version: str = "13") -> FakeExchange:
    headers = {"Sec-WebSocket-Version": version, **({"Sec-WebSocket-Key": key} if key else {})}
    exchange = FakeExchange.of("GET", f"http://api.localhost/{query}", headers)
    exchange.request.upgrade = "websocket"
    return exchange


def answered(exchange: FakeExchange) -> Response | Refusal | None:
    plugin = YesWebsocketBackend(None)
    plugin.transform_request(exchange)
    return plugin.call_backend(exchange)


def test_the_handshake_is_that_of_the_standard() -> None:
    exchange = handshake()
    accepted = (("Upgrade", "websocket"), ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="))
    assert answered(exchange) == Response(101, accepted)  # RFC 6455 section 1.3
    assert isinstance(exchange.watched, Watch)
    assert exchange.watched.backend is exchange.watched.members[0]


@pytest.mark.parametrize(
    ("exchange", "status"),
    [
        (handshake("?fail=yes"), 500),
        (handshake(key=None), 400),
        (handshake(version="8"), 426),
    ],
)
def test_other_handshakes_are_refused(exchange: FakeExchange, status: int) -> None:
    answer = answered(exchange)
    assert answer is not None
    assert answer.status == status


def test_other_requests_go_to_the_target() -> None:
    assert answered(FakeExchange.of("GET", "http://api.localhost/")) is None


class Heard:
    """A client that says one thing and leaves after three answers."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.said = [Message("hello")]

    async def receive(self) -> Message:
        await trio.lowlevel.checkpoint()
        if self.said:
            return self.said.pop()
        raise trio.EndOfChannel

    def take(self) -> Message | None:
        return self.said.pop() if self.said else None

    def close(self, code: int, reason: str) -> None:
        raise AssertionError((code, reason))

    async def send(self, data: str | bytes, /) -> None:
        await trio.lowlevel.checkpoint()
        assert data == "y"
        self.times.append(trio.current_time())
        if len(self.times) == 3:
            raise trio.BrokenResourceError


async def test_it_says_y_again_and_again(autojump_clock: trio.testing.MockClock) -> None:
    del autojump_clock  # it is for pytest-trio, which takes no clock that is only used
    heard, begun = Heard(), trio.current_time()
    with pytest.raises(ExceptionGroup) as raised:
        await YesWebsocketBackend(None).serve_socket(heard, None)
    assert raised.group_contains(trio.BrokenResourceError)
    assert [round(time - begun, 1) for time in heard.times] == [0.3, 0.6, 0.9]

"""ConsumerEndpoint."""

from typing import Any

import msgspec

from oto_trio._core import ApiKey
from oto_trio.plugin_api import Response
from oto_trio.plugins.authentication.consumer_endpoint import ConsumerEndpoint
from oto_trio.testing import FakeExchange, play

KEY = ApiKey.read(b'{"clientId":"c","clientSecret":"s","clientName":"n","tags":["t"]}')


async def answer(exchange: FakeExchange) -> dict[str, Any]:
    got = await play(ConsumerEndpoint(None), exchange)
    assert isinstance(got, Response)
    assert got.status == 200
    document: dict[str, Any] = msgspec.json.decode(got.body)
    return document


async def test_callers_are_told_who_they_are() -> None:
    exchange = FakeExchange.of("GET", "http://api.localhost/me")
    assert await answer(exchange) == {"access_type": "public"}
    exchange.apikey = KEY
    assert await answer(exchange) == {
        "clientId": "c",
        "clientName": "n",
        "metadata": {},
        "tags": ["t"],
        "access_type": "apikey",
    }
    exchange.user = {"name": "A", "email": "a@b.test", "token": {"secret": 1}}
    shown = await answer(exchange)
    assert shown["access_type"] == "session"
    assert shown["email"] == "a@b.test"
    assert "token" not in shown

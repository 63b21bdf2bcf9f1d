"""AdditionalCookieIn."""

import pytest

from oto_trio.plugins.cookies.additional_cookie_in import (
    AdditionalCookieIn,
    AdditionalCookieInConfig,
)
from oto_trio.testing import FakeExchange, play


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ({}, ["user=GET"]),
        ({"Cookie": "a=1; b"}, ["a=1; b; user=GET"]),
        ({"Cookie": "user=root; a=1;user=x"}, ["a=1; user=GET"]),
    ],
)
async def test_the_cookie_replaces_the_clients(sent: dict[str, str], expected: list[str]) -> None:
    plugin = AdditionalCookieIn(AdditionalCookieInConfig("user", "${req.method}"))
    exchange = FakeExchange.of("GET", "http://api.localhost/", sent)
    await play(plugin, exchange)
    assert exchange.request.headers.get_all("Cookie") == expected


async def test_a_value_cannot_begin_another_cookie() -> None:
    plugin = AdditionalCookieIn(AdditionalCookieInConfig("a", "${req.query.a}"))
    exchange = FakeExchange.of("GET", "http://api.localhost/?a=1%3B%20admin=1%0d%0aX:%20y")
    await play(plugin, exchange)
    assert exchange.request.headers.items()[1:] == [("Cookie", "a=1? admin=1??X: y")]


async def test_a_name_that_is_none_adds_nothing() -> None:
    plugin = AdditionalCookieIn(AdditionalCookieInConfig("${req.query.a}", "b"))
    exchange = FakeExchange.of("GET", "http://api.localhost/?a=x%20y", {"Cookie": "c=d"})
    await play(plugin, exchange)
    assert exchange.request.headers.get_all("Cookie") == ["c=d"]

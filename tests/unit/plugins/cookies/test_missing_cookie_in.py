"""MissingCookieIn."""

import pytest

from oto_trio.plugins.cookies.missing_cookie_in import MissingCookieIn, MissingCookieInConfig
from oto_trio.testing import FakeExchange, play


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ({}, ["lang=fr"]),
        ({"Cookie": "a=1"}, ["a=1; lang=fr"]),
        ({"Cookie": "a=1;lang=en"}, ["a=1;lang=en"]),
        ({"Cookie": "LANG=en"}, ["LANG=en; lang=fr"]),
    ],
)
async def test_only_an_absent_cookie_is_added(sent: dict[str, str], expected: list[str]) -> None:
    plugin = MissingCookieIn(MissingCookieInConfig("lang", "fr"))
    exchange = FakeExchange.of("GET", "http://api.localhost/", sent)
    await play(plugin, exchange)
    assert exchange.request.headers.get_all("Cookie") == expected

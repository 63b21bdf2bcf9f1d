"""RemoveCookiesIn."""

import pytest

from oto_trio.plugins.cookies.remove_cookies_in import RemoveCookiesIn, RemoveCookiesInConfig
from oto_trio.testing import FakeExchange, play


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ([("Cookie", "a=1; session=x; b=2")], ["a=1; b=2"]),
        ([("Cookie", "session=x"), ("cookie", "session = y; c")], ["c"]),
        ([("Cookie", "session=x")], []),
        ([("Cookie", "Session=x;a")], ["Session=x;a"]),
        ([], []),
    ],
)
async def test_named_cookies_are_gone(sent: list[tuple[str, str]], expected: list[str]) -> None:
    plugin = RemoveCookiesIn(RemoveCookiesInConfig(("session",)))
    exchange = FakeExchange.of("GET", "http://api.localhost/", sent)
    await play(plugin, exchange)
    assert exchange.request.headers.get_all("Cookie") == expected

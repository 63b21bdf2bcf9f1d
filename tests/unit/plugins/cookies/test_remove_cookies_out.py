"""RemoveCookiesOut."""

import pytest

from oto_trio.plugins.cookies.remove_cookies_out import RemoveCookiesOut, RemoveCookiesOutConfig
from oto_trio.testing import FakeExchange, FakeResponseHead, play


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (["a=1; Path=/", "session=x", "session; Secure", "b=2"], ["a=1; Path=/", "b=2"]),
        (["Session=x"], ["Session=x"]),
        (["session=x"], []),
        ([], []),
    ],
)
async def test_named_cookies_are_gone(sent: list[str], expected: list[str]) -> None:
    plugin = RemoveCookiesOut(RemoveCookiesOutConfig(("session",)))
    backend = FakeResponseHead(200, [("Set-Cookie", line) for line in sent])
    await play(plugin, FakeExchange(), backend)
    assert backend.headers.get_all("Set-Cookie") == expected

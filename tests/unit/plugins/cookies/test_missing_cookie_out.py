"""MissingCookieOut."""

import pytest

from oto_trio.plugin_api import PluginError
from oto_trio.plugin_api.config import read_config
from oto_trio.plugins.cookies.missing_cookie_out import MissingCookieOut, MissingCookieOutConfig
from oto_trio.testing import FakeExchange, FakeResponseHead, play


@pytest.mark.parametrize(
    ("config", "line"),
    [
        ({}, "cookie=value"),
        ({"name": "m", "value": "${req.method}"}, "m=GET"),
        (
            {
                "domain": "${req.domain}",
                "path": "/a",
                "maxAge": 60,
                "secure": True,
                "httpOnly": True,
                "sameSite": "Lax",
            },
            "cookie=value; Domain=api.localhost; Max-Age=60; Path=/a; Secure; HttpOnly; SameSite=Lax",
        ),
        ({"value": "a;b\u20ac"}, "cookie=a?b?"),
        ({"name": "a b"}, None),
    ],
)
async def test_the_cookie_is_set(config: dict[str, object], line: str | None) -> None:
    plugin = MissingCookieOut(read_config(MissingCookieOutConfig, config))
    backend = FakeResponseHead()
    await play(plugin, FakeExchange.of("GET", "http://api.localhost/"), backend)
    assert backend.headers.get_all("Set-Cookie") == ([] if line is None else [line])


@pytest.mark.parametrize(
    ("line", "count"), [("user=root; Path=/", 1), ("USER=x", 2), ("a=1; user=2", 2)]
)
async def test_a_cookie_that_the_backend_sets_stays(line: str, count: int) -> None:
    plugin = MissingCookieOut(MissingCookieOutConfig("user", "b"))
    backend = FakeResponseHead(200, {"Set-Cookie": line})
    await play(plugin, FakeExchange(), backend)
    assert len(backend.headers.get_all("Set-Cookie")) == count


@pytest.mark.parametrize("config", [{"path": "/;Domain=x"}, {"sameSite": "lax"}])
def test_an_attribute_that_is_none_is_refused(config: dict[str, object]) -> None:
    with pytest.raises(PluginError):
        read_config(MissingCookieOutConfig, config)

"""AdditionalCookieOut."""

import pytest

from oto_trio.plugin_api import PluginError
from oto_trio.plugin_api.config import read_config
from oto_trio.plugins.cookies.additional_cookie_out import (
    AdditionalCookieOut,
    AdditionalCookieOutConfig,
)
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
    plugin = AdditionalCookieOut(read_config(AdditionalCookieOutConfig, config))
    backend = FakeResponseHead()
    await play(plugin, FakeExchange.of("GET", "http://api.localhost/"), backend)
    assert backend.headers.get_all("Set-Cookie") == ([] if line is None else [line])


async def test_it_stands_beside_the_backends() -> None:
    plugin = AdditionalCookieOut(AdditionalCookieOutConfig("a", "b"))
    backend = FakeResponseHead(200, {"Set-Cookie": "a=1"})
    await play(plugin, FakeExchange(), backend)
    assert backend.headers.get_all("Set-Cookie") == ["a=1", "a=b"]


@pytest.mark.parametrize("config", [{"path": "/;Domain=x"}, {"sameSite": "lax"}])
def test_an_attribute_that_is_none_is_refused(config: dict[str, object]) -> None:
    with pytest.raises(PluginError):
        read_config(AdditionalCookieOutConfig, config)

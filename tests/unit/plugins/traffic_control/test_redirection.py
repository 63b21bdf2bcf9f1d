"""Redirection."""

import pytest

from oto_trio.plugin_api import PluginError, Response, steps
from oto_trio.plugin_api.config import read_config
from oto_trio.plugins.traffic_control.redirection import Redirection, RedirectionConfig
from oto_trio.testing import FakeExchange, play


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_every_request_is_redirected(code: int) -> None:
    plugin = Redirection(RedirectionConfig(code, "https://b.example/x?y=${req.path}"))
    answer = await play(plugin, FakeExchange())
    assert answer == Response(code, (("Location", "https://b.example/x?y=/"),))
    assert plugin.lower() == (steps.Redirect(code, "https://b.example/x?y=${req.path}"),)


@pytest.mark.parametrize("code", [200, 300, 304, 404])
async def test_with_a_code_that_is_no_redirect_nothing_happens(code: int) -> None:
    plugin = Redirection(RedirectionConfig(code))
    assert await play(plugin, FakeExchange()) is None
    assert plugin.lower() == ()


def test_the_defaults_are_otoroshis() -> None:
    assert read_config(RedirectionConfig, {}) == RedirectionConfig(303, "https://www.otoroshi.io")


def test_an_address_cannot_split_the_message() -> None:
    with pytest.raises(PluginError, match=r"\$\.to: expected a header value"):
        read_config(RedirectionConfig, {"to": "https://b.example/\r\nSet-Cookie: a=b"})

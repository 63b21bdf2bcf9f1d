"""Mount."""

import pytest

from oto_trio.plugin_api import PluginError
from oto_trio.plugin_api.config import read_config
from oto_trio.plugins.other.mount import Mount, MountConfig
from oto_trio.testing import FakeExchange, play


@pytest.mark.parametrize(
    ("config", "mounted"),
    [
        ({"app": "shop.web:app"}, "asgi shop.web:app"),
        ({"app": "shop:make.app", "kind": "wsgi"}, "wsgi shop:make.app"),
        ({"app": "f:f", "kind": "function"}, "function f:f"),
    ],
)
async def test_the_application_is_named(config: dict[str, str], mounted: str) -> None:
    exchange = FakeExchange.of("GET", "http://api.localhost/")
    assert await play(Mount(read_config(MountConfig, config)), exchange) is None
    assert exchange.mounted == mounted


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"app": ""},
        {"app": "shop.web"},
        {"app": "shop web:app"},
        {"app": ":app"},
        {"app": "shop:"},
        {"app": "../shop:app"},
        {"app": "shop..web:app"},
        {"app": "shop:app", "kind": "cgi"},
    ],
)
def test_what_names_no_application_is_refused(config: dict[str, str]) -> None:
    with pytest.raises(PluginError):
        read_config(MountConfig, config)

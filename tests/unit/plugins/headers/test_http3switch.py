"""Http3Switch."""

from typing import Any

import msgspec
import pytest

from oto_trio.plugin_api import PluginError
from oto_trio.plugin_api.registry import Registry
from oto_trio.plugins.headers.http3switch import Http3Switch, Http3SwitchConfig
from oto_trio.testing import FakeExchange, FakeResponseHead, play

REGISTRY = Registry().extended([(Http3Switch, "test")])


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, 'h3=":443"; ma=3600'),
        ({"domain": None, "protocols": [], "ma": 0}, 'h3=":443"; ma=0'),
        (
            {"domain": "a.test", "protocols": ["h3-29", "h3"], "ma": 60},
            'h3="a.test:443"; ma=60, h3-29="a.test:443"; ma=60',
        ),
    ],
)
async def test_the_backends_own_field_is_replaced(config: dict[str, Any], expected: str) -> None:
    plugin = Http3Switch(msgspec.convert(config, Http3SwitchConfig))
    exchange = FakeExchange.of("GET", "http://api.localhost/")
    await play(plugin, exchange, FakeResponseHead(200, [("Alt-Svc", "clear"), ("X-One", "1")]))
    assert exchange.response is not None
    assert sorted(exchange.response.headers.items()) == [("X-One", "1"), ("alt-svc", expected)]


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({"domain": 'a"b'}, r"\$\.domain"),
        ({"domain": "a\r\nB: c"}, r"\$\.domain"),
        ({"domain": "a\n"}, r"\$\.domain"),
        ({"protocols": ["h3", ""]}, r"\$\.protocols\[1\]"),
        ({"protocols": ["h3="]}, r"\$\.protocols\[0\]"),
        ({"ma": -1}, r"\$\.ma"),
    ],
)
def test_what_no_field_can_carry_is_refused(config: dict[str, Any], path: str) -> None:
    with pytest.raises(PluginError, match=path):
        REGISTRY.make(Http3Switch.id, config)

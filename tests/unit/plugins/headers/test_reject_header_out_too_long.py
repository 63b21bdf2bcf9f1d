"""RejectHeaderOutTooLong."""

import pytest

from oto_trio.plugin_api import Phase, PluginError, steps
from oto_trio.plugin_api.config import read_config
from oto_trio.plugins.headers.reject_header_out_too_long import (
    RejectHeaderOutTooLong,
    RejectHeaderOutTooLongConfig,
)
from oto_trio.testing import FakeExchange, FakeResponseHead, play

FIELDS = [
    ("X-A", "1234"),
    ("X-A", "abcde"),
    ("X-B", "12"),
    ("x-a", "1"),
    ("Content-Length", "123456"),
]


async def test_long_values_are_dropped() -> None:
    plugin = RejectHeaderOutTooLong(RejectHeaderOutTooLongConfig(4))
    exchange = FakeExchange()
    assert await play(plugin, exchange, FakeResponseHead(200, FIELDS)) is None
    assert exchange.response is not None
    headers = exchange.response.headers
    assert headers.get_all("X-A") == ["1234", "1"]
    assert headers.get_all("X-B") == ["12"]
    assert headers.get("Content-Length") == "123456"
    facts = {"header": "X-A", "length": 5, "max": 4, "removed": True}
    assert exchange.alerts == [("HeaderTooLongAlert", facts)]
    settings = steps.LongHeaders(4, cut=False)
    assert plugin.lower() == (steps.Native("long_headers", Phase.TRANSFORM_RESPONSE, settings),)


def test_a_negative_length_is_refused_when_the_config_is_read() -> None:
    with pytest.raises(PluginError, match=r"\$\.value"):
        read_config(RejectHeaderOutTooLongConfig, {"value": -1})

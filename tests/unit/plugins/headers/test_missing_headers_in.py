"""MissingHeadersIn."""

import pytest

from oto_trio.plugin_api import Phase, PluginError, steps
from oto_trio.plugin_api.registry import Registry
from oto_trio.plugins.headers.missing_headers_in import MissingHeadersIn, MissingHeadersInConfig
from oto_trio.testing import FakeExchange, FakeRequest, play

FIELDS = [("X-One", "1"), ("x-two", "2"), ("X-Two", "3")]
WANTED = {"X-TWO": "t", "X-New": "n"}
EXPECTED = [("X-One", "1"), ("x-two", "2"), ("X-Two", "3"), ("X-New", "n")]


async def test_fields_that_are_absent_are_added() -> None:
    plugin = MissingHeadersIn(MissingHeadersInConfig(WANTED))
    exchange = FakeExchange(FakeRequest(headers=FIELDS))
    await play(plugin, exchange)
    assert exchange.request.headers.items() == EXPECTED


async def test_by_default_nothing_changes() -> None:
    plugin = MissingHeadersIn(MissingHeadersInConfig())
    exchange = FakeExchange(FakeRequest(headers=FIELDS))
    await play(plugin, exchange)
    assert exchange.request.headers.items() == FIELDS


def test_nameless_and_framing_fields_are_left_out() -> None:
    config = MissingHeadersInConfig({"": "x", "content-length": "1", "A": "b"})
    step = steps.AddMissingHeaders({"A": "b"}, Phase.TRANSFORM_REQUEST)
    assert MissingHeadersIn(config).lower() == (step,)


def test_a_value_that_would_split_the_message_is_refused() -> None:
    registry = Registry().extended([(MissingHeadersIn, "test")])
    with pytest.raises(PluginError, match=r"\$\.headers\[\"A\"\]: expected a header value"):
        registry.make(MissingHeadersIn.id, {"headers": {"A": "b\r\nC: d"}})

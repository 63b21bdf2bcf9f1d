"""Limits by an expression."""

from typing import Any

import pytest

from oto_trio.plugin_api import Refusal
from oto_trio.plugin_api.config import read_config
from oto_trio.plugin_api.errors import PluginError
from oto_trio.plugins.other.ng_custom_quotas import NgCustomQuotas, NgCustomQuotasConfig
from oto_trio.testing import FakeExchange


def plugin(**config: Any) -> NgCustomQuotas:
    return NgCustomQuotas(read_config(NgCustomQuotasConfig, config))


def test_each_caller_has_a_limit_of_its_own() -> None:
    limited = plugin(daily_quota=1)
    exchange = FakeExchange()
    assert limited.access(exchange) is None
    assert limited.access(exchange) == Refusal(403, "forbidden")
    exchange.remote_address = "198.51.100.1"
    assert limited.access(exchange) is None


def test_the_limit_ends() -> None:
    limited = plugin(daily_quota=1)
    exchange = FakeExchange()
    limited.access(exchange)
    assert limited.access(exchange) is not None
    exchange.unix_time += 86_400
    assert limited.access(exchange) is None


@pytest.mark.parametrize(
    ("config", "is_shared"),
    [({}, False), ({"per_route": False}, True), ({"group": "all"}, True)],
)
def test_routes_are_counted_apart_unless_they_share_a_group(
    config: dict[str, Any], is_shared: bool
) -> None:
    limited = plugin(daily_quota=1, **config)
    exchange = FakeExchange()
    limited.access(exchange)
    exchange.route_id = "another"
    assert (limited.access(exchange) is not None) is is_shared


def test_a_limit_below_zero_is_refused() -> None:
    with pytest.raises(PluginError, match="daily_quota"):
        plugin(daily_quota=-1)

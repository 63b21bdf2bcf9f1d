"""The quotas of a route."""

from typing import Any

import pytest

from oto_trio.plugin_api import Refusal
from oto_trio.plugin_api.config import read_config
from oto_trio.plugin_api.errors import PluginError
from oto_trio.plugins.other.ng_service_quotas import NgServiceQuotas, NgServiceQuotasConfig
from oto_trio.testing import FakeExchange


def plugin(**config: Any) -> NgServiceQuotas:
    return NgServiceQuotas(read_config(NgServiceQuotasConfig, config))


def test_the_calls_of_a_route_are_bounded_whoever_makes_them() -> None:
    limited = plugin(daily_quota=2)
    exchange = FakeExchange()
    assert limited.access(exchange) is None
    exchange.remote_address = "198.51.100.1"
    assert limited.access(exchange) is None
    assert limited.access(exchange) == Refusal(403, "forbidden")
    exchange.route_id = "another"
    assert limited.access(exchange) is None


def test_a_day_ends_the_daily_quota_and_ten_seconds_do_not() -> None:
    limited = plugin(daily_quota=1)
    exchange = FakeExchange()
    limited.access(exchange)
    exchange.now += 10.0
    assert limited.access(exchange) is not None
    exchange.unix_time += 86_400
    assert limited.access(exchange) is None


def test_a_quota_below_zero_is_refused() -> None:
    with pytest.raises(PluginError, match="monthly_quota"):
        plugin(monthly_quota=-1)

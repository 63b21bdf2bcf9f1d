"""Calls above the limit are refused with 429, by key."""

from typing import Any

import pytest

from oto_trio.plugin_api import Refusal
from oto_trio.plugin_api.config import read_config
from oto_trio.plugin_api.errors import PluginError
from oto_trio.plugins.access_control.distributed_redis_throttling import (
    DistributedRedisThrottling,
    DistributedRedisThrottlingConfig,
)
from oto_trio.testing import FakeExchange


def plugin(**config: Any) -> DistributedRedisThrottling:
    return DistributedRedisThrottling(read_config(DistributedRedisThrottlingConfig, config))


def test_calls_above_the_limit_are_refused_by_key() -> None:
    limited = plugin(quota={"window": 2}, bucketKey="${req.headers.x-tenant}")
    first = FakeExchange.of("GET", "http://a.localhost/", {"X-Tenant": "a"})
    assert [limited.access(first) for _ in range(3)] == [
        None,
        None,
        Refusal(429, "Too much requests"),
    ]
    other = FakeExchange.of("GET", "http://a.localhost/", {"X-Tenant": "b"})
    other.counters = first.counters
    assert limited.access(other) is None


def test_the_limit_ends() -> None:
    limited = plugin(quota={"window": 2})
    exchange = FakeExchange()
    assert [limited.access(exchange) is None for _ in range(3)] == [True, True, False]
    exchange.now += 10.0
    assert limited.access(exchange) is None


def test_a_limit_that_cannot_be_is_refused_by_name() -> None:
    with pytest.raises(PluginError, match="quota"):
        plugin(quota={"daily": -1})

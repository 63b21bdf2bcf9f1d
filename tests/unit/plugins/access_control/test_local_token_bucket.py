"""Calls above the limit are refused with 429, by key."""

from typing import Any

import pytest

from oto_trio.plugin_api import Refusal
from oto_trio.plugin_api.config import read_config
from oto_trio.plugin_api.errors import PluginError
from oto_trio.plugins.access_control.local_token_bucket import (
    LocalTokenBucket,
    LocalTokenBucketConfig,
)
from oto_trio.testing import FakeExchange


def plugin(**config: Any) -> LocalTokenBucket:
    return LocalTokenBucket(read_config(LocalTokenBucketConfig, config))


def test_calls_above_the_limit_are_refused_by_key() -> None:
    limited = plugin(
        capacity=2,
        refillRequestIntervalMs=1000,
        refillRequestedTokens=1,
        bucketKey="${req.headers.x-tenant}",
    )
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
    limited = plugin(capacity=2, refillRequestIntervalMs=1000, refillRequestedTokens=1)
    exchange = FakeExchange()
    assert [limited.access(exchange) is None for _ in range(3)] == [True, True, False]
    exchange.now += 10.0
    assert limited.access(exchange) is None


def test_a_limit_that_cannot_be_is_refused_by_name() -> None:
    with pytest.raises(PluginError, match="quota"):
        plugin(quota={"daily": -1})


def test_without_a_key_each_route_has_its_bucket() -> None:
    limited = plugin(capacity=1)
    exchange = FakeExchange()
    assert limited.access(exchange) is None
    assert limited.access(exchange) is not None
    exchange.route_id = "another"
    assert limited.access(exchange) is None

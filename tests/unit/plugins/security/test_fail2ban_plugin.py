"""Bans: who is watched, what is a failure, how long they last."""

from typing import Any

import msgspec
import pytest

from oto_trio.plugin_api.config import read_config
from oto_trio.plugin_api.errors import PluginError
from oto_trio.plugins.security.fail2ban_plugin import Fail2BanPlugin, Fail2BanPluginConfig
from oto_trio.testing import FakeExchange
from oto_trio.testing.exchange import FakeResponseHead


def plugin(**config: Any) -> Fail2BanPlugin:
    return Fail2BanPlugin(read_config(Fail2BanPluginConfig, {"max_retry": 2, **config}))


def fail(watcher: Fail2BanPlugin, exchange: FakeExchange, status: int = 401) -> None:
    exchange.attrs.clear()
    exchange.response = FakeResponseHead(status)
    watcher.transform_response(exchange)
    watcher.done(exchange)


def refusal(watcher: Fail2BanPlugin, exchange: FakeExchange) -> str | None:
    answer = watcher.access(exchange)
    if answer is None:
        return None
    assert answer.status == 403
    error: str = msgspec.json.decode(answer.body)["error"]
    return error


def test_the_failure_that_is_one_too_many_bans_until_the_ban_ends() -> None:
    watcher, exchange = plugin(ban_time="15m"), FakeExchange()
    fail(watcher, exchange)
    assert refusal(watcher, exchange) is None, "a failure is counted once"
    fail(watcher, exchange)
    answer = watcher.access(exchange)
    assert answer is not None
    assert msgspec.json.decode(answer.body) == {
        "error": "temporary_ban",
        "message": "You are temporarily banned due to too many failed requests.",
        "retry_in_seconds": 900,
    }
    exchange.now += 900
    assert refusal(watcher, exchange) is None


def test_failures_that_are_far_apart_ban_nobody() -> None:
    watcher, exchange = plugin(detect_time="10s"), FakeExchange()
    for _ in range(5):
        fail(watcher, exchange)
        exchange.now += 10
    assert refusal(watcher, exchange) is None


@pytest.mark.parametrize(("status", "bans"), [(200, False), (402, False), (403, True), (599, True)])
def test_only_listed_statuses_are_failures(status: int, bans: bool) -> None:
    watcher, exchange = plugin(), FakeExchange()
    for _ in range(2):
        fail(watcher, exchange, status)
    assert (refusal(watcher, exchange) is not None) is bans


@pytest.mark.parametrize("entry", ["Ip(192.0.2.*)", "Cidr(192.0.2.0/24)", "route_1-*"])
def test_lists_know_addresses_ranges_and_identifiers(entry: str) -> None:
    exchange = FakeExchange()
    assert refusal(plugin(blocked=[entry]), exchange) == "blocked"
    watcher = plugin(ignored=[entry], blocked=[entry])
    assert refusal(watcher, exchange) is None
    assert refusal(plugin(blocked=["Cidr(10.0.0.0/8)"]), exchange) is None


@pytest.mark.parametrize(
    ("rules", "bans"),
    [
        ([{"pattern": "/health", "mode": "allow"}], True),
        ([{"pattern": "/", "mode": "allow"}], False),
        ([{"pattern": "/login", "mode": "block"}], False),
        ([{"pattern": "/.*", "mode": "block"}, {"pattern": "/", "mode": "allow"}], True),
    ],
)
def test_the_first_rule_that_matches_the_path_decides(
    rules: list[dict[str, str]], bans: bool
) -> None:
    watcher, exchange = plugin(url_regex=rules), FakeExchange()
    for _ in range(2):
        fail(watcher, exchange)
    assert (refusal(watcher, exchange) is not None) is bans


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"ban_time": "soon"}, "ban_time"),
        ({"detect_time": "9999h"}, "detect_time"),
        ({"status_codes": ["4xx"]}, "status_codes"),
        ({"blocked": ["Cidr(10.0.0.0/99)"]}, "blocked"),
        ({"max_retry": 0}, "max_retry"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(config: dict[str, Any], named: str) -> None:
    with pytest.raises(PluginError, match=named):
        plugin(**config)

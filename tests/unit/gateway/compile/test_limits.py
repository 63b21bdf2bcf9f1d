"""What the global configuration says of limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from oto_trio.gateway.compile.limits import IPV6_PREFIX, limit_settings
from oto_trio.model.global_config import GlobalConfig
from oto_trio.testing import FakeExchange

if TYPE_CHECKING:
    from oto_trio.model.errors import Problem


@pytest.mark.parametrize(
    ("text", "prefix"), [(None, 64), ("64", 64), (" 56 ", 56), ("1", 1), ("128", 128)]
)
def test_the_prefix_of_ipv6_clients_is_read(text: str | None, prefix: int) -> None:
    problems: list[Problem] = []
    config = GlobalConfig(metadata={} if text is None else {IPV6_PREFIX: text})
    assert limit_settings(config, problems)["ipv6_prefix"] == prefix
    assert problems == []


@pytest.mark.parametrize("text", ["", "0", "129", "-1", "64.0", "/64", "٦٤", "x" * 100])
def test_a_prefix_that_is_none_is_told_and_the_default_holds(text: str) -> None:
    problems: list[Problem] = []
    config = GlobalConfig(metadata={IPV6_PREFIX: text})
    assert limit_settings(config, problems)["ipv6_prefix"] == 64
    (problem,) = problems
    assert problem.path == "$.metadata['otoroshi-core-limits-ipv6-prefix']"
    assert "from 1 to 128" in problem.message


def test_a_plugin_counts_by_the_network_too() -> None:
    exchange = FakeExchange()
    assert exchange.limits.counted_address == "192.0.2.7"
    exchange = FakeExchange()
    exchange.remote_address = "2001:db8::1"
    assert exchange.limits.counted_address == "2001:db8::/64"

"""BlockHttpTraffic."""

import msgspec
import pytest

from oto_trio.plugin_api import Phase, Response, steps
from oto_trio.plugins.traffic_control.block_http_traffic import (
    BlockHttpTraffic,
    BlockHttpTrafficConfig,
)
from oto_trio.testing import FakeExchange, play


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (None, "All connections to this resource MUST use HTTPS and TLS"),
        ("Use TLS", "Use TLS"),
    ],
)
async def test_plain_http_gets_426(message: str | None, told: str) -> None:
    plugin = BlockHttpTraffic(BlockHttpTrafficConfig(message=message))
    answer = await play(plugin, FakeExchange())
    assert isinstance(answer, Response)
    assert (answer.status, msgspec.json.decode(answer.body)) == (426, {"message": told})
    assert answer.headers == (("Content-Type", "application/json"),)


async def test_https_passes_and_it_is_native() -> None:
    plugin = BlockHttpTraffic(BlockHttpTrafficConfig())
    exchange = FakeExchange()
    exchange.secured = True
    assert await play(plugin, exchange) is None
    assert plugin.lower() == (steps.Native("block_http", Phase.ACCESS, plugin.config),)

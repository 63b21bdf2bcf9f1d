"""ResponseBandwidthThrottling."""

import pytest

from oto_trio.plugin_api import Phase, PluginError, steps
from oto_trio.plugin_api.config import read_config
from oto_trio.plugins.transformations.response_bandwidth_throttling import (
    ResponseBandwidthThrottling,
    ResponseBandwidthThrottlingConfig,
)
from oto_trio.testing import FakeExchange, play


async def test_the_engine_does_it() -> None:
    config = read_config(ResponseBandwidthThrottlingConfig, {"throttling_quota": 1024})
    assert config.throttling_quota == "1024"
    plugin = ResponseBandwidthThrottling(config)
    assert await play(plugin, FakeExchange()) is None
    settings = steps.BodyBandwidth(
        "60000", "1024", fail=True, group_expr="${route.id}", is_shared=False
    )
    assert plugin.lower() == (steps.Native("body_bandwidth", Phase.TRANSFORM_RESPONSE, settings),)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("window_millis", "a second"),
        ("window_millis", "0"),
        ("throttling_quota", "-1"),
        ("kind", "per_planet"),
    ],
)
def test_nonsense_is_named_when_the_config_is_read(key: str, value: str) -> None:
    with pytest.raises(PluginError, match=key):
        read_config(ResponseBandwidthThrottlingConfig, {key: value})

"""A limit of the global configuration, where the legacy checks are off."""

import msgspec
from typing_extensions import override

from oto_trio._core import Exchange, Snapshot
from oto_trio.plugin_api import Refusal
from oto_trio.plugins.access_control.global_throttling import GlobalThrottling
from oto_trio.testing import FakeExchange


class Bounded(FakeExchange):
    """An exchange under a global configuration that bounds."""

    @override
    def native(self) -> Exchange:
        route = {"id": "r", "name": "r", "frontend": {"domains": ["*"]}}
        settings = msgspec.json.encode({"global_quota": 2})
        snapshot = Snapshot(self.counters).apply([msgspec.json.encode(route)], [], settings)
        return snapshot.begin(
            b"GET", b"/", [(b"Host", b"a.localhost")], remote_address=self.remote_address
        )


def test_calls_above_the_quota_are_refused() -> None:
    plugin, exchange = GlobalThrottling(None), Bounded()
    assert [plugin.access(exchange) for _ in range(3)] == [
        None,
        None,
        Refusal(429, "[GLOBAL] You performed too much requests", "errors.too.much.requests"),
    ]
    exchange.remote_address = "198.51.100.1"
    assert (plugin.access(exchange) is None) is False


def test_without_a_quota_nobody_is_counted() -> None:
    plugin, exchange = GlobalThrottling(None), FakeExchange()
    assert plugin.access(exchange) is None
    assert exchange.counters.occupancy()[0] == 0

"""OverrideHost."""

from oto_trio.plugin_api import steps
from oto_trio.plugins.headers.override_host import OverrideHost
from oto_trio.testing import FakeExchange, play


async def test_host_becomes_the_targets_name_without_port() -> None:
    exchange = FakeExchange.of("GET", "http://api.localhost:8080/")
    assert await play(OverrideHost(None), exchange) is None
    assert exchange.request.headers.get_all("Host") == ["backend.internal"]


async def test_without_target_nothing_changes() -> None:
    exchange = FakeExchange.of("GET", "http://api.localhost:8080/")
    exchange.target_hostname = None
    await play(OverrideHost(None), exchange)
    assert exchange.request.headers.get("Host") == "api.localhost:8080"


def test_it_is_native() -> None:
    assert OverrideHost(None).lower() == (steps.OverrideHost(),)

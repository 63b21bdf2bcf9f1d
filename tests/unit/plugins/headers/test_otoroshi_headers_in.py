"""OtoroshiHeadersIn."""

from oto_trio.plugin_api import Native, Phase
from oto_trio.plugins.headers.otoroshi_headers_in import OtoroshiHeadersIn
from oto_trio.testing import FakeExchange, play

PLUGIN = OtoroshiHeadersIn(None)


async def test_the_backend_learns_which_request_it_is_and_no_client_can_say_so() -> None:
    claimed = {
        "otoroshi-proxied-host": "mine",
        "otoroshi-request-id": "mine",
        "otoroshi-request-timestamp": "mine",
        "otoroshi-parent-request": "mine",
    }
    exchange = FakeExchange.of("GET", "https://api.localhost:8443/", claimed)
    exchange.request_id, exchange.received_at = 42, 1_700_000_000.0625
    assert await play(PLUGIN, exchange) is None
    headers = exchange.request.headers
    assert "mine" not in dict(headers.items()).values()
    assert headers.get("Otoroshi-Proxied-Host") == "api.localhost:8443"
    assert headers.get("Otoroshi-Request-Id") == "42"
    assert headers.get("Otoroshi-Request-Timestamp") == "2023-11-14T22:13:20.062+00:00"
    assert "Otoroshi-Parent-Request" not in headers


async def test_a_clients_expressions_are_not_evaluated() -> None:
    exchange = FakeExchange.of("GET", "http://api.localhost/", {"X-Mine": "${route.id}"})
    await play(PLUGIN, exchange)
    assert exchange.request.headers.get("X-Mine") == "${route.id}"


def test_it_is_native() -> None:
    assert PLUGIN.lower() == (Native("otoroshi_headers_in", Phase.TRANSFORM_REQUEST),)

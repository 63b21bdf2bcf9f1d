"""XForwardedHeaders."""

from oto_trio.plugin_api import steps
from oto_trio.plugins.headers.x_forwarded_headers import XForwardedHeaders
from oto_trio.testing import FakeExchange, play

PLUGIN = XForwardedHeaders(None)


async def forwarded(exchange: FakeExchange) -> dict[str, str]:
    await play(PLUGIN, exchange)
    fields = exchange.request.headers.items()
    return {name: value for name, value in fields if name.startswith("X-Forwarded")}


async def test_the_backend_learns_who_called_and_how() -> None:
    exchange = FakeExchange.of("GET", "https://api.localhost:8443/", {"x-forwarded-for": "spoofed"})
    exchange.forwarded_for = "203.0.113.9, 192.0.2.7"
    assert await forwarded(exchange) == {
        "X-Forwarded-For": "203.0.113.9, 192.0.2.7",
        "X-Forwarded-Host": "api.localhost:8443",
        "X-Forwarded-Proto": "https",
    }


async def test_a_stripped_path_is_the_prefix() -> None:
    exchange = FakeExchange.of("GET", "http://api.localhost/users/1")
    exchange.matched_path = "/users"
    found = await forwarded(exchange)
    assert found["X-Forwarded-Prefix"] == "/users"
    assert found["X-Forwarded-Proto"] == "http"


async def test_a_path_that_is_kept_is_no_prefix() -> None:
    exchange = FakeExchange.of("GET", "http://api.localhost/users/1")
    exchange.matched_path, exchange.strip_path = "/users", False
    assert "X-Forwarded-Prefix" not in await forwarded(exchange)


def test_it_is_native() -> None:
    assert PLUGIN.lower() == (steps.XForwarded(),)

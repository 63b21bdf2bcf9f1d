"""SendOtoroshiHeadersBack."""

from oto_trio.plugin_api import Native, Phase
from oto_trio.plugins.headers.send_otoroshi_headers_back import SendOtoroshiHeadersBack
from oto_trio.testing import FakeExchange, FakeResponseHead, play

PLUGIN = SendOtoroshiHeadersBack(None)

FALSE = {
    "otoroshi-request-id": "false",
    "Otoroshi-Upstream-Latency": "false",
    "Otoroshi-Daily-Calls-Remaining": "false",
    "Otoroshi-Monthly-Calls-Remaining": "false",
}


async def told(exchange: FakeExchange) -> dict[str, str]:
    """What the client reads, by name in lower case."""
    await play(PLUGIN, exchange, FakeResponseHead(200, FALSE))
    assert exchange.response is not None
    fields = exchange.response.headers.items()
    return {name.lower(): value for name, value in fields}


async def test_the_client_learns_how_its_call_went() -> None:
    exchange = FakeExchange()
    exchange.request_id, exchange.received_at = 42, 1_700_000_000.999
    exchange.proxy_latency_ms, exchange.upstream_latency_ms = 3, 250
    exchange.remaining_calls = (10, 10_000_000)
    assert await told(exchange) == {
        "otoroshi-request-id": "42",
        "otoroshi-request-timestamp": "2023-11-14T22:13:20.999+00:00",
        "otoroshi-proxy-latency": "3",
        "otoroshi-upstream-latency": "250",
        "otoroshi-daily-calls-remaining": "10",
        "otoroshi-monthly-calls-remaining": "10000000",
    }


async def test_what_is_unknown_is_not_taken_from_the_backend() -> None:
    found = await told(FakeExchange())
    assert "false" not in found.values()
    assert found["otoroshi-upstream-latency"] == "-1"
    assert not [name for name in found if name.endswith("-remaining")]


def test_it_is_native() -> None:
    assert PLUGIN.lower() == (Native("otoroshi_headers_back", Phase.TRANSFORM_RESPONSE),)

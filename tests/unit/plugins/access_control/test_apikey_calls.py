"""ApikeyCalls; what it lets in is tested over sockets (tests/integration/plugins/test_api_keys.py)."""

from typing import Any

import pytest

from oto_trio._core import ApiKey
from oto_trio.plugin_api import Native, Phase, Refusal
from oto_trio.plugin_api.config import read_config
from oto_trio.plugins.access_control.apikey_calls import ApikeyCalls, ApikeyCallsConfig
from oto_trio.testing import FakeExchange, play

KEY = ApiKey.read(b'{"clientId":"c","clientSecret":"s","clientName":"n","tags":["gold"]}')


def plugin(**config: Any) -> ApikeyCalls:
    return ApikeyCalls(read_config(ApikeyCallsConfig, config))


def asking(**headers: str) -> FakeExchange:
    exchange = FakeExchange.of("GET", "http://api.localhost/", headers)
    exchange.apikeys = {"c": KEY}
    return exchange


async def test_nothing_and_nobody_known_are_refused() -> None:
    exchange = asking()
    answer = await play(plugin(), exchange)
    assert answer == Refusal(400, "no apikey", "errors.no.api.key")
    assert exchange.notes["apikey_rejection_reason"] == "no apikey detected in the http request"
    exchange = asking(**{"X-Api-Key": "nobody"})
    answer = await play(plugin(), exchange)
    assert answer == Refusal(400, "invalid apikey tuple", "errors.invalid.api.key.tuple")
    assert "nobody" in exchange.notes["apikey_rejection_reason"]


async def test_optional_keys_let_both_pass_and_leave_what_is_not_theirs() -> None:
    exchange = asking(**{"X-Api-Key": "nobody"})
    assert await play(plugin(mandatory=False), exchange) is None
    assert exchange.request.headers.get("X-Api-Key") == "nobody"
    assert exchange.apikey is None


async def test_a_key_that_was_found_before_suffices() -> None:
    exchange = asking()
    exchange.apikey = KEY
    assert await play(plugin(), exchange) is None


async def test_a_user_passes_only_when_the_config_says_so() -> None:
    exchange = asking()
    exchange.user = {"email": "a@b.test"}
    assert await play(plugin(pass_with_user=True), exchange) is None
    assert isinstance(await play(plugin(), exchange), Refusal)


@pytest.mark.parametrize(
    ("routing", "suits"),
    [
        ({"enabled": True, "one_tag_in": ["gold"]}, True),
        ({"enabled": True, "none_tagIn": ["gold"]}, False),
        ({"enabled": True, "noneTagIn": ["gold"]}, False),
        ({"enabled": False, "none_tag_in": ["gold"]}, True),
    ],
)
def test_constraints_choose_the_route(routing: dict[str, Any], suits: bool) -> None:
    exchange = asking()
    exchange.apikey = KEY
    assert plugin(routing=routing).match_route(exchange) is suits


def test_it_is_native() -> None:
    lowered = plugin().lower()
    phases = [step.phase for step in lowered]
    assert phases == [Phase.ACCESS, Phase.TRANSFORM_REQUEST]
    assert all(isinstance(step, Native) and step.kind == "apikey_calls" for step in lowered)
    chosen = plugin(routing={"enabled": True, "one_tag_in": ["a"]}).lower()
    assert chosen[0].phase is Phase.MATCH_ROUTE

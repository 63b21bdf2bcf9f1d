"""ApikeyAuthModule."""

import base64
from typing import Any

import pytest

from oto_trio._core import ApiKey
from oto_trio.plugin_api import Response
from oto_trio.plugin_api.config import read_config
from oto_trio.plugins.access_control.apikey_auth_module import (
    ApikeyAuthModule,
    ApikeyAuthModuleConfig,
)
from oto_trio.testing import FakeExchange, play


def key(client_id: str, more: str = "") -> ApiKey:
    text = f'{{"clientId":"{client_id}","clientSecret":"s","clientName":"n"{more}}}'
    return ApiKey.read(text.encode())


KEYS = {
    "good": key("good"),
    "off": key("off", ',"enabled":false'),
    "old": key("old", ',"validUntil":1'),
    "foreign": key("foreign", ',"_loc":{"tenant":"other","teams":[]}'),
}


async def ask(text: str | None, **config: Any) -> tuple[int | None, FakeExchange]:
    headers: dict[str, str] = {}
    if text is not None:
        headers["Authorization"] = "Basic " + base64.b64encode(text.encode()).decode()
    exchange = FakeExchange.of("GET", "http://api.localhost/", headers)
    exchange.apikeys = KEYS
    exchange.unix_time = 1_700_000_000.0
    plugin = ApikeyAuthModule(read_config(ApikeyAuthModuleConfig, config))
    answer = await play(plugin, exchange)
    if answer is None:
        return None, exchange
    assert isinstance(answer, Response)
    assert ("WWW-Authenticate", 'Basic realm="apikey-auth-module-realm"') in answer.headers
    return answer.status, exchange


async def test_any_enabled_key_lets_in() -> None:
    status, exchange = await ask("good:s")
    assert status is None
    assert exchange.apikey is KEYS["good"]


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (None, 401),
        ("good:wrong", 401),
        ("nobody:s", 401),
        ("off:s", 401),
        ("old:s", 401),
        ("foreign:s", 401),
        ("nocolon", 403),
    ],
)
async def test_everybody_else_is_asked(text: str | None, status: int) -> None:
    got, exchange = await ask(text)
    assert got == status
    assert exchange.apikey is None


async def test_a_matcher_limits_the_keys() -> None:
    assert (await ask("good:s", matcher={"oneTagIn": ["gold"]}))[0] == 401
    assert (await ask("good:s", matcher={"noneTagIn": ["gold"]}))[0] is None

"""NgLegacyApikeyCall."""

import pytest

from oto_trio.plugin_api import Refusal
from oto_trio.plugins.access_control.ng_legacy_apikey_call import (
    NgLegacyApikeyCall,
    NgLegacyApikeyCallConfig,
)
from oto_trio.testing import FakeExchange, play

PLUGIN = NgLegacyApikeyCall(
    NgLegacyApikeyCallConfig(public_patterns=("/open/.*",), private_patterns=("/open/not/.*",))
)


@pytest.mark.parametrize(
    ("path", "is_open"),
    [("/open/a", True), ("/open/not/a", False), ("/a", False), ("/open", False)],
)
async def test_public_paths_need_no_key(path: str, is_open: bool) -> None:
    answer = await play(PLUGIN, FakeExchange.of("GET", f"http://api.localhost{path}"))
    assert (answer is None) is is_open


async def test_a_user_needs_no_key() -> None:
    exchange = FakeExchange.of("GET", "http://api.localhost/a")
    assert isinstance(await play(PLUGIN, exchange), Refusal)
    exchange.user = {"email": "a@b.test"}
    assert await play(PLUGIN, exchange) is None

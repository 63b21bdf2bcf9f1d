"""PublicPrivatePaths."""

from typing import Any

import pytest

from oto_trio._core import ApiKey
from oto_trio.plugin_api import Phase, PluginError, Refusal, steps
from oto_trio.plugin_api.config import read_config
from oto_trio.plugins.access_control.public_private_paths import (
    PublicPrivatePaths,
    PublicPrivatePathsConfig,
)
from oto_trio.testing import FakeExchange, play

REFUSED = Refusal(401, "Not authorized", "errors.unauthorized")
KEY = ApiKey.read(b'{"clientId":"c","clientSecret":"s","clientName":"n"}')
USER = {"name": "bob"}


@pytest.mark.parametrize(
    ("path", "strict", "apikey", "user", "answer"),
    [
        ("/open/a", False, None, None, None),
        ("/open/secret", False, None, None, REFUSED),
        ("/a", False, None, None, REFUSED),
        ("/a", False, KEY, None, None),
        ("/a", False, None, USER, None),
        ("/a", True, None, USER, REFUSED),
        ("/a", True, KEY, None, None),
    ],
)
async def test_a_path_is_open_or_the_caller_known(
    path: str,
    strict: bool,
    apikey: ApiKey | None,
    user: dict[str, Any] | None,
    answer: Refusal | None,
) -> None:
    config = PublicPrivatePathsConfig(strict, ("/open/secret",), ("/open/.*",))
    plugin = PublicPrivatePaths(config)
    exchange = FakeExchange.of("GET", f"http://api.localhost{path}")
    if apikey is not None:
        exchange.apikey = ApiKey.read(b'{"clientId":"c","clientSecret":"s","clientName":"n"}')
    exchange.user = user
    assert await play(plugin, exchange) == answer
    assert plugin.lower() == (steps.Native("public_private_paths", Phase.ACCESS, config),)


def test_a_bad_pattern_is_named_when_the_config_is_read() -> None:
    with pytest.raises(PluginError, match=r"public_patterns\[1\]"):
        read_config(PublicPrivatePathsConfig, {"public_patterns": ["/a", "("]})

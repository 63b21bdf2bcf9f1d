"""NgAuthModuleExpectedUser."""

from typing import Any

import pytest

from oto_trio._core import ApiKey
from oto_trio.plugin_api import Phase, Refusal, steps
from oto_trio.plugins.authentication.ng_auth_module_expected_user import (
    NgAuthModuleExpectedUser,
    NgAuthModuleExpectedUserConfig,
)
from oto_trio.testing import FakeExchange, play

REFUSED = Refusal(401, "You're not authorized here !", "errors.auth.unauthorized")


@pytest.mark.parametrize(
    ("only_from", "user", "answer"),
    [
        ((), None, REFUSED),
        ((), {"name": "bob"}, None),
        (("auth_1",), {"name": "bob"}, REFUSED),
        (("auth_1",), {"authConfigId": "auth_2"}, REFUSED),
        (("auth_1",), {"authConfigId": "auth_1"}, None),
    ],
)
async def test_a_user_must_be_logged_in(
    only_from: tuple[str, ...], user: dict[str, Any] | None, answer: Refusal | None
) -> None:
    config = NgAuthModuleExpectedUserConfig(only_from)
    plugin = NgAuthModuleExpectedUser(config)
    exchange = FakeExchange()
    exchange.user = user
    exchange.apikey = ApiKey.read(b'{"clientId":"c","clientSecret":"s","clientName":"n"}')
    assert await play(plugin, exchange) == answer
    assert plugin.lower() == (steps.Native("expected_user", Phase.ACCESS, config),)

"""NgHasAllowedUsersValidator."""

from typing import Any

import pytest

from oto_trio.plugin_api import Phase, PluginError, Refusal, steps
from oto_trio.plugin_api.config import read_config
from oto_trio.plugins.access_control.ng_has_allowed_users_validator import (
    NgHasAllowedUsersValidator,
    NgHasAllowedUsersValidatorConfig,
)
from oto_trio.testing import FakeExchange, play

BOB: dict[str, Any] = {
    "name": "bob",
    "email": "bob@a.test",
    "profile": {"roles": ["reader", "writer"], "banned": None},
    "otoroshiData": {"team": "x"},
}


@pytest.mark.parametrize(
    ("config", "user", "passes"),
    [
        ({}, BOB, False),
        ({"usernames": ["bob"]}, None, False),
        ({"usernames": ["bob"]}, BOB, True),
        ({"usernames": ["Bob"]}, BOB, False),
        ({"emails": ["bob@a.test"]}, BOB, True),
        ({"email_domains": ["@b.test", "@a.test"]}, BOB, True),
        ({"email_domains": [""]}, BOB, False),
        ({"email_domains": ["a.test"]}, BOB, True),
        ({"email_domains": ["test"]}, BOB, True),
        ({"email_domains": [".test"]}, BOB, True),
        ({"email_domains": ["a.test"]}, {"email": "eve@evil-a.test"}, False),
        ({"email_domains": ["a.test"]}, {"email": "a.test"}, False),
        ({"emails": ["x"], "email_domains": ["x"]}, {"name": "ann"}, False),
        ({"profile_match": ["$.roles[?(@ == 'writer')]"]}, BOB, True),
        ({"profile_match": ["$.roles[?(@ == 'admin')]"]}, BOB, False),
        ({"profile_match": ["$.banned"]}, BOB, False),
        ({"profile_match": ["$.roles"], "profile_not_match": ["$.banned"]}, BOB, True),
        ({"profile_match": ["$.roles"], "profile_not_match": ["$.roles[0]"]}, BOB, False),
        ({"metadata_match": ["$.team"]}, BOB, True),
        ({"otoroshi_data_match": ["$.team"]}, BOB, True),
        ({"otoroshi_data_match": ["$.team"], "otoroshi_data_not_match": ["team"]}, BOB, False),
        ({"metadata_match": ["$.team"]}, {"name": "ann"}, False),
    ],
)
async def test_one_list_is_enough(
    config: dict[str, Any], user: dict[str, Any] | None, passes: bool
) -> None:
    plugin = NgHasAllowedUsersValidator(read_config(NgHasAllowedUsersValidatorConfig, config))
    exchange = FakeExchange()
    exchange.user = user
    assert await play(plugin, exchange) == (None if passes else Refusal(403, "forbidden"))
    native = steps.Native("allowed_users", Phase.ACCESS, plugin.config, undecided=True)
    assert plugin.lower() == (native,)


def test_a_path_that_is_none_is_named_when_the_config_is_read() -> None:
    with pytest.raises(PluginError, match=r"profile_match\[1\]: not a JSONPath"):
        read_config(NgHasAllowedUsersValidatorConfig, {"profile_match": ["$.a", "$.["]})

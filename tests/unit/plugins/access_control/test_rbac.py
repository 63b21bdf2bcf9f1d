"""RBAC."""

from typing import Any

import msgspec
import pytest

from oto_trio.plugin_api import ApiKey, Phase, PluginError, Refusal, steps
from oto_trio.plugin_api.config import read_config
from oto_trio.plugins.access_control.rbac import RBAC, RbacConfig
from oto_trio.testing import FakeExchange, play

REFUSED = Refusal(403, "forbidden")


def plugin(**config: Any) -> RBAC:
    return RBAC(read_config(RbacConfig, config))


def key(**fields: Any) -> ApiKey:
    document = {"clientId": "c", "clientSecret": "s", "clientName": "n", **fields}
    return ApiKey.read(msgspec.json.encode(document))


async def passes(rbac: RBAC, **who: Any) -> bool:
    exchange = FakeExchange()
    for name, value in who.items():
        setattr(exchange, name, value)
    answer = await play(rbac, exchange)
    assert answer in (None, REFUSED)
    return answer is None


@pytest.mark.parametrize(
    "who",
    [
        {"token": {"payload": {"roles": ["x", "admin"]}}},
        {"token": {"payload": {"deep": {"list": ["admin"]}}}},
        {"apikey": key(tags=["role:admin"])},
        {"apikey": key(metadata={"roles": '["admin"]'})},
        {"user": {"tags": ["role:admin"]}},
        {"user": {"metadata": {"roles": '["admin"]'}}},
        {"user": {"otoroshiData": {"roles": "admin"}}},
        {"user": {"otoroshiData": {"roles": "x, admin"}}},
        {"user": {"otoroshiData": {"roles": ["admin"]}}},
        {"user": {"profile": {"role": "admin"}}},
        {"apikey": key(), "user": {"tags": ["role:admin"]}},
    ],
)
async def test_every_source_may_name_the_role(who: dict[str, Any]) -> None:
    paths = {"jwt_path": "$.deep.list", "user_path": "$.profile.role"}
    assert await passes(plugin(allow=["admin"], **paths), **who)
    assert not await passes(plugin(allow=["other"], **paths), **who)
    assert not await passes(plugin(allow=["admin"], deny=["admin"], **paths), **who)


@pytest.mark.parametrize(
    ("config", "roles", "is_in"),
    [
        ({"allow": ["a", "b"]}, ["a"], True),
        ({"allow": ["a", "b"], "allow_all": True}, ["a"], False),
        ({"allow": ["a", "b"], "allow_all": True}, ["b", "a"], True),
        ({"allow": ["a"], "deny": ["b", "c"]}, ["a", "b"], False),
        ({"allow": ["a"], "deny": ["b", "c"], "deny_all": True}, ["a", "b"], True),
        ({"allow": ["a"], "deny": ["b", "c"], "deny_all": True}, ["a", "b", "c"], False),
        ({"allow": ["a"], "deny_all": True}, ["a"], True),
        ({}, ["a"], False),
        ({"allow_all": True}, ["a"], True),
        ({"allow_all": True}, [], False),
    ],
)
async def test_lists_ask_for_one_or_for_all(
    config: dict[str, Any], roles: list[str], is_in: bool
) -> None:
    assert await passes(plugin(**config), token={"payload": {"roles": roles}}) == is_in


async def test_who_is_nobody_does_not_pass_and_a_prefix_counts() -> None:
    assert not await passes(plugin(allow=["a"]))
    prefixed = plugin(allow=["a"], role_prefix="shop")
    assert await passes(prefixed, apikey=key(tags=["shop:role:a"]))
    assert not await passes(prefixed, apikey=key(tags=["role:a"]))
    native = steps.Native("rbac", Phase.ACCESS, prefixed.config, undecided=True)
    assert prefixed.lower() == (native,)


def test_a_path_that_is_none_is_named() -> None:
    with pytest.raises(PluginError, match="user_path"):
        read_config(RbacConfig, {"user_path": "$.["})

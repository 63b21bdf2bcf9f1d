"""OtoroshiInfos."""

from typing import Any

import msgspec
import pytest

from oto_trio._core import ApiKey
from oto_trio.plugin_api import Phase, steps
from oto_trio.plugin_api.config import read_config
from oto_trio.plugin_api.errors import PluginError
from oto_trio.plugins.security.otoroshi_infos import OtoroshiInfos, OtoroshiInfosConfig
from oto_trio.testing import FakeExchange, call_hook
from tests.conformance.challenge_backend import decoded

NOW = 1_700_000_000
APIKEY: dict[str, Any] = {
    "clientId": "c",
    "clientName": "n",
    "metadata": {"plan": "free", "exp": "9"},
    "tags": [],
}
USER: dict[str, Any] = {
    "randomId": "session",
    "name": "Jo",
    "email": "jo@a.b",
    "token": {"access_token": "hidden"},
    "profile": {"sub": "7", "picture": "p"},
    "tags": ["t"],
}


async def told(
    config: OtoroshiInfosConfig,
    user: Any = None,
    apikey: Any = None,
    header: str = "Otoroshi-Claim",
) -> dict[str, Any]:
    exchange = FakeExchange()
    exchange.unix_time, exchange.user = NOW + 0.5, user
    if apikey is not None:
        document = msgspec.json.encode({**apikey, "clientSecret": "s"})
        exchange.apikey = ApiKey.read(document)
    assert await call_hook(OtoroshiInfos(config), Phase.TRANSFORM_REQUEST, exchange) is None
    claims = decoded(exchange.request.headers.get(header) or "")
    assert len(claims.pop("jti")) == 36
    return claims


async def test_nobody_is_public() -> None:
    assert await told(OtoroshiInfosConfig()) == {
        "iss": "Otoroshi",
        "sub": "public",
        "aud": "a route",
        "exp": NOW + 30,
        "iat": NOW,
        "nbr": NOW,
        "access_type": "public",
    }


@pytest.mark.parametrize(
    ("user", "apikey", "subject", "kind"),
    [
        (None, APIKEY, "n", "apikey"),
        (USER, None, "jo@a.b", "user"),
        (USER, APIKEY, "jo@a.b", "both"),
    ],
)
async def test_latest_tells_of_user_and_key_but_not_of_the_session(
    user: Any, apikey: Any, subject: str, kind: str
) -> None:
    claims = await told(OtoroshiInfosConfig(ttl=60), user, apikey)
    assert (claims["sub"], claims["access_type"], claims["exp"]) == (subject, kind, NOW + 60)
    assert claims.get("apikey") == apikey
    assert ("user" in claims) is (user is not None)
    written = msgspec.json.encode(claims)
    assert b"session" not in written
    assert b"hidden" not in written


async def test_legacy_is_flat_and_metadata_replaces_no_claim() -> None:
    config = OtoroshiInfosConfig("Legacy", header_name="X-Info")
    claims = await told(config, None, APIKEY, "X-Info")
    assert claims["sub"] == "apikey:c"
    assert (claims["plan"], claims["exp"]) == ("free", NOW + 30)
    assert claims["apikey"] == msgspec.json.encode(APIKEY, order="deterministic").decode()
    claims = await told(config, USER, APIKEY, "X-Info")
    assert (claims["sub"], claims["user_id"], claims["picture"]) == ("pa:jo@a.b", "7", "p")


async def test_claims_can_be_projected() -> None:
    config = OtoroshiInfosConfig(projection={"iss": True, "jti": True, "sub": "who"})
    assert await told(config, None, APIKEY) == {"iss": "Otoroshi", "who": "n"}


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"version": "Url"}, "version"),
        ({"header_name": "Content-Length"}, "header_name"),
        ({"algo": {"type": "KidAlgoSettings"}}, "algo"),
        ({"algo": {"type": "HSAlgoSettings", "size": 512, "secret": ""}}, "algo.secret"),
        ({"projection": {"$jq": "."}}, "projection"),
    ],
)
def test_a_config_that_cannot_work_names_its_field(config: dict[str, Any], problem: str) -> None:
    with pytest.raises(PluginError) as caught:
        read_config(OtoroshiInfosConfig, config)
    assert problem in str(caught.value)


def test_it_is_native_unless_claims_are_projected() -> None:
    config = OtoroshiInfosConfig()
    lowered = OtoroshiInfos(config).lower()
    assert lowered == (steps.Native("otoroshi_infos", Phase.TRANSFORM_REQUEST, config),)
    assert OtoroshiInfos(OtoroshiInfosConfig(projection={"sub": True})).lower() is None

"""OtoroshiInfos."""

from typing import Any

import msgspec
import pytest
import trio
import trio.testing

from oto_trio import jq
from oto_trio._core import ApiKey
from oto_trio.plugin_api import Phase, Refusal, steps
from oto_trio.plugin_api.config import read_config
from oto_trio.plugin_api.errors import PluginError
from oto_trio.plugins.security.otoroshi_infos import OtoroshiInfos, OtoroshiInfosConfig
from oto_trio.testing import FakeExchange, call_hook
from tests.conformance.challenge_backend import decoded
from tests.unit.jq.patience import patient

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


async def test_claims_can_be_put_through_filters_and_one_that_fails_refuses() -> None:
    async with jq.serving(patient()):
        config = OtoroshiInfosConfig(projection={"jti": True, "who": {"$jq": '.sub + "!"'}})
        assert await told(config, None, APIKEY) == {"who": "n!"}
        for text in (".sub.a", "error"):
            plugin = OtoroshiInfos(OtoroshiInfosConfig(projection={"who": {"$jq": text}}))
            exchange = FakeExchange()
            refused = await call_hook(plugin, Phase.TRANSFORM_REQUEST, exchange)
            assert isinstance(refused, Refusal)
            assert refused.status == 500
            assert "Otoroshi-Claim" not in exchange.request.headers


async def test_a_filter_that_fails_is_logged_once_a_minute_without_what_it_saw(
    caplog: pytest.LogCaptureFixture,
) -> None:
    plugin = OtoroshiInfos(OtoroshiInfosConfig(projection={"who": {"$jq": "error(.sub)"}}))
    exchange = FakeExchange()
    exchange.user = USER
    async with jq.serving(patient()):
        for now in (NOW, NOW + 59, NOW + 60):
            exchange.unix_time = float(now)
            await call_hook(plugin, Phase.TRANSFORM_REQUEST, exchange)
    said = "a filter of the info token's projection fails: it cannot take the claims"
    assert [record.getMessage() for record in caplog.records] == [
        f"route {exchange.route_id}: {said}"
    ] * 2


async def test_too_many_filters_refuse_with_503(caplog: pytest.LogCaptureFixture) -> None:
    plugin = OtoroshiInfos(OtoroshiInfosConfig(projection={"who": {"$jq": ".sub"}}))
    bounds = jq.JqBounds(processes=1, waiting=0, timeout_s=60)
    async with jq.serving(bounds), trio.open_nursery() as nursery:
        nursery.start_soon(jq.run, "def f: f; f", b"0")
        await trio.testing.wait_all_tasks_blocked()
        refused = await call_hook(plugin, Phase.TRANSFORM_REQUEST, FakeExchange())
        nursery.cancel_scope.cancel()
    assert isinstance(refused, Refusal)
    assert refused.status == 503
    assert "too many filters wait" in caplog.text


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"version": "Url"}, "version"),
        ({"header_name": "Content-Length"}, "header_name"),
        ({"algo": {"type": "KidAlgoSettings"}}, "algo"),
        ({"algo": {"type": "HSAlgoSettings", "size": 512, "secret": ""}}, "algo.secret"),
        ({"projection": {"a": {"$jq": "("}}}, "projection.a.$jq"),
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

"""OtoroshiChallenge."""

import base64
import hashlib
import hmac
from typing import Any

import msgspec
import pytest

from oto_trio.plugin_api import Phase, steps
from oto_trio.plugin_api.config import read_config
from oto_trio.plugin_api.errors import PluginError
from oto_trio.plugins.security.otoroshi_challenge import (
    ALPHABET,
    NOT_FOUND,
    NOT_SECURED,
    OtoroshiChallenge,
    OtoroshiChallengeConfig,
)
from oto_trio.testing import FakeExchange, FakeResponseHead, call_hook

NOW = 1_700_000_000


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def jwt(claims: dict[str, Any], secret: str = "secret", alg: str = "HS512") -> str:
    """Sign as a backend would, without the engine."""
    head = b64(msgspec.json.encode({"alg": alg, "typ": "JWT"}))
    text = f"{head}.{b64(msgspec.json.encode(claims))}"
    digest = hmac.digest(secret.encode(), text.encode(), f"sha{alg[2:]}")
    return f"{text}.{b64(digest)}"


def claims_of(token: str, secret: str = "secret") -> dict[str, Any]:
    text, _, signature = token.rpartition(".")
    assert signature == b64(hmac.digest(secret.encode(), text.encode(), hashlib.sha512))
    body = text.partition(".")[2]
    return msgspec.json.decode(
        base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)), type=dict[str, Any]
    )


async def asked(plugin: OtoroshiChallenge) -> FakeExchange:
    exchange = FakeExchange()
    exchange.unix_time = NOW + 0.7
    assert await call_hook(plugin, Phase.TRANSFORM_REQUEST, exchange) is None
    return exchange


async def answered(
    plugin: OtoroshiChallenge, exchange: FakeExchange, *headers: tuple[str, str], status: int = 200
) -> object:
    exchange.response = FakeResponseHead(status, headers)
    return await call_hook(plugin, Phase.TRANSFORM_RESPONSE, exchange)


async def test_v2_sends_a_signed_state_and_takes_it_back() -> None:
    plugin = OtoroshiChallenge(OtoroshiChallengeConfig())
    exchange = await asked(plugin)
    claims = claims_of(exchange.request.headers.get("Otoroshi-State") or "")
    state, jti = claims.pop("state"), claims.pop("jti")
    assert len(state) == 128
    assert set(state) <= set(ALPHABET)
    assert len(jti) == 36
    assert claims == {
        "iss": "Otoroshi",
        "sub": "Otoroshi",
        "aud": "a route",
        "exp": NOW + 30,
        "iat": NOW,
        "nbr": NOW,
    }
    good = {"aud": "Otoroshi", "state-resp": state, "iat": NOW, "nbf": NOW, "exp": NOW + 30}
    header = ("otoroshi-state-resp", jwt(good))
    assert await answered(plugin, exchange, header, ("X-One", "1")) is None
    assert exchange.response is not None
    assert exchange.response.headers.items() == [("X-One", "1")]
    for wrong in [
        {"aud": "somebody"},
        {"state-resp": state[1:]},
        {"state-resp": None},
        {"exp": None},
        {"iat": None},
        {"exp": NOW + 31},
        {"exp": str(NOW + 30)},
        {"iat": NOW + 20, "exp": NOW + 40},
        {"nbf": NOW + 20},
        {"iat": NOW - 60, "exp": NOW - 30},
    ]:
        header = ("Otoroshi-State-Resp", jwt(good | wrong))
        assert await answered(plugin, exchange, header) == NOT_SECURED, wrong
    for token in [jwt(good, "other"), jwt(good, alg="HS256"), jwt(good)[:-2], "", "a.b.c"]:
        header = ("Otoroshi-State-Resp", token)
        assert await answered(plugin, exchange, header) == NOT_SECURED, token


async def test_v1_sends_a_bare_state_and_takes_it_back() -> None:
    config = OtoroshiChallengeConfig("V1", request_header_name="X-A", response_header_name="X-B")
    plugin = OtoroshiChallenge(config)
    exchange = await asked(plugin)
    state = exchange.request.headers.get("X-A") or ""
    assert len(state) == 128
    assert await answered(plugin, exchange, ("x-b", state)) is None
    for wrong in ["", state[1:], state + "x", "\xff" * 128]:
        assert await answered(plugin, exchange, ("X-B", wrong)) == NOT_SECURED


async def test_a_backend_that_says_nothing_is_refused() -> None:
    plugin = OtoroshiChallenge(OtoroshiChallengeConfig())
    exchange = await asked(plugin)
    assert await answered(plugin, exchange) == NOT_SECURED
    upgrade = ("X-CleverCloudUpgrade", "true")
    assert await answered(plugin, exchange, upgrade) == NOT_SECURED
    assert await answered(plugin, exchange, status=404) == NOT_SECURED
    assert await answered(plugin, exchange, upgrade, status=404) == NOT_FOUND


async def test_two_requests_have_two_states() -> None:
    plugin = OtoroshiChallenge(OtoroshiChallengeConfig("V1"))
    one, other = [(await asked(plugin)).request.headers.get("Otoroshi-State") for _ in range(2)]
    assert one != other


@pytest.mark.parametrize(
    ("version", "read"),
    [("V1", "V1"), ("v1", "V1"), (1, "V1"), ("V2", "V2"), ("v2", "V2"), (2, "V2")],
)
def test_every_spelling_of_a_version_is_read(version: object, read: str) -> None:
    assert read_config(OtoroshiChallengeConfig, {"version": version}).version == read


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"version": "V3"}, "version"),
        ({"ttl": -1}, "ttl"),
        ({"request_header_name": "Connection"}, "request_header_name"),
        (
            {"algo_to_backend": {"type": "HSAlgoSettings", "size": 1, "secret": "x"}},
            "algo_to_backend",
        ),
        (
            {"algo_from_backend": {"type": "JWKSAlgoSettings", "url": "http://a"}},
            "algo_from_backend",
        ),
        ({"algo_from_backend": {}}, "algo_from_backend.type"),
    ],
)
def test_a_config_that_cannot_work_names_its_field(config: dict[str, Any], problem: str) -> None:
    with pytest.raises(PluginError) as caught:
        read_config(OtoroshiChallengeConfig, config)
    assert problem in str(caught.value)


def test_it_is_native_both_ways() -> None:
    config = OtoroshiChallengeConfig()
    lowered = OtoroshiChallenge(config).lower()
    assert lowered == (
        steps.Native("otoroshi_challenge", Phase.TRANSFORM_REQUEST, config),
        steps.Native("otoroshi_challenge", Phase.TRANSFORM_RESPONSE, config),
    )

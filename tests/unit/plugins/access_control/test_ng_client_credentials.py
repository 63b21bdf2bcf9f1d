"""NgClientCredentials; that no route hides and that ApikeyCalls takes its tokens is tested over sockets."""

from typing import Any

import msgspec
import pytest

from oto_trio._core import ApiKey, JwtVerifier
from oto_trio.plugin_api import Phase, Response
from oto_trio.plugin_api.client_credentials import MAX_BODY_BYTES
from oto_trio.plugin_api.config import read_config
from oto_trio.plugin_api.steps import Native
from oto_trio.plugins.access_control.ng_client_credentials import (
    NgClientCredentials,
    NgClientCredentialsConfig,
)
from oto_trio.testing import FakeExchange

SECRET = "a secret of some length"
GOOD = {"grant_type": "client_credentials", "client_id": "c", "client_secret": SECRET}
UNAUTHORIZED = (401, {"error": "access_denied", "error_description": "Unauthorized"})
PAST_MS, FUTURE_MS = 1_600_000_000_000, 4_000_000_000_000


async def ask(
    path: str,
    body: bytes | dict[str, Any],
    key: dict[str, Any] | None = None,
    kind: str = "application/json",
) -> tuple[int, dict[str, Any]]:
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    url = f"https://any.test/.well-known/otoroshi/oauth/{path}"
    exchange = FakeExchange.of("POST", url, {"Content-Type": kind}, raw)
    document = {"clientId": "c", "clientSecret": SECRET, "clientName": "n", **(key or {})}
    exchange.apikeys["c"] = ApiKey.read(msgspec.json.encode(document))
    answer = await NgClientCredentials(NgClientCredentialsConfig()).sink(exchange)
    assert isinstance(answer, Response)
    assert ("Cache-Control", "no-store") in answer.headers
    return answer.status, msgspec.json.decode(answer.body)


async def test_a_token_tells_its_client() -> None:
    status, answer = await ask("token", GOOD)
    assert (status, answer["token_type"], answer["expires_in"]) == (200, "Bearer", 3600)
    secret = {"type": "HSAlgoSettings", "size": 512, "secret": SECRET}
    claims = JwtVerifier(msgspec.json.encode(secret)).verify(
        answer["access_token"], 1_700_000_001.0
    )
    assert {name: claims[name] for name in ("cid", "sub", "aud", "iss")} == {
        "cid": "c",
        "sub": "c",
        "aud": "otoroshi",
        "iss": "https://any.test",
    }
    status, told = await ask("token/introspect", {"token": answer["access_token"]})
    light: dict[str, Any] = {"clientId": "c", "clientName": "n", "metadata": {}, "tags": []}
    assert (status, told) == (200, {**light, "access_type": "apikey"})
    for change in ({"clientSecret": "another secret"}, {"enabled": False}):
        answered = await ask("token/introspect", {"token": answer["access_token"]}, change)
        assert answered == UNAUTHORIZED


@pytest.mark.parametrize(
    ("change", "status", "description"),
    [
        ({"grant_type": "password"}, 400, "Grant type 'password' not supported !"),
        ({"grant_type": None}, 401, "Unauthorized"),
        ({"client_secret": "wrong"}, 401, "Bad client credentials"),
        ({"client_id": "nobody"}, 401, "Bad client credentials"),
        ({"scope": "read"}, 403, "Client has not been granted scopes: read"),
        ({"bearer_kind": "biscuit"}, 400, "there are no Biscuit tokens here"),
    ],
)
async def test_who_gets_none_is_told_why(
    change: dict[str, Any], status: int, description: str
) -> None:
    answered, document = await ask("token", {**GOOD, **change})
    assert (answered, document["error_description"]) == (status, description)


@pytest.mark.parametrize(
    ("key", "status"),
    [
        ({"enabled": False}, 401),
        ({"validUntil": PAST_MS}, 401),
        ({"validUntil": FUTURE_MS}, 200),
        ({"rotation": {"enabled": True, "nextSecret": SECRET}, "clientSecret": "old"}, 200),
        ({"rotation": {"enabled": False, "nextSecret": SECRET}, "clientSecret": "old"}, 401),
    ],
)
async def test_only_a_key_in_force_gets_one(key: dict[str, Any], status: int) -> None:
    assert (await ask("token", GOOD, key))[0] == status


async def test_bodies_that_cannot_be_read() -> None:
    assert await ask("token", b"{", kind="application/json") == UNAUTHORIZED
    assert await ask("token", GOOD, kind="text/plain") == UNAUTHORIZED
    assert (await ask("token", b"x" * (MAX_BODY_BYTES + 1)))[0] == 413


def test_the_engine_looks_first_and_both_names_of_the_pair_are_read() -> None:
    config = read_config(NgClientCredentialsConfig, {"defaultKeyPair": "mine", "domain": "a.test"})
    assert config.default_key_pair == "mine"
    (step,) = NgClientCredentials(config).lower()
    assert isinstance(step, Native)
    assert (step.phase, step.undecided) == (Phase.SINK, True)

"""NgClientCredentialTokenEndpoint; that ApikeyCalls takes its tokens is tested over sockets."""

import base64
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest

from oto_trio._core import ApiKey, JwtVerifier
from oto_trio.plugin_api import Response
from oto_trio.plugin_api.client_credentials import MAX_BODY_BYTES
from oto_trio.plugins.authentication.ng_client_credential_token_endpoint import (
    NgClientCredentialTokenEndpoint,
    NgClientCredentialTokenEndpointConfig,
)
from oto_trio.testing import FakeExchange, play

FORM, JSON = "application/x-www-form-urlencoded; charset=utf-8", "application/json"
SECRET = "a secret of some length"
GOOD = {"grant_type": "client_credentials", "client_id": "c", "client_secret": SECRET}
BAD_CLIENT = (401, "access_denied", "bad client credentials")


async def ask(
    fields: dict[str, Any] | bytes,
    kind: str = FORM,
    headers: dict[str, str] | None = None,
    key: dict[str, Any] | None = None,
    **config: Any,
) -> tuple[int, dict[str, Any]]:
    body = fields
    if isinstance(body, dict):
        body = urlencode(body).encode() if kind == FORM else msgspec.json.encode(body)
    url = "https://tokens.test:8443/any"
    exchange = FakeExchange.of("POST", url, {"Content-Type": kind, **(headers or {})}, body)
    document = {"clientId": "c", "clientSecret": SECRET, "clientName": "n", **(key or {})}
    exchange.apikeys["c"] = ApiKey.read(msgspec.json.encode(document))
    settings = msgspec.convert(config, NgClientCredentialTokenEndpointConfig)
    answer = await play(NgClientCredentialTokenEndpoint(settings), exchange)
    assert isinstance(answer, Response)
    assert ("Cache-Control", "no-store") in answer.headers
    return answer.status, msgspec.json.decode(answer.body)


@pytest.mark.parametrize("kind", [FORM, JSON])
async def test_a_client_gets_a_token_that_its_secret_signs(kind: str) -> None:
    status, answer = await ask(GOOD, kind, expiration=60_000)
    assert status == 200
    token = answer.pop("access_token")
    assert answer == {"token_type": "Bearer", "expires_in": 60}
    secret = {"type": "HSAlgoSettings", "size": 512, "secret": SECRET}
    claims = JwtVerifier(msgspec.json.encode(secret)).verify(token, 1_700_000_001.0)
    assert len(claims.pop("jti")) == 36
    assert claims == {
        "exp": 1_700_000_060,
        "iat": 1_700_000_000,
        "nbf": 1_700_000_000,
        "cid": "c",
        "iss": "https://tokens.test:8443",
        "sub": "c",
        "aud": "otoroshi",
    }


async def test_basic_authentication_goes_before_the_fields() -> None:
    pair = base64.b64encode(f"c:{SECRET}".encode()).decode()
    fields = {"grant_type": "client_credentials", "client_id": "x", "client_secret": "y"}
    status, _ = await ask(fields, headers={"Authorization": f"Basic {pair}"})
    assert status == 200
    wrong = base64.b64encode(b"c:wrong").decode()
    status, _ = await ask(GOOD, headers={"Authorization": f"Basic {wrong}"})
    assert status == 401


async def test_scope_and_audience() -> None:
    granted = {"metadata": {"scope": "read write"}}
    status, answer = await ask({**GOOD, "scope": "write", "aud": "me"}, key=granted)
    assert (status, answer["scope"]) == (200, "write")
    payload = answer["access_token"].split(".")[1]
    claims = msgspec.json.decode(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert claims["aud"] == "me"
    for key in (granted, None):
        status, answer = await ask({**GOOD, "scope": "read admin"}, key=key)
        assert (status, answer["error"]) == (403, "access_denied")
        assert answer["error_description"] == "client has not been granted scopes: read admin"


@pytest.mark.parametrize(
    ("fields", "kind", "wanted"),
    [
        ({**GOOD, "client_secret": "wrong"}, FORM, BAD_CLIENT),
        ({**GOOD, "client_id": "nobody"}, FORM, BAD_CLIENT),
        ({**GOOD, "grant_type": "x"}, JSON, (400, "unauthorized_client", "grant type 'x' not supported !")),
        ({**GOOD, "client_id": 1}, JSON, (401, "access_denied", "unauthorized")),
        ({"grant_type": "client_credentials"}, FORM, (401, "access_denied", "unauthorized")),
        ({}, FORM, (401, "access_denied", "unauthorized")),
        (GOOD, "text/plain", (401, "access_denied", "Unauthorized")),
        (b"[1]", JSON, (401, "access_denied", "Unauthorized")),
        (b"\xff", FORM, (401, "access_denied", "Unauthorized")),
        (b"a=1&" * 65, FORM, (401, "access_denied", "Unauthorized")),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_said(
    fields: dict[str, Any] | bytes, kind: str, wanted: tuple[int, str, str]
) -> None:
    status, answer = await ask(fields, kind)
    assert (status, answer["error"], answer["error_description"]) == wanted


async def test_a_long_body_is_refused() -> None:
    status, answer = await ask(b"a" * (MAX_BODY_BYTES + 1))
    assert (status, answer["error"]) == (413, "invalid_request")


@pytest.mark.parametrize(
    ("key", "config", "status"),
    [
        ({"enabled": False}, {}, 401),
        ({"validUntil": 1_700_000_000_000}, {}, 401),
        ({"validUntil": 1_700_000_001_000}, {}, 200),
        ({}, {"allowed_apikeys": ["other"]}, 401),
        ({}, {"allowed_apikeys": ["c"]}, 200),
        ({}, {"allowed_groups": ["g"]}, 401),
        ({"authorizations": [{"kind": "group", "id": "g"}]}, {"allowed_groups": ["g"]}, 200),
        ({}, {"allowed_apikeys": ["c"], "allowed_groups": ["g"]}, 200),
    ],
)
async def test_only_good_keys_that_are_allowed_get_one(
    key: dict[str, Any], config: dict[str, Any], status: int
) -> None:
    got, _ = await ask(GOOD, key=key, **config)
    assert got == status

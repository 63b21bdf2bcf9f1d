"""HttpSignatureVerifyRequest."""

import base64
import hashlib
import hmac
from typing import Any

import msgspec
import pytest

from oto_trio.plugin_api import Response
from oto_trio.plugin_api.config import read_config
from oto_trio.plugin_api.errors import PluginError
from oto_trio.plugins.access_control.http_signature_verify_request import (
    HttpSignatureVerifyRequest,
    HttpSignatureVerifyRequestConfig,
)
from oto_trio.testing import FakeExchange, play

NOW = 1_700_000_000
URL = "https://api.localhost/orders?page=2"
KEY = {"kind": "inline", "keyid": "k", "secret_or_pem": "s3cret"}


def signed(
    lines: str, covered: str, body: bytes = b"", secret: bytes = b"s3cret", keyid: str = "k"
) -> FakeExchange:
    """Sign a request without the engine's code.

    Args:
        lines: The signature base but for its last line.
        covered: The components, as `Signature-Input` lists them.
        body: The request's body.
        secret: What it is signed with.
        keyid: What the key is called.
    """
    parameters = f'({covered});created={NOW - 5};keyid="{keyid}"'
    base = f'{lines}"@signature-params": {parameters}'
    signature = base64.b64encode(hmac.digest(secret, base.encode(), "sha256")).decode()
    digest = base64.b64encode(hashlib.sha256(b"hello").digest()).decode()
    headers = {
        "Content-Digest": f"sha-256=:{digest}:",
        "Signature-Input": f"a={parameters}",
        "Signature": f"a=:{signature}:",
    }
    exchange = FakeExchange.of("POST", URL, headers, body)
    exchange.unix_time = NOW
    return exchange


BASE = f'"@method": POST\n"@target-uri": {URL}\n'
COVERED = '"@method" "@target-uri"'


async def answer(exchange: FakeExchange, **config: Any) -> tuple[int, str] | None:
    read = read_config(HttpSignatureVerifyRequestConfig, {"keys": [KEY], **config})
    answered = await play(HttpSignatureVerifyRequest(read), exchange)
    if answered is None:
        return None
    assert isinstance(answered, Response)
    told = msgspec.json.decode(answered.body)
    assert told["error"] == "invalid_http_signature"
    return answered.status, told["details"]


async def test_a_signature_that_holds_passes() -> None:
    assert await answer(signed(BASE, COVERED)) is None


async def test_a_request_without_a_signature_passes_unless_it_must_have_one() -> None:
    assert await answer(FakeExchange.of("GET", URL)) is None
    refused = await answer(FakeExchange.of("GET", URL), mandatory=True)
    assert refused == (401, "missing Signature-Input or Signature header")


@pytest.mark.parametrize(
    ("exchange", "config", "details"),
    [
        (signed(BASE, COVERED, secret=b"x"), {}, "no matching key verified signature"),
        (signed(BASE, COVERED, keyid="x"), {}, "no key configured for keyid 'x'"),
        (signed(BASE.replace("POST", "GET"), COVERED), {}, "no matching key verified signature"),
        (signed('"@method": POST\n', '"@method"'), {}, "does not cover required components"),
        (signed(BASE, COVERED), {"max_age_seconds": 1, "clock_skew_seconds": 0}, "is older than 1"),
        (signed(BASE, COVERED), {"allowed_algorithms": ["ed25519"]}, "no matching key"),
    ],
)
async def test_anything_else_is_refused_with_401(
    exchange: FakeExchange, config: dict[str, Any], details: str
) -> None:
    refused = await answer(exchange, **config)
    assert refused is not None
    assert refused[0] == 401
    assert details in refused[1]


async def test_headers_that_are_none_are_refused_with_400() -> None:
    exchange = FakeExchange.of("GET", URL, {"Signature-Input": "a=(", "Signature": "a=:AA==:"})
    refused = await answer(exchange)
    assert refused is not None
    assert refused[0] == 400
    assert refused[1].startswith("malformed signature headers: ")


@pytest.mark.parametrize(("body", "passes"), [(b"hello", True), (b"hellO", False), (b"", False)])
async def test_a_body_whose_digest_is_signed_must_be_the_one(body: bytes, passes: bool) -> None:
    digest = base64.b64encode(hashlib.sha256(b"hello").digest()).decode()
    lines = BASE + f'"content-digest": sha-256=:{digest}:\n'
    refused = await answer(signed(lines, COVERED + ' "content-digest"', body))
    assert (refused is None) is passes
    if refused is not None:
        assert refused == (401, "content-digest verification failed: sha-256 is another one")


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"keys": [{"kind": "jwks", "url": "https://a"}]}, "keys[0].kind"),
        ({"keys": [{"kind": "inline"}]}, "keys[0].secret_or_pem"),
        ({"keys": [{**KEY, "secret_or_pem": "hex:zz"}]}, "keys[0].secret_or_pem"),
        ({"keys": [{**KEY, "alg": "none"}]}, "keys[0].alg"),
        ({"required_components": ["@nothing"]}, "required_components[0]"),
        ({"allowed_algorithms": ["rsa"]}, "allowed_algorithms[0]"),
    ],
)
def test_a_config_that_cannot_work_names_its_field(config: dict[str, Any], problem: str) -> None:
    with pytest.raises(PluginError) as caught:
        read_config(HttpSignatureVerifyRequestConfig, config)
    assert problem in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_secret_of_the_wrong_type_is_not_repeated() -> None:
    config = {"keys": [{**KEY, "secret_or_pem": 314159265}]}
    with pytest.raises(PluginError) as refused:
        read_config(HttpSignatureVerifyRequestConfig, config)
    assert "keys" in str(refused.value)
    assert "314159265" not in str(refused.value)

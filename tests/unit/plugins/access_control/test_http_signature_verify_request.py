"""HttpSignatureVerifyRequest."""

import base64
import hashlib
import hmac
from typing import Any

import httpx
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typing_extensions import override

from oto_trio._core import Exchange as CoreExchange
from oto_trio.identity.key_sets import KeySetFetcher
from oto_trio.plugin_api import Response, undecided
from oto_trio.plugin_api.config import read_config
from oto_trio.plugin_api.errors import PluginError
from oto_trio.plugins.access_control.http_signature_verify_request import (
    HttpSignatureVerifyRequest,
    HttpSignatureVerifyRequestConfig,
)
from oto_trio.testing import FakeExchange, FakeRequest, play
from tests.unit.identity.test_key_sets import Body

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


async def test_a_signature_may_be_old_when_the_config_says_so() -> None:
    old = signed(BASE, COVERED)
    old.unix_time = NOW + 1_000_000
    assert await answer(old) is not None
    assert await answer(old, max_age_seconds=None) is None


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
        ({"keys": [{"kind": "jwks"}]}, "keys[0].url"),
        ({"keys": [{"kind": "jwks", "url": "ftp://a"}]}, "keys[0].url"),
        ({"keys": [{"kind": "vault"}]}, "keys[0].kind"),
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


class Kept(FakeExchange):
    """An exchange whose engine keeps the key sets that come."""

    def __init__(self, request: FakeRequest) -> None:
        super().__init__(request)
        self._kept: CoreExchange | None = None

    @override
    def native(self) -> CoreExchange:
        self._kept = self._kept or super().native()
        return self._kept

    @override
    def put_key_set(self, wanted: str, body: bytes | None, now: float, /) -> None:
        self.native().put_key_set(wanted, body, now)


async def test_a_key_set_is_fetched_for_a_key_that_nothing_else_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    issuer = Ed25519PrivateKey.generate()
    raw = issuer.public_key().public_bytes_raw()
    x = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    known = [{"kty": "OKP", "crv": "Ed25519", "kid": "theirs", "x": x}]
    status = 200
    client = httpx.AsyncClient
    asked: list[str] = []

    def answer_keys(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(status, stream=Body(msgspec.json.encode({"keys": known})))

    fetching = KeySetFetcher(lambda _: client(transport=httpx.MockTransport(answer_keys)))
    monkeypatch.setattr(undecided, "fetcher", lambda: fetching)
    keys = [KEY, {"kind": "jwks", "url": "https://keys.example/set"}]

    def asking(keyid: str) -> Kept:
        made = signed(BASE, COVERED, keyid=keyid)
        exchange = Kept(made.request)
        exchange.secured = True
        exchange.unix_time = NOW
        if keyid != "k":
            text = made.request.headers.get("signature-input")
            assert text is not None
            base = f'{BASE}"@signature-params": {text.removeprefix("a=")}'
            told = base64.b64encode(issuer.sign(base.encode())).decode()
            exchange.request.headers.set("Signature", f"a=:{told}:")
        return exchange

    assert await answer(asking("k"), keys=keys) is None
    assert asked == [], "the secret stands in the settings"
    good = asking("theirs")
    assert await answer(good, keys=keys) is None
    assert await answer(good, keys=keys) is None
    assert asked == ["https://keys.example/set"], "what was fetched is kept"
    no_key = (401, "no key configured for keyid 'nobodys'")
    assert await answer(asking("nobodys"), keys=keys) == no_key
    only = [{**keys[1], "keyid": "another"}]
    assert await answer(asking("theirs"), keys=only) == (
        401,
        "no key configured for keyid 'theirs'",
    )
    assert len(asked) == 2, "a source that is for another key is not asked"
    status = 503
    lost = asking("theirs")
    for _ in range(2):
        refused = await answer(lost, keys=keys)
        assert refused == (401, "no key configured for keyid 'theirs'")
    assert len(asked) == 3, "who fails is left alone for a while"

"""HttpSignatureSignResponse."""

import base64
import hashlib
import hmac
import logging
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512

from oto_trio.plugin_api.config import read_config
from oto_trio.plugin_api.errors import PluginError
from oto_trio.plugins.security import http_signature_sign_response as module
from oto_trio.plugins.security.http_signature_sign_response import (
    HttpSignatureSignResponse,
    HttpSignatureSignResponseConfig,
)
from oto_trio.testing import FakeExchange, FakeResponseHead

BODY = b'{"hello": "world"}'
NOW = 1_700_000_000
SECRET = {"kind": "inline", "secret_or_pem": "s3cret"}
HMAC = {"key": SECRET, "algorithm": "hmac-sha256"}


def plugin(**config: Any) -> HttpSignatureSignResponse:
    return HttpSignatureSignResponse(read_config(HttpSignatureSignResponseConfig, config))


async def answered(
    signer: HttpSignatureSignResponse, status: int = 200, body: bytes = BODY
) -> FakeResponseHead:
    response = FakeResponseHead(status, {"Content-Type": "application/json"}, body)
    exchange = FakeExchange.of("GET", "https://api.test/a?b=c", {"X-Asked": "yes"})
    exchange.response = response
    exchange.unix_time = NOW
    await signer.transform_response(exchange)
    return response


def values(response: FakeResponseHead) -> tuple[str, bytes]:
    """Return what stands behind ``sig1=`` in both fields."""
    text = response.headers.get("Signature-Input")
    made = response.headers.get("Signature")
    assert text is not None
    assert made is not None
    raw = base64.b64decode(made.removeprefix("sig1=:").removesuffix(":"), validate=True)
    return text.removeprefix("sig1="), raw


def base(parameters: str, digest: str, status: int = 200) -> bytes:
    return (
        f'"@status": {status}\n"content-type": application/json\n'
        f'"content-digest": {digest}\n"@signature-params": {parameters}'
    ).encode()


def digest_of(body: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


async def test_the_parameters_stand_in_otoroshis_order() -> None:
    response = await answered(plugin(**HMAC, keyid="k", tag="t", include_nonce=True))
    parameters, made = values(response)
    start = (
        '("@status" "content-type" "content-digest");created=1700000000;expires=1700000300;'
        'keyid="k";alg="hmac-sha256";nonce="'
    )
    assert parameters.startswith(start)
    assert parameters.endswith('";tag="t"')
    nonce = parameters.removeprefix(start).removesuffix('";tag="t"')
    assert len(base64.urlsafe_b64decode(nonce + "==")) == 16
    assert response.headers.get("Content-Digest") == digest_of(BODY)
    assert made == hmac.digest(b"s3cret", base(parameters, digest_of(BODY)), "sha256")


async def test_a_signature_may_have_no_end() -> None:
    parameters, _ = values(await answered(plugin(**HMAC, expires_in_seconds=None)))
    assert "expires" not in parameters


RSA = rsa.generate_private_key(65537, 2048)
P256, P384 = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP384R1())
ED = ed25519.Ed25519PrivateKey.generate()


def check(algorithm: str, made: bytes, text: bytes) -> None:
    """Verify a signature with another library."""
    match algorithm:
        case "rsa-pss-sha512":
            pss = padding.PSS(padding.MGF1(SHA512()), 64)
            RSA.public_key().verify(made, text, pss, SHA512())
        case "rsa-v1_5-sha256":
            RSA.public_key().verify(made, text, padding.PKCS1v15(), SHA256())
        case "ed25519":
            ED.public_key().verify(made, text)
        case _:
            key, digest = (P256, SHA256()) if "256" in algorithm else (P384, SHA384())
            half = len(made) // 2
            numbers = (int.from_bytes(made[:half]), int.from_bytes(made[half:]))
            der = utils.encode_dss_signature(*numbers)
            key.public_key().verify(der, text, ec.ECDSA(digest))


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        ("rsa-pss-sha512", RSA),
        ("rsa-v1_5-sha256", RSA),
        ("ecdsa-p256-sha256", P256),
        ("ecdsa-p384-sha384", P384),
        ("ed25519", ED),
    ],
)
async def test_every_algorithm_signs_what_others_verify(algorithm: str, key: Any) -> None:
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
    signer = plugin(key={"kind": "inline", "secret_or_pem": pem}, algorithm=algorithm)
    parameters, made = values(await answered(signer))
    check(algorithm, made, base(parameters, digest_of(BODY)))


async def test_a_digest_is_made_only_when_it_is_signed_and_wanted() -> None:
    bare = await answered(plugin(**HMAC, components=["@status"]))
    assert bare.headers.get("Content-Digest") is None
    assert values(bare)[0].startswith('("@status");')
    long = await answered(plugin(**HMAC, content_digest_algorithm="SHA-512"))
    digest = long.headers.get("Content-Digest")
    assert digest == f"sha-512=:{base64.b64encode(hashlib.sha512(BODY).digest()).decode()}:"
    empty = await answered(plugin(**HMAC), 204, b"")
    assert empty.headers.get("Content-Digest") == digest_of(b"")


async def test_what_cannot_be_signed_goes_unsigned_and_is_logged_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_BODY_BYTES", 4)
    cases = [
        (plugin(), "no key is configured"),
        (plugin(**HMAC), "longer than 4 bytes"),
        (plugin(**HMAC, components=["date"]), "no such field"),
        (plugin(key={"kind": "cert", "cert_id": "gone"}, components=[]), "is not there"),
        (plugin(**HMAC, add_content_digest=False), "no such field"),
    ]
    for signer, reason in cases:
        caplog.clear()
        for _ in range(3):
            response = await answered(signer)
            assert response.headers.get("Signature") is None
            assert response.headers.get("Signature-Input") is None
        (record,) = caplog.records
        assert record.levelno == logging.WARNING
        assert reason in record.message
        assert "s3cret" not in caplog.text


async def test_request_components_are_those_of_the_request() -> None:
    components = ["@method;req", "@target-uri;req", "x-asked;req", '@query-param;name="b";req']
    parameters, made = values(await answered(plugin(**HMAC, components=components)))
    text = (
        '"@method";req: GET\n"@target-uri";req: https://api.test/a?b=c\n"x-asked";req: yes\n'
        f'"@query-param";name="b";req: c\n"@signature-params": {parameters}'
    )
    assert made == hmac.digest(b"s3cret", text.encode(), "sha256")


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"key": {"kind": "jwks", "url": "https://a"}}, "key.kind"),
        ({"key": SECRET}, "key.secret_or_pem"),
        ({**HMAC, "algorithm": "none"}, "algorithm"),
        ({**HMAC, "components": ["@nothing"]}, "components[0]"),
        ({**HMAC, "content_digest_algorithm": "md5"}, "content_digest_algorithm"),
        ({"key": {**SECRET, "secret_or_pem": 314159265}}, "key"),
    ],
)
def test_a_config_that_cannot_work_names_its_field(config: dict[str, Any], problem: str) -> None:
    with pytest.raises(PluginError) as caught:
        read_config(HttpSignatureSignResponseConfig, config)
    assert problem in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert "314159265" not in str(caught.value)

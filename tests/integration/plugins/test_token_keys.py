"""Tokens under the keys of certificates, signed, published, encrypted and read by a whole gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jwt
import msgspec
import pytest
from jwcrypto import jwe, jwk  # type: ignore[import-untyped]

from oto_trio.testing.gateway_process import gateway_process
from tests.integration.clients import admin, route
from tests.integration.plugins.test_jwt import (
    call,
    plugins,
    put,
    put_route,
    put_verifier,
    sent,
    whole,
)
from tests.integration.plugins.test_jwt import verifier as with_secret
from tests.unit.plugins.token_plans import certificate, private_key

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import Upstream

pytestmark = pytest.mark.slow


def stored(name: str, **parts: Any) -> dict[str, Any]:
    """Make the certificate as the admin API takes it."""
    return {**certificate(name), "domain": f"{name}.test", **parts}


PLACE = {"type": "InHeader", "name": "Authorization", "remove": "Bearer "}


@pytest.mark.parametrize(
    ("kind", "name", "algorithm"),
    [("RSAKPAlgoSettings", "rsa", "RS512"), ("ESKPAlgoSettings", "ec", "ES256")],
)
async def test_a_certificates_key_signs_and_verifies(
    kind: str, name: str, algorithm: str, upstream: Upstream, tmp_path: Path
) -> None:
    keys = {"type": kind, "size": int(algorithm[2:]), "certId": name}
    async with gateway_process("--workers", "1", data=tmp_path) as gateway, admin(gateway) as api:
        await put(api, "pki.otoroshi.io/v1/certificates", stored(name, exposed=True))
        await put_verifier(api, with_secret("v", algoSettings=keys))
        kid = {"type": "KidAlgoSettings", "onlyExposedCerts": True}
        await put_verifier(api, with_secret("k", algoSettings=kid))
        slots = {
            "sign": plugins(("JwtSigner", {"verifier": "v"})),
            "check": plugins(("JwtVerificationOnly", {"verifier": "v"})),
            "kid": plugins(("JwtVerificationOnly", {"verifier": "k"})),
            "jwks": plugins(("OtoroshiJWKSEndpoint", {})),
        }
        for host, chosen in slots.items():
            await put_route(api, route(host, upstream.url, plugins=chosen))
        assert await call(gateway, "sign.test", None) == (200, "")
        token = sent(upstream)
        # Who reads the published key set can verify it, and so can the gateway, by id and by kid.
        published = msgspec.json.decode((await whole(gateway, "jwks.test", None)).body)
        (key,) = [jwt.PyJWK(key, algorithm) for key in published["keys"] if key["kid"] == name]
        assert jwt.decode(token, key, [algorithm], audience="backend")["iss"] == "Otoroshi"
        for host in ("check.test", "kid.test"):
            assert await call(gateway, host, token) == (200, "")
        forged = jwt.encode({}, private_key(name + "2"), algorithm, headers={"kid": name})
        assert await call(gateway, "check.test", forged) == (400, "error.bad.token")
        await put(api, "pki.otoroshi.io/v1/certificates", stored(name, exposed=False))
        assert await call(gateway, "check.test", token) == (200, "")
        no_key = (400, "error.bad.input.algorithm.name")
        assert await call(gateway, "kid.test", token) == no_key
        left = msgspec.json.decode((await whole(gateway, "jwks.test", None)).body)["keys"]
        assert name not in [key["kid"] for key in left]


async def test_an_encrypted_token_is_made_and_read(upstream: Upstream, tmp_path: Path) -> None:
    config: dict[str, Any] = {"certId": "rsa", "source": PLACE, "forward_location": PLACE}
    async with gateway_process("--workers", "1", data=tmp_path) as gateway, admin(gateway) as api:
        await put(api, "pki.otoroshi.io/v1/certificates", stored("rsa"))
        made = plugins(("JweSigner", {**config, "payload": {"who": "${req.host}"}}))
        await put_route(api, route("made", upstream.url, plugins=made))
        read = plugins(("JweExtractor", {**config, "strict": True}))
        await put_route(api, route("read", upstream.url, plugins=read))
        assert await call(gateway, "made.test", None) == (200, "")
        token = sent(upstream)
        theirs = jwe.JWE()
        theirs.allowed_algs = ["RSA-OAEP-256", "A128CBC-HS256"]
        theirs.deserialize(token, key=jwk.JWK.from_pem(certificate("rsa")["privateKey"].encode()))
        claims = msgspec.json.decode(theirs.payload)
        assert (claims["who"], claims["aud"]) == ("made.test", "made")
        assert await call(gateway, "read.test", token) == (200, "")
        assert msgspec.json.decode(sent(upstream)) == claims
        calls = len(upstream.heads)
        assert (await call(gateway, "read.test", token[:-4] + "AAAA"))[0] == 401
        assert len(upstream.heads) == calls

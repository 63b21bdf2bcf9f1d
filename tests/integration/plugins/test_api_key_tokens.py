"""Tokens that key pairs sign for API keys, the endpoint that gives tokens, and alerts about quotas."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import jwt
import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from tests.integration.clients import GUARD_S, eventually
from tests.integration.events import EXPORTERS, events_in, exporter
from tests.integration.plugins.api_keys import METHODS, Shown, basic, bearer, key, protected
from tests.integration.plugins.test_api_keys import (
    APPLIED,
    BAD,
    KEYS,
    ROUTES,
    SECRET,
    WRONG,
    running,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import Upstream
    from tests.integration.plugins.test_api_keys import Gateway

pytestmark = pytest.mark.slow

CERTIFICATES = "/apis/pki.otoroshi.io/v1/certificates"
PAIRS: dict[str, tuple[str, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey]] = {
    "rsa": ("RS256", rsa.generate_private_key(65537, 2048)),
    "p256": ("ES256", ec.generate_private_key(ec.SECP256R1())),
    "p384": ("ES384", ec.generate_private_key(ec.SECP384R1())),
    "server": ("ES256", ec.generate_private_key(ec.SECP256R1())),
}
"""Algorithm and private key of each certificate; all are key pairs for signatures but the last."""


def pair(name: str, **more: Any) -> dict[str, Any]:
    """Return the document of a certificate."""
    private = PAIRS[name][1]
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject)
    builder = builder.public_key(private.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(1)).not_valid_after(now + timedelta(1))
    secret = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return {
        "id": name,
        "name": name,
        "domain": name,
        "chain": builder.sign(private, hashes.SHA256()).public_bytes(Encoding.PEM).decode(),
        "privateKey": secret.decode(),
        "keypair": name != "server",
        **more,
    }


def signed(client_id: str, name: str, kid: str | None = None, **claims: Any) -> Shown:
    """Show a token that the private key of a certificate signed."""
    now = int(datetime.now(UTC).timestamp())
    algorithm, private = PAIRS[name]
    body = {"iss": client_id, "iat": now, "exp": now + 60, **claims}
    token = jwt.encode(body, private, algorithm, {} if kid is None else {"kid": kid})
    return Shown(headers={"Authorization": f"Bearer {token}"})


async def test_a_key_pair_signs_for_keys(tmp_path: Path, upstream: Upstream) -> None:
    async with running(tmp_path) as gateway:
        await gateway.store(ROUTES, protected("keys", upstream.url))
        await gateway.store(ROUTES, protected("shared", upstream.url, extractors=NO_PAIRS))
        for name in PAIRS:
            await gateway.store(CERTIFICATES, pair(name))
        await gateway.store(KEYS, key("any", SECRET))
        for name in PAIRS:
            metadata = {"jwt-sign-keypair": name}
            await gateway.store(KEYS, key(f"by-{name}", SECRET, metadata=metadata))
            assert (await gateway.ask("keys", signed(f"by-{name}", name, name))).status_code == 200
            assert (await gateway.ask("keys", signed(f"by-{name}", name))).status_code == 200
            assert await gateway.refusal("shared", signed(f"by-{name}", name, name)) == BAD
        for name in ("rsa", "p256", "p384"):
            assert (await gateway.ask("keys", signed("any", name, name))).status_code == 200
        for what, shown in {
            "another pair than the key's": signed("by-rsa", "p256", "p256"),
            "another pair's signature": signed("by-p256", "server", "p256"),
            "no pair is named": signed("any", "p256"),
            "an unknown pair": signed("any", "p256", "none"),
            "whoever holds a server's key": signed("any", "server", "server"),
            "expired": signed("any", "rsa", "rsa", exp=1),
        }.items():
            assert await gateway.refusal("keys", shown) == BAD, what
        await gateway.store(CERTIFICATES, pair("p256", revoked=True))
        assert await gateway.refusal("keys", signed("any", "p256", "p256")) == BAD
        assert await gateway.refusal("keys", signed("by-p256", "p256", "p256")) == BAD


NO_PAIRS = {"jwt": {"keypair_signed": False}}


async def test_a_client_gets_tokens_that_let_it_in(tmp_path: Path, upstream: Upstream) -> None:
    async with running(tmp_path) as gateway:
        endpoint = protected("tokens", upstream.url)
        slot = "cp:otoroshi.next.plugins.NgClientCredentialTokenEndpoint"
        endpoint["plugins"] = [{"plugin": slot, "config": {"default_key_pair": "p256"}}]
        await gateway.store(ROUTES, endpoint)
        await gateway.store(ROUTES, protected("keys", upstream.url))
        usual = protected("usual", upstream.url)
        usual["plugins"] = [{"plugin": slot}]
        await gateway.store(ROUTES, usual)
        for name in ("rsa", "p256"):
            await gateway.store(CERTIFICATES, pair(name))
        own = {"metadata": {"jwt-sign-keypair": "rsa", "scope": "read"}}
        await gateway.store(KEYS, key("plain", SECRET))
        await gateway.store(KEYS, key("own", SECRET, **own))
        for client_id, algorithm, kid in (("plain", "ES256", "p256"), ("own", "RS256", "rsa")):
            token = await token_of(gateway, client_id)
            header = jwt.get_unverified_header(token)
            assert header == {"alg": algorithm, "typ": "JWT", "kid": kid}
            shown = Shown(headers={"Authorization": f"Bearer {token}"})
            assert (await gateway.ask("keys", shown)).status_code == 200
        # Without its pair the secret signs.
        await gateway.api.delete(f"{CERTIFICATES}/p256", params=APPLIED)
        token = await token_of(gateway, "plain")
        assert jwt.get_unverified_header(token)["alg"] == "HS512"
        shown = Shown(headers={"Authorization": f"Bearer {token}"})
        assert (await gateway.ask("keys", shown)).status_code == 200

        async def has_its_pair() -> bool:
            token = await token_of(gateway, "plain", "usual")
            shown = Shown(headers={"Authorization": f"Bearer {token}"})
            assert (await gateway.ask("keys", shown)).status_code == 200
            return jwt.get_unverified_header(token).get("kid") == "otoroshi-jwt-signing"

        await eventually(has_its_pair)
        refused = await gateway.client.post(
            "/token", headers={"Host": "tokens.test"}, data={**GRANT, "client_secret": WRONG}
        )
        assert (refused.status_code, refused.json()["error"]) == (401, "access_denied")
        assert all(SECRET not in json.dumps(line) for line in gateway.process.log)


GRANT = {"grant_type": "client_credentials", "client_id": "plain", "client_secret": SECRET}


async def token_of(gateway: Gateway, client_id: str, route: str = "tokens") -> str:
    answer = await gateway.client.post(
        "/token", headers={"Host": f"{route}.test"}, data={**GRANT, "client_id": client_id}
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["expires_in"] == 3600
    token: str = answer.json()["access_token"]
    return token


async def test_operators_are_told_of_quotas_and_never_of_credentials(
    tmp_path: Path, upstream: Upstream
) -> None:
    path = tmp_path / "events.log"
    async with running(tmp_path / "data") as gateway:
        config = (await gateway.api.get("/api/globalconfig")).json()
        config["quotasSettings"] = {
            "enabled": True,
            "dailyQuotasThreshold": 0.5,
            "monthlyQuotasThreshold": 1.0,
        }
        put = await gateway.api.put("/api/globalconfig", json=config, params=APPLIED)
        assert put.status_code == 200, put.text
        await gateway.store(ROUTES, protected("keys", upstream.url))
        await gateway.store(KEYS, key("few", SECRET, dailyQuota=4, monthlyQuota=4))
        await gateway.store(KEYS, key("strict", SECRET, allowClientIdOnly=False))
        made = await gateway.api.post(EXPORTERS, json=exporter("e", config={"path": str(path)}))
        assert made.status_code == 201, made.text

        async def arrives() -> bool:
            async with httpx.AsyncClient(base_url=gateway.process.http) as client:
                await client.get("/", headers={"Host": "warm.test"})
            return any(event["@type"] == "GatewayEvent" for event in events_in(path))

        # The supervisor tells its own events, such as this write, before the worker hears that it should.
        await eventually(arrives)
        good = METHODS["custom_headers"]("few", SECRET)
        statuses = [(await gateway.ask("keys", good)).status_code for _ in range(5)]
        assert statuses == [200, 200, 200, 200, 429]
        refused = 1
        for name, show in METHODS.items():
            answer = await gateway.ask("keys", show("strict", WRONG))
            assert answer.status_code == 401, name
            refused += 1

        async def complete() -> bool:
            return len(of_type(events_in(path), "GatewayEvent", "keys")) >= 4 + refused

        with trio.fail_after(GUARD_S):
            await eventually(complete)
        events = events_in(path)
    alerts = [event for event in events if event["@type"] == "AlertEvent"]
    almost = [event for event in alerts if event["alert"] == "QuotasAlmostExceeded"]
    assert [(it["reason"], it["remaining"]["currentCallsPerDay"]) for it in almost] == [
        ("DailyQuotasAlmostExceeded", 2),
        ("DailyQuotasAlmostExceeded", 3),
        ("DailyQuotasAlmostExceeded", 4),
        ("MonthlyQuotasAlmostExceeded", 4),
    ]
    assert almost[0]["apikey"].keys() == {"clientId", "clientName", "metadata", "tags"}
    assert almost[0]["apikey"]["clientId"] == "few"
    assert almost[0]["settings"]["dailyQuotasThreshold"] == 0.5
    exceeded = [event for event in alerts if event["alert"] == "QuotasExceeded"]
    reasons = [event["reason"] for event in exceeded]
    assert reasons == ["DailyQuotasExceeded", "MonthlyQuotasExceeded"]
    assert exceeded[0]["remaining"]["remainingCallsPerDay"] == 0
    told = path.read_text()
    assert "strict" in told, "whose key it was is told"
    # Tokens are made anew for each call: their beginnings are the same, and tell of them too.
    proofs = (WRONG, SECRET, basic("strict", WRONG), bearer("strict", WRONG), "otoapk_", "eyJ")
    for proof in proofs:
        assert proof.rstrip("=") not in told, proof


def of_type(events: list[dict[str, Any]], kind: str, service: str) -> list[dict[str, Any]]:
    """Return the events of a type about a route."""
    return [event for event in events if event["@type"] == kind and event["@serviceId"] == service]

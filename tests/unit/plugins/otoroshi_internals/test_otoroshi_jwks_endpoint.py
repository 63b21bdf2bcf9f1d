"""OtoroshiJWKSEndpoint."""

from __future__ import annotations

from typing import Any

import msgspec
from jwcrypto import jwk  # type: ignore[import-untyped]

from tests.unit.plugins.token_plans import certificate, certificate_row, send

ROWS = (
    certificate_row("rsa", exposed=True),
    certificate_row("ec"),
    certificate_row("ec2", exposed=True, revoked=True),
    certificate_row("ec3", exposed=True, privateKey=""),
)


def apikey(pair: str) -> tuple[str, str, bytes]:
    document = {
        "clientId": "c",
        "clientSecret": "s",
        "clientName": "n",
        "metadata": {"jwt-sign-keypair": pair},
    }
    return "apikeys", "c", msgspec.json.encode(document)


def keys(*more: tuple[str, str, bytes], **config: object) -> list[dict[str, Any]]:
    sent = send("OtoroshiJWKSEndpoint", config, entities=(*ROWS, *more))
    assert (sent.status, sent.fields["content-type"]) == (200, "application/json")
    found: list[dict[str, Any]] = sent.json["keys"]
    return found


def test_exposed_keys_are_published_under_their_certificates_id() -> None:
    (key,) = keys()
    theirs = jwk.JWK.from_pem(certificate("rsa")["privateKey"].encode()).export_public(as_dict=True)
    assert key == {**theirs, "kid": "rsa"}


def test_keys_that_api_keys_name_are_published_too() -> None:
    assert [key["kid"] for key in keys(apikey("ec"))] == ["ec", "rsa"]
    assert [key["kid"] for key in keys(apikey("ec"), cert_ids=["rsa"])] == ["rsa", "ec"]
    assert [key["kid"] for key in keys(apikey("rsa"))] == ["rsa"]
    assert [key["kid"] for key in keys(apikey("ec2"))] == ["rsa"]
    assert [key["kid"] for key in keys(apikey("gone"), cert_ids=["ec", "ec"])] == ["ec"]


def test_algorithms_are_named_when_that_is_asked_for() -> None:
    named = keys(include_algorithms=True, rsa_algorithms=["RS256", "RS512"])
    assert [(key["kid"], key["alg"]) for key in named] == [("rsa", "RS256"), ("rsa", "RS512")]
    assert [key["alg"] for key in keys(include_algorithms=True)] == ["RS256", "RS384", "RS512"]


def test_other_methods_find_nothing() -> None:
    sent = send("OtoroshiJWKSEndpoint", {}, method="POST")
    assert (sent.status, sent.json) == (404, {"error": "resource not found !"})

"""JwtSigner."""

from __future__ import annotations

from typing import Any

import jwt
import pytest

from tests.unit.plugins.token_plans import (
    NOW,
    SECRET,
    Sent,
    certificate_row,
    private_key,
    send,
    token,
    verifier,
)

STRATEGY = {"type": "DefaultToken", "token": {"path": "${req.path}", "iss": "gate"}}
SENT = token("the client's secret, as long as it must be")
NO_TIMES: Any = {"verify_exp": False, "verify_iat": False, "verify_nbf": False}


def ask(*fields: tuple[str, str], **config: object) -> Sent:
    settings = {"verifier": "v", **config}
    return send("JwtSigner", settings, *fields, entities=(verifier(strategy=STRATEGY),))


def test_claims_are_otoroshis_and_the_strategys_over_them() -> None:
    mine = ask().fields["authorization"].removeprefix("Bearer ")
    claims = jwt.decode(mine, SECRET, ["HS256"], audience="backend", options=NO_TIMES)
    assert len(claims.pop("jti")) == 36
    times = {"iat": NOW, "nbf": NOW, "exp": NOW + 60}
    assert claims == {"iss": "gate", "sub": "anonymous", "aud": "backend", "path": "/x", **times}


def test_a_token_of_the_clients_is_replaced_kept_or_refused() -> None:
    assert ask(SENT).fields["authorization"] != SENT[1]
    assert ask(SENT, replace_if_present=False).fields["authorization"] == SENT[1]
    refused = ask(SENT, fail_if_present=True)
    assert (refused.status, refused.json) == (400, {"error": "bad request"})
    assert ask(fail_if_present=True).status is None


@pytest.mark.parametrize(
    ("kind", "name", "algorithm"),
    [("RSAKPAlgoSettings", "rsa", "RS384"), ("ESKPAlgoSettings", "ec", "ES256")],
)
def test_a_certificates_key_signs_under_its_id(kind: str, name: str, algorithm: str) -> None:
    keys = {"type": kind, "size": int(algorithm[2:]), "certId": name}
    rows = (verifier(strategy=STRATEGY, algoSettings=keys), certificate_row(name))
    mine = send("JwtSigner", {"verifier": "v"}, entities=rows).fields["authorization"][7:]
    assert jwt.get_unverified_header(mine)["kid"] == name
    public = private_key(name).public_key()
    assert jwt.decode(mine, public, [algorithm], audience="backend", options=NO_TIMES)


def test_without_key_or_verifier_nothing_is_signed() -> None:
    keys = {"type": "RSAKPAlgoSettings", "size": 256, "certId": "gone"}
    sent = send("JwtSigner", {"verifier": "v"}, entities=(verifier(algoSettings=keys),))
    assert (sent.status, sent.json) == (400, {"error": "bad request"})
    assert send("JwtSigner", {"verifier": "v"}).status == 400

"""JwtSigner."""

import jwt

from tests.unit.plugins.access_control.test_jwt_verification import VERIFIER
from tests.unit.plugins.asked import NOW, ask, header

STRATEGY = {
    "type": "DefaultToken",
    "strict": False,
    "token": {"who": "me"},
    "verificationSettings": {"fields": {}, "arrayFields": {}},
}
ROW = ("jwt-verifiers", "v", {**VERIFIER, "strategy": STRATEGY})


def test_the_backend_gets_a_token_of_the_gateways() -> None:
    made = header(ask("JwtSigner", {"verifier": "v"}, ROW), "X-T")
    assert made is not None
    claims = jwt.decode(
        made,
        "s" * 32,
        ["HS256"],
        audience="backend",
        options={"verify_exp": False, "verify_iat": False, "verify_nbf": False},
    )
    assert (claims["iss"], claims["who"], claims["sub"]) == ("Otoroshi", "me", "anonymous")
    assert claims["exp"] == NOW + 60


def test_a_token_that_is_there_stays_when_asked_to() -> None:
    config = {"verifier": "v", "replace_if_present": False}
    assert header(ask("JwtSigner", config, ROW, headers=[("X-T", "theirs")]), "X-T") == "theirs"


def test_without_its_verifier_nothing_passes() -> None:
    assert ask("JwtSigner", {}, ROW)[1] == 400

"""JwtVerification."""

from typing import Any

import jwt

from tests.unit.plugins.token_plans import (
    NOW,
    SECRET,
    certificate_row,
    private_key,
    send,
    token,
    verifier,
)

STRATEGY = {
    "type": "PassThrough",
    "verificationSettings": {"fields": {"iss": "us"}, "arrayFields": {}},
}
ROW = verifier(strategy=STRATEGY)
GOOD: dict[str, Any] = {"iss": "us", "exp": NOW + 60}
CONFIG = {"verifiers": ["v"]}


def test_a_good_token_passes_and_a_bad_one_does_not() -> None:
    assert send("JwtVerification", CONFIG, token(**GOOD), entities=(ROW,)).status is None
    name, good = token(**GOOD)
    for bad in (
        token(iss="them", exp=NOW + 60),
        token(iss="us", exp=NOW - 60),
        token("another secret that is long enough as well", **GOOD),
        (name, good[:-4] + "AAAA"),
        (name, "Bearer " + jwt.encode(GOOD, SECRET, "HS384")),
        (name, "Bearer no token"),
    ):
        assert send("JwtVerification", CONFIG, bad, entities=(ROW,)).status in (400, 401), bad


def test_without_verifiers_nothing_passes() -> None:
    answer = send("JwtVerification", {}, token(**GOOD), entities=(ROW,))
    assert (answer.status, answer.json) == (400, {"error": "bad request"})


def test_the_answer_can_be_ones_own() -> None:
    config = {
        "verifiers": ["v"],
        "custom_response": True,
        "custom_response_status": 418,
        "custom_response_body": "short and stout",
    }
    answer = send("JwtVerification", config, entities=(ROW,))
    assert (answer.status, answer.body) == (418, b"short and stout")


def test_the_key_of_a_revoked_certificate_proves_nothing() -> None:
    keys = {"type": "RSAKPAlgoSettings", "size": 256, "certId": "rsa"}
    row = verifier(strategy=STRATEGY, algoSettings=keys)
    signed = ("Authorization", "Bearer " + jwt.encode(GOOD, private_key("rsa"), "RS256"))
    rows = (row, certificate_row("rsa"))
    assert send("JwtVerification", CONFIG, signed, entities=rows).status is None
    rows = (row, certificate_row("rsa", revoked=True))
    assert send("JwtVerification", CONFIG, signed, entities=rows).status == 400


def test_a_request_with_two_tokens_is_refused() -> None:
    good, evil = token(**GOOD), token("another secret that is long enough as well", **GOOD)
    for fields in ((good, evil), (evil, good)):
        assert send("JwtVerification", CONFIG, *fields, entities=(ROW,)).status == 400

"""JwtVerification."""

import jwt

from tests.unit.plugins.token_plans import NOW, SECRET, send, token, verifier

STRATEGY = {
    "type": "PassThrough",
    "verificationSettings": {"fields": {"iss": "us"}, "arrayFields": {}},
}
ROW = verifier(strategy=STRATEGY)
GOOD = {"iss": "us", "exp": NOW + 60}
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

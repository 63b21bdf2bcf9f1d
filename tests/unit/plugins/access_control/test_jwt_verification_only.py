"""JwtVerificationOnly."""

from tests.unit.plugins.access_control.test_jwt_verification import GOOD, ROW
from tests.unit.plugins.token_plans import NOW, send, token

BAD = token(iss="them", exp=NOW + 60)


def test_a_good_token_passes_as_it_came() -> None:
    good = token(**GOOD)
    sent = send("JwtVerificationOnly", {"verifier": "v"}, good, entities=(ROW,))
    assert sent.status is None
    assert sent.fields["authorization"] == good[1]


def test_a_missing_token_passes_only_when_that_is_allowed() -> None:
    assert send("JwtVerificationOnly", {"verifier": "v"}, entities=(ROW,)).status == 400
    lenient = {"verifier": "v", "fail_if_absent": False}
    assert send("JwtVerificationOnly", lenient, entities=(ROW,)).status is None
    assert send("JwtVerificationOnly", lenient, BAD, entities=(ROW,)).status in (400, 401)


def test_without_its_verifier_nothing_passes() -> None:
    for config in ({}, {"verifier": "gone"}):
        answer = send("JwtVerificationOnly", config, token(**GOOD), entities=(ROW,))
        assert (answer.status, answer.json) == (400, {"error": "bad request"})

"""JwtVerificationOnly."""

from tests.unit.plugins.access_control.test_jwt_verification import ROW, token
from tests.unit.plugins.asked import ask, header


def test_a_good_token_passes_as_it_came() -> None:
    sent = token()
    decision = ask("JwtVerificationOnly", {"verifier": "v"}, ROW, headers=[("X-T", sent)])
    assert header(decision, "X-T") == sent


def test_a_missing_token_passes_only_when_that_is_allowed() -> None:
    assert ask("JwtVerificationOnly", {"verifier": "v"}, ROW)[1] == 400
    lenient = {"verifier": "v", "fail_if_absent": False}
    assert ask("JwtVerificationOnly", lenient, ROW)[0] == "forward"
    bad = [("X-T", token(iss="them"))]
    assert ask("JwtVerificationOnly", lenient, ROW, headers=bad)[0] == "reply"


def test_without_its_verifier_nothing_passes() -> None:
    for config in ({}, {"verifier": "gone"}):
        decision = ask("JwtVerificationOnly", config, ROW, headers=[("X-T", token())])
        assert (decision[1], decision[3]) == (400, b'{"error":"bad request"}')

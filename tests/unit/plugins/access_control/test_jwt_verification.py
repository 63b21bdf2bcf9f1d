"""JwtVerification."""

import jwt

from tests.unit.plugins.asked import NOW, ask

VERIFIER = {
    "id": "v",
    "name": "v",
    "enabled": True,
    "strict": True,
    "source": {"type": "InHeader", "name": "X-T", "remove": ""},
    "algoSettings": {"type": "HSAlgoSettings", "size": 256, "secret": "s" * 32, "base64": False},
    "strategy": {
        "type": "PassThrough",
        "verificationSettings": {"fields": {"iss": "us"}, "arrayFields": {}},
    },
}
ROW = ("jwt-verifiers", "v", VERIFIER)
CONFIG = {"verifiers": ["v"]}


def token(**claims: object) -> str:
    return jwt.encode({"iss": "us", "exp": NOW + 60, **claims}, "s" * 32, "HS256")


def test_a_good_token_passes_and_a_bad_one_does_not() -> None:
    assert ask("JwtVerification", CONFIG, ROW, headers=[("X-T", token())])[0] == "forward"
    for bad in (
        token(iss="them"),
        token(exp=NOW - 60),
        token()[:-4] + "AAAA",
        jwt.encode({"iss": "us"}, "t" * 32, "HS256"),
        "no token",
    ):
        decision = ask("JwtVerification", CONFIG, ROW, headers=[("X-T", bad)])
        assert decision[0] == "reply", bad
        assert decision[1] in (400, 401), bad


def test_without_verifiers_nothing_passes() -> None:
    decision = ask("JwtVerification", {}, ROW, headers=[("X-T", token())])
    assert (decision[1], decision[3]) == (400, b'{"error":"bad request"}')


def test_the_answer_can_be_ones_own() -> None:
    config = {
        "verifiers": ["v"],
        "custom_response": True,
        "custom_response_status": 418,
        "custom_response_body": "short and stout",
    }
    decision = ask("JwtVerification", config, ROW)
    assert (decision[1], decision[3]) == (418, b"short and stout")

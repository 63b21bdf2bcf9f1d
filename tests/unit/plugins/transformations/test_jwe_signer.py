"""JweSigner; that others can read what it writes is in `tests/conformance/test_encrypted_tokens.py`."""

from tests.unit.plugins.token_plans import certificate_row, send


def test_the_backend_gets_an_encrypted_token() -> None:
    sent = send("JweSigner", {"certId": "c"}, entities=(certificate_row("c"),))
    made = sent.fields["x-jwt-token"]
    assert made.startswith("Bearer ")
    assert made.count(".") == 4


def test_without_its_certificate_nothing_passes() -> None:
    for config in ({}, {"certId": "gone"}):
        answer = send("JweSigner", config)
        assert (answer.status, answer.json) == (400, {"error": "invalid configuration"})

"""JweSigner; that others can read what it writes is in `tests/conformance/test_encrypted_tokens.py`."""

from tests.conformance.test_encrypted_tokens import certificate
from tests.unit.plugins.asked import ask, header


def test_the_backend_gets_an_encrypted_token() -> None:
    made = header(
        ask("JweSigner", {"certId": "c"}, ("certificates", "c", certificate("c"))), "X-JWT-Token"
    )
    assert made is not None
    assert made.startswith("Bearer ")
    assert made.count(".") == 4


def test_without_its_certificate_nothing_passes() -> None:
    for config in ({}, {"certId": "gone"}):
        decision = ask("JweSigner", config)
        assert (decision[1], decision[3]) == (400, b'{"error":"invalid configuration"}')

"""OtoroshiJWKSEndpoint; the keys themselves are in `tests/conformance/test_encrypted_tokens.py`."""

import json

from tests.conformance.test_encrypted_tokens import certificate
from tests.unit.plugins.asked import ask


def test_only_exposed_certificates_are_shown() -> None:
    shown = ("certificates", "c", {**certificate("c"), "exposed": True})
    hidden = ("certificates", "d", {**certificate("c"), "id": "d", "exposed": False})
    decision = ask("OtoroshiJWKSEndpoint", {}, shown, hidden)
    assert decision[1] == 200
    (key,) = json.loads(decision[3])["keys"]
    assert key["kid"] == "c"
    assert "d" not in key, "the private part"


def test_without_certificates_there_are_no_keys() -> None:
    assert json.loads(ask("OtoroshiJWKSEndpoint", {})[3]) == {"keys": []}

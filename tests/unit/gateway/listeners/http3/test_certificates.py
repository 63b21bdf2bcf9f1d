"""What becomes of certificates that only one of the libraries can read."""

from __future__ import annotations

import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from oto_trio.gateway.listeners.http3.certificates import Certificates

STRANGE_KEY = bytes.fromhex("300e 020100 3005 06032a0304 0402 0500")
"""PKCS #8 of an algorithm that nobody knows."""


class ShowingEngine:
    def to_show(self, server_name: str | None, now: float, /) -> tuple[str, list[bytes], bytes]:
        shown = trustme.CA().issue_cert("a.test").cert_chain_pems[0].bytes()
        certificate = x509.load_pem_x509_certificate(shown)
        return "id", [certificate.public_bytes(Encoding.DER)], STRANGE_KEY

    def client_auth(self, listener: int, /) -> str:
        return "None"

    def check_client(self, listener: int, chain: list[bytes], now: float, /) -> None:
        raise AssertionError("no client has a certificate")


def test_a_key_that_the_library_does_not_know_is_none() -> None:
    assert Certificates(ShowingEngine(), lambda: 0.0, lambda: None).choose("a.test") is None

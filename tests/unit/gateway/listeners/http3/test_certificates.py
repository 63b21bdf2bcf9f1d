"""What becomes of certificates that only one of the libraries can read."""

from __future__ import annotations

import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from oto_trio.gateway.listeners.http3.certificates import Certificates

STRANGE_KEY = bytes.fromhex("300e 020100 3005 06032a0304 0402 0500")
"""PKCS #8 of an algorithm that nobody knows."""


class ShowingEngine:
    def __init__(self) -> None:
        self.shown: tuple[list[bytes], bytes] | None = None

    def to_show(self, server_name: str | None, now: float, /) -> tuple[str, list[bytes], bytes]:
        if self.shown is not None:
            return "id", *self.shown
        shown = trustme.CA().issue_cert("a.test").cert_chain_pems[0].bytes()
        certificate = x509.load_pem_x509_certificate(shown)
        return "id", [certificate.public_bytes(Encoding.DER)], STRANGE_KEY

    def client_auth(self, listener: int, /) -> str:
        return "None"

    def check_client(self, listener: int, chain: list[bytes], now: float, /) -> None:
        raise AssertionError("no client has a certificate")


def test_a_key_that_the_library_does_not_know_is_none() -> None:
    assert Certificates(ShowingEngine(), lambda: 0.0, lambda: None).choose("a.test") is None


def test_a_chain_that_changes_behind_its_certificate_is_shown_as_it_is_now() -> None:
    engine = ShowingEngine()
    shown = trustme.CA().create_child_ca().issue_cert("a.test")
    read = [x509.load_pem_x509_certificate(it.bytes()) for it in shown.cert_chain_pems]
    leaf, between = (it.public_bytes(Encoding.DER) for it in read)
    key = load_pem_private_key(shown.private_key_pem.bytes(), None).private_bytes(
        Encoding.DER, PrivateFormat.PKCS8, NoEncryption()
    )
    certificates = Certificates(engine, lambda: 0.0, lambda: None)
    for chain in ([leaf], [leaf, between], [leaf]):
        engine.shown = chain, key
        chosen = certificates.choose("a.test")
        assert chosen is not None
        assert certificates.choose("a.test") is chosen, "kept"
        own, others, _ = chosen
        assert [it.public_bytes(Encoding.DER) for it in (own, *others)] == chain

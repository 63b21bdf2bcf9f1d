"""Certificates of clients that are good, or wrong in one way."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.conformance.tls.secure import authority

if TYPE_CHECKING:
    import trustme

__all__ = ["Leaf", "issued"]


@dataclass
class Leaf:
    """A certificate and its key, and those above it that are sent along."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    above: list[x509.Certificate] = field(default_factory=list)

    @property
    def pem(self) -> bytes:
        """All of it, as servers and clients read it from a file."""
        key = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        chain = (self.certificate, *self.above)
        return key + b"".join(it.public_bytes(Encoding.PEM) for it in chain)


def issued(
    now: dt.datetime,
    ca: trustme.CA | None = None,
    *,
    days: tuple[float, float] = (-1, 30),
    purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.CLIENT_AUTH,
) -> Leaf:
    """A certificate of a client's.

    Args:
        now: The time.
        ca: Who vouches for it.
        days: From when on and until when it is valid, in days from now.
        purpose: What it may be used for.
    """
    ca = ca or authority()
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.load_pem_x509_certificate(ca.cert_pem.bytes())
    signer = load_pem_private_key(ca.private_key_pem.bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "jo")]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now + dt.timedelta(days=days[0]))
        .not_valid_after(now + dt.timedelta(days=days[1]))
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .sign(signer, hashes.SHA256())
    )
    return Leaf(certificate, key)

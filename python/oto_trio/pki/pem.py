"""Chains in PEM: read, put in order, held against a private key."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from oto_trio.pki.errors import PkiError
from oto_trio.pki.keys import is_key_of
from oto_trio.pki.names import normalised_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from oto_trio.pki.keys import PrivateKey

__all__ = [
    "certificate_pem",
    "chain_pem",
    "is_issued_by",
    "ordered_chain",
    "read_certificates",
    "read_request",
]

LONGEST_TEXT: Final = 1024 * 1024
"""Characters of PEM that are read at once."""

MOST_CERTIFICATES: Final = 256
"""Certificates of one text: a bundle of the public authorities has about 150."""

_BLOCK: Final = re.compile(
    r"-----BEGIN (?P<kind>(?:X509 |TRUSTED )?CERTIFICATE)-----(.*?)-----END (?P=kind)-----",
    re.DOTALL,
)
_REQUEST: Final = re.compile(
    r"-----BEGIN (?P<kind>(?:NEW )?CERTIFICATE REQUEST)-----(.*?)-----END (?P=kind)-----",
    re.DOTALL,
)
_FAULTS: Final = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
"""What the library raises for certificates that are none, or odd."""


def read_certificates(text: str, path: str = "$.chain") -> list[x509.Certificate]:
    """Read every certificate in a PEM text, in its order; keys beside them are passed over.

    Raises:
        PkiError: There is none, or one cannot be read; says which.
    """
    if len(text) > LONGEST_TEXT:
        raise PkiError(path, f"{len(text)} characters of PEM", f"give at most {LONGEST_TEXT}")
    blocks = [match[2] for match in _BLOCK.finditer(text)]
    if not blocks:
        raise PkiError(
            path,
            "there is no certificate in this text",
            "give PEM blocks that start with -----BEGIN CERTIFICATE-----",
        )
    if text.count("-----BEGIN CERTIFICATE-----") > len(blocks):
        raise PkiError(path, "a certificate has no end line", "give the whole text")
    if len(blocks) > MOST_CERTIFICATES:
        raise PkiError(path, f"{len(blocks)} certificates", f"give at most {MOST_CERTIFICATES}")
    return [_read_block(body, f"certificate {n}", path) for n, body in enumerate(blocks, 1)]


def _read_block(body: str, what: str, path: str) -> x509.Certificate:
    """Read one certificate; all of it, so that nothing fails later."""
    pem = f"-----BEGIN CERTIFICATE-----\n{body.strip()}\n-----END CERTIFICATE-----\n"
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode("ascii", "replace"))
        # These are decoded when they are asked for.
        _ = (certificate.subject, certificate.issuer, certificate.extensions, certificate.version)
        certificate.public_key()
    except _FAULTS:
        raise PkiError(
            path, f"{what} cannot be read", "it may be cut or damaged; give it as it was written"
        ) from None
    return certificate


def read_request(text: str) -> x509.CertificateSigningRequest:
    """Read a certificate signing request, and check that its sender has the key.

    Raises:
        PkiError: It cannot be read, or its signature is not that of its key.
    """
    path, fix = "$", "give a PEM block that starts with -----BEGIN CERTIFICATE REQUEST-----"
    if len(text) > LONGEST_TEXT:
        raise PkiError(path, f"{len(text)} characters of PEM", f"give at most {LONGEST_TEXT}")
    match = _REQUEST.search(text)
    if match is None:
        raise PkiError(path, "there is no certificate request in this text", fix)
    pem = (
        "-----BEGIN CERTIFICATE REQUEST-----\n"
        f"{match[2].strip()}\n-----END CERTIFICATE REQUEST-----\n"
    )
    try:
        request = x509.load_pem_x509_csr(pem.encode("ascii", "replace"))
        _ = (request.subject, request.extensions)
        request.public_key()
        is_signed = request.is_signature_valid
    except _FAULTS:
        raise PkiError(path, "the certificate request cannot be read", fix) from None
    if not is_signed:
        raise PkiError(
            path, "the request is not signed by the key in it", "make it with the private key"
        )
    return request


def certificate_pem(certificate: x509.Certificate) -> str:
    """Write a certificate as PEM, with a line feed at its end."""
    return certificate.public_bytes(Encoding.PEM).decode()


def chain_pem(certificates: Iterable[x509.Certificate]) -> str:
    """Write certificates as PEM, one after the other."""
    return "".join(map(certificate_pem, certificates))


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Tell whether a certificate names another as its issuer and carries its signature."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def ordered_chain(
    certificates: Sequence[x509.Certificate], key: PrivateKey | None, path: str = "$.chain"
) -> list[x509.Certificate]:
    """Put a chain in the order that TLS wants: the certificate, its issuer, the issuer's issuer.

    Args:
        certificates: The chain in any order, at least one; copies are dropped.
        key: The private key, which tells whose chain it is. Without it, the first certificate that
            issued none of the others comes first, and those that belong to no chain follow in
            their order: it may be a bundle of authorities.
        path: What to name when they do not fit.

    Raises:
        PkiError: With a key only: no certificate is that key's, or one has nothing to do with the
            rest; names it.
    """
    unique = list({c.public_bytes(Encoding.DER): c for c in certificates}.values())
    if key is not None:
        first = next((c for c in unique if is_key_of(key, c.public_key())), None)
        if first is None:
            named = ", ".join(normalised_name(c.subject) for c in unique[:3])
            raise PkiError(
                path.replace("chain", "privateKey"),
                f"the private key belongs to no certificate of the chain ({named})",
                "give the key that the certificate was made for",
            )
    else:
        first = next((c for c in unique if not _has_issued_any(c, unique)), unique[0])
    chain = [first]
    rest = [c for c in unique if c is not first]
    while True:
        issuer = next((c for c in rest if is_issued_by(chain[-1], c)), None)
        if issuer is None or is_issued_by(chain[-1], chain[-1]):
            break
        chain.append(issuer)
        rest.remove(issuer)
    # An issuer that is there under two signatures (cross-signed) belongs to the chain as well.
    strangers = [c for c in rest if not any(is_issued_by(link, c) for link in chain)]
    if key is not None and strangers:
        named = ", ".join(normalised_name(c.subject) for c in strangers[:3])
        raise PkiError(
            path,
            f"{named}: issued none of the certificates before it",
            f"leave it out, or give what lies between; "
            f"wanted is {normalised_name(chain[-1].issuer)}",
        )
    return chain + rest


def _has_issued_any(issuer: x509.Certificate, others: Sequence[x509.Certificate]) -> bool:
    """Tell whether a certificate issued one of some others."""
    return any(other is not issuer and is_issued_by(other, issuer) for other in others)

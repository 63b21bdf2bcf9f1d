"""Certificates and signing requests, made as a query asks.

Extensions
    Every certificate has basicConstraints and keyUsage, both critical, and the key identifiers of
    itself and of its issuer. An authority may sign certificates and revocation lists; anything else
    may sign and encipher keys, and has extendedKeyUsage serverAuth, with ``client`` clientAuth too.
    Hosts become alternative names, addresses as such: Otoroshi writes them as host names, where no
    client finds them.

Serials are random, 64 bits. Source: Otoroshi's BouncyCastlePki.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from oto_trio.pki.errors import PkiError
from oto_trio.pki.keys import (
    PrivateKey,
    check_public_key,
    generate_key,
    is_key_of,
    private_pem,
    public_pem,
)
from oto_trio.pki.pem import certificate_pem, chain_pem

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

    from oto_trio.model.document import JsonObject
    from oto_trio.pki.queries import CsrQuery, Digest

__all__ = ["Authority", "Issued", "build_request", "issue", "new_serial", "sign_request"]

SERIAL_BITS: Final = 64
"""Random bits of a serial number."""


class Authority(msgspec.Struct, frozen=True):
    """What signs certificates."""

    certificate: Any
    """Its ``x509.Certificate``."""
    key: Any
    """Its `PrivateKey`."""
    issuers: tuple[Any, ...] = ()
    """The certificates above it, its own issuer first."""

    def check(self) -> None:
        """Refuse what must not, or cannot, sign certificates.

        Raises:
            PkiError: It is no authority, or has another key.
        """
        if not is_authority(self.certificate):
            raise PkiError("$.ca", "this certificate is no authority", "choose one with ca = true")
        if not is_key_of(self.key, self.certificate.public_key()):
            raise PkiError("$.ca", "the authority's key is not its own", "store it with its key")


class Issued(msgspec.Struct, frozen=True):
    """A certificate that was made just now."""

    certificate: Any
    """The ``x509.Certificate``."""
    key: Any
    """Its `PrivateKey`."""
    issuers: tuple[Any, ...]
    """The certificates above it; none when it is self-signed."""

    @property
    def chain(self) -> str:
        """The certificate and its issuers, as PEM."""
        return chain_pem((self.certificate, *self.issuers))

    @property
    def private_key(self) -> str:
        """Its private key, as PEM."""
        return private_pem(self.key)


def is_authority(certificate: x509.Certificate) -> bool:
    """Tell whether a certificate may sign others."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except x509.ExtensionNotFound:
        return False
    return found.value.ca


def new_serial() -> int:
    """Make a random serial number; never 0."""
    return secrets.randbits(SERIAL_BITS) or 1


def issue(
    query: CsrQuery,
    authority: Authority | None,
    *,
    now: datetime,
    key: PrivateKey | None = None,
    aia_base: str | None = None,
) -> Issued:
    """Make a certificate. May take seconds of CPU: call it in a thread.

    Args:
        query: What it shall be; already checked.
        authority: What signs it; None makes a self-signed one.
        now: Begin of its validity. It ends after the query's duration, and not after its authority.
        key: Its key; None makes a new one as the query asks.
        aia_base: Base URL under which issuers are published; None leaves that out.

    Raises:
        PkiError: The authority cannot sign, or has expired.
    """
    if authority is not None:
        authority.check()
    own = generate_key(query.key) if key is None else key
    signer: PrivateKey = own if authority is None else authority.key
    subject = query.subject_name()
    issuer = subject if authority is None else authority.certificate.subject
    begin, end = _validity(now, query.duration, authority)
    serial = query.existing_serial_number or new_serial()
    builder = x509.CertificateBuilder(
        subject_name=subject,
        issuer_name=issuer,
        public_key=own.public_key(),
        serial_number=serial,
        not_valid_before=begin,
        not_valid_after=end,
    )
    for value, critical in _extensions(query):
        builder = builder.add_extension(value, critical=critical)
    builder = _with_identifiers(builder, own.public_key(), signer.public_key())
    if query.include_aia and aia_base is not None:
        above = serial if authority is None else authority.certificate.serial_number
        builder = builder.add_extension(_access(aia_base, above), critical=False)
    certificate = builder.sign(signer, _digest(query, signer))
    if authority is None:
        return Issued(certificate, own, ())
    return Issued(certificate, own, (authority.certificate, *authority.issuers))


def _validity(
    now: datetime, duration_ms: int, authority: Authority | None
) -> tuple[datetime, datetime]:
    """Return begin and end, whole seconds as certificates have them."""
    begin = now.astimezone(UTC).replace(microsecond=0)
    end = begin + timedelta(milliseconds=duration_ms)
    if authority is not None:
        last = authority.certificate.not_valid_after_utc
        if last <= begin:
            raise PkiError("$.ca", "the authority has expired", "renew it, or choose another")
        end = min(end, last)
    return begin, end


def _digest(query: CsrQuery, signer: PrivateKey) -> Digest | None:
    """Return the digest to sign with; Ed25519 has its own."""
    return None if isinstance(signer, ed25519.Ed25519PrivateKey) else query.digest


def _extensions(query: CsrQuery) -> list[tuple[x509.ExtensionType, bool]]:
    """Return the extensions that a query decides, each with whether it is critical."""
    usage = _usage(signs_certificates=query.ca)
    found: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=query.ca, path_length=None), True),
        (usage, True),
    ]
    if not query.ca:
        purposes = [ExtendedKeyUsageOID.SERVER_AUTH]
        if query.client:
            purposes.insert(0, ExtendedKeyUsageOID.CLIENT_AUTH)
        found.append((x509.ExtendedKeyUsage(purposes), False))
    names = query.alternative_names()
    if names:
        # Without a subject it is the only name there is. Source: RFC 5280, 4.2.1.6.
        has_subject = bool(list(query.subject_name()))
        found.append((x509.SubjectAlternativeName(names), not has_subject))
    return found


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    """Return what a key may be used for."""
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=not signs_certificates,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _with_identifiers(
    builder: x509.CertificateBuilder,
    own: CertificatePublicKeyTypes,
    signer: CertificatePublicKeyTypes,
) -> x509.CertificateBuilder:
    """Add the identifiers of a certificate's key and of its issuer's."""
    subject_id = x509.SubjectKeyIdentifier.from_public_key(own)
    issuer_id = x509.SubjectKeyIdentifier.from_public_key(signer)
    authority_id = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_id)
    return builder.add_extension(subject_id, critical=False).add_extension(
        authority_id, critical=False
    )


def _access(base: str, issuer_serial: int) -> x509.AuthorityInformationAccess:
    """Say where the issuer's certificate is found, and where its state can be asked for."""
    places = (
        (AuthorityInformationAccessOID.CA_ISSUERS, f"{base}/certificates/{issuer_serial}"),
        (AuthorityInformationAccessOID.OCSP, f"{base}/ocsp"),
    )
    return x509.AuthorityInformationAccess(
        [x509.AccessDescription(how, x509.UniformResourceIdentifier(url)) for how, url in places]
    )


def build_request(query: CsrQuery) -> JsonObject:
    """Make a key and a signing request for it. May take seconds of CPU: call it in a thread.

    Returns:
        ``csr``, ``publicKey`` and ``privateKey``, all as PEM.
    """
    key = generate_key(query.key)
    builder = x509.CertificateSigningRequestBuilder(subject_name=query.subject_name())
    for value, critical in _extensions(query):
        builder = builder.add_extension(value, critical=critical)
    request = builder.sign(key, _digest(query, key))
    return {
        "csr": request.public_bytes(Encoding.PEM).decode(),
        "publicKey": public_pem(key.public_key()),
        "privateKey": private_pem(key),
    }


def sign_request(
    request: x509.CertificateSigningRequest,
    authority: Authority,
    *,
    duration_ms: int,
    now: datetime,
) -> JsonObject:
    """Sign a request that somebody else made.

    Of its extensions only the alternative names and the purposes are taken over: a request cannot make
    itself an authority.

    Args:
        request: The request; its signature is already checked.
        authority: What signs it.
        duration_ms: How long the certificate is valid; not longer than the authority.
        now: Begin of its validity.

    Returns:
        ``cert``, ``csr`` and ``ca``, all as PEM.

    Raises:
        PkiError: The authority cannot sign, or has expired; or the request's key is refused.
    """
    authority.check()
    begin, end = _validity(now, duration_ms, authority)
    public = request.public_key()
    check_public_key(public)
    builder = x509.CertificateBuilder(
        subject_name=request.subject,
        issuer_name=authority.certificate.subject,
        public_key=public,
        serial_number=new_serial(),
        not_valid_before=begin,
        not_valid_after=end,
    )
    builder = builder.add_extension(
        x509.BasicConstraints(ca=False, path_length=None), critical=True
    )
    builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
    purposes: x509.ExtensionType = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    for extension in request.extensions:
        if isinstance(extension.value, x509.ExtendedKeyUsage):
            purposes = extension.value
        elif isinstance(extension.value, x509.SubjectAlternativeName):
            builder = builder.add_extension(extension.value, critical=extension.critical)
    builder = builder.add_extension(purposes, critical=False)
    builder = _with_identifiers(builder, public, authority.key.public_key())
    digest = None if isinstance(authority.key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    certificate = builder.sign(authority.key, digest)
    return {
        "cert": certificate_pem(certificate),
        "csr": request.public_bytes(Encoding.PEM).decode(),
        "ca": certificate_pem(authority.certificate),
    }

"""Certificates near their end: which are due, and how one is renewed.

A renewed certificate keeps its key, its serial number, its subject and its extensions, as in Otoroshi,
where an API key may be bound to subject and serial of a client's certificate. Other than there, every
alternative name is kept, a certificate whose issuer is not in the store is refused instead of being
replaced by a self-signed one, and only what signed a certificate signs it again, whatever its ``caRef``
names: whoever may store a certificate chooses that freely. So nobody gets by renewal what no authority
ever gave him: what was asked for makes a validity shorter, never longer than the last one or a year.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519

from oto_trio.model.certificate import (
    EXPIRED_PREFIX,
    UNTIL_EXPIRATION_PREFIX,
    Certificate,
)
from oto_trio.pki.errors import PkiError
from oto_trio.pki.facts import authority_of, enrich
from oto_trio.pki.keys import read_private_key
from oto_trio.pki.pem import chain_pem, is_issued_by, ordered_chain, read_certificates
from oto_trio.pki.queries import LONGEST_MS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from oto_trio.pki.issuing import Authority
    from oto_trio.pki.keys import PrivateKey

__all__ = [
    "WANTED",
    "find_issuer",
    "is_due",
    "is_expired",
    "is_outlived",
    "is_renewable",
    "marked_expired",
    "renewed",
    "until_expiration",
]

LEFT_PERCENT: Final = 20
"""Share of the validity that is left when a certificate is due."""

STANDARD_DURATION: Final = timedelta(days=365)
"""How long a renewed certificate is valid at most, or as long as it was before, if that is longer."""

LEAST_DURATION: Final = timedelta(days=1)
"""How long one is valid at least, unless its authority ends before: renewals are looked for every ten minutes."""

FORMER_KEPT: Final = timedelta(days=30)
"""How long the copy of a renewed certificate is kept after its end."""

WANTED: Final = "oto-trio-wanted-duration"
"""Metadata key of a certificate whose authority let it be valid for less than before: what it was before, in ms."""

LONGEST_QUERY: Final = 16 * 1024
"""Characters of a stored query that are read."""

LEAST_GAIN: Final = timedelta(days=1)
"""A renewal must bring at least so much; otherwise it would be due again at once, for ever."""


def is_due(certificate: Certificate, now_ms: int) -> bool:
    """Tell whether less than a fifth of the validity is left; also true after its end."""
    lifetime_ms = certificate.valid_to - certificate.valid_from
    if lifetime_ms <= 0:
        return False
    return (certificate.valid_to - now_ms) * 100 < LEFT_PERCENT * lifetime_ms


def is_renewable(certificate: Certificate, now_ms: int) -> bool:
    """Tell whether a certificate shall be renewed now."""
    return (
        certificate.auto_renew
        and not certificate.revoked
        and not certificate.lets_encrypt
        and not _is_former(certificate)
        and is_due(certificate, now_ms)
    )


def _is_former(certificate: Certificate) -> bool:
    """Tell whether a certificate is the copy of one that was renewed."""
    return certificate.metadata.get("untilExpiration") == "true" or certificate.name.startswith(
        UNTIL_EXPIRATION_PREFIX
    )


def is_expired(certificate: Certificate, now_ms: int) -> bool:
    """Tell whether a certificate is outside of its validity, and not marked so."""
    is_marked = certificate.metadata.get("expired") == "true" or certificate.name.startswith(
        EXPIRED_PREFIX
    )
    return not certificate.revoked and not is_marked and not certificate.is_current(now_ms)


def is_outlived(certificate: Certificate, now_ms: int) -> bool:
    """Tell whether a certificate is the copy of a renewed one, marked as expired, and of no use any more."""
    kept_ms = FORMER_KEPT // timedelta(milliseconds=1)
    return (
        certificate.metadata.get("untilExpiration") == "true"
        and certificate.metadata.get("expired") == "true"
        and certificate.valid_to + kept_ms < now_ms
    )


def marked_expired(certificate: Certificate) -> Certificate:
    """Mark a certificate as expired."""
    return msgspec.structs.replace(
        certificate,
        name=EXPIRED_PREFIX + certificate.name,
        metadata={**certificate.metadata, "expired": "true"},
    )


def until_expiration(certificate: Certificate, new_id: str) -> Certificate:
    """Make the copy that is kept of a certificate that was renewed.

    Args:
        certificate: As it was before.
        new_id: The copy's id.
    """
    return msgspec.structs.replace(
        certificate,
        id=new_id,
        name=UNTIL_EXPIRATION_PREFIX + certificate.name,
        metadata={
            **certificate.metadata,
            "untilExpiration": "true",
            "nextCertificate": certificate.id,
        },
    )


def find_issuer(certificate: Certificate, authorities: Iterable[Certificate]) -> Certificate | None:
    """Find what can sign a certificate again: what has the key that signed it. Call it in a thread.

    An authority that was renewed still has its key. What the certificate names as its authority only
    decides among several that could have signed it.

    Args:
        certificate: The certificate.
        authorities: Certificates to choose from; those without a key are passed over.

    Returns:
        None when it signed itself, cannot be read, or there is none.
    """
    try:
        old, _ = _own(certificate)
    except PkiError:
        return None
    if is_issued_by(old, old):
        return None
    able = [a for a in authorities if a.ca and a.private_key.strip() and not _is_former(a)]
    able.sort(key=lambda authority: authority.id != certificate.ca_ref)
    return next((authority for authority in able if _has_signed(authority, old)), None)


def _own(certificate: Certificate) -> tuple[x509.Certificate, PrivateKey]:
    """Read a certificate and its key: that of the chain which the key belongs to.

    What is stored need not have been brought in order, so the first of the chain may be anybody's.

    Raises:
        PkiError: It has no key, or chain or key cannot be read, or do not fit together.
    """
    if not certificate.private_key.strip():
        raise PkiError("$.privateKey", "the private key is not here", "import it again, renewed")
    key = read_private_key(certificate.private_key, certificate.password)
    return ordered_chain(read_certificates(certificate.chain), key)[0], key


def _has_signed(authority: Certificate, old: x509.Certificate) -> bool:
    """Tell whether an authority signed a certificate, and has the key to do it again."""
    try:
        # The key is read last: that takes long, and most authorities signed something else.
        chain = read_certificates(authority.chain)
        return any(is_issued_by(old, one) for one in chain) and is_issued_by(
            old, authority_of(authority).certificate
        )
    except PkiError:
        return False


def renewed(
    certificate: Certificate,
    authority: Authority | None,
    *,
    now: datetime,
    duration: timedelta | None = None,
) -> Certificate:
    """Renew a certificate: the same, from now on. Call it in a thread.

    Valid it is for as long as was asked for when it was made, or else as long as before, but not after its
    authority.

    Args:
        certificate: As it is stored.
        authority: What signs it, as it did before; None for one that signed itself.
        now: Begin of its validity.
        duration: How long it shall be valid; None = as was asked for.

    Raises:
        PkiError: It has no key, its issuer is not there or is another one, or a renewal would not bring
            anything.
    """
    old, key = _own(certificate)
    if not is_issued_by(old, old if authority is None else authority.certificate):
        raise PkiError(
            "$.caRef",
            "the authority that issued it is not in the store with its key",
            "store it there, or import the certificate again, renewed",
        )
    lifetime = old.not_valid_after_utc - old.not_valid_before_utc
    begin = now.replace(microsecond=0)
    metadata = {k: v for k, v in certificate.metadata.items() if k != "expired"}
    wanted = duration or _wanted(metadata, lifetime)
    end = begin + wanted
    if authority is not None:
        last = authority.certificate.not_valid_after_utc
        if last < end:
            # Else it would stay so short when the authority is renewed.
            metadata[WANTED] = str(wanted // timedelta(milliseconds=1))
        end = min(end, last)
        if end == last and last < old.not_valid_after_utc + LEAST_GAIN:
            raise PkiError("$.caRef", "its authority ends too soon", "renew the authority first")
    signed = _signed_again(old, key, authority, begin, end)
    above = () if authority is None else (authority.certificate, *authority.issuers)
    return enrich(
        msgspec.structs.replace(
            certificate,
            chain=chain_pem((signed, *above)),
            name=certificate.name.removeprefix(EXPIRED_PREFIX),
            metadata=metadata,
        )
    )


def _wanted(metadata: Mapping[str, str], lifetime: timedelta) -> timedelta:
    """Return how long a certificate shall be valid: as asked for when it was made, else as long as before.

    What the metadata say is anybody's who may write the certificate: the authority gave `lifetime`, and more than
    that or `STANDARD_DURATION` nobody gets by writing it there.
    """
    asked_ms = _asked_ms(metadata)
    wanted = lifetime if asked_ms is None else timedelta(milliseconds=asked_ms)
    return max(LEAST_DURATION, min(wanted, max(lifetime, STANDARD_DURATION)))


def _asked_ms(metadata: Mapping[str, str]) -> int | None:
    """Return the duration that was asked for, ms; None when that is not known."""
    text = metadata.get("csr", "")
    if 0 < len(text) <= LONGEST_QUERY:
        try:
            query: object = msgspec.json.decode(text)
        except msgspec.DecodeError:
            query = None
        asked: object = (
            cast("dict[str, Any]", query).get("duration") if isinstance(query, dict) else None
        )
        if type(asked) is int and 0 < asked <= LONGEST_MS:
            return asked
    kept = metadata.get(WANTED, "")
    if kept.isascii() and kept.isdigit() and len(kept) < 16 and 0 < int(kept) <= LONGEST_MS:
        return int(kept)
    return None


def _signed_again(
    old: x509.Certificate,
    key: PrivateKey,
    authority: Authority | None,
    begin: datetime,
    end: datetime,
) -> x509.Certificate:
    """Sign a certificate again, with another validity."""
    signer: PrivateKey = key if authority is None else authority.key
    builder = x509.CertificateBuilder(
        subject_name=old.subject,
        issuer_name=old.subject if authority is None else authority.certificate.subject,
        public_key=key.public_key(),
        serial_number=old.serial_number,
        not_valid_before=begin,
        not_valid_after=end,
    )
    for extension in old.extensions:
        if not isinstance(extension.value, x509.AuthorityKeyIdentifier):
            builder = builder.add_extension(extension.value, critical=extension.critical)
    signer_id = x509.SubjectKeyIdentifier.from_public_key(signer.public_key())
    above = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(signer_id)
    builder = builder.add_extension(above, critical=False)
    if isinstance(signer, ed25519.Ed25519PrivateKey):
        return builder.sign(signer, None)
    digest = old.signature_hash_algorithm
    if isinstance(digest, hashes.SHA256 | hashes.SHA384 | hashes.SHA512):
        return builder.sign(signer, digest)
    return builder.sign(signer, hashes.SHA256())

"""What a chain says: for lists and searches, kept beside it, and for whoever asks.

`enrich` is called at every save. It also brings the chain in order and holds the key against it, so
that what is stored can be served.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Final

import msgspec
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from oto_trio.pki.errors import PkiError
from oto_trio.pki.issuing import Authority, is_authority
from oto_trio.pki.keys import private_pem, public_pem, read_private_key
from oto_trio.pki.names import common_name, normalised_name
from oto_trio.pki.pem import chain_pem, is_issued_by, ordered_chain, read_certificates

if TYPE_CHECKING:
    from oto_trio.model.certificate import Certificate
    from oto_trio.model.document import JsonObject

__all__ = ["alternative_names", "authority_of", "certificate_data", "domain_of", "enrich"]

NO_PATH_LENGTH: Final = 2_147_483_647
"""What Java, and so Otoroshi, says of an authority without a bound on the chain below it."""


def alternative_names(certificate: x509.Certificate) -> list[str]:
    """Return the alternative names that are host names, addresses, mail addresses or URIs."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    kinds = (x509.DNSName, x509.IPAddress, x509.RFC822Name, x509.UniformResourceIdentifier)
    return [str(name.value) for name in found.value if isinstance(name, kinds)]


def domain_of(certificate: x509.Certificate) -> str:
    """Return the first name a certificate is for: common name, alternative name, else the subject."""
    named = common_name(certificate.subject)
    if named:
        return named
    names = alternative_names(certificate)
    return names[0] if names else normalised_name(certificate.subject)


def enrich(certificate: Certificate) -> Certificate:
    """Bring a certificate in order, and read from its chain what is kept beside it.

    The chain is ordered, copies are dropped. An encrypted private key is stored decrypted: its password
    would lie beside it. May take milliseconds: call it in a thread when there are many.

    Raises:
        PkiError: Chain or key cannot be read, or do not fit together; names the key and the fix.
    """
    if not certificate.chain.strip():
        raise PkiError("$.chain", "there is no certificate", "give the chain as PEM blocks")
    certificates = read_certificates(certificate.chain)
    key = None
    if certificate.private_key.strip():
        key = read_private_key(certificate.private_key, certificate.password)
    chain = ordered_chain(certificates, key)
    first = chain[0]
    is_encrypted = "ENCRYPTED" in certificate.private_key
    return msgspec.structs.replace(
        certificate,
        chain=certificate.chain if chain == certificates else chain_pem(chain),
        private_key=(
            private_pem(key) if key is not None and is_encrypted else certificate.private_key
        ),
        password=None if is_encrypted else certificate.password,
        domain=domain_of(first),
        self_signed=is_issued_by(first, first),
        ca=is_authority(first),
        valid=key is not None,
        subject=normalised_name(first.subject),
        valid_from=int(first.not_valid_before_utc.timestamp() * 1000),
        valid_to=int(first.not_valid_after_utc.timestamp() * 1000),
        sans=tuple(alternative_names(first)),
    )


def authority_of(certificate: Certificate) -> Authority:
    """Return a stored certificate as what signs others.

    Raises:
        PkiError: It has no key, or is no authority.
    """
    if not certificate.private_key.strip():
        raise PkiError(
            "$.ca",
            f"the private key of {certificate.id!r} is not here",
            "store the authority with its key",
        )
    key = read_private_key(certificate.private_key, certificate.password)
    first, *issuers = ordered_chain(read_certificates(certificate.chain), key)
    authority = Authority(first, key, tuple(issuers))
    authority.check()
    return authority


def certificate_data(certificate: x509.Certificate) -> JsonObject:
    """Return everything a certificate says, under Otoroshi's names."""
    constraints, is_ca, is_client = -1, False, False
    for extension in certificate.extensions:
        value = extension.value
        if isinstance(value, x509.BasicConstraints) and value.ca:
            is_ca = True
            constraints = NO_PATH_LENGTH if value.path_length is None else value.path_length
        elif isinstance(value, x509.ExtendedKeyUsage):
            is_client = ExtendedKeyUsageOID.CLIENT_AUTH in value
    signature = hashlib.sha256(certificate.signature).hexdigest().upper()
    return {
        "issuerDN": normalised_name(certificate.issuer),
        "notAfter": int(certificate.not_valid_after_utc.timestamp() * 1000),
        "notBefore": int(certificate.not_valid_before_utc.timestamp() * 1000),
        "serialNumber": format(certificate.serial_number, "x"),
        "serialNumberLng": certificate.serial_number,
        "sigAlgName": _signature_name(certificate),
        "sigAlgOID": certificate.signature_algorithm_oid.dotted_string,
        "_signature": base64.b64encode(certificate.signature).decode(),
        "signature": ":".join(signature[i : i + 2] for i in range(0, len(signature), 2)),
        "subjectDN": normalised_name(certificate.subject),
        "domain": domain_of(certificate),
        "rawDomain": common_name(certificate.subject),
        "version": certificate.version.value + 1,
        "type": "X.509",
        "publicKey": public_pem(certificate.public_key()),
        "selfSigned": is_issued_by(certificate, certificate),
        "constraints": constraints,
        "ca": is_ca,
        "client": is_client,
        "subAltNames": alternative_names(certificate),
        "cExtensions": _extensions(certificate, critical=True),
        "ncExtensions": _extensions(certificate, critical=False),
    }


def _extensions(certificate: x509.Certificate, *, critical: bool) -> list[JsonObject]:
    """Return the extensions that are critical, or those that are not."""
    return [
        {
            "oid": extension.oid.dotted_string,
            "value": extension.value.public_bytes().decode("utf-8", "replace"),
        }
        for extension in certificate.extensions
        if extension.critical is critical
    ]


def _signature_name(certificate: x509.Certificate) -> str:
    """Return the name of the signature algorithm as Java has it: ``SHA256withRSA``."""
    name = certificate.signature_algorithm_oid._name  # noqa: SLF001 (there is no other)
    digest = certificate.signature_hash_algorithm
    if digest is None:
        return "EdDSA" if "ed" in name.lower() else name
    scheme = "ECDSA" if "ecdsa" in name.lower() else "RSA"
    if "pss" in name.lower():
        return "RSASSA-PSS"
    return f"{digest.name.upper()}with{scheme}"

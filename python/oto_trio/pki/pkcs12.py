"""PKCS#12: a key and its chain in one encrypted file, as browsers and Java keep them."""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    NoEncryption,
    pkcs12,
)

from oto_trio.pki.errors import PkiError
from oto_trio.pki.keys import PrivateKey, private_pem, usable_key
from oto_trio.pki.pem import chain_pem, ordered_chain, read_certificates

__all__ = ["read_pkcs12", "write_pkcs12"]

LARGEST_BYTES: Final = 1024 * 1024
"""Bytes of a file that is read."""


def read_pkcs12(content: bytes, password: str | None) -> tuple[str, str]:
    """Read a PKCS#12 file. A costly derivation of keys may take a second: call it in a thread.

    Args:
        content: The file.
        password: Its password; None and an empty one are both tried when there is none.

    Returns:
        The chain, ordered, and the private key, both as PEM. Of a file with several keys, the first.

    Raises:
        PkiError: It cannot be read, its password is another, or key and chain do not fit.
    """
    if len(content) > LARGEST_BYTES:
        raise PkiError("$", f"a file of {len(content)} bytes", f"give at most {LARGEST_BYTES}")
    secrets = [password.encode()] if password else [None, b""]
    for secret in secrets:
        try:
            key, certificate, more = pkcs12.load_key_and_certificates(content, secret)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            continue
        if key is None:
            raise PkiError("$", "there is no private key in this file", "export it with its key")
        found = [*([] if certificate is None else [certificate]), *more]
        if not found:
            raise PkiError("$", "there is no certificate in this file", "export it with its chain")
        usable = usable_key(key, "$")
        # Through PEM, so that every certificate is looked at as a whole.
        chain = ordered_chain(read_certificates(chain_pem(found)), usable)
        return chain_pem(chain), private_pem(usable)
    raise PkiError(
        "$",
        "this is no PKCS#12 file, or its password is another",
        "give the file as it was exported, and its password",
    )


def write_pkcs12(name: str, chain: str, key: PrivateKey, password: str | None) -> bytes:
    """Write a PKCS#12 file.

    Args:
        name: How programs that read it shall call it.
        chain: The chain as PEM, in order.
        key: The private key of its first certificate.
        password: Encrypts it; None leaves it open.

    Raises:
        PkiError: The chain cannot be read.
    """
    first, *issuers = read_certificates(chain)
    assert isinstance(
        key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
    ), "a usable key"
    encryption = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    return pkcs12.serialize_key_and_certificates(name.encode(), key, first, issuers, encryption)

"""Private keys: made, read, written, compared."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from oto_trio.pki.errors import PkiError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

    from oto_trio.pki.queries import KeyQuery

__all__ = [
    "PrivateKey",
    "check_public_key",
    "generate_key",
    "is_key_of",
    "private_pem",
    "public_pem",
    "read_private_key",
    "usable_key",
]

PrivateKey: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
"""A key that the gateway can use: RSA from 2048 bits, ECDSA on the NIST curves, Ed25519."""

LEAST_RSA_BITS: Final = 2048
"""Shorter RSA keys are refused, by the TLS engine as well."""

MOST_RSA_BITS: Final = 8192
"""Longer RSA keys are refused: a handshake with one takes seconds of CPU."""

CURVES: Final[dict[int, type[ec.EllipticCurve]]] = {
    256: ec.SECP256R1,
    384: ec.SECP384R1,
    521: ec.SECP521R1,
}
"""The curves by their size in bits."""

_KEY_BLOCK: Final = re.compile(
    r"-----BEGIN (?P<kind>(?:RSA |EC |ENCRYPTED )?PRIVATE KEY)-----.*?-----END (?P=kind)-----",
    re.DOTALL,
)
_PATH: Final = "$.privateKey"


def generate_key(query: KeyQuery) -> PrivateKey:
    """Make a key. Takes up to several seconds of CPU: call it in a thread.

    Args:
        query: Which kind; already checked.
    """
    if query.is_rsa:
        return rsa.generate_private_key(public_exponent=65537, key_size=query.size)
    return ec.generate_private_key(CURVES[query.curve_bits]())


def usable_key(key: object, path: str = _PATH) -> PrivateKey:
    """Check that a key is of a kind the gateway can use.

    Args:
        key: A private key of the ``cryptography`` package.
        path: What to name when it is not.

    Raises:
        PkiError: It is not.
    """
    if not isinstance(
        key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
    ):
        raise PkiError(path, "a key of an unknown kind", "use RSA, ECDSA or Ed25519")
    check_public_key(key.public_key(), path)
    return key


def check_public_key(key: object, path: str = "$") -> None:
    """Refuse a public key that the gateway could not use, or that is too weak.

    Raises:
        PkiError: It is not of a kind, or not of a size, that is used.
    """
    if isinstance(key, rsa.RSAPublicKey):
        if not LEAST_RSA_BITS <= key.key_size <= MOST_RSA_BITS:
            raise PkiError(
                path,
                f"an RSA key of {key.key_size} bits",
                f"use one of {LEAST_RSA_BITS} to {MOST_RSA_BITS} bits",
            )
    elif isinstance(key, ec.EllipticCurvePublicKey):
        if not isinstance(key.curve, tuple(CURVES.values())):
            raise PkiError(
                path, f"a key on the curve {key.curve.name}", "use P-256, P-384 or P-521"
            )
    elif not isinstance(key, ed25519.Ed25519PublicKey):
        raise PkiError(path, "a key of an unknown kind", "use RSA, ECDSA or Ed25519")


def read_private_key(text: str, password: str | None = None) -> PrivateKey:
    """Read the first private key in a PEM text; certificates beside it are passed over.

    Args:
        text: PKCS#8, PKCS#1 or SEC1, encrypted or not.
        password: For an encrypted key; of no account for another.

    Raises:
        PkiError: There is none, or it cannot be read or used. Never holds a part of it.
    """
    block = _KEY_BLOCK.search(text)
    if block is None:
        raise PkiError(
            _PATH,
            "there is no private key in this text",
            "give a PEM block that starts with -----BEGIN PRIVATE KEY-----",
        )
    pem = block[0].encode("ascii", "replace")
    is_encrypted = b"ENCRYPTED" in pem
    if is_encrypted and password is None:
        raise PkiError(_PATH, "the private key is encrypted", "give its password")
    secret = password.encode() if is_encrypted and password is not None else None
    try:
        key = serialization.load_pem_private_key(pem, secret)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # The library's words may quote the text; ours do not.
        cause = "or the password is wrong" if is_encrypted else "it may be cut or damaged"
        raise PkiError(
            _PATH, f"the private key cannot be read, {cause}", "give it whole, as it was written"
        ) from None
    return usable_key(key)


def private_pem(key: PrivateKey) -> str:
    """Write a private key as PKCS#8 PEM, not encrypted."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def public_pem(key: PublicKeyTypes) -> str:
    """Write a public key as PEM."""
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()


def is_key_of(key: PrivateKey, public: PublicKeyTypes) -> bool:
    """Tell whether a private key belongs to a public one."""
    der, info = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(der, info) == public.public_bytes(der, info)

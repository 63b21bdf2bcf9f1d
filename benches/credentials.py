"""What the scenarios with TLS and access control are set up with: made once, in memory, for one run."""

import base64
import datetime as dt
import functools
import json
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID

__all__ = ["ISSUER", "Pair", "Signer", "key_id", "key_secret", "server_pair", "signer"]

ISSUER: Final = "https://issuer.bench.test"
"""Who the tokens say they are from."""

VALID: Final = dt.timedelta(days=2)


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, in PEM."""

    certificate: str
    key: str


@dataclass(frozen=True, slots=True)
class Signer:
    """What signs tokens, and what checks them.

    Attributes:
        algorithm: Such as `HS256`.
        token: A token that is valid for the run.
        secret: The shared secret, for HS256.
        public_pem: The public key, for the others.
        jwk: What checks it as a JSON Web Key.
    """

    algorithm: str
    token: str
    secret: str
    public_pem: str
    jwk: dict[str, str]


def key_id(number: int) -> str:
    """Return the id of an API key of the bench."""
    return f"bench-key-{number}"


def key_secret(number: int) -> str:
    """Return its secret; 100,000 of them must not take a while, so they are not random."""
    return f"secret-of-bench-key-{number:032d}"


@functools.cache
def server_pair() -> Pair:
    """Make the P-256 certificate that every proxy shows, for bench.test and what is below it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bench.test")])
    now = dt.datetime.now(dt.UTC)
    names = [x509.DNSName("bench.test"), x509.DNSName("*.bench.test"), x509.DNSName("*.test")]
    # What wrk, which takes the server name from the address, asks for.
    names.append(x509.DNSName("localhost"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - VALID)
        .not_valid_after(now + VALID)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Pair(
        certificate.public_bytes(serialization.Encoding.PEM).decode(),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode(),
    )


@functools.cache
def signer(algorithm: str) -> Signer:
    """Make a key for an algorithm (HS256, RS256, ES256) and a token signed with it."""
    expires = dt.datetime.now(dt.UTC) + VALID
    claims = {"iss": ISSUER, "sub": "bench", "exp": int(expires.timestamp()), "scope": "read"}
    header = {"alg": algorithm, "typ": "JWT", "kid": "bench"}
    signed = f"{_encoded(header)}.{_encoded(claims)}"
    secret, public_pem = "", ""
    jwk = {"kid": "bench", "alg": algorithm, "use": "sig"}
    if algorithm == "HS256":
        secret = "a-shared-secret-of-the-bench-of-at-least-32-octets"
        mac = hmac.HMAC(secret.encode(), hashes.SHA256())
        mac.update(signed.encode())
        signature = mac.finalize()
        jwk |= {"kty": "oct", "k": _base64(secret.encode())}
    elif algorithm == "RS256":
        rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        signature = rsa_key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        public = rsa_key.public_key()
        public_pem = _pem(public)
        numbers = public.public_numbers()
        jwk |= {"kty": "RSA", "n": _base64(_octets(numbers.n, 256)), "e": "AQAB"}
    else:
        ec_key = ec.generate_private_key(ec.SECP256R1())
        r, s = decode_dss_signature(ec_key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        signature = _octets(r, 32) + _octets(s, 32)
        public_pem = _pem(ec_key.public_key())
        point = ec_key.public_key().public_numbers()
        jwk |= {
            "kty": "EC",
            "crv": "P-256",
            "x": _base64(_octets(point.x, 32)),
            "y": _base64(_octets(point.y, 32)),
        }
    return Signer(algorithm, f"{signed}.{_base64(signature)}", secret, public_pem, jwk)


def _pem(key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey) -> str:
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()


def _octets(number: int, size: int) -> bytes:
    return number.to_bytes(size, "big")


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _encoded(document: object) -> str:
    return _base64(json.dumps(document, separators=(",", ":")).encode())

"""Tokens against PyJWT, a well-known library: what one signs the other accepts, and both refuse alike."""

from __future__ import annotations

import base64
from functools import cache
from typing import TYPE_CHECKING, Any

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from oto_trio._core import JwtRefused, JwtSigner, JwtVerifier

if TYPE_CHECKING:
    from collections.abc import Mapping

NOW = 1_700_000_000
SECRET = "a secret that is long enough for every one of the three hashes, sixty-four bytes"
HMAC = ("HS256", "HS384", "HS512")
PUBLIC = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
ALGORITHMS = (*HMAC, *PUBLIC)
CURVES: dict[str, ec.EllipticCurve] = {
    "ES256": ec.SECP256R1(),
    "ES384": ec.SECP384R1(),
    "ES512": ec.SECP521R1(),
}

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**53), max_value=2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
CLAIMS = st.dictionaries(st.text(max_size=8), JSON, max_size=5)


@cache
def private_key(algorithm: str) -> Any:
    """Make one key of each kind, once."""
    if algorithm in CURVES:
        return ec.generate_private_key(CURVES[algorithm])
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(65537, 2048) if algorithm == "RS256" else private_key("RS256")


def jwk_of(algorithm: str) -> bytes:
    """Return the private JWK of an algorithm's key."""
    if algorithm in HMAC:
        secret = base64.urlsafe_b64encode(SECRET.encode()).rstrip(b"=").decode()
        return msgspec.json.encode({"kty": "oct", "k": secret})
    key = private_key(algorithm)
    if algorithm in CURVES:
        return ECAlgorithm.to_jwk(key).encode()
    if algorithm == "EdDSA":
        return OKPAlgorithm.to_jwk(key).encode()
    jwk: dict[str, Any] = msgspec.json.decode(RSAAlgorithm.to_jwk(key))
    return msgspec.json.encode({k: v for k, v in jwk.items() if k != "key_ops"})


def public_jwk(algorithm: str) -> bytes:
    """Return the public JWK of an algorithm's key."""
    jwk: dict[str, Any] = msgspec.json.decode(jwk_of(algorithm))
    hidden = {"d", "p", "q", "dp", "dq", "qi", "key_ops"}
    return msgspec.json.encode({k: v for k, v in jwk.items() if k not in hidden})


def signing_key(algorithm: str) -> Any:
    return SECRET if algorithm in HMAC else private_key(algorithm)


def verifying_key(algorithm: str) -> Any:
    return SECRET if algorithm in HMAC else private_key(algorithm).public_key()


def theirs(token: str, algorithm: str, leeway: float = 10.0) -> dict[str, Any] | None:
    """Decode with PyJWT; None when it refuses."""
    unchecked = {"verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False}
    options: Any = {**unchecked, "verify_sub": False, "verify_jti": False, "verify_iss": False}
    try:
        claims = jwt.decode(token, verifying_key(algorithm), [algorithm], options=options)
    except jwt.InvalidTokenError:
        return None
    expired = "exp" in claims and claims["exp"] + leeway <= NOW
    early = any(name in claims and claims[name] - leeway > NOW for name in ("nbf", "iat"))
    return None if expired or early else claims


def ours(token: str, algorithm: str) -> dict[str, Any] | None:
    """Decode with the engine; None when it refuses."""
    verifier = JwtVerifier(public_jwk(algorithm), algorithms=[algorithm])
    try:
        return verifier.verify(token, NOW)
    except JwtRefused:
        return None


def without_times(claims: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what the property does not speak of: times that are no numbers, and their like."""
    return {k: v for k, v in claims.items() if k not in {"exp", "nbf", "iat", "iss"}}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@settings(max_examples=15, deadline=None)
@given(claims=CLAIMS)
def test_each_reads_what_the_other_signs(algorithm: str, claims: dict[str, Any]) -> None:
    claims = without_times(claims)
    mine = JwtSigner(jwk_of(algorithm), algorithm).sign(msgspec.json.encode(claims))
    assert theirs(mine, algorithm) == claims
    other = jwt.encode(claims, signing_key(algorithm), algorithm)
    assert ours(other, algorithm) == claims


@pytest.mark.parametrize("algorithm", ["HS256", "ES256", "EdDSA"])
@settings(max_examples=60, deadline=None)
@given(
    at=st.integers(min_value=0, max_value=10_000),
    letter=st.sampled_from("ABab01-_.=+/ "),
    replaces=st.booleans(),
)
def test_both_refuse_a_token_with_one_letter_changed(
    algorithm: str, at: int, letter: str, replaces: bool
) -> None:
    token = jwt.encode({"sub": "jo", "n": 1}, signing_key(algorithm), algorithm)
    at %= len(token)
    changed = token[:at] + letter + token[at + replaces :]
    mine = ours(changed, algorithm)
    assert mine is None if changed != token else mine == {"sub": "jo", "n": 1}
    # PyJWT reads base64 less strictly, so it may accept more; never less.
    assert mine is None or theirs(changed, algorithm) == mine


TIME = st.integers(min_value=NOW - 30, max_value=NOW + 30)


@settings(max_examples=200, deadline=None)
@given(claims=st.fixed_dictionaries({}, optional={"exp": TIME, "nbf": TIME, "iat": TIME}))
def test_both_hold_times_alike(claims: dict[str, Any]) -> None:
    token = jwt.encode(claims, SECRET, "HS256")
    assert ours(token, "HS256") == theirs(token, "HS256")


@pytest.mark.parametrize("signed_with", ALGORITHMS)
@pytest.mark.parametrize("allowed", ALGORITHMS)
def test_an_algorithm_that_is_not_allowed_is_refused(signed_with: str, allowed: str) -> None:
    token = JwtSigner(jwk_of(signed_with), signed_with).sign(b"{}")
    if signed_with == allowed:
        assert ours(token, allowed) == {}
    else:
        assert ours(token, allowed) is None
        assert theirs(token, allowed) is None


def test_a_public_key_is_no_secret() -> None:
    pem = (
        private_key("RS256")
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    secret = base64.urlsafe_b64encode(pem).rstrip(b"=").decode()
    forger = JwtSigner(msgspec.json.encode({"kty": "oct", "k": secret}), "HS256")
    token = forger.sign(b'{"admin":true}')
    settings_json = {"type": "RSAlgoSettings", "size": 256, "publicKey": pem.decode()}
    with pytest.raises(JwtRefused, match="does not fit"):
        JwtVerifier(msgspec.json.encode(settings_json)).verify(token, NOW)


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512", *CURVES])
@pytest.mark.parametrize("form", ["PKCS8", "TraditionalOpenSSL"])
@pytest.mark.parametrize("framed", [True, False])
def test_keys_are_read_in_every_form_that_openssl_writes(
    algorithm: str, form: str, framed: bool
) -> None:
    key = private_key(algorithm)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        getattr(serialization.PrivateFormat, form),
        serialization.NoEncryption(),
    ).decode()
    public = (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )
    if not framed:
        private, public = (
            "".join(line for line in text.splitlines() if not line.startswith("-----"))
            for text in (private, public)
        )
    kind = "ESAlgoSettings" if algorithm in CURVES else "RSAlgoSettings"
    both = {"type": kind, "size": int(algorithm[2:]), "publicKey": public, "privateKey": private}
    token = JwtSigner(msgspec.json.encode(both)).sign(b'{"a":1}')
    assert theirs(token, algorithm) == {"a": 1}
    for half in ({**both, "privateKey": None}, {**both, "publicKey": None}):
        assert JwtVerifier(msgspec.json.encode(half)).verify(token, NOW) == {"a": 1}
    with pytest.raises(ValueError, match="privateKey"):
        JwtSigner(msgspec.json.encode({**both, "privateKey": None}))


def test_rules_are_applied() -> None:
    key = jwk_of("HS256")
    token = JwtSigner(key, "HS256").sign(
        msgspec.json.encode({"iss": "a", "aud": ["x", "y"], "iat": NOW - 60, "tier": "gold"})
    )
    good: dict[str, Any] = {
        "issuers": ["a"],
        "audiences": ["y"],
        "required": ["tier"],
        "patterns": [("tier", "go.*")],
        "max_age": 60,
    }
    assert JwtVerifier(key, **good).verify(token, NOW)["iss"] == "a"
    rules: list[tuple[dict[str, Any], str]] = [
        ({"issuers": ["b"]}, "iss"),
        ({"audiences": ["z"]}, "aud"),
        ({"required": ["sub"]}, "sub"),
        ({"patterns": [("tier", "o.*")]}, "tier"),
        ({"max_age": 40, "leeway": 5.0}, "iat"),
    ]
    for rule, claim in rules:
        with pytest.raises(JwtRefused, match=f"^{claim}: "):
            JwtVerifier(key, **{**good, **rule}).verify(token, NOW)


def test_what_cannot_be_prepared_says_why() -> None:
    for key, words in (
        (b"{", "keys"),
        (b"{}", "type"),
        (b'{"kty":"RSA","n":"AQAB","e":"AQAB"}', "2048 to 8192"),
        (b'{"kty":"EC","crv":"P-192","x":"","y":""}', "crv"),
        (b'{"kty":"oct","k":"=="}', "k: "),
        (b'{"type":"JWKSAlgoSettings","url":"u"}', "give the key itself"),
    ):
        with pytest.raises(ValueError, match=words):
            JwtVerifier(key)
    with pytest.raises(ValueError, match="algorithms"):
        JwtVerifier(jwk_of("HS256"), algorithms=["none"])
    with pytest.raises(ValueError, match="leeway"):
        JwtVerifier(jwk_of("HS256"), leeway=-1)

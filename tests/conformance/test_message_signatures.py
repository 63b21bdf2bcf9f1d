"""HTTP message signatures beside another implementation: what one signs the other takes, and only that."""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from oto_trio._core import MessageVerifier

# Not typed well enough for our checkers.
theirs: Any = importlib.import_module("http_message_signatures")

SECRET = b"a shared secret"
ALGORITHMS: dict[str, Any] = {
    "hmac-sha256": theirs.algorithms.HMAC_SHA256,
    "rsa-pss-sha512": theirs.algorithms.RSA_PSS_SHA512,
    "rsa-v1_5-sha256": theirs.algorithms.RSA_V1_5_SHA256,
    "ecdsa-p256-sha256": theirs.algorithms.ECDSA_P256_SHA256,
    "ecdsa-p384-sha384": theirs.algorithms.ECDSA_P384_SHA384,
    "ed25519": theirs.algorithms.ED25519,
}


@cache
def keys(algorithm: str) -> tuple[bytes, bytes]:
    """A private key and its public one in PEM; the secret twice for HMAC."""
    if algorithm == "hmac-sha256":
        return SECRET, SECRET
    private: Any
    if algorithm.startswith("rsa"):
        private = rsa.generate_private_key(65537, 2048)
    elif algorithm.startswith("ecdsa"):
        private = ec.generate_private_key(ec.SECP256R1() if "256" in algorithm else ec.SECP384R1())
    else:
        private = ed25519.Ed25519PrivateKey.generate()
    return (
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
        private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ),
    )


@dataclass(frozen=True)
class Sent:
    """A request, as the other implementation wants one."""

    method: str
    scheme: str
    authority: str
    path: str
    query: str
    headers: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def url(self) -> str:
        query = f"?{self.query}" if self.query else ""
        return f"{self.scheme}://{self.authority}{self.path}{query}"

    @property
    def is_plain(self) -> bool:
        """Whether the authority is written as the gateway writes it in a URL."""
        ports = {"http": ":80", "https": ":443"}
        return self.authority.islower() and not self.authority.endswith(ports[self.scheme])


QUERIES = ["", "x=1", "x=a+b&y=%C3%A9", "y=2&x=a%20b~*-%7E", "x=", "x=%26%3D"]
REQUESTS = st.builds(
    Sent,
    st.sampled_from(["GET", "POST"]),
    st.sampled_from(["http", "https"]),
    st.sampled_from(["a.test", "A.Test", "a.test:8443", "a.test:443", "a.test:80"]),
    st.sampled_from(["/", "/a", "/a/b%20c"]),
    st.sampled_from(QUERIES),
    st.fixed_dictionaries(
        {
            "X-One": st.sampled_from(["1", "", "a, b", "a,b", "é"]),
            "X-Dict": st.sampled_from(["a=1, b=2;x;y=1.50", "a", "b=:AAE=:,  a=(1   2);q", "a=?0"]),
        }
    ),
)
COMPONENTS = st.lists(
    st.sampled_from(
        [
            "@method",
            "@target-uri",
            "@authority",
            "@scheme",
            "@request-target",
            "@path",
            "@query",
            '"@query-param";name="x"',
            "x-one",
            '"x-one";bs',
            "x-dict",
            '"x-dict";key="a"',
            '"x-dict";key="b"',
        ]
    ),
    unique=True,
)
CHANGES = st.sampled_from(
    [
        {},
        {"method": "PUT"},
        {"scheme": "https"},
        {"authority": "a.test"},
        {"authority": "b.test"},
        {"path": "/a"},
        {"query": "x=1"},
        {"query": "x=a%20b"},
        {"header": ("X-One", "a, b")},
        {"header": ("X-Dict", "a=1,b=2;x;y=1.5")},
        {"header": ("Signature-Input", "s=()")},
    ]
)


def sign(request: Sent, algorithm: str, covered: list[str], **more: Any) -> bool:
    """Sign with the other implementation; False when it cannot."""
    private, public = keys(algorithm)
    resolver = theirs.MappingKeyResolver(public_keys={"k": public}, private_keys={"k": private})
    signer = theirs.HTTPMessageSigner(
        signature_algorithm=ALGORITHMS[algorithm], key_resolver=resolver
    )
    try:
        signer.sign(request, key_id="k", label="s", covered_component_ids=covered, **more)
    except theirs.HTTPMessageSignaturesException:
        return False
    return True


def they_take(request: Sent, algorithm: str) -> bool:
    """Whether the other implementation takes it."""
    private, public = keys(algorithm)
    resolver = theirs.MappingKeyResolver(public_keys={"k": public}, private_keys={"k": private})
    verifier = theirs.HTTPMessageVerifier(
        signature_algorithm=ALGORITHMS[algorithm], key_resolver=resolver
    )
    try:
        verifier.verify(request, max_age=timedelta(hours=1))
    except theirs.HTTPMessageSignaturesException:
        return False
    return True


def we_take(request: Sent, algorithm: str, **settings: Any) -> tuple[bool, str]:
    """Whether the gateway takes it, and what it says."""
    key = {"kind": "inline", "keyid": "k", "secret_or_pem": keys(algorithm)[1].decode()}
    verifier = MessageVerifier(
        json.dumps(
            {
                "keys": [key],
                "required_components": [],
                "allowed_algorithms": [algorithm],
                "require_keyid": True,
                "max_age_seconds": 3600,
                "clock_skew_seconds": 30,
                "mandatory": True,
                **settings,
            }
        ).encode()
    )
    passes, label, _, _, body = verifier.verify(
        request.method,
        request.scheme,
        request.authority,
        request.path,
        request.query,
        list(request.headers.items()),
        datetime.now(UTC).timestamp(),
    )
    assert label == ("s" if passes else None)
    return passes, body.decode()


@given(REQUESTS, st.sampled_from(sorted(ALGORITHMS)), COMPONENTS, CHANGES, st.booleans())
def test_both_take_the_same_requests(
    request: Sent, algorithm: str, covered: list[str], change: dict[str, Any], include_alg: bool
) -> None:
    changed = dict(change)
    name, value = changed.pop("header", (None, None))
    other = replace(request, headers=dict(request.headers), **changed)
    # RFC 9421 leaves open how a URL's authority is spelled; the gateway takes its normal form.
    if "@target-uri" in covered and not (request.is_plain and other.is_plain):
        return
    if not sign(request, algorithm, covered, include_alg=include_alg):
        return
    assert they_take(request, algorithm)
    passes, told = we_take(request, algorithm)
    assert passes, told
    other.headers.update(request.headers)
    if name is not None:
        other.headers[name] = value
    they, (we, told) = they_take(other, algorithm), we_take(other, algorithm)
    assert we is they, told


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_a_signature_with_everything_is_taken_and_none_by_another_key(algorithm: str) -> None:
    request = Sent("POST", "https", "a.test", "/a", "x=1", {"X-One": "1"})
    now = datetime.now(UTC)
    more = {"created": now, "expires": now + timedelta(minutes=5), "nonce": "n", "tag": "t"}
    assert sign(request, algorithm, ["@method", "@target-uri", "x-one"], **more)
    assert we_take(request, algorithm) == (True, "")
    others = [other for other in ALGORITHMS if other != algorithm]
    assert [we_take(request, other)[0] for other in others] == [False] * len(others)
    late = replace(request, headers=dict(request.headers))
    assert sign(late, algorithm, ["@method"], created=now - timedelta(hours=2))
    passes, told = we_take(late, algorithm)
    assert not passes
    assert "is older than 3600 seconds" in told

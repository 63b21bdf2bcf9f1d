"""Encrypted tokens and published keys in native steps, against jwcrypto."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, cast

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from jwcrypto import jwe, jwk  # type: ignore[import-untyped]

from oto_trio._core import Snapshot
from oto_trio.gateway.compile import Hooks, RouteCompiler
from oto_trio.model.route import read_route
from oto_trio.plugin_api.registry import builtin_plugins

pytestmark = pytest.mark.slow

NG = "cp:otoroshi.next.plugins."
NOW = 1_700_000_000
WRAPS = ("RSA_OAEP_256", "RSA_OAEP_384", "RSA_OAEP_512")
CONTENTS = ("A128CBC_HS256", "A192CBC_HS384", "A256CBC_HS512", "A128GCM", "A192GCM", "A256GCM")


@cache
def certificate(name: str, *, curve: bool = False) -> dict[str, Any]:
    """Make a certificate entity with its key."""
    key = (
        ec.generate_private_key(ec.SECP384R1()) if curve else rsa.generate_private_key(65537, 2048)
    )
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    start = datetime(2023, 1, 1, tzinfo=UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=3650))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    return {
        "id": name,
        "chain": made.public_bytes(serialization.Encoding.PEM).decode(),
        "privateKey": private.decode(),
    }


def their_key(name: str = "c") -> jwk.JWK:
    return jwk.JWK.from_pem(certificate(name)["privateKey"].encode())


def ask(
    plugin: str,
    config: dict[str, Any],
    *fields: tuple[str, str],
    method: str = "GET",
    certificates: tuple[dict[str, Any], ...] = (),
) -> tuple[Any, ...]:
    """Run one request through a route with one plugin; the plan's decision."""
    document = {
        "id": "r",
        "name": "orders",
        "frontend": {"domains": ["a.test"]},
        "backend": {"targets": [{"hostname": "b", "port": 1}]},
        "plugins": [{"plugin": NG + plugin, "config": config}],
    }
    lowered = RouteCompiler(builtin_plugins(), Hooks()).compile(read_route(document), {})
    assert lowered.problems == ()
    rows = [
        ("certificates", one["id"], msgspec.json.encode(one))
        for one in certificates or (certificate("c"),)
    ]
    snapshot = Snapshot().apply([lowered.document], [], None, rows)
    sent = [(b"host", b"a.test"), *((n.encode(), v.encode()) for n, v in fields)]
    return snapshot.begin(method.encode(), b"/", sent, unix_time=NOW).advance()


def field(decision: tuple[Any, ...], name: str) -> str | None:
    """Return a field of the request that the backend gets."""
    assert decision[0] == "forward", decision
    found = [value for key, value in decision[4] if key.lower() == name.encode()]
    return found[0].decode() if found else None


def encrypted(plain: str, wrap: str, contents: str, **header: Any) -> str:
    """Encrypt with jwcrypto."""
    names = {"alg": wrap.replace("_", "-"), "enc": contents.replace("_", "-")}
    protected = msgspec.json.encode({**names, **header}).decode()
    token = jwe.JWE(plain.encode(), protected, algs=cast("Any", [*names.values()]))
    token.add_recipient(their_key())
    return str(token.serialize(compact=True))


@pytest.mark.parametrize("wrap", WRAPS[:1])
@pytest.mark.parametrize("contents", CONTENTS)
def test_what_we_encrypt_they_decrypt(wrap: str, contents: str) -> None:
    config = {
        "certId": "c",
        "key_management_algorithm": wrap,
        "content_encryption_algorithm": contents,
        "payload": {"path": "${req.path}", "n": 1},
    }
    value = field(ask("JweSigner", config), "x-jwt-token")
    assert value is not None
    token = jwe.JWE(algs=cast("Any", [wrap.replace("_", "-"), contents.replace("_", "-")]))
    token.deserialize(value.removeprefix("Bearer "), their_key())
    claims = msgspec.json.decode(token.payload)
    assert len(claims.pop("jti")) == 36
    assert claims == {
        "iss": "Otoroshi",
        "sub": "Otoroshi",
        "aud": "orders",
        "exp": NOW + 30,
        "nbf": NOW,
        "path": "/",
        "n": 1,
    }
    assert (token.jose_header["kid"], token.jose_header["cty"]) == ("c", "JWT")


@pytest.mark.parametrize("contents", CONTENTS)
def test_what_they_encrypt_we_decrypt(contents: str) -> None:
    config = {
        "certId": "c",
        "keyManagementAlgorithm": "RSA_OAEP_256",
        "contentEncryptionAlgorithm": contents,
        "forward_location": {"type": "InHeader", "name": "X-Plain"},
    }
    for plain in ("", "{}", "x" * 15, "y" * 16, "z" * 1000):
        token = encrypted(plain, "RSA_OAEP_256", contents)
        decision = ask("JweExtractor", config, ("x-jwt-token", f"Bearer {token}"))
        assert field(decision, "x-plain") == plain


@pytest.mark.parametrize("wrap", WRAPS[1:])
def test_longer_hashes_are_our_own_to_read(wrap: str) -> None:
    config = {"certId": "c", "key_management_algorithm": wrap}
    value = field(ask("JweSigner", config), "x-jwt-token")
    place = {"forward_location": {"type": "InHeader", "name": "X-Plain"}}
    plain = field(ask("JweExtractor", {**config, **place}, ("x-jwt-token", value or "")), "x-plain")
    assert msgspec.json.decode(plain or "")["aud"] == "orders"


@pytest.mark.parametrize("contents", ["A128CBC_HS256", "A128GCM"])
def test_every_changed_part_is_noticed(contents: str) -> None:
    config = {
        "certId": "c",
        "content_encryption_algorithm": contents,
        "strict": True,
    }
    token = encrypted("plain", "RSA_OAEP_256", contents)
    parts = token.split(".")
    wrong = [
        ".".join(
            part[:-2] + ("AA" if part[-2:] != "AA" else "BB") if i == at else part
            for i, part in enumerate(parts)
        )
        for at in range(5)
    ]
    wrong += [".".join(parts[:4]), token + ".x", token[:-4], "x", ""]
    wrong += [encrypted("plain", "RSA_OAEP_256", "A256GCM")]
    for one in wrong:
        decision = ask("JweExtractor", config, ("x-jwt-token", one))
        assert decision[:2] == ("reply", 401), one
        assert decision[3] == b'{"error":"invalid token"}'
        lenient = ask("JweExtractor", {**config, "strict": False}, ("x-jwt-token", one))
        assert field(lenient, "x-jwt-token") == one


def test_what_is_missing_is_said_as_otoroshi_says_it() -> None:
    absent = ask("JweExtractor", {"certId": "c"})
    assert absent[:2] == ("reply", 400)
    assert absent[3] == b'{"error":"something wrong happened"}'
    assert field(ask("JweExtractor", {"certId": "none"}), "host") is not None
    unusable = ask("JweSigner", {"certId": "none"})
    assert unusable[:2] == ("reply", 400)
    assert unusable[3] == b'{"error":"invalid configuration"}'


def keys(config: dict[str, Any], *rows: dict[str, Any]) -> list[dict[str, Any]]:
    """Ask for the key set."""
    decision = ask("OtoroshiJWKSEndpoint", config, certificates=rows)
    assert decision[:2] == ("reply", 200)
    found: list[dict[str, Any]] = msgspec.json.decode(decision[3])["keys"]
    return found


def test_exposed_certificates_are_published_as_keys() -> None:
    exposed: dict[str, Any] = {**certificate("a", curve=True), "exposed": True}
    hidden = certificate("b")
    revoked: dict[str, Any] = {**certificate("d"), "exposed": True, "revoked": True}
    (key,) = keys({}, exposed, hidden, revoked)
    theirs = jwk.JWK.from_pem(exposed["privateKey"].encode())
    assert {**key, "kid": None} == {**msgspec.json.decode(theirs.export_public()), "kid": None}
    assert key["kid"] == "a"
    assert [key["kid"] for key in keys({"cert_ids": ["b", "none"]}, exposed, hidden)] == ["b"]
    named = keys({"include_algorithms": True, "cert_ids": ["a", "b"]}, exposed, hidden)
    assert [(key["kid"], key["alg"]) for key in named] == [
        ("a", "ES384"),
        ("b", "RS256"),
        ("b", "RS384"),
        ("b", "RS512"),
    ]
    text = msgspec.json.encode(named).decode()
    assert '"d"' not in text
    assert '"p"' not in text
    refused = ask("OtoroshiJWKSEndpoint", {}, method="POST")
    assert refused[:2] == ("reply", 404)
    assert refused[3] == b'{"error":"resource not found !"}'

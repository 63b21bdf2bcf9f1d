"""Certificates that are made, judged by openssl."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oto_trio.pki import CsrQuery, Issued, KeyQuery, PkiError, build_request, issue, sign_request
from oto_trio.pki.facts import alternative_names
from oto_trio.pki.issuing import new_serial
from oto_trio.pki.names import normalised_name
from oto_trio.pki.pem import certificate_pem, chain_pem, read_certificates, read_request

from .conftest import ECDSA, NOW, authority, made_root

if TYPE_CHECKING:
    from collections.abc import Callable

AT = str(int(NOW.timestamp()) + 60)


def test_openssl_accepts_a_leaf_below_an_intermediate(
    openssl: Callable[..., str], root: Issued, intermediate: Issued, leaf: Issued
) -> None:
    for name in (("-verify_hostname", "api.localhost"), ("-verify_ip", "127.0.0.1")):
        said = openssl(
            *("verify", "-x509_strict", "-attime", AT, "-purpose", "sslserver", *name),
            *("-CAfile", certificate_pem(root.certificate)),
            *("-untrusted", certificate_pem(intermediate.certificate)),
            certificate_pem(leaf.certificate),
        )
        assert said.endswith(": OK\n")


def test_the_extensions_of_a_leaf(openssl: Callable[..., str], leaf: Issued) -> None:
    text = openssl("x509", "-noout", "-text", "-in", certificate_pem(leaf.certificate))
    lines = [line.strip() for line in text.splitlines()]
    at = lines.index("X509v3 Basic Constraints: critical")
    assert lines[at + 1] == "CA:FALSE"
    at = lines.index("X509v3 Key Usage: critical")
    assert lines[at + 1] == "Digital Signature, Key Encipherment"
    at = lines.index("X509v3 Extended Key Usage:")
    assert lines[at + 1] == "TLS Web Server Authentication"
    at = lines.index("X509v3 Subject Alternative Name:")
    assert lines[at + 1] == "DNS:api.localhost, DNS:*.api.localhost, IP Address:127.0.0.1"
    assert "X509v3 Authority Key Identifier:" in lines
    assert "Subject: CN = api.localhost" in lines
    assert "Issuer: CN = Intermediate, O = Test" in lines
    assert "Authority Information Access:" not in lines


def test_the_extensions_of_an_authority_and_of_a_client(
    openssl: Callable[..., str], root: Issued
) -> None:
    text = openssl("x509", "-noout", "-text", "-in", certificate_pem(root.certificate))
    assert "CA:TRUE" in text
    assert "Certificate Sign, CRL Sign" in text
    assert "Extended Key Usage" not in text
    query = CsrQuery(subject="CN=Jo, O=Test", client=True, include_aia=True, key=ECDSA)
    client = issue(query, authority(root), now=NOW, aia_base="http://otoroshi-api.x:8080/w")
    text = openssl("x509", "-noout", "-text", "-in", certificate_pem(client.certificate))
    assert "TLS Web Client Authentication, TLS Web Server Authentication" in text
    serial = root.certificate.serial_number
    assert f"CA Issuers - URI:http://otoroshi-api.x:8080/w/certificates/{serial}" in text
    assert "OCSP - URI:http://otoroshi-api.x:8080/w/ocsp" in text
    said = openssl(
        *("verify", "-x509_strict", "-attime", AT, "-purpose", "sslclient"),
        *("-CAfile", certificate_pem(root.certificate), certificate_pem(client.certificate)),
    )
    assert said.endswith(": OK\n")


@pytest.mark.parametrize(
    ("key", "kind", "signature"),
    [
        (ECDSA, "(256 bit)", "ecdsa-with-SHA256"),
        (KeyQuery(algo="ECDSA", size=384), "(384 bit)", "ecdsa-with-SHA256"),
        (KeyQuery(algo="ecdsa", size=521), "(521 bit)", "ecdsa-with-SHA256"),
        (KeyQuery(algo="ecdsa"), "(256 bit)", "ecdsa-with-SHA256"),
        pytest.param(KeyQuery(), "(2048 bit)", "sha256WithRSAEncryption", marks=pytest.mark.slow),
        pytest.param(
            KeyQuery(algo="RSA", size=3072),
            "(3072 bit)",
            "sha256WithRSAEncryption",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_every_kind_of_key(
    openssl: Callable[..., str], key: KeyQuery, kind: str, signature: str
) -> None:
    made = issue(CsrQuery(hosts=("a.b",), key=key), None, now=NOW)
    text = openssl("x509", "-noout", "-text", "-in", made.chain)
    assert kind in text
    assert f"Signature Algorithm: {signature}" in text
    openssl("pkey", "-noout", "-check", "-in", made.private_key)
    said = openssl("verify", "-attime", AT, "-CAfile", made.chain, made.chain)
    assert said.endswith(": OK\n")


def test_the_digest_is_the_one_asked_for(openssl: Callable[..., str]) -> None:
    query = CsrQuery(hosts=("a.b",), key=ECDSA, signature_alg="SHA512WithRSAEncryption")
    text = openssl("x509", "-noout", "-text", "-in", issue(query, None, now=NOW).chain)
    assert "ecdsa-with-SHA512" in text


def test_a_certificate_does_not_outlive_its_authority(root: Issued) -> None:
    late = NOW + timedelta(days=3649)
    made = issue(CsrQuery(hosts=("a.b",), key=ECDSA), authority(root), now=late)
    assert made.certificate.not_valid_before_utc == late
    assert made.certificate.not_valid_after_utc == root.certificate.not_valid_after_utc
    with pytest.raises(PkiError, match="the authority has expired"):
        issue(CsrQuery(hosts=("a.b",), key=ECDSA), authority(root), now=late + timedelta(days=2))


def test_only_an_authority_signs(leaf: Issued, root: Issued) -> None:
    query = CsrQuery(hosts=("a.b",), key=ECDSA)
    with pytest.raises(PkiError, match="is no authority"):
        issue(query, authority(leaf), now=NOW)
    with pytest.raises(PkiError, match="the authority's key is not its own"):
        issue(query, type(authority(root))(root.certificate, leaf.key), now=NOW)


def test_a_host_too_long_for_a_common_name_is_an_alternative_name(
    openssl: Callable[..., str],
) -> None:
    host = ".".join(["a" * 60, "b" * 60, "localhost"])
    made = issue(CsrQuery(hosts=(host,), key=ECDSA), None, now=NOW)
    text = openssl("x509", "-noout", "-text", "-in", made.chain)
    assert f"DNS:{host}" in text
    assert "X509v3 Subject Alternative Name: critical" in text
    assert normalised_name(made.certificate.subject) == "--"


def test_a_request_is_built_and_signed(openssl: Callable[..., str], root: Issued) -> None:
    query = CsrQuery(subject="CN=asked, O=Elsewhere", hosts=("a.b",), client=True, key=ECDSA)
    made = build_request(query)
    assert "CN = asked" in openssl("req", "-noout", "-text", "-verify", "-in", made["csr"])
    assert openssl("pkey", "-pubout", "-in", made["privateKey"]) == made["publicKey"]
    signed = sign_request(
        read_request(made["csr"]), authority(root), duration_ms=86_400_000, now=NOW
    )
    assert signed["csr"] == made["csr"]
    assert signed["ca"] == certificate_pem(root.certificate)
    said = openssl("verify", "-attime", AT, "-CAfile", signed["ca"], signed["cert"])
    assert said.endswith(": OK\n")
    text = openssl("x509", "-noout", "-text", "-in", signed["cert"])
    assert "DNS:a.b" in text
    assert "TLS Web Client Authentication" in text
    (certificate,) = read_certificates(signed["cert"])
    assert certificate.not_valid_after_utc - certificate.not_valid_before_utc == timedelta(days=1)


def test_a_request_cannot_make_itself_an_authority(
    openssl: Callable[..., str], root: Issued
) -> None:
    made = build_request(CsrQuery(subject="CN=sly", ca=True, key=ECDSA))
    assert "CA:TRUE" in openssl("req", "-noout", "-text", "-in", made["csr"])
    signed = sign_request(read_request(made["csr"]), authority(root), duration_ms=10**6, now=NOW)
    text = openssl("x509", "-noout", "-text", "-in", signed["cert"])
    assert "CA:FALSE" in text
    assert "Certificate Sign" not in text


def test_a_request_that_was_changed_is_refused() -> None:
    first, second = (build_request(CsrQuery(subject=f"CN={n}", key=ECDSA)) for n in "ab")
    request = read_request(first["csr"])
    assert request.is_signature_valid
    lines, others = first["csr"].splitlines(), second["csr"].splitlines()
    changed = "\n".join([*lines[:2], *others[2:]])
    with pytest.raises(PkiError, match=r"cannot be read|not signed by the key"):
        read_request(changed)


def test_the_chain_of_what_is_issued_ends_at_the_root(
    root: Issued, intermediate: Issued, leaf: Issued
) -> None:
    assert leaf.chain == chain_pem((leaf.certificate, intermediate.certificate, root.certificate))
    assert root.chain == certificate_pem(root.certificate)


def test_serials_are_random_and_fit_64_bits() -> None:
    serials = {new_serial() for _ in range(1000)}
    assert len(serials) == 1000
    assert all(0 < serial < 1 << 64 for serial in serials)
    assert made_root().certificate.serial_number != made_root().certificate.serial_number


HOSTS = st.lists(
    st.one_of(
        st.from_regex(
            r"(\*\.)?([a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?\.){0,3}[a-z]{2,8}", fullmatch=True
        ),
        st.ip_addresses().map(str),
    ),
    min_size=1,
    max_size=6,
    unique=True,
)


@given(
    hosts=HOSTS,
    days=st.integers(1, 36500),
    is_client=st.booleans(),
    bits=st.sampled_from([256, 384]),
)
@settings(max_examples=20)
def test_whatever_is_asked_for_is_in_the_certificate(
    hosts: list[str], days: int, is_client: bool, bits: int
) -> None:
    query = CsrQuery(
        hosts=tuple(hosts),
        duration=days * 86_400_000,
        client=is_client,
        key=KeyQuery(algo="ecdsa", size=bits),
    )
    query.check()
    made = issue(query, None, now=NOW)
    (back,) = read_certificates(made.chain)
    assert alternative_names(back) == list(dict.fromkeys(hosts))
    assert back.not_valid_after_utc - back.not_valid_before_utc == timedelta(days=days)
    assert back.public_key() == made.key.public_key()

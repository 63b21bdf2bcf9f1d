"""Chains and keys in PEM: order, fit, garbage."""

from __future__ import annotations

import base64
import itertools
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from oto_trio.pki import CsrQuery, Issued, PkiError, build_request, issue
from oto_trio.pki.keys import private_pem, read_private_key
from oto_trio.pki.pem import (
    MOST_CERTIFICATES,
    certificate_pem,
    chain_pem,
    ordered_chain,
    read_certificates,
    read_request,
)

from .conftest import ECDSA, NOW, authority, made_root

if TYPE_CHECKING:
    from collections.abc import Callable


def test_a_chain_in_any_order_is_put_in_order(
    root: Issued, intermediate: Issued, leaf: Issued
) -> None:
    right = [leaf.certificate, intermediate.certificate, root.certificate]
    for given_order in itertools.permutations([*right, leaf.certificate]):
        assert ordered_chain(given_order, leaf.key) == right
        assert ordered_chain(given_order, None) == right


def test_the_key_says_whose_chain_it_is(root: Issued, intermediate: Issued, leaf: Issued) -> None:
    assert ordered_chain([root.certificate, intermediate.certificate], intermediate.key) == [
        intermediate.certificate,
        root.certificate,
    ]
    with pytest.raises(PkiError) as caught:
        ordered_chain([root.certificate], leaf.key)
    assert caught.value.problem.path == "$.privateKey"
    assert "belongs to no certificate of the chain (O=Test, CN=Root)" in str(caught.value)


def test_a_stranger_in_the_chain_is_named(intermediate: Issued, leaf: Issued) -> None:
    stranger = made_root("CN=Stranger, O=Elsewhere")
    with pytest.raises(PkiError) as caught:
        ordered_chain([leaf.certificate, stranger.certificate], leaf.key)
    assert caught.value.problem.path == "$.chain"
    assert "O=Elsewhere, CN=Stranger: issued none" in str(caught.value)
    assert "wanted is O=Test, CN=Intermediate" in str(caught.value)
    bundle = [stranger.certificate, intermediate.certificate]
    assert ordered_chain(bundle, None) == bundle, "without a key it may be a bundle"


def test_an_issuer_under_two_signatures_is_kept(root: Issued, leaf: Issued) -> None:
    other = made_root("CN=Other")
    query = CsrQuery(subject="CN=Crossed", ca=True, key=ECDSA)
    one = issue(query, authority(root), now=NOW)
    two = issue(query, authority(other), now=NOW, key=one.key)
    child = issue(CsrQuery(hosts=("a.b",), key=ECDSA), authority(one), now=NOW)
    chain = [child.certificate, one.certificate, root.certificate, two.certificate]
    assert ordered_chain(chain, child.key) == chain


def test_text_around_the_blocks_is_passed_over(root: Issued, leaf: Issued) -> None:
    text = f"subject=x\n{certificate_pem(leaf.certificate)}\nnoise{leaf.private_key}\n{root.chain}"
    crlf = text.replace("\n", "\r\n")
    for given_text in (text, crlf):
        assert read_certificates(given_text) == [leaf.certificate, root.certificate]
        assert private_pem(read_private_key(given_text)) == leaf.private_key


def test_a_cut_chain_is_refused_wherever_it_is_cut(root: Issued, leaf: Issued) -> None:
    text = certificate_pem(root.certificate)
    for end in range(len(text) - 1):
        if end >= len(text.rstrip()):
            assert read_certificates(text[:end]) == [root.certificate], "the last line feed only"
            continue
        with pytest.raises(PkiError) as caught:
            read_certificates(text[:end])
        assert caught.value.problem.path == "$.chain"
    with pytest.raises(PkiError, match=r"certificate 2 cannot be read|has no end line"):
        read_certificates(certificate_pem(leaf.certificate) + text[: len(text) // 2])
    with pytest.raises(PkiError, match="certificate 1 cannot be read"):
        read_certificates(text.replace(text.splitlines()[3], ""))


def test_a_cut_key_is_refused_wherever_it_is_cut(leaf: Issued) -> None:
    text = leaf.private_key
    for end in range(len(text.rstrip())):
        with pytest.raises(PkiError) as caught:
            read_private_key(text[:end])
        assert caught.value.problem.path == "$.privateKey"
        body = text.splitlines()[1]
        assert body[:20] not in str(caught.value)


def test_a_cut_request_is_refused_wherever_it_is_cut() -> None:
    text = build_request(CsrQuery(subject="CN=x", key=ECDSA))["csr"]
    for end in range(len(text.rstrip())):
        with pytest.raises(PkiError):
            read_request(text[:end])


@given(noise=st.text(max_size=200), at=st.integers(0, 10_000), data=st.data())
def test_garbage_is_refused_or_read_and_never_fails_otherwise(
    noise: str, at: int, data: st.DataObject, root: Issued
) -> None:
    kind = data.draw(st.sampled_from(["CERTIFICATE", "PRIVATE KEY", "CERTIFICATE REQUEST"]))
    texts = [
        noise,
        f"-----BEGIN {kind}-----\n{noise}\n-----END {kind}-----",
        root.chain[: at % len(root.chain)] + noise + root.chain[at % len(root.chain) :],
        root.private_key.replace("A", noise[:1] or "B"),
    ]
    for text in texts:
        for read in (read_certificates, read_request, read_private_key):
            with suppress(PkiError):
                read(text)


@given(at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_flipped_bit_is_refused_or_is_another_certificate(
    at: int, bit: int, root: Issued
) -> None:
    der = bytearray(root.certificate.public_bytes(Encoding.DER))
    der[at % len(der)] ^= 1 << bit
    text = (
        "-----BEGIN CERTIFICATE-----\n"
        + base64.encodebytes(bytes(der)).decode()
        + "-----END CERTIFICATE-----\n"
    )
    try:
        (read,) = read_certificates(text)
    except PkiError:
        return
    assert read != root.certificate


def test_bounds(root: Issued) -> None:
    with pytest.raises(PkiError, match="characters of PEM"):
        read_certificates("x" * (1024 * 1024 + 1))
    with pytest.raises(PkiError, match="257 certificates"):
        read_certificates(certificate_pem(root.certificate) * (MOST_CERTIFICATES + 1))


@pytest.mark.parametrize("form", ["-traditional", "pkcs8"])
def test_other_forms_of_a_key_are_read(
    openssl: Callable[..., str], leaf: Issued, form: str
) -> None:
    if form == "pkcs8":
        text = openssl(
            "pkcs8", "-topk8", "-v2", "aes256", "-passout", "pass:s3", "-in", leaf.private_key
        )
        with pytest.raises(PkiError, match="give its password"):
            read_private_key(text)
        with pytest.raises(PkiError, match="or the password is wrong"):
            read_private_key(text, "other")
        key = read_private_key(text, "s3")
    else:
        text = openssl("pkey", form, "-in", leaf.private_key)
        assert "BEGIN EC PRIVATE KEY" in text
        key = read_private_key(text, "of no account")
    assert private_pem(key) == leaf.private_key


def test_weak_and_foreign_keys_are_refused(openssl: Callable[..., str]) -> None:
    with pytest.raises(PkiError, match="RSA key of 1024 bits"):
        read_private_key(openssl("genrsa", "1024"))
    with pytest.raises(PkiError, match="curve secp256k1"):
        read_private_key(openssl("ecparam", "-name", "secp256k1", "-genkey", "-noout"))
    with pytest.raises(PkiError, match="unknown kind"):
        read_private_key(openssl("genpkey", "-algorithm", "x25519"))
    read_private_key(openssl("genpkey", "-algorithm", "ed25519"))


def test_chains_are_written_as_they_are_read(leaf: Issued) -> None:
    assert chain_pem(read_certificates(leaf.chain)) == leaf.chain

"""PKCS#12 files: round trip, openssl's, garbage."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oto_trio.pki import Issued, PkiError
from oto_trio.pki.pkcs12 import read_pkcs12, write_pkcs12

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.parametrize("password", ["s3cret", "", None, "pass mit ümlaut"])
def test_a_file_reads_back(leaf: Issued, password: str | None) -> None:
    content = write_pkcs12("api", leaf.chain, leaf.key, password)
    assert read_pkcs12(content, password) == (leaf.chain, leaf.private_key)


def test_openssl_reads_what_is_written(openssl: Callable[..., str], leaf: Issued) -> None:
    content = write_pkcs12("api", leaf.chain, leaf.key, "s3cret")
    said = openssl("pkcs12", "-nodes", "-passin", "pass:s3cret", "-in", content)
    assert said.count("BEGIN CERTIFICATE") == 3
    assert "friendlyName: api" in said
    assert leaf.private_key in said


def test_what_openssl_writes_is_read_whatever_its_order(
    openssl: Callable[..., str], tmp_path: Path, leaf: Issued
) -> None:
    blocks = leaf.chain.split("-----BEGIN")[1:]
    backwards = "".join("-----BEGIN" + block for block in reversed(blocks))
    file = tmp_path / "out.p12"
    openssl(
        *("pkcs12", "-export", "-passout", "pass:x", "-out", str(file)),
        *("-inkey", leaf.private_key, "-in", backwards),
    )
    assert read_pkcs12(file.read_bytes(), "x") == (leaf.chain, leaf.private_key)


def test_the_wrong_password_and_missing_parts_are_said(
    openssl: Callable[..., str], tmp_path: Path, leaf: Issued
) -> None:
    content = write_pkcs12("api", leaf.chain, leaf.key, "s3cret")
    for password in ("other", "", None):
        with pytest.raises(PkiError, match="or its password is another") as caught:
            read_pkcs12(content, password)
        assert "other" not in str(caught.value).replace("another", "")
    file = tmp_path / "out.p12"
    subprocess.run(
        ["openssl", "pkcs12", "-export", "-nokeys", "-passout", "pass:x", "-out", str(file)],
        input=leaf.chain.encode(),
        check=True,
    )
    with pytest.raises(PkiError, match="no private key in this file"):
        read_pkcs12(file.read_bytes(), "x")
    with pytest.raises(PkiError, match="a file of 1048577 bytes"):
        read_pkcs12(b"0" * (1024 * 1024 + 1), "x")


def test_a_cut_file_is_refused_wherever_it_is_cut(leaf: Issued) -> None:
    content = write_pkcs12("api", leaf.chain, leaf.key, None)
    for end in [*range(0, len(content) - 1, 37), len(content) - 1]:
        with pytest.raises(PkiError):
            read_pkcs12(content[:end], None)


@given(st.binary(max_size=300))
def test_garbage_is_refused(content: bytes) -> None:
    with pytest.raises(PkiError):
        read_pkcs12(content, "x")

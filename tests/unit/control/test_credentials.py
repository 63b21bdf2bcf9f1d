"""The admin credentials: made once, private, read again."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from oto_trio.control.credentials import (
    CREDENTIALS_FILE,
    DEV_CREDENTIALS,
    load_or_create_credentials,
)
from oto_trio.model.errors import CredentialsError

if TYPE_CHECKING:
    from pathlib import Path


def test_the_first_start_makes_them_and_later_ones_read_them(tmp_path: Path) -> None:
    data = tmp_path / "data"
    first = load_or_create_credentials(data)
    again = load_or_create_credentials(data)
    assert first.is_new
    assert not again.is_new
    assert again.credentials == first.credentials
    assert first.path == data / CREDENTIALS_FILE
    assert len(first.credentials.client_secret) >= 64
    assert [p.name for p in data.iterdir()] == [CREDENTIALS_FILE], "nothing is left beside it"


def test_two_installations_have_different_ones(tmp_path: Path) -> None:
    one = load_or_create_credentials(tmp_path / "a").credentials
    two = load_or_create_credentials(tmp_path / "b").credentials
    assert one.client_id != two.client_id
    assert one.client_secret != two.client_secret


def test_the_file_is_private(tmp_path: Path) -> None:
    path = load_or_create_credentials(tmp_path / "data").path
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_file_that_others_can_read_is_refused_with_the_fix(tmp_path: Path, mode: int) -> None:
    stored = load_or_create_credentials(tmp_path)
    stored.path.chmod(mode)
    with pytest.raises(CredentialsError) as caught:
        load_or_create_credentials(tmp_path)
    assert f"chmod 600 {stored.path}" in str(caught.value)
    assert stored.credentials.client_secret not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"client_id":"a"}',
        b'{"client_id":"","client_secret":"s"}',
        b'{"client_id":"a:b","client_secret":"s"}',
        b'{"client_id":"a","client_secret":""}',
        b"\xff" * 10_000,
    ],
)
def test_a_damaged_file_is_named_and_left_alone(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / CREDENTIALS_FILE
    path.write_bytes(text)
    path.chmod(0o600)
    with pytest.raises(CredentialsError, match="remove it") as caught:
        load_or_create_credentials(tmp_path)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == text


def test_a_file_in_the_way_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(CredentialsError, match="--data"):
        load_or_create_credentials(tmp_path / "data")


def test_the_development_key_is_otoroshis() -> None:
    assert (DEV_CREDENTIALS.client_id, DEV_CREDENTIALS.client_secret) == (
        "admin-api-apikey-id",
        "admin-api-apikey-secret",
    )

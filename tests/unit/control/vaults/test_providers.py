"""Secrets of the environment, of files and of the global configuration."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from oto_trio.control.environment import secret_variables
from oto_trio.control.settings import Settings
from oto_trio.control.store import MemoryStore
from oto_trio.control.vaults.base import MAX_SECRET_BYTES, SecretError
from oto_trio.control.vaults.env import EnvProvider, EnvSettings
from oto_trio.control.vaults.files import FileProvider, FileSettings
from oto_trio.control.vaults.local import LocalProvider, LocalSettings

if TYPE_CHECKING:
    from pathlib import Path

    from oto_trio.control.vaults.base import SecretProvider


async def status(provider: SecretProvider, *path: str) -> str:
    with pytest.raises(SecretError) as raised:
        await provider.read(path, {})
    return raised.value.status


ENVIRON = {
    "NAME": "plain",
    "PRE_NAME": "prefixed",
    "JSON": '{"a": {"b~/": ["x", 7, {"c": true}]}, "n": null}',
    "OTO_TRIO_HEALTH_ACCESS_KEY": "hidden",
    "OTO_TRIO_ADMIN_API_CLIENT_SECRET": "hidden",
    "OTOROSHI_VAULTS_INSTANCES_CORP": "hidden",
    # What the libraries of the stores read by themselves.
    "AWS_ACCESS_KEY_ID": "hidden",
    "AWS_SECRET_ACCESS_KEY": "hidden",
    "AWS_SESSION_TOKEN": "hidden",
    "AWS_SECURITY_TOKEN": "hidden",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN": "hidden",
    "PGPASSWORD": "hidden",
}


async def test_variables_are_read() -> None:
    hidden = secret_variables(Settings)
    provider = EnvProvider(EnvSettings(), ENVIRON, hidden)
    assert await provider.read(["NAME"], {}) == "plain"
    assert await provider.read(["name"], {}) == "plain"
    assert await provider.read(["NAME"], {"prefix": "PRE_"}) == "prefixed"
    assert await EnvProvider(EnvSettings(prefix="PRE_"), ENVIRON, hidden).read(["NAME"], {}) == (
        "prefixed"
    )
    assert await provider.read(["JSON", "a", "b~0~1", "0"], {}) == "x"
    assert await provider.read(["JSON", "a", "b~0~1", "1"], {}) == "7"
    assert await provider.read(["JSON", "a", "b~0~1", "2"], {}) == '{"c":true}'
    assert await status(provider) == "bad-secret-path"
    assert await status(provider, "NONE") == "secret-not-found"
    assert await status(provider, "NAME", "a") == "secret-value-not-found"
    for pointer in (["n"], ["a", "none"], ["a", "b~0~1", "9"], ["a", "b~0~1", "-1"]):
        assert await status(provider, "JSON", *pointer) == "secret-value-not-found"


async def test_secrets_of_the_gateway_are_not_given() -> None:
    provider = EnvProvider(EnvSettings(), ENVIRON, secret_variables(Settings))
    for name, value in ENVIRON.items():
        if value == "hidden":
            assert await status(provider, name) == "secret-not-found"
            assert await status(provider, name.lower()) == "secret-not-found"
    with pytest.raises(SecretError):
        await provider.read(["HEALTH_ACCESS_KEY"], {"prefix": "OTO_TRIO_"})


async def test_a_reference_only_lengthens_the_prefix_of_the_operator() -> None:
    environ = {"APP_DB_NAME": "longer", "APP_NAME": "own", "NAME": "other", "CI_NAME": "other"}
    provider = EnvProvider(EnvSettings(prefix="APP_"), environ, ())
    assert await provider.read(["NAME"], {}) == "own"
    assert await provider.read(["NAME"], {"prefix": "APP_"}) == "own"
    assert await provider.read(["NAME"], {"prefix": "APP_DB_"}) == "longer"
    for prefix in ("", "CI_", "A", "XAPP_"):
        with pytest.raises(SecretError) as refused:
            await provider.read(["NAME"], {"prefix": prefix})
        assert refused.value.status == "bad-secret-path"
        assert "APP_" not in str(refused.value)


async def test_files_are_read_inside_of_their_folder(tmp_path: Path) -> None:
    root = tmp_path / "secrets"
    (root / "db").mkdir(parents=True)
    (root / "db" / "password").write_text("pass word\n")
    (root / "two").write_text("a\r\n\r\n")
    (root / "binary").write_bytes(b"\xff\xfe")
    (root / "long").write_text("x" * (MAX_SECRET_BYTES + 10))
    (tmp_path / "outside").write_text("no")
    (root / "link").symlink_to(tmp_path / "outside")
    (root / "inside").symlink_to("db/password")
    os.mkfifo(root / "pipe")
    provider = FileProvider(FileSettings(root=str(root)))
    assert await provider.read(["db", "password"], {}) == "pass word"
    assert await provider.read(["two"], {}) == "a\r\n"
    assert await provider.read(["inside"], {}) == "pass word"
    assert len(await provider.read(["long"], {})) > MAX_SECRET_BYTES, "the caller refuses it"
    for path, expected in {
        "link": "bad-secret-path",
        "none": "secret-not-found",
        "db": "secret-not-found",
        "pipe": "secret-not-found",
        "binary": "secret-read-error",
    }.items():
        assert await status(provider, path) == expected, path
    assert await status(provider) == "bad-secret-path"
    gone = FileProvider(FileSettings(root=str(tmp_path / "none")))
    with pytest.raises(SecretError) as raised:
        await gone.read(["x"], {})
    assert raised.value.is_down


async def test_the_global_configuration_is_read() -> None:
    async with MemoryStore() as store:
        provider = LocalProvider(LocalSettings(), store)
        assert await status(provider, "a") == "secret-not-found"
        document = {"env": {"a": {"b": "x"}, "n": 5}}
        await store.put("global-config", "global", json.dumps(document).encode())
        assert await provider.read(["a", "b"], {}) == "x"
        assert await provider.read(["n"], {}) == "5"
        assert await provider.read(["b"], {"root": "/a"}) == "x"
        assert await LocalProvider(LocalSettings(root="a"), store).read(["b"], {}) == "x"
        assert await status(provider, "c") == "secret-value-not-found"
        assert await status(provider) == "bad-secret-path"

"""Secrets of the AWS Secrets Manager, of moto's server, which checks signatures and rights."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from oto_trio.control.vaults.aws import AwsProvider, AwsSettings
from oto_trio.control.vaults.base import SecretError
from tests.integration.stores.aws_server import AwsServer

if TYPE_CHECKING:
    from collections.abc import Generator

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def versions() -> dict[str, str]:
    """Ids of a secret's versions by what they hold."""
    return {}


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, versions: dict[str, str]
) -> Generator[AwsServer]:
    if find_spec("moto") is None and not os.environ.get("CI"):
        pytest.skip("moto is not installed: make setup")
    server = AwsServer(tmp_path_factory.mktemp("aws"), "secretsmanager", calls=3)
    try:
        manager = server.client("secretsmanager")
        first = manager.create_secret(Name="apps/db", SecretString="old")
        second = manager.put_secret_value(SecretId="apps/db", SecretString="new")
        manager.create_secret(Name="blob", SecretBinary=b"from bytes")
        versions |= {"old": first["VersionId"], "new": second["VersionId"]}
        yield server
    finally:
        server.stop()


def provider(server: AwsServer, secret: str | None = None) -> AwsProvider:
    return AwsProvider(
        AwsSettings(
            access_key=server.access,
            access_key_secret=secret or server.secret,
            region="eu-west-1",
            endpoint=server.endpoint,
        )
    )


async def test_secrets_are_read_by_name_version_and_stage(
    server: AwsServer, versions: dict[str, str]
) -> None:
    vault = provider(server)
    assert await vault.read(["apps/db"], {}) == "new"
    assert await vault.read(["apps/db", versions["old"]], {}) == "old"
    assert await vault.read(["apps/db", versions["new"], "AWSCURRENT"], {}) == "new"
    assert await vault.read(["blob"], {}) == "from bytes"


async def test_what_cannot_be_had_has_a_status(server: AwsServer) -> None:
    vault = provider(server)
    for path, status in (
        (["none"], "secret-not-found"),
        (["apps/db", "00000000-0000-0000-0000-000000000000"], "secret-not-found"),
        ([], "bad-secret-path"),
        (["a", "b", "c", "d"], "bad-secret-path"),
    ):
        with pytest.raises(SecretError) as caught:
            await vault.read(path, {})
        assert caught.value.status == status, path


async def test_wrong_keys_are_refused(server: AwsServer) -> None:
    with pytest.raises(SecretError) as caught:
        await provider(server, "planted").read(["apps/db"], {})
    assert caught.value.status in {"secret-read-not-authorized", "secret-read-forbidden"}
    assert "planted" not in str(caught.value)


async def test_without_keys_nobody_is_asked(
    server: AwsServer, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    empty = tmp_path_factory.mktemp("home")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(empty / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(empty / "config"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(empty))
    with pytest.raises(SecretError, match="access-key") as caught:
        await AwsProvider(AwsSettings(endpoint=server.endpoint)).read(["apps/db"], {})
    assert caught.value.status == "secret-read-not-authorized"

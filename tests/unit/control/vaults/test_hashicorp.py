"""HashiCorp Vault, over real sockets."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import pytest
import trio

from oto_trio.control.vaults.base import SecretError
from oto_trio.control.vaults.calls import MAX_BODY_BYTES
from oto_trio.control.vaults.hashicorp import HashicorpProvider, HashicorpSettings
from tests.unit.control.vaults.vault_server import VaultServer, vault_server

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def server() -> Iterator[VaultServer]:
    with vault_server() as running:
        yield running


def provider(server: VaultServer, **more: Any) -> HashicorpProvider:
    settings: dict[str, Any] = {"url": server.url, "token": server.token, **more}
    return HashicorpProvider(HashicorpSettings(**settings))


async def refusal(vault: HashicorpProvider, *path: str) -> SecretError:
    with pytest.raises(SecretError) as raised:
        await vault.read(path, {})
    assert "planted" not in str(raised.value)
    return raised.value


async def test_secrets_of_version_2_are_read(server: VaultServer) -> None:
    server.v2["apps/db"] = [{"password": "old"}, {"password": "new", "port": 5432, "o": {"a": [1]}}]
    server.v2["a b/c"] = [{"k": "spaced"}]
    vault = provider(server)
    assert await vault.read(["apps", "db", "password"], {}) == "new"
    assert await vault.read(["apps", "db", "password"], {"version": "1"}) == "old"
    assert await vault.read(["apps", "db", "port"], {}) == "5432"
    assert json.loads(await vault.read(["apps", "db", "o"], {})) == {"a": [1]}
    assert await vault.read(["a b", "c", "k"], {}) == "spaced"
    assert server.asked[0] == "/v1/secret/data/apps/db"
    assert server.asked[1] == "/v1/secret/data/apps/db?version=1"


async def test_secrets_of_version_1_are_read(server: VaultServer) -> None:
    server.v1["apps/db"] = {"password": "one"}
    vault = provider(server, mount="old", kv="v1", url=server.url + "/")
    assert await vault.read(["apps", "db", "password"], {}) == "one"
    assert server.asked == ["/v1/old/apps/db"]


async def test_what_cannot_be_had_has_a_status(server: VaultServer) -> None:
    server.v2["db"] = [{"password": "x", "null": None}]
    server.v2["deleted"] = [{"password": "x"}, None]
    vault = provider(server)
    assert (await refusal(vault, "db")).status == "bad-secret-path"
    assert (await refusal(vault, "none", "k")).status == "secret-not-found"
    assert (await refusal(vault, "deleted", "password")).status == "secret-not-found"
    assert (await refusal(vault, "db", "k")).status == "secret-value-not-found"
    assert (await refusal(vault, "db", "null")).status == "secret-value-not-found"
    wrong = await refusal(provider(server, token="planted-wrong"), "db", "password")
    assert (wrong.status, wrong.is_down, wrong.is_definite) == (
        "secret-read-forbidden",
        False,
        False,
    )


@pytest.mark.parametrize(
    ("raw", "expected", "is_down"),
    [
        ((401, b"{}"), "secret-read-not-authorized", False),
        ((429, b"{}"), "secret-read-error", True),
        ((500, b"planted"), "secret-read-error", True),
        ((307, b""), "secret-read-error", False),
        ((200, b"planted, no JSON"), "secret-read-error", False),
        ((200, b"[]"), "secret-value-not-found", False),
        ((200, b'{"data": {"data": "planted"}}'), "secret-value-not-found", False),
        ((200, b" " * (MAX_BODY_BYTES + 1)), "secret-read-error", False),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_odd_answers_have_a_status(
    server: VaultServer, raw: tuple[int, bytes], expected: str, is_down: bool
) -> None:
    server.raw = raw
    error = await refusal(provider(server), "db", "password")
    assert (error.status, error.is_down) == (expected, is_down)


async def test_a_server_that_is_sealed_or_not_there_is_down(server: VaultServer) -> None:
    server.sealed = True
    assert (await refusal(provider(server), "db", "k")).is_down
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        error = await refusal(provider(server, url=url), "db", "k")
    assert error.is_down


async def test_a_server_that_says_nothing_is_left_when_the_time_is_over() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        vault = HashicorpProvider(HashicorpSettings(url=url, token="t"))
        with trio.move_on_after(0.3) as scope:
            await vault.read(["db", "k"], {})
        assert scope.cancelled_caught


async def test_the_token_goes_nowhere_else(server: VaultServer) -> None:
    # A token that no header can hold must not come back in an error.
    error = await refusal(provider(server, token="planted\r\nX: y"), "db", "k")
    assert error.status == "secret-read-error"
    assert server.asked == []

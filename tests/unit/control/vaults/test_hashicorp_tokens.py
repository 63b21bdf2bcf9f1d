"""Logins to HashiCorp Vault and the renewal of its tokens, by a clock of the test's."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import trio
import trio.testing
from typing_extensions import override

from oto_trio.control.vaults.base import KeptProvider, SecretError
from oto_trio.control.vaults.calls import Answer, Caller
from oto_trio.control.vaults.hashicorp import HashicorpProvider, HashicorpSettings
from oto_trio.control.vaults.secrets import VaultBounds, Vaults
from tests.unit.control.vaults.document_server import Asked
from tests.unit.control.vaults.vault_server import VaultServer, vault_server
from tests.unit.control.vaults.vault_tokens import IssuedToken

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

ROLE: dict[str, Any] = {"role_id": "planted-role", "secret_id": "planted-secret-id"}


class Direct(Caller):
    """Gives calls to a server without sockets, which a clock of a test's does not hurry along."""

    def __init__(self, server: VaultServer) -> None:
        super().__init__()
        self.server = server
        self.takes_s = 0.0

    @override
    async def call(
        self,
        url: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> Answer:
        await trio.sleep(self.takes_s)
        assert not params
        sent = {name.lower(): value for name, value in (headers or {}).items()}
        return Answer(*self.server.answer(Asked(method, urlsplit(url).path, sent, content or b"")))


@pytest.fixture
def server() -> VaultServer:
    held = VaultServer()
    held.tokens.roles["planted-role"] = "planted-secret-id"
    held.tokens.now = trio.current_time
    held.v2["db"] = [{"password": "s3", "user": "u"}]
    return held


def provider(server: VaultServer, **given: Any) -> HashicorpProvider:
    return HashicorpProvider(HashicorpSettings(**given), Direct(server))


async def read(vault: HashicorpProvider) -> str:
    return await vault.read(["db", "password"], {})


async def refusal(vault: HashicorpProvider) -> SecretError:
    with pytest.raises(SecretError) as raised:
        await read(vault)
    assert "planted" not in str(raised.value)
    return raised.value


@asynccontextmanager
async def running(function: Callable[[], Awaitable[None]]) -> AsyncGenerator[None]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(function)
        yield
        nursery.cancel_scope.cancel()


def names(server: VaultServer) -> list[str]:
    return [name for name, _ in server.tokens.calls]


async def test_over_sockets_a_role_logs_in_and_reads_in_its_namespace() -> None:
    with vault_server() as server:
        server.namespace = "teams/a"
        server.tokens.roles["planted-role"] = "planted-secret-id"
        server.tokens.mount = "machines/ci"
        server.v2["db"] = [{"password": "s3"}]
        given: dict[str, Any] = {"url": server.url, "auth_mount": "/machines/ci", **ROLE}
        vault = HashicorpProvider(HashicorpSettings(**given, namespace="teams/a"))
        assert await read(vault) == "s3"
        assert await read(vault) == "s3"
        assert server.asked == [
            "/v1/auth/machines/ci/login",
            "/v1/secret/data/db",
            "/v1/secret/data/db",
        ]
        elsewhere = await refusal(HashicorpProvider(HashicorpSettings(**given)))
        assert (elsewhere.status, elsewhere.is_down) == ("secret-read-not-authorized", True)
        assert "check auth_mount and namespace" in elsewhere.reason


async def test_a_token_reads_in_its_namespace_only(
    server: VaultServer, autojump_clock: trio.testing.MockClock
) -> None:
    server.namespace = "teams/a"
    assert await read(provider(server, token=server.token, namespace="teams/a/")) == "s3"
    assert (await refusal(provider(server, token=server.token))).status == "secret-not-found"


async def test_a_role_without_secret_ids_logs_in_with_its_id(
    server: VaultServer, autojump_clock: trio.testing.MockClock
) -> None:
    server.tokens.roles["planted-role"] = None
    assert await read(provider(server, role_id="planted-role")) == "s3"
    assert (await refusal(provider(server, **ROLE))).is_down


async def test_readers_at_once_share_one_login(
    server: VaultServer, autojump_clock: trio.testing.MockClock
) -> None:
    vault = provider(server, **ROLE)
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(read, vault)
    assert names(server) == ["login"]


async def test_a_refused_login_is_told_and_not_repeated_at_once(
    server: VaultServer, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    given = {**ROLE, "secret_id": "planted-wrong"}
    vaults = Vaults({"corp": provider(server, **given)}, VaultBounds())
    references = [f"vault://corp/db/{key}" for key in ("password", "user", "a", "b", "c", "d")]
    with caplog.at_level(logging.DEBUG):
        found = await vaults.fetch(references)
    assert set(found.values()) == {None}
    # Four are read at once: each failed login counts for Vault, which locks roles out.
    assert names(server) == ["login"]
    assert "corp" in caplog.text
    assert "the login is refused (400); check role_id, secret_id and namespace" in caplog.text
    assert "planted" not in caplog.text
    server.tokens.roles["planted-role"] = "planted-wrong"
    await trio.sleep(30)
    assert (await vaults.fetch(references[:1]))[references[0]] == "s3"


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        ((401, b"planted"), "secret-read-not-authorized"),
        ((403, b"planted"), "secret-read-not-authorized"),
        ((500, b"planted"), "secret-read-error"),
        ((302, b""), "secret-read-error"),
        ((200, b"planted, no JSON"), "secret-read-error"),
        ((200, b'{"auth": null}'), "secret-read-error"),
        (
            (200, b'{"auth":{"client_token":"","lease_duration":1,"renewable":true}}'),
            "secret-read-error",
        ),
        (
            (200, b'{"auth":{"client_token":"planted","lease_duration":-1,"renewable":true}}'),
            "secret-read-error",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_odd_answers_to_a_login_have_a_status(
    server: VaultServer, autojump_clock: trio.testing.MockClock, raw: tuple[int, bytes], status: str
) -> None:
    server.raw = raw
    error = await refusal(provider(server, **ROLE))
    assert (error.status, error.is_down) == (status, True)


async def test_the_token_of_a_role_is_renewed_and_at_last_replaced(
    server: VaultServer, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    vault = provider(server, **ROLE)
    assert isinstance(vault, KeptProvider)
    async with running(vault.keep):
        await read(vault)
        with caplog.at_level(logging.INFO):
            await trio.sleep(950)
        # Nobody read meanwhile; of a hundred seconds each, half are used.
        assert set(names(server)[1:]) == {"renew-self"}
        assert len(names(server)) in range(18, 21)
        assert server.tokens.may_read("planted-hvs.0")
        assert await read(vault) == "s3"
        await trio.sleep(100)
        assert not server.tokens.may_read("planted-hvs.0")
        assert await read(vault) == "s3"
        assert names(server).count("login") == 2
        assert "planted" not in caplog.text
        assert caplog.records == []


async def test_a_token_that_is_not_renewable_is_replaced_before_its_end(
    server: VaultServer,
    autojump_clock: trio.testing.MockClock,
) -> None:
    server.tokens.renewable = False
    vault = provider(server, **ROLE)
    async with running(vault.keep):
        for _ in range(30):
            assert await read(vault) == "s3"
            await trio.sleep(19)
        assert set(names(server)) == {"login"}


async def test_a_server_that_does_not_answer_is_asked_again_in_time(
    server: VaultServer, autojump_clock: trio.testing.MockClock
) -> None:
    server.tokens.ttl = (300.0, 10_000.0)
    vault = provider(server, **ROLE)
    async with running(vault.keep):
        await read(vault)
        server.sealed = True
        await trio.sleep(230)
        server.sealed = False
        await trio.sleep(300)
        assert names(server).count("renew-self") >= 2
        assert names(server).count("login") == 1
        assert server.tokens.may_read("planted-hvs.0")


async def test_a_renewal_that_hangs_holds_nobody_up(
    server: VaultServer, autojump_clock: trio.testing.MockClock
) -> None:
    caller = Direct(server)
    vault = HashicorpProvider(HashicorpSettings(**ROLE), caller)
    async with running(vault.keep):
        await read(vault)
        caller.takes_s = 1000.0
        await trio.sleep(55)
        caller.takes_s = 0.0
        with trio.fail_after(1):
            assert await read(vault) == "s3"
        await trio.sleep(40)
        assert "renew-self" in names(server)
        assert names(server).count("login") == 1


async def test_a_revoked_token_is_replaced_at_the_next_read(
    server: VaultServer, autojump_clock: trio.testing.MockClock
) -> None:
    server.tokens.ttl = (10_000.0, 10_000.0)
    vault = provider(server, **ROLE)
    await read(vault)
    await trio.sleep(100)
    server.tokens.issued["planted-hvs.0"].ends = 0.5
    async with trio.open_nursery() as readers:
        for _ in range(3):
            readers.start_soon(read, vault)
    assert names(server) == ["login", "lookup-self", "login"]


async def test_a_missing_right_is_no_reason_to_log_in_again(
    server: VaultServer, autojump_clock: trio.testing.MockClock
) -> None:
    server.tokens.ttl = (10_000.0, 10_000.0)
    server.tokens.can_read = False
    vault = provider(server, **ROLE)
    assert (await refusal(vault)).status == "secret-read-forbidden"
    await trio.sleep(100)
    error = await refusal(vault)
    assert (error.status, error.is_down) == ("secret-read-forbidden", False)
    assert names(server).count("login") == 1


async def test_the_token_of_the_settings_is_renewed(
    server: VaultServer, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    now = trio.current_time()
    server.tokens.issued["planted-given"] = IssuedToken(now + 30, now + 500)
    vault = provider(server, token="planted-given")
    async with running(vault.keep):
        await trio.sleep(1)
        assert server.asked == []
        await read(vault)
        with caplog.at_level(logging.INFO):
            await trio.sleep(490)
            assert await read(vault) == "s3"
            await trio.sleep(20)
        assert names(server)[:2] == ["lookup-self", "renew-self"]
        assert (await refusal(vault)).status == "secret-read-forbidden"
        (record,) = caplog.records
        assert "cannot be renewed any further and ends in" in record.getMessage()
        assert "planted" not in caplog.text


@pytest.mark.parametrize(
    ("token", "denied", "words"),
    [
        (IssuedToken(None, renewable=False), set[str](), None),
        (IssuedToken(100.0, renewable=False), set[str](), "cannot be renewed and ends in"),
        (IssuedToken(100.0), {"lookup-self"}, "does not tell when its token ends (403)"),
        (IssuedToken(100.0), {"renew-self"}, "is not renewed (the server answers 403)"),
    ],
    ids=["for ever", "not renewable", "no lookup", "no renewal"],
)
async def test_a_token_that_is_not_renewed_is_told_once(
    server: VaultServer,
    autojump_clock: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
    token: IssuedToken,
    denied: set[str],
    words: str | None,
) -> None:
    server.tokens.issued["planted-given"] = token
    server.tokens.denied = denied
    vault = provider(server, token="planted-given")
    async with running(vault.keep):
        with caplog.at_level(logging.INFO):
            assert await read(vault) == "s3"
            await trio.sleep(90)
            assert await read(vault) == "s3"
            await trio.sleep(1000)
        assert [words in record.getMessage() for record in caplog.records if words] == (
            [True] if words else []
        )
        assert len(names(server)) <= 2
        assert "planted" not in caplog.text


async def test_vaults_keep_their_tokens(
    server: VaultServer, autojump_clock: trio.testing.MockClock
) -> None:
    vaults = Vaults({"corp": provider(server, **ROLE)}, VaultBounds())
    async with running(vaults.run):
        await vaults.fetch(["vault://corp/db/password"])
        await trio.sleep(75)
        assert names(server) == ["login", "renew-self"]

"""Vaults that are services on the web, played by a server that answers as they document it."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import jwt
import pytest
import trio
import trio.testing
import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from oto_trio.control.store import MemoryStore
from oto_trio.control.vaults import SecretError, make_providers, vault_problems
from oto_trio.control.vaults.kubernetes import KubernetesProvider, KubernetesSettings
from tests.unit.control.vaults.document_server import DocumentServer, document_server

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from pathlib import Path

    from oto_trio.control.vaults import SecretProvider


@pytest.fixture
def server() -> Generator[DocumentServer]:
    with document_server() as held:
        yield held


def vault(given: dict[str, Any], environ: Mapping[str, str] | None = None) -> SecretProvider:
    """The provider that the settings of a vault make."""
    assert vault_problems({"v": given}, "$") == []
    made = make_providers({"v": given}, store=MemoryStore(), environ=environ or {}, hidden=())
    return made["v"]


async def refused(provider: SecretProvider, *path: str, **options: str) -> SecretError:
    with pytest.raises(SecretError) as caught:
        await provider.read(path, options)
    return caught.value


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


# ------------------------------------------------------------------------------ http, spring-cloud


async def test_a_document_at_a_url_is_read_by_a_pointer(server: DocumentServer) -> None:
    server.hold("/all", {"db": {"password": "s3", "port": 5432}}, method="POST")
    provider = vault(
        {
            "type": "http",
            "url": f"{server.url}/all",
            "method": "POST",
            "headers": {"X-Key": "k"},
            "timeout": 5,
        }
    )
    assert await provider.read(["db", "password"], {}) == "s3"
    assert await provider.read(["db", "port"], {}) == "5432"
    assert (await refused(provider, "db", "none")).status == "secret-value-not-found"
    assert server.asked[0].headers["x-key"] == "k"


@pytest.mark.parametrize(
    ("status", "expected", "is_down"),
    [
        (401, "secret-read-not-authorized", False),
        (403, "secret-read-forbidden", False),
        (404, "secret-not-found", False),
        (429, "secret-read-error", True),
        (500, "secret-read-error", True),
        (302, "secret-read-error", False),
    ],
)
async def test_a_status_says_why(
    server: DocumentServer, status: int, expected: str, is_down: bool
) -> None:
    server.hold("/", {"a": "b"}, status=status)
    error = await refused(vault({"type": "http", "url": f"{server.url}/"}), "a")
    assert (error.status, error.is_down) == (expected, is_down)


async def test_the_first_source_of_spring_counts(server: DocumentServer) -> None:
    sources = [
        {"name": "app-dev.yml", "source": {"db.password": "dev", "flags": {"a": True}}},
        {"name": "application.yml", "source": {"db.password": "all", "db.user": "u"}},
    ]
    server.hold("/shop/dev", {"name": "shop", "propertySources": sources})
    provider = vault({"type": "spring-cloud", "url": server.url, "root": "/shop/dev"})
    assert await provider.read(["db.password"], {}) == "dev"
    assert await provider.read(["db.user"], {}) == "u"
    assert await provider.read(["flags", "a"], {}) == "true"
    server.hold("/shop/dev", {"propertySources": "none"})
    assert (await refused(provider, "db.user")).status == "secret-read-error"


# ------------------------------------------------------------------------------ izanami, infisical


async def test_a_configuration_of_izanami_is_json_in_a_text(server: DocumentServer) -> None:
    server.hold("/api/configs/app%3Adb", {"id": "app:db", "value": '{"password": "s3"}'})
    server.hold("/api/configs/plain", {"id": "plain", "value": "as it is"})
    server.hold("/api/configs/open", {"id": "open", "value": {"a": [1, 2]}})
    provider = vault(
        {"type": "izanami", "url": server.url, "client-id": "me", "client-secret": "it"}
    )
    assert await provider.read(["app:db", "password"], {}) == "s3"
    assert await provider.read(["plain"], {}) == "as it is"
    assert await provider.read(["open", "a", "1"], {}) == "2"
    assert (await refused(provider, "plain", "below")).status == "secret-value-not-found"
    assert (await refused(provider, "other")).status == "secret-not-found"
    assert (await refused(provider)).status == "bad-secret-path"
    headers = server.asked[0].headers
    assert (headers["izanami-client-id"], headers["izanami-client-secret"]) == ("me", "it")


async def test_a_secret_of_infisical_is_read_in_clear(server: DocumentServer) -> None:
    target = "/api/v3/secrets/raw/DB?workspaceId=w&environment=prod&type=shared"
    server.hold(target, {"secret": {"secretValue": '{"a": {"b": 7}}'}})
    provider = vault(
        {
            "type": "infisical",
            "baseUrl": server.url,
            "serviceToken": "st.1",
            "defaultWorkspaceId": "w",
            "defaultEnvironment": "dev",
        }
    )
    assert await provider.read(["DB"], {"environment": "prod"}) == '{"a": {"b": 7}}'
    options = {"environment": "prod", "json_pointer": "/a/b"}
    assert await provider.read(["DB"], options) == "7"
    assert (await refused(provider, "DB")).status == "secret-not-found"
    assert (await refused(provider, "DB", "b")).status == "bad-secret-path"
    assert server.asked[0].headers["authorization"] == "Bearer st.1"


# ------------------------------------------------------------------------------ kubernetes


async def test_a_key_of_a_secret_of_a_cluster_is_read(server: DocumentServer) -> None:
    document = {"kind": "Secret", "data": {"password": encoded("s3"), "blob": "/w=="}}
    server.hold("/api/v1/namespaces/shop/secrets/db", document)
    provider = vault({"type": "kubernetes", "endpoint": server.url, "token": "t", "trust": True})
    assert await provider.read(["shop", "db", "password"], {}) == "s3"
    assert server.asked[0].headers["authorization"] == "Bearer t"
    assert (await refused(provider, "shop", "db", "none")).status == "secret-value-not-found"
    assert (await refused(provider, "shop", "db", "blob")).status == "secret-read-error"
    assert (await refused(provider, "shop", "db")).status == "bad-secret-path"


async def test_a_pod_reads_with_the_account_it_has(server: DocumentServer, tmp_path: Path) -> None:
    ca = trustme.CA()
    (tmp_path / "ca.crt").write_bytes(ca.cert_pem.bytes())
    (tmp_path / "token").write_text("first\n")
    settings = KubernetesSettings(endpoint=server.url)
    provider = KubernetesProvider(settings, {}, tmp_path)
    server.hold("/api/v1/namespaces/n/secrets/s", {"data": {"k": encoded("v")}})
    assert await provider.read(["n", "s", "k"], {}) == "v"
    (tmp_path / "token").write_text("second")
    await provider.read(["n", "s", "k"], {})
    sent = [asked.headers["authorization"] for asked in server.asked]
    assert sent == ["Bearer first", "Bearer second"]
    outside = KubernetesProvider(KubernetesSettings(), {}, tmp_path)
    assert (await refused(outside, "n", "s", "k")).is_down
    host = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "1"}
    assert (
        await refused(
            KubernetesProvider(settings=KubernetesSettings(), environ=host, account=tmp_path),
            "n",
            "s",
            "k",
        )
    ).is_down


# ------------------------------------------------------------------------------ azure


async def test_azure_is_asked_with_a_token_of_the_client(
    server: DocumentServer, autojump_clock: trio.testing.MockClock
) -> None:
    del autojump_clock
    login = "/my-tenant/oauth2/v2.0/token"
    server.hold(login, {"access_token": "t1", "expires_in": 3600}, method="POST")
    server.hold("/secrets/db?api-version=7.2", {"value": "s3", "id": "…"})
    server.hold("/secrets/db/v1?api-version=7.2", {"value": encoded("old")})
    provider = vault(
        {
            "type": "azure",
            "url": server.url,
            "login": server.url,
            "tenant": "my-tenant",
            "client_id": "me",
            "client_secret": "it",
        }
    )
    assert await provider.read(["db"], {}) == "s3"
    assert await provider.read(["db", "v1"], {"azure_secret_base_64": "true"}) == "old"
    form = parse_qs(server.asked[0].body.decode())
    assert form["grant_type"] == ["client_credentials"]
    assert (form["client_id"], form["client_secret"]) == (["me"], ["it"])
    assert [asked.target for asked in server.asked].count(login) == 1
    assert server.asked[-1].headers["authorization"] == "Bearer t1"
    server.hold(login, {"access_token": "t2", "expires_in": 3600}, method="POST")
    await trio.sleep(3541)
    await provider.read(["db"], {})
    assert server.asked[-1].headers["authorization"] == "Bearer t2"


async def test_a_login_that_is_refused_says_so(server: DocumentServer) -> None:
    given = {"tenant": "t", "client_id": "me", "client_secret": "planted"}
    provider = vault({"type": "azure", "url": server.url, "login": server.url, **given})
    for status, expected in (
        (401, "secret-read-not-authorized"),
        (400, "secret-read-not-authorized"),
        (503, "secret-read-error"),
    ):
        server.hold("/t/oauth2/v2.0/token", {"error": "planted"}, status=status, method="POST")
        error = await refused(provider, "db")
        assert error.status == expected
        assert "planted" not in str(error)
    server.hold("/t/oauth2/v2.0/token", {"token": "none"}, method="POST")
    assert (await refused(provider, "db")).status == "secret-read-error"


async def test_a_part_of_a_secret_in_pem_is_taken(server: DocumentServer) -> None:
    leaf = trustme.CA().issue_cert("a.test")
    key, certificate = (
        leaf.private_key_pem.bytes().decode(),
        leaf.cert_chain_pems[0].bytes().decode(),
    )
    server.hold("/secrets/pair?api-version=7.4", {"value": key + certificate})
    provider = vault({"type": "azure", "url": server.url, "token": "own", "api-version": "7.4"})
    assert await provider.read(["pair"], {"azure_secret_kind": "privkey"}) == key
    assert await provider.read(["pair"], {"azure_secret_kind": "certificate"}) == certificate
    error = await refused(provider, "pair", azure_secret_kind="pubkey")
    assert error.status == "secret-value-not-found"
    error = await refused(provider, "pair", azure_secret_kind="other")
    assert error.status == "bad-secret-path"


# ------------------------------------------------------------------------------ gcloud

SECRET = "/v1/projects/p/secrets/s/versions/latest:access"
PATH = ["projects", "p", "secrets", "s", "versions", "latest"]


async def test_google_is_asked_with_the_token_of_a_service_account(
    server: DocumentServer, tmp_path: Path
) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    account = {
        "type": "service_account",
        "client_email": "me@p.example",
        "private_key": pem.decode(),
        "private_key_id": "k1",
        "token_uri": f"{server.url}/token",
    }
    server.hold("/token", {"access_token": "g1", "expires_in": 3599}, method="POST")
    server.hold(SECRET, {"name": "…", "payload": {"data": encoded("s3")}})
    path = tmp_path / "account.json"
    path.write_text(json.dumps(account))
    content = {"service_account_key_content": json.dumps(account)}
    environ = {"GOOGLE_APPLICATION_CREDENTIALS": str(path)}
    for given, variables in (
        (content, {}),
        ({"auth_mode": "service_account_key", "service_account_key_path": str(path)}, {}),
        ({"auth_mode": "google"}, environ),
        ({}, environ),
    ):
        server.asked.clear()
        provider = vault({"type": "gcloud", "url": server.url, **given}, variables)
        assert await provider.read(PATH, {}) == "s3"
        form = parse_qs(server.asked[0].body.decode())
        claims = jwt.decode(
            form["assertion"][0],
            key.public_key(),
            algorithms=["RS256"],
            audience=f"{server.url}/token",
            issuer="me@p.example",
        )
        assert claims["scope"] == "https://www.googleapis.com/auth/cloud-platform"
        assert server.asked[1].headers["authorization"] == "Bearer g1"
    account["private_key"] = "planted"
    broken = vault({"type": "gcloud", "service_account_key_content": json.dumps(account)})
    error = await refused(broken, *PATH)
    assert "planted" not in str(error)
    assert error.is_down
    missing = {"type": "gcloud", "service_account_key_path": str(tmp_path / "none")}
    assert (await refused(vault(missing), *PATH)).is_down


async def test_google_is_asked_with_the_token_of_the_machine(server: DocumentServer) -> None:
    target = "/computeMetadata/v1/instance/service-accounts/default/token"
    server.hold(target, {"access_token": "m1", "expires_in": 300})
    server.hold(SECRET, {"payload": {"data": encoded("s3")}})
    provider = vault({"type": "gcloud", "url": server.url, "metadata_server_url": server.url})
    assert await provider.read(PATH, {}) == "s3"
    assert server.asked[0].headers["metadata-flavor"] == "Google"
    assert server.asked[1].headers["authorization"] == "Bearer m1"
    own = vault({"type": "gcloud", "url": server.url, "token": "own"})
    assert await own.read(PATH, {}) == "s3"
    assert server.asked[-1].headers["authorization"] == "Bearer own"
    assert (await refused(own)).status == "bad-secret-path"
    server.hold(SECRET, {"payload": {"data": "?"}})
    assert (await refused(own, *PATH)).status == "secret-read-error"

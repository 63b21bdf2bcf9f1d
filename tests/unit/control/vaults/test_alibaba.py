"""Alibaba Cloud's Key Management Service, played by a server that checks the signature as it is documented."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from oto_trio.control.vaults.alibaba import AlibabaProvider, AlibabaSettings, signed_headers
from oto_trio.control.vaults.base import SecretError
from tests.unit.control.vaults.document_server import Asked, served

if TYPE_CHECKING:
    from collections.abc import Generator

KEYS = ("an-id", "planted-secret")


class KmsServer:
    """What the service holds, and what it was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.secrets: dict[tuple[str, str | None], str] = {
            ("db/main", None): "s3 é",
            ("db/main", "v1"): "old",
        }
        self.nonces: set[str] = set()
        self.raw: tuple[int, bytes] | None = None

    def answer(self, asked: Asked) -> tuple[int, bytes]:
        if self.raw is not None:
            return self.raw
        wrong = self.wrong(asked)
        if wrong is not None:
            return wrong
        given = {k: v[0] for k, v in parse_qs(urlsplit(asked.target).query).items()}
        value = self.secrets.get((given["SecretName"], given.get("VersionId")))
        if value is None:
            return refused(404, "Forbidden.ResourceNotFound")
        body = {"SecretName": given["SecretName"], "SecretData": value, "SecretDataType": "text"}
        return 200, json.dumps({**body, "VersionStages": {"VersionStage": ["ACSCurrent"]}}).encode()

    def wrong(self, asked: Asked) -> tuple[int, bytes] | None:
        """Check a request, by the method's description alone."""
        kind, _, rest = asked.headers["authorization"].partition(" ")
        fields = dict(field.split("=", 1) for field in rest.split(","))
        signed = fields["SignedHeaders"].split(";")
        assert kind == "ACS3-HMAC-SHA256"
        assert signed == sorted(signed)
        assert {name for name in asked.headers if name.startswith("x-acs-")} < set(signed)
        assert "host" in signed
        assert asked.headers["host"] == urlsplit(self.url).netloc
        assert asked.headers["x-acs-action"] == "GetSecretValue"
        assert asked.headers["x-acs-version"] == "2016-01-20"
        assert asked.headers["x-acs-signature-nonce"] not in self.nonces
        self.nonces.add(asked.headers["x-acs-signature-nonce"])
        path, _, query = asked.target.partition("?")
        pairs = sorted(parse_qs(query, strict_parsing=True).items())
        canonical = "&".join(f"{quote(k, safe='')}={quote(v[0], safe='')}" for k, v in pairs)
        body = hashlib.sha256(asked.body).hexdigest()
        assert asked.headers["x-acs-content-sha256"] == body
        lines = [f"{name}:{asked.headers[name].strip()}\n" for name in signed]
        parts = [asked.method, path, canonical, "".join(lines), ";".join(signed), body]
        text = "ACS3-HMAC-SHA256\n" + hashlib.sha256("\n".join(parts).encode()).hexdigest()
        right = hmac.new(KEYS[1].encode(), text.encode(), hashlib.sha256).hexdigest()
        if fields["Credential"] != KEYS[0]:
            return refused(404, "InvalidAccessKeyId.NotFound")
        return None if fields["Signature"] == right else refused(400, "SignatureDoesNotMatch")


def refused(status: int, code: str) -> tuple[int, bytes]:
    return status, json.dumps({"Code": code, "Message": "planted", "HttpStatus": status}).encode()


@pytest.fixture
def server() -> Generator[KmsServer]:
    held = KmsServer()
    with served(held.answer) as held.url:
        yield held


def provider(server: KmsServer, **more: str) -> AlibabaProvider:
    given = {"access_key_id": KEYS[0], "access_key_secret": KEYS[1], "url": server.url, **more}
    return AlibabaProvider(AlibabaSettings(**given))


async def refusal(vault: AlibabaProvider, *path: str, **options: str) -> SecretError:
    with pytest.raises(SecretError) as raised:
        await vault.read(path, options)
    assert "planted" not in str(raised.value)
    return raised.value


def test_a_signature_is_that_of_the_documentation() -> None:
    headers = signed_headers(
        ("YourAccessKeyId", "YourAccessKeySecret"),
        host="ecs.cn-shanghai.aliyuncs.com",
        action="RunInstances",
        version="2014-05-26",
        query="ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd&RegionId=cn-shanghai",
        date="2023-10-26T10:22:32Z",
        nonce="3156853299f313e23d1673dc12e1703d",
    )
    assert headers["Authorization"].endswith(
        "Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
    )


async def test_a_secret_and_its_versions_are_read(server: KmsServer) -> None:
    vault = provider(server)
    assert await vault.read(["db/main"], {}) == "s3 é"
    assert await vault.read(["db/main"], {"VersionId": "v1"}) == "old"
    assert (await refusal(vault, "db/main", VersionId="v 2+~*")).status == "secret-not-found"
    assert (await refusal(vault, "none")).status == "secret-not-found"
    assert (await refusal(vault, "db", "main")).status == "bad-secret-path"
    assert (await refusal(vault, "db/main", SecretName="x")).status == "bad-secret-path"


@pytest.mark.parametrize(
    "wrong", [{"access_key_id": "other"}, {"access_key_secret": "planted-other"}]
)
async def test_refused_keys_are_told(server: KmsServer, wrong: dict[str, Any]) -> None:
    error = await refusal(provider(server, **wrong), "db/main")
    assert (error.status, error.is_down) == ("secret-read-not-authorized", True)


@pytest.mark.parametrize(
    ("raw", "status", "is_down"),
    [
        (refused(403, "Forbidden.NoPermission"), "secret-read-forbidden", False),
        (refused(400, "Throttling.User"), "secret-read-error", True),
        (refused(503, "ServiceUnavailable"), "secret-read-error", True),
        ((400, b"planted"), "secret-read-error", False),
        ((200, b"planted"), "secret-read-error", False),
        ((200, b"{}"), "secret-value-not-found", False),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_other_answers_have_a_status(
    server: KmsServer, raw: tuple[int, bytes], status: str, is_down: bool
) -> None:
    server.raw = raw
    error = await refusal(provider(server), "db/main")
    assert (error.status, error.is_down) == (status, is_down)

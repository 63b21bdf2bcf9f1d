"""A small server that answers as HashiCorp Vault's HTTP API documents it for the key/value engines."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.unit.control.vaults.document_server import served
from tests.unit.control.vaults.vault_tokens import VaultTokenStore

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.unit.control.vaults.document_server import Asked

__all__ = ["VaultServer", "vault_server"]


class VaultServer:
    """What the server holds, and what it was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.token = "planted-vault-token"
        self.v1: dict[str, dict[str, Any]] = {}
        """Secrets of the engine at ``old/``, version 1."""
        self.v2: dict[str, list[dict[str, Any] | None]] = {}
        """Versions of each secret of the engine at ``secret/``, version 2; None when deleted."""
        self.sealed = False
        self.raw: tuple[int, bytes] | None = None
        """Answered in place of everything."""
        self.asked: list[str] = []
        self.namespace = ""
        """Where everything is."""
        self.tokens = VaultTokenStore()

    def answer(self, asked: Asked) -> tuple[int, bytes]:
        """Answer one request."""
        target, token = asked.target, asked.headers.get("x-vault-token")
        self.asked.append(target)
        if self.raw is not None:
            return self.raw
        if self.sealed:
            return 503, b'{"errors":["Vault is sealed"]}'
        if asked.headers.get("x-vault-namespace", "").strip("/") != self.namespace:
            return 404, b'{"errors":["no handler for route. route entry not found."]}'
        if target.startswith("/v1/auth/"):
            return self.tokens.answer(asked)
        if token != self.token and not self.tokens.may_read(token):
            return 403, b'{"errors":["permission denied"]}'
        if asked.method != "GET":
            return 405, b'{"errors":["unsupported operation"]}'
        return self._read(target)

    def _read(self, target: str) -> tuple[int, bytes]:
        parts = urlsplit(target)
        path = unquote(parts.path)
        if path.startswith("/v1/old/"):
            data: Any = self.v1.get(path.removeprefix("/v1/old/"))
            if data is None:
                return 404, b'{"errors":[]}'
            return 200, envelope(data, lease_duration=2764800)
        if not path.startswith("/v1/secret/data/"):
            return 404, b'{"errors":["no handler for route"]}'
        versions = self.v2.get(path.removeprefix("/v1/secret/data/"), [])
        number = int(parse_qs(parts.query).get("version", ["0"])[0]) or len(versions)
        if not 1 <= number <= len(versions):
            return 404, b'{"errors":[]}'
        held = versions[number - 1]
        metadata = {
            "created_time": "2026-01-01T00:00:00.000000Z",
            "custom_metadata": None,
            "deletion_time": "" if held is not None else "2026-01-02T00:00:00.000000Z",
            "destroyed": False,
            "version": number,
        }
        body = envelope({"data": held, "metadata": metadata}, lease_duration=0)
        return (200 if held is not None else 404), body


def envelope(data: Any, *, lease_duration: int) -> bytes:
    return json.dumps(
        {
            "request_id": "0f0b6b1e-0000-0000-0000-000000000000",
            "lease_id": "",
            "renewable": False,
            "lease_duration": lease_duration,
            "data": data,
            "wrap_info": None,
            "warnings": None,
            "auth": None,
        }
    ).encode()


@contextmanager
def vault_server() -> Generator[VaultServer]:
    """Run a server until the end of the block."""
    held = VaultServer()
    with served(held.answer) as url:
        held.url = url
        yield held

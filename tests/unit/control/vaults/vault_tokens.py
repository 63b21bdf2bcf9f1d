"""Tokens as HashiCorp Vault's HTTP API documents them: the login of an AppRole, lookup-self and renew-self."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.control.vaults.document_server import Asked

__all__ = ["IssuedToken", "VaultTokenStore"]

DENIED = (403, b'{"errors":["permission denied"]}')


@dataclass
class IssuedToken:
    """A token: when it ends, and when it does at the latest; None is never."""

    ends: float | None
    ends_at_last: float | None = None
    renewable: bool = True


@dataclass
class VaultTokenStore:
    """The tokens of a server, and the roles that get some.

    Attributes:
        roles: Secret ids by role ids; None for a role that needs none.
        mount: Where the login is.
        ttl: How long a token lasts, and how long with renewals.
        denied: Calls that the tokens have no right to, such as ``lookup-self``.
        can_read: Whether they have the right to read secrets.
        issued: The tokens.
        now: The clock; it stands still without one.
        calls: Every call with its token.
    """

    roles: dict[str, str | None] = field(default_factory=dict[str, str | None])
    mount: str = "approle"
    ttl: tuple[float, float] = (100.0, 1000.0)
    renewable: bool = True
    denied: set[str] = field(default_factory=set[str])
    can_read: bool = True
    issued: dict[str, IssuedToken] = field(default_factory=dict[str, IssuedToken])
    calls: list[tuple[str, str | None]] = field(default_factory=list[tuple[str, str | None]])
    now: Callable[[], float] = lambda: 0.0

    def may_read(self, token: str | None) -> bool:
        """Tell whether a token holds and may read."""
        return self.can_read and self._held(token) is not None

    def answer(self, asked: Asked) -> tuple[int, bytes]:
        """Answer a call below ``/v1/auth/``."""
        path = asked.target.removeprefix("/v1/auth/")
        token = asked.headers.get("x-vault-token")
        name = path.rpartition("/")[2]
        self.calls.append((name, token))
        methods = {f"{self.mount}/login": "POST", "token/renew-self": "POST"}
        methods["token/lookup-self"] = "GET"
        if path not in methods:
            return 404, b'{"errors":["no handler for route. route entry not found."]}'
        if asked.method != methods[path]:
            return 405, b'{"errors":["unsupported operation"]}'
        sent: Any = json.loads(asked.body) if asked.method == "POST" else {}
        if name == "login":
            return self._login(sent)
        held = self._held(token)
        if token is None or held is None or name in self.denied:
            return DENIED
        if name == "renew-self":
            assert sent.keys() <= {"increment"}
            return self._renew(token, held)
        ttl = 0 if held.ends is None else int(held.ends - self.now())
        data = {"id": token, "ttl": ttl, "renewable": held.renewable, "type": "service"}
        return 200, json.dumps({"data": data, "auth": None, "lease_duration": 0}).encode()

    def _held(self, token: str | None) -> IssuedToken | None:
        held = self.issued.get(token or "")
        return None if held is None or (held.ends or self.now() + 1) <= self.now() else held

    def _login(self, sent: Any) -> tuple[int, bytes]:
        assert sent.keys() <= {"role_id", "secret_id"}
        role_id = sent.get("role_id")
        if role_id not in self.roles or self.roles[role_id] != sent.get("secret_id"):
            return 400, b'{"errors":["invalid role or secret ID"]}'
        token = f"planted-hvs.{len(self.issued)}"
        first, last = self.ttl
        self.issued[token] = IssuedToken(self.now() + first, self.now() + last, self.renewable)
        return self._lease(token, first)

    def _renew(self, token: str, held: IssuedToken) -> tuple[int, bytes]:
        if not held.renewable or held.ends is None:
            return 400, b'{"errors":["lease is not renewable"]}'
        held.ends = self.now() + self.ttl[0]
        if held.ends_at_last is not None:
            held.ends = min(held.ends, held.ends_at_last)
        return self._lease(token, held.ends - self.now())

    def _lease(self, token: str, seconds: float) -> tuple[int, bytes]:
        auth = {
            "client_token": token,
            "accessor": "a",
            "policies": ["default"],
            "token_policies": ["default"],
            "metadata": {"role_name": "r"},
            "lease_duration": int(seconds),
            "renewable": self.issued[token].renewable,
            "entity_id": "e",
            "token_type": "service",
            "orphan": True,
        }
        return 200, json.dumps({"auth": auth, "data": None, "lease_duration": 0}).encode()

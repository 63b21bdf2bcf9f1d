"""Let through who knows a name and a password of a list.

Phases: access. Native.
Otoroshi: ``cp:otoroshi.next.plugins.SimpleBasicAuth``.
"""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from typing import Annotated, Final, cast

import trio
from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, Phase, Plugin, Response, Step, steps

__all__ = ["SimpleBasicAuth", "SimpleBasicAuthConfig"]

_HASHES = ("$2a$", "$2b$", "$2y$")
_HASH: Final = re.compile(r"\$2[aby]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")
_GLOBAL_USERS = "simple_basic_auth_global_users"

BCRYPT_BYTES = 72
"""What BCrypt looks at of a password; the rest does not count, as in every implementation."""

REMEMBERED = 1024
"""Passwords that were checked and are not checked again; all are forgotten when there are more."""

CHECKS = 2
"""Hashes checked at once by one worker: each takes a core for tens of milliseconds."""

WAITING = 64
"""Requests that may wait for such a check; the next one is refused."""


class SimpleBasicAuthConfig(Config, frozen=True):
    """Who may pass."""

    realm: Annotated[
        str,
        Meta(
            description="What a browser tells its user.", pattern=r"^[\x20-\x7e\xa0-\xff]*(?!\n)$"
        ),
    ] = "authentication"
    users: Annotated[
        dict[str, str], Meta(description="Passwords by name: clear text, or a BCrypt hash ($2b$…).")
    ] = {}


class SimpleBasicAuth(Plugin[SimpleBasicAuthConfig]):
    """Refuses with 401 and a challenge unless the request has a listed name with its password.

    The users in ``plugins.config.simple_basic_auth_global_users`` of the global config count on every
    route, and win. No user is set in the exchange. Clear texts are compared in constant time.
    A BCrypt hash is checked in a thread, and its outcome remembered by a keyed digest; a password is
    never kept. Where a list has such hashes, a name that is not listed is checked against one that no
    password has, at the highest cost of the lists: who asks learns no names from the time it takes, as long
    as all passwords are kept at one cost.
    """

    id = "cp:otoroshi.next.plugins.SimpleBasicAuth"
    name = "Basic Auth"
    description = "Lets through users of a list, by HTTP basic authentication."
    categories = ("Authentication",)

    def __init__(self, config: SimpleBasicAuthConfig) -> None:
        super().__init__(config)
        self._key = secrets.token_bytes(32)
        self._right: set[bytes] = set()
        self._checks = trio.CapacityLimiter(CHECKS)

    @override
    async def access(self, exchange: Exchange) -> Response | None:
        given = _credentials(exchange.request.headers.get("Authorization"))
        if given is None:
            return self._challenge()
        name, password = given
        everywhere = _users(exchange.plugins_config)
        expected = self._expected(everywhere, name)
        # A name that is not listed costs what a wrong password costs.
        checked = expected if expected is not None else self._stand_in(everywhere)
        if checked is not None and checked.startswith(_HASHES):
            is_right = await self._matches_hash(password, checked) and expected is not None
        else:
            is_same = hmac.compare_digest(password, (expected or "").encode())
            is_right = is_same and expected is not None
        return None if is_right else self._challenge()

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.Native("basic_auth", Phase.ACCESS, self.config, undecided=True),)

    def _expected(self, everywhere: Mapping[str, object], name: bytes) -> str | None:
        """Return the password of a user as it is kept."""
        try:
            text = name.decode()
        except UnicodeDecodeError:
            return None
        password = everywhere.get(text)
        return password if isinstance(password, str) else self.config.users.get(text)

    def _stand_in(self, everywhere: Mapping[str, object]) -> str | None:
        """Return a hash that no password has, as dear to check as the dearest in the lists; None without any."""
        costs = [
            found[1]
            for kept in (*self.config.users.values(), *everywhere.values())
            if isinstance(kept, str) and (found := _HASH.fullmatch(kept))
        ]
        return f"$2b${max(costs)}${'.' * 53}" if costs else None

    async def _matches_hash(self, password: bytes, expected: str) -> bool:
        """Check a password against a BCrypt hash.

        Cancellation: the thread ends on its own; its outcome is dropped.
        """
        digest = hmac.digest(self._key, password + b"\0" + expected.encode(), hashlib.sha256)
        if digest in self._right:
            return True
        if self._checks.statistics().tasks_waiting >= WAITING:
            return False
        is_right = await trio.to_thread.run_sync(
            _check, password, expected, limiter=self._checks, abandon_on_cancel=True
        )
        if is_right:
            if len(self._right) >= REMEMBERED:
                self._right.clear()
            self._right.add(digest)
        return is_right

    def _challenge(self) -> Response:
        realm = self.config.realm.replace("\\", "\\\\").replace('"', '\\"')
        return Response(401, (("WWW-Authenticate", f'Basic realm="{realm}"'),))


def _users(config: Mapping[str, object]) -> Mapping[str, object]:
    """Return the passwords that count on every route, by name."""
    users = config.get(_GLOBAL_USERS)
    return cast("dict[str, object]", users) if isinstance(users, dict) else {}


def _credentials(value: str | None) -> tuple[bytes, bytes] | None:
    """Return name and password of ``Basic …`` (RFC 7617)."""
    if value is None or value[:6].lower() != "basic ":
        return None
    try:
        both = base64.b64decode(value[6:].strip(" \t"), validate=True)
    except (binascii.Error, ValueError):
        return None
    name, colon, password = both.partition(b":")
    return (name, password) if colon else None


def _check(password: bytes, expected: str) -> bool:
    """Check a BCrypt hash; one that is none matches nothing."""
    try:
        import bcrypt  # noqa: PLC0415 (only hashed passwords need it)

        return bcrypt.checkpw(password[:BCRYPT_BYTES], expected.encode())
    except ValueError:
        return False

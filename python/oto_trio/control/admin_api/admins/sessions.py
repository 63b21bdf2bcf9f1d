"""Sessions of administrators: made by a login, shown by a cookie, ended by time, by hand, or with their user.

The cookie has a random token; the store has its digest only, as the id of the session. So whoever may list
sessions, or reads the store, has nothing that opens one.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING, Final

import msgspec

from oto_trio.control.store.base import Delete, Put
from oto_trio.model.admin_session import ADMIN_SESSIONS, AdminSession
from oto_trio.model.document import encode_document, inspect_document
from oto_trio.model.simple_admin import SIMPLE_ADMINS, SimpleAdmin

if TYPE_CHECKING:
    from collections.abc import Callable

    from oto_trio.control.store import Store

__all__ = ["DAY_MS", "MOST_OF_USER", "MOST_SESSIONS", "Sessions"]

DAY_MS: Final = 86_400_000

MOST_OF_USER: Final = 20
"""Sessions of one administrator; a further login ends the oldest."""

MOST_SESSIONS: Final = 10_000
"""Sessions of all; a further login ends the oldest."""

_TOKEN_BYTES: Final = 32
_LONGEST_TOKEN: Final = 128
_STAMP: Final = "passwordStamp"
"""Key of a session's metadata that ends it when its user's password changes."""


class Sessions:
    """The sessions of a store.

    Args:
        store: Has administrators and sessions; not cut to any caller's rights.
        clock_ms: Tells Unix time in milliseconds.
        lifetime_ms: How long a session lasts.
    """

    def __init__(
        self, store: Store, clock_ms: Callable[[], int], *, lifetime_ms: int = DAY_MS
    ) -> None:
        self._store = store
        self._clock_ms = clock_ms
        self.lifetime_ms = lifetime_ms
        """How long a session lasts."""

    async def admin(self, username: str) -> SimpleAdmin | None:
        """Read an administrator; None when there is none."""
        record = await self._store.get(SIMPLE_ADMINS, username)
        if record is None:
            return None
        return inspect_document(SimpleAdmin, msgspec.json.decode(record.document))[0]

    async def open(self, admin: SimpleAdmin) -> str:
        """Begin a session, and clear away what has ended.

        Returns:
            The token, which is kept nowhere.

        Raises:
            StoreError: It could not be kept.
        """
        now = self._clock_ms()
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        session = AdminSession(
            loc=admin.loc,
            random_id=_digest(token),
            name=admin.label,
            email=admin.username,
            profile={"name": admin.label, "email": admin.username},
            created_at=now,
            expired_at=now + self.lifetime_ms,
            last_refresh=now,
            metadata={_STAMP: _stamp(admin)},
            rights=admin.rights,
            admin_entity_validators=admin.admin_entity_validators,
        )
        ended = await self._superfluous(admin.username, now)
        await self._store.transact(
            [
                *(Delete(ADMIN_SESSIONS, one) for one in ended),
                Put(ADMIN_SESSIONS, session.random_id, encode_document(session), "absent"),
            ]
        )
        return token

    async def _superfluous(self, username: str, now: int) -> list[str]:
        """Find the sessions that are over, and the oldest of those that are too many."""
        over: list[str] = []
        living: list[tuple[int, str, str]] = []
        async for record in self._store.walk(ADMIN_SESSIONS, page=100):
            session, _ = inspect_document(AdminSession, msgspec.json.decode(record.document))
            if session is None or session.expired_at <= now:
                over.append(record.id)
            else:
                living.append((session.created_at, record.id, session.email))
        living.sort()
        own = [entity_id for _, entity_id, email in living if email == username]
        over += own[: max(0, len(own) - MOST_OF_USER + 1)]
        others = [entity_id for _, entity_id, _ in living if entity_id not in set(over)]
        return over + others[: max(0, len(others) - MOST_SESSIONS + 1)]

    async def find(self, token: str) -> tuple[AdminSession, SimpleAdmin] | None:
        """Find the session of a token, and its user as the user is now.

        Returns:
            None when there is no such session, when it is over, when its user is gone or another one under
            the same name, or has another password than when it began.

        Raises:
            StoreError: The store cannot be read.
        """
        if not 0 < len(token) <= _LONGEST_TOKEN:
            return None
        record = await self._store.get(ADMIN_SESSIONS, _digest(token))
        if record is None:
            return None
        session, _ = inspect_document(AdminSession, msgspec.json.decode(record.document))
        if session is None or session.expired_at <= self._clock_ms():
            return None
        admin = await self.admin(session.email)
        if admin is None or session.metadata.get(_STAMP) != _stamp(admin):
            return None
        return session, admin

    async def close(self, session_id: str) -> None:
        """End a session; one that is not there is no error.

        Raises:
            StoreError: The store could not do it.
        """
        await self._store.delete(ADMIN_SESSIONS, session_id)


def _digest(token: str) -> str:
    """Return the id of the session that a token opens."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _stamp(admin: SimpleAdmin) -> str:
    """Return what tells one password of one user from every other; tells nothing of the password."""
    text = f"{admin.username}\0{admin.created_at}\0{admin.password}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]

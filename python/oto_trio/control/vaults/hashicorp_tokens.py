"""Tokens of HashiCorp Vault: those that an AppRole's login gives, and their renewal before their lease ends.

Source: Vault HTTP API, AppRole auth method (login) and token auth method (lookup-self, renew-self).
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Annotated, Final, TypeVar
from urllib.parse import urlsplit

import msgspec
import trio

from oto_trio.control.vaults.access_tokens import EARLY_S
from oto_trio.control.vaults.base import SecretError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from oto_trio.control.vaults.calls import Answer, Caller

__all__ = ["AppRole", "VaultTokens"]

logger = logging.getLogger(__name__)

CALL_S: Final = 10.0
"""Longest time for one renewal."""

AGAIN_S: Final = 20.0
"""Seconds until a renewal is tried again that the server did not answer."""

REFUSED_S: Final = 10.0
"""A refused login is not tried again for so long: Vault locks a role out after a few."""

YOUNG_S: Final = 60.0
"""A token that is no older is not replaced because a read is refused: it lacks the right."""

_T = TypeVar("_T")
_Seconds = Annotated[float, msgspec.Meta(ge=0)]


class AppRole(msgspec.Struct, frozen=True):
    """Who logs in, and where."""

    role_id: str
    secret_id: str | None
    path: str
    """The login's path after ``/v1/``, escaped."""


class _Lease(msgspec.Struct):
    """What a login and a renewal give."""

    client_token: str
    lease_duration: _Seconds
    renewable: bool


class _Granted(msgspec.Struct):
    auth: _Lease


class _Known(msgspec.Struct):
    """What is known of a token."""

    ttl: _Seconds
    renewable: bool


class _LookedUp(msgspec.Struct):
    data: _Known


class VaultTokens:
    """Keeps the token that one vault is asked with. Whoever comes while another one logs in waits for that.

    Args:
        caller: Makes the calls.
        url: Where the server is.
        headers: Sent with every call: the namespace.
        given: The token of the settings, or the role that gets one.
    """

    def __init__(
        self, caller: Caller, url: str, headers: Mapping[str, str], given: str | AppRole
    ) -> None:
        self._caller = caller
        self._base = f"{url.rstrip('/')}/v1/"
        self._host = urlsplit(url).hostname
        self._headers = headers
        self._role = None if isinstance(given, str) else given
        self._token = given if isinstance(given, str) else ""
        self._lock = trio.Lock()
        self._since = self._until = float("-inf")
        self._usable_until = float("-inf")
        self._renew_at = math.inf
        self._news = trio.Event()
        self._is_looked_up = self._role is not None
        self._refusal: SecretError | None = None
        self._refused_until = float("-inf")

    async def get(self) -> str:
        """Return the token; with a role, one that holds.

        Raises:
            SecretError: The login is refused, or the server does not answer.

        Cancellation: the next caller logs in.
        """
        if not self._is_looked_up:
            self._is_looked_up = True
            self._plan(trio.current_time())
        role = self._role
        if role is None or trio.current_time() < self._usable_until:
            await trio.lowlevel.checkpoint()
            return self._token
        async with self._lock:
            if trio.current_time() >= self._usable_until:
                await self._login(role)
            return self._token

    async def is_replaced(self, token: str) -> bool:
        """Tell whether another token shall be tried after a read with this one was refused.

        Vault answers 403 to a token that is revoked, and to one that lacks a right.

        Cancellation: nothing changes.
        """
        if self._role is None:
            await trio.lowlevel.checkpoint()
            return False
        async with self._lock:
            if self._token != token:
                return True
            if trio.current_time() - self._since <= YOUNG_S:
                return False
            answer = await self._call("auth/token/lookup-self", token)
            if answer.status != 403:
                return False
            # Others that were refused at the same time see that it is gone.
            self._token, self._usable_until = "", float("-inf")
            self._plan(math.inf)
            return True

    async def run(self) -> None:
        """Renew the token whenever half of its lease is over, until cancelled."""
        while True:
            news = self._news
            with trio.move_on_at(self._renew_at):
                await news.wait()
                continue
            async with self._lock:
                if trio.current_time() >= self._renew_at:
                    await self._renew()

    # ------------------------------------------------------------------------- with the lock held

    async def _login(self, role: AppRole) -> None:
        if self._refusal is not None and trio.current_time() < self._refused_until:
            raise SecretError(self._refusal.status, self._refusal.reason, is_down=True)
        identity = {"role_id": role.role_id}
        if role.secret_id is not None:
            identity["secret_id"] = role.secret_id
        answer = await self._call(role.path, None, identity)
        if answer.status != 200:
            self._refusal = _login_refusal(answer.status)
            self._refused_until = trio.current_time() + REFUSED_S
            raise self._refusal
        lease = _decoded(answer.body, _Granted)
        if lease is None or not lease.auth.client_token:
            reason = "the answer to the login holds no token"
            raise SecretError("secret-read-error", reason, is_down=True)
        self._refusal = None
        self._token = lease.auth.client_token
        self._since = trio.current_time()
        self._hold(lease.auth.lease_duration, is_renewable=lease.auth.renewable)

    async def _renew(self) -> None:
        """Renew the token; one of the settings is looked up first. Failures are logged."""
        is_first = self._until == float("-inf")
        answer: Answer | None = None
        with trio.move_on_after(CALL_S):
            try:
                if is_first:
                    answer = await self._call("auth/token/lookup-self", self._token)
                else:
                    answer = await self._call("auth/token/renew-self", self._token, {})
            except SecretError:
                answer = None
        now = trio.current_time()
        if answer is None or answer.status >= 500 or answer.status == 429:
            self._plan(now + AGAIN_S)
        elif is_first:
            self._learn(answer)
        else:
            self._extend(answer)

    def _learn(self, answer: Answer) -> None:
        """Plan the renewal of the token of the settings."""
        found = _decoded(answer.body, _LookedUp) if answer.status == 200 else None
        if found is None:
            logger.info(
                "the vault at %s does not tell when its token ends (%d); it is not renewed",
                self._host,
                answer.status,
            )
            self._plan(math.inf)
            return
        self._hold(found.data.ttl, is_renewable=found.data.renewable)
        if found.data.ttl and not found.data.renewable:
            self._warn_of_end("cannot be renewed")

    def _extend(self, answer: Answer) -> None:
        """Plan the next renewal after one."""
        before = self._until
        lease = _decoded(answer.body, _Granted) if answer.status == 200 else None
        if lease is None:
            self._plan(math.inf)
            self._warn_of_end(f"is not renewed (the server answers {answer.status})")
            return
        self._hold(lease.auth.lease_duration, is_renewable=lease.auth.renewable)
        if self._until <= before + 1.0:
            # Its longest time is reached: a role logs in again when it is over.
            self._plan(math.inf)
            self._warn_of_end("cannot be renewed any further")

    def _warn_of_end(self, why: str) -> None:
        """Say that the token of the settings ends; a role gets another one."""
        if self._role is None:
            left_s = max(0.0, self._until - trio.current_time())
            logger.warning(
                "the token of the vault at %s %s and ends in %.0f s; give another, or role_id and secret_id",
                self._host,
                why,
                left_s,
            )

    def _hold(self, seconds: float, *, is_renewable: bool) -> None:
        """Note how long the token holds; 0 is for ever."""
        now = trio.current_time()
        self._until = now + seconds if seconds else math.inf
        self._usable_until = self._until - min(EARLY_S, seconds / 10)
        self._plan(now + max(seconds / 2, 1.0) if seconds and is_renewable else math.inf)

    def _plan(self, renew_at: float) -> None:
        """Set when the token is renewed, and tell `run`."""
        self._renew_at = renew_at
        self._news.set()
        self._news = trio.Event()

    async def _call(
        self, path: str, token: str | None, sent: Mapping[str, str] | None = None
    ) -> Answer:
        headers = dict(self._headers)
        if token is not None:
            headers["X-Vault-Token"] = token
        if sent is None:
            return await self._caller.call(self._base + path, headers=headers)
        headers["Content-Type"] = "application/json"
        return await self._caller.call(
            self._base + path, method="POST", headers=headers, content=msgspec.json.encode(sent)
        )


def _login_refusal(status: int) -> SecretError:
    """Say what an answer to a login that is none means. The whole vault is of no use then."""
    match status:
        case 400 | 401 | 403:
            reason = f"the login is refused ({status}); check role_id, secret_id and namespace"
            return SecretError("secret-read-not-authorized", reason, is_down=True)
        case 404:
            reason = "there is no such login (404); check auth_mount and namespace"
            return SecretError("secret-read-not-authorized", reason, is_down=True)
        case _:
            return SecretError("secret-read-error", f"the login answers {status}", is_down=True)


def _decoded(body: bytes, kind: type[_T]) -> _T | None:
    """Return an answer, or None if it is none."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None

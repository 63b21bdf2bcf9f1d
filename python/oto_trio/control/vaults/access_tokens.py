"""Access tokens that providers get for their own credentials, and use until shortly before their end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import trio

from oto_trio.control.vaults.base import SecretError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from oto_trio.control.vaults.calls import Answer

__all__ = ["AccessTokens", "token_of"]

EARLY_S: Final = 60.0
"""How long before its end a token is not used any more."""


class _Token(msgspec.Struct):
    """The answer of a token endpoint. Source: RFC 6749 section 5.1."""

    access_token: str
    expires_in: float = 0.0


class AccessTokens:
    """Keeps one token; whoever comes while another one fetches it waits for that.

    Args:
        fetch: Gets a token, and how many seconds it holds.
    """

    def __init__(self, fetch: Callable[[], Awaitable[tuple[str, float]]]) -> None:
        self._fetch = fetch
        self._lock = trio.Lock()
        self._token = ""
        self._until = float("-inf")

    async def get(self) -> str:
        """Return a token that holds.

        Raises:
            SecretError: None can be had.

        Cancellation: the next caller fetches it.
        """
        async with self._lock:
            if trio.current_time() >= self._until:
                self._token, seconds = await self._fetch()
                self._until = trio.current_time() + seconds - EARLY_S
            return self._token


def token_of(answer: Answer) -> tuple[str, float]:
    """Read the answer of a token endpoint.

    Raises:
        SecretError: It is none.
    """
    if answer.status != 200:
        reason = f"no access token can be had: the server answers {answer.status}"
        is_down = answer.status >= 500 or answer.status == 429
        if is_down:
            raise SecretError("secret-read-error", reason, is_down=True)
        raise SecretError("secret-read-not-authorized", reason)
    try:
        token = msgspec.json.decode(answer.body, type=_Token)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        raise SecretError("secret-read-error", "the answer holds no access token") from None
    return token.access_token, token.expires_in

"""What a provider of secrets is, and how it says that it cannot give one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, Protocol, cast, runtime_checkable

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "MAX_SECRET_BYTES",
    "KeptProvider",
    "SecretError",
    "SecretProvider",
    "Status",
    "at_pointer",
    "spelled",
]

MAX_SECRET_BYTES: Final = 64 * 1024
"""Longest secret, in bytes of UTF-8: room for a certificate with its chain."""

Status = Literal[
    "vault-not-found",
    "bad-secret-path",
    "secret-not-found",
    "secret-value-not-found",
    "secret-read-not-authorized",
    "secret-read-forbidden",
    "secret-read-timeout",
    "secret-read-error",
]
"""Why a secret cannot be had, in Otoroshi's words."""

_DEFINITE: Final = frozenset(
    {"vault-not-found", "bad-secret-path", "secret-not-found", "secret-value-not-found"}
)


class SecretError(Exception):
    """A secret cannot be had.

    Args:
        status: Why.
        reason: The same for people; must not hold a secret.
        is_down: Whether the provider as a whole does not answer, so that asking it for others is no use.
    """

    def __init__(self, status: Status, reason: str, *, is_down: bool = False) -> None:
        super().__init__(f"{status}: {reason}")
        self.status: Status = status
        self.reason = reason
        self.is_down = is_down

    @property
    def is_definite(self) -> bool:
        """Whether there is no such secret; else nobody knows, and the last value stays."""
        return self.status in _DEFINITE


class SecretProvider(Protocol):
    """Reads secrets of one vault. It keeps none: that is done for all of them in `secrets`."""

    is_near: bool
    """Whether reading costs next to nothing, so that changes can be looked for often."""

    async def read(self, path: Sequence[str], options: Mapping[str, str]) -> str:
        """Read one secret.

        Args:
            path: The segments after the vault's name, none of them empty, ``.`` or ``..``.
            options: The query of the reference.

        Raises:
            SecretError: It cannot be had.

        Cancellation: ends the call; whoever calls also bounds its time.
        """
        ...


@runtime_checkable
class KeptProvider(SecretProvider, Protocol):
    """A provider with something to look after between reads."""

    async def keep(self) -> None:
        """Look after it, such as a lease that ends. Never returns, and never raises but when it is cancelled."""
        ...


def at_pointer(document: object, pointer: Sequence[str]) -> str:
    """Return what is at a JSON pointer, given by its segments, as text.

    Raises:
        SecretError: There is nothing.
    """
    found = document
    for segment in pointer:
        name = segment.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict):
            found = cast("dict[str, object]", found).get(name)
        elif isinstance(found, list) and name.isascii() and name.isdigit() and len(name) < 10:
            items = cast("list[object]", found)
            found = items[int(name)] if int(name) < len(items) else None
        else:
            found = None
    if found is None:
        raise SecretError("secret-value-not-found", "there is nothing at that place in the JSON")
    return spelled(found)


def spelled(value: object) -> str:
    """Return a JSON value as text: a text as it is, everything else as JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()

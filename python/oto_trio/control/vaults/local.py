"""Secrets in the global configuration: ``${vault://local/json/pointer}`` reads its member `env`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from oto_trio.control.vaults.base import SecretError, at_pointer
from oto_trio.gateway.installer import GLOBAL_CONFIG
from oto_trio.model.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from oto_trio.control.store.base import Record

__all__ = ["LocalProvider", "LocalSettings"]


class LocalSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An instance of type ``local``, as the settings have it."""

    root: str | None = None


class Documents(Protocol):
    """The part of a store that is read."""

    async def get(self, kind: str, entity_id: str) -> Record | None:
        """Read one document."""
        ...


class LocalProvider:
    """Reads the member `env` of the global configuration.

    Args:
        settings: Its settings.
        store: Holds the global configuration.
    """

    is_near = True

    def __init__(self, settings: LocalSettings, store: Documents) -> None:
        self._root = settings.root
        self._store = store

    async def read(self, path: Sequence[str], options: Mapping[str, str]) -> str:
        """Read the value at a pointer below the root; see `SecretProvider.read`.

        Options: ``root``, in place of that of the settings.
        """
        root = options.get("root", self._root or "")
        pointer = [segment for segment in root.split("/") if segment] + list(path)
        if not pointer:
            raise SecretError("bad-secret-path", "name a value after the vault")
        try:
            record = await self._store.get(GLOBAL_CONFIG, "global")
        except StoreError:
            raise SecretError(
                "secret-read-error", "the store does not answer", is_down=True
            ) from None
        if record is None:
            raise SecretError("secret-not-found", "there is no global configuration")
        document: dict[str, Any] = msgspec.json.decode(record.document)
        return at_pointer(document.get("env"), pointer)

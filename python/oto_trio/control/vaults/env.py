"""Secrets in environment variables: ``${vault://env/NAME}``, ``${vault://env/NAME/json/pointer}``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from oto_trio.control.vaults.base import SecretError, at_pointer

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

__all__ = ["EnvProvider", "EnvSettings"]


class EnvSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An instance of type ``env``, as the settings have it."""

    prefix: str | None = None
    """What the names of all variables that it gives begin with."""


class EnvProvider:
    """Reads environment variables, by their names or these in capitals.

    Quirk: Otoroshi gives any variable to whoever may write an entity. Those that hold secrets of the
    gateway itself are not given here, nor those without the prefix of the settings: in Otoroshi the prefix of
    a reference stands in place of it.

    Args:
        settings: Its settings.
        environ: The variables.
        hidden: Names of variables that are never given.
    """

    is_near = True

    def __init__(
        self, settings: EnvSettings, environ: Mapping[str, str], hidden: Collection[str]
    ) -> None:
        self._prefix = settings.prefix
        self._environ = environ
        self._hidden = frozenset(hidden)

    async def read(self, path: Sequence[str], options: Mapping[str, str]) -> str:
        """Read one variable, or one value in its JSON; see `SecretProvider.read`.

        Options: ``prefix``, in place of that of the settings, with which it must begin.
        """
        if not path:
            raise SecretError("bad-secret-path", "name a variable after the vault")
        own = self._prefix or ""
        prefix = options.get("prefix", own)
        if not prefix.startswith(own):
            fix = "its prefix must begin with that of the vault's settings; leave it out or lengthen that"
            raise SecretError("bad-secret-path", fix)
        name = prefix + path[0]
        names = [n for n in (name, name.upper()) if not self._is_hidden(n)]
        value = next((self._environ[n] for n in names if n in self._environ), None)
        if value is None:
            raise SecretError("secret-not-found", "there is no such variable")
        if len(path) == 1:
            return value
        try:
            document: object = msgspec.json.decode(value)
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            raise SecretError("secret-value-not-found", "the variable is no JSON") from None
        return at_pointer(document, path[1:])

    def _is_hidden(self, name: str) -> bool:
        return name in self._hidden or "_VAULTS_INSTANCES_" in name

"""Secrets in the configurations of an Izanami server: ``${vault://iza/app:db/password}``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

import msgspec

from oto_trio.control.vaults.base import SecretError, at_pointer
from oto_trio.control.vaults.calls import Caller, check_url

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["IzanamiProvider", "IzanamiSettings"]


class IzanamiSettings(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    rename="kebab",
):
    """An instance of type ``izanami``, as the settings have it."""

    url: str = "https://127.0.0.1:9000"
    client_id: str = "client"
    client_secret: str = "secret"  # noqa: S105 (the server's own default)

    def __post_init__(self) -> None:
        """Check the address.

        Raises:
            ValueError: It is no http or https URL.
        """
        check_url(self.url)


class IzanamiProvider:
    """Asks Izanami for a configuration.

    Args:
        settings: Its settings.
    """

    is_near = False

    def __init__(self, settings: IzanamiSettings) -> None:
        self._settings = settings
        self._caller = Caller()

    async def read(self, path: Sequence[str], options: Mapping[str, str]) -> str:
        """Read what is at a JSON pointer of a configuration; see `SecretProvider.read`.

        The first segment is the configuration's id. There are no options.
        """
        del options
        if not path:
            raise SecretError("bad-secret-path", "name a configuration after the vault")
        settings = self._settings
        answer = await self._caller.call(
            f"{settings.url.rstrip('/')}/api/configs/{quote(path[0], safe='')}",
            headers={
                "Izanami-Client-Id": settings.client_id,
                "Izanami-Client-Secret": settings.client_secret,
            },
        )
        document = answer.json()
        held = cast("dict[str, Any]", document).get("value") if isinstance(document, dict) else None
        # A configuration is JSON that is kept as a text.
        if isinstance(held, str) and len(path) > 1:
            try:
                held = msgspec.json.decode(held)
            except (msgspec.DecodeError, RecursionError):
                reason = "the configuration is no JSON, so there is nothing below it"
                raise SecretError("secret-value-not-found", reason) from None
        return at_pointer(held, path[1:])

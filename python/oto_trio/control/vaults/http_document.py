"""Secrets in a JSON document at a URL: ``${vault://docs/db/password}`` is what is there at ``/db/password``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from oto_trio.control.vaults.base import at_pointer
from oto_trio.control.vaults.calls import Caller, check_url

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["HttpProvider", "HttpSettings"]


class HttpSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An instance of type ``http``, as the settings have it.

    ``timeout`` (milliseconds) is read and has no effect: ``vaults_read_timeout_ms`` holds for every vault.
    """

    url: str = "http://127.0.0.1:8888"
    method: str = "GET"
    headers: dict[str, str] = {}
    timeout: int = 60_000

    def __post_init__(self) -> None:
        """Check the address.

        Raises:
            ValueError: It is no http or https URL.
        """
        check_url(self.url)


class HttpProvider:
    """Asks for the document anew for each secret.

    Args:
        settings: Its settings.
    """

    is_near = False

    def __init__(self, settings: HttpSettings) -> None:
        self._settings = settings
        self._caller = Caller()

    async def read(self, path: Sequence[str], options: Mapping[str, str]) -> str:
        """Read what is at a JSON pointer; see `SecretProvider.read`. There are no options."""
        del options
        answer = await self._caller.call(
            self._settings.url, method=self._settings.method, headers=self._settings.headers
        )
        return at_pointer(answer.json(), path)

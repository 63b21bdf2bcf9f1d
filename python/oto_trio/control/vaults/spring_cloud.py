"""Secrets of a Spring Cloud Config server.

``${vault://spring/db.password}`` is the property ``db.password`` of the application and profile in ``root``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from oto_trio.control.vaults.base import SecretError, at_pointer
from oto_trio.control.vaults.calls import Caller, check_url

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["SpringCloudProvider", "SpringCloudSettings"]


class SpringCloudSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An instance of type ``spring-cloud``, as the settings have it.

    ``timeout`` (milliseconds) is read and has no effect: ``vaults_read_timeout_ms`` holds for every vault.
    """

    url: str = "http://127.0.0.1:8888"
    method: str = "GET"
    headers: dict[str, str] = {}
    timeout: int = 60_000
    root: str = "foo/dev"

    def __post_init__(self) -> None:
        """Check the address.

        Raises:
            ValueError: It is no http or https URL.
        """
        check_url(self.url)


class _Source(msgspec.Struct):
    source: dict[str, Any] = {}


class _Environment(msgspec.Struct, rename="camel"):
    property_sources: list[_Source] = []


class SpringCloudProvider:
    """Asks for the whole environment anew for each secret.

    Args:
        settings: Its settings.
    """

    is_near = False

    def __init__(self, settings: SpringCloudSettings) -> None:
        self._settings = settings
        self._caller = Caller()

    async def read(self, path: Sequence[str], options: Mapping[str, str]) -> str:
        """Read a property by a JSON pointer into all of them; see `SecretProvider.read`.

        The first source that has a property counts, which is Spring's order. There are no options.
        """
        del options
        settings = self._settings
        url = f"{settings.url.rstrip('/')}/{settings.root.strip('/')}"
        answer = await self._caller.call(url, method=settings.method, headers=settings.headers)
        try:
            environment = msgspec.convert(answer.json(), _Environment)
        except msgspec.ValidationError:
            raise SecretError("secret-read-error", "the answer has no propertySources") from None
        merged: dict[str, Any] = {}
        for source in reversed(environment.property_sources):
            merged |= source.source
        return at_pointer(merged, path)

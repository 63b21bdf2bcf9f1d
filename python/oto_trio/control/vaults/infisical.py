"""Secrets of Infisical: ``${vault://inf/DB_PASSWORD?environment=prod}``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

import msgspec

from oto_trio.control.vaults.base import SecretError, at_pointer
from oto_trio.control.vaults.calls import Caller, check_url

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["InfisicalProvider", "InfisicalSettings"]


class InfisicalSettings(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"
):
    """An instance of type ``infisical``, as the settings have it.

    Secrets that are encrypted end to end (``e2ee``) cannot be read. ``timeout`` (milliseconds) is read and
    has no effect: ``vaults_read_timeout_ms`` holds for every vault.
    """

    service_token: str
    base_url: str = "https://app.infisical.com"
    e2ee: bool = False
    default_secret_type: str = "shared"  # noqa: S105 (shared or personal)
    default_workspace_id: str | None = None
    default_environment: str | None = None
    timeout: int = 60_000

    def __post_init__(self) -> None:
        """Check the address, and that the server hands secrets out in clear.

        Raises:
            ValueError: One is not so.
        """
        check_url(self.base_url, "baseUrl")
        if self.e2ee:
            raise ValueError("e2ee must be false: what is encrypted end to end cannot be read")


class InfisicalProvider:
    """Asks Infisical for a secret in clear.

    Args:
        settings: Its settings.
    """

    is_near = False

    def __init__(self, settings: InfisicalSettings) -> None:
        self._settings = settings
        self._caller = Caller()

    async def read(self, path: Sequence[str], options: Mapping[str, str]) -> str:
        """Read a secret, or what is at a JSON pointer in it; see `SecretProvider.read`.

        Options: ``workspaceId``, ``environment``, ``type``, ``json_pointer``.
        """
        if len(path) != 1:
            raise SecretError("bad-secret-path", "name one secret after the vault")
        settings = self._settings
        wanted = {
            "workspaceId": options.get("workspaceId", settings.default_workspace_id),
            "environment": options.get("environment", settings.default_environment),
            "type": options.get("type", settings.default_secret_type),
        }
        answer = await self._caller.call(
            f"{settings.base_url.rstrip('/')}/api/v3/secrets/raw/{quote(path[0], safe='')}",
            headers={"Authorization": f"Bearer {settings.service_token}"},
            params={name: value for name, value in wanted.items() if value is not None},
        )
        value = at_pointer(answer.json(), ("secret", "secretValue"))
        pointer = options.get("json_pointer")
        if pointer is None:
            return value
        try:
            document: Any = msgspec.json.decode(value)
        except (msgspec.DecodeError, RecursionError):
            raise SecretError("secret-value-not-found", "the secret is no JSON") from None
        return at_pointer(cast("object", document), [part for part in pointer.split("/") if part])

"""Secrets of Google Cloud's Secret Manager: ``${vault://gc/projects/P/secrets/S/versions/latest}``.

Source: Secret Manager API v1, projects.secrets.versions.access; RFC 7523 section 2.1 for the token of a service
account; Compute Engine's metadata server for that of a machine.
"""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import quote, urlencode

import msgspec
import trio

from oto_trio._core import JwtSigner
from oto_trio.control.vaults.access_tokens import AccessTokens, token_of
from oto_trio.control.vaults.base import SecretError, at_pointer
from oto_trio.control.vaults.calls import Caller, check_url

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["GcloudProvider", "GcloudSettings"]

SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
METADATA_PATH: Final = "/computeMetadata/v1/instance/service-accounts/default/token"
LIFE_S: Final = 3600
"""How long the assertion of a service account holds."""


class GcloudSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An instance of type ``gcloud``, as the settings have it.

    ``auto`` takes what there is: the token, the service account's key, that which
    ``GOOGLE_APPLICATION_CREDENTIALS`` names, else the machine's account.
    """

    url: str = "https://secretmanager.googleapis.com"
    auth_mode: Literal["auto", "google", "token", "metadata_server", "service_account_key"] = "auto"
    token: str | None = None
    service_account_key_content: str | None = None
    service_account_key_path: str | None = None
    service_account_scopes: tuple[str, ...] = (SCOPE,)
    metadata_server_url: str = "http://metadata.google.internal"

    def __post_init__(self) -> None:
        """Check what belongs together.

        Raises:
            ValueError: An address is none, or what the mode needs is missing.
        """
        check_url(self.url)
        check_url(self.metadata_server_url, "metadata_server_url")
        if self.auth_mode == "token" and self.token is None:
            raise ValueError("auth_mode token needs token")
        keys = (self.service_account_key_content, self.service_account_key_path)
        if self.auth_mode == "service_account_key" and keys == (None, None):
            raise ValueError(
                "auth_mode service_account_key needs service_account_key_content "
                "or service_account_key_path"
            )


class _Account(msgspec.Struct):
    """The key of a service account, as Google hands it out."""

    client_email: str
    private_key: str
    private_key_id: str = ""
    token_uri: str = "https://oauth2.googleapis.com/token"  # noqa: S105 (an address)


class GcloudProvider:
    """Asks the Secret Manager.

    Args:
        settings: Its settings.
        environ: The environment variables.
    """

    is_near = False

    def __init__(self, settings: GcloudSettings, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._environ = environ
        self._caller = Caller()
        self._tokens = AccessTokens(self._fetch_token)

    async def read(self, path: Sequence[str], options: Mapping[str, str]) -> str:
        """Read a version of a secret; see `SecretProvider.read`. There are no options."""
        del options
        if not path:
            raise SecretError("bad-secret-path", "name projects/P/secrets/S/versions/V")
        settings = self._settings
        uses_own = settings.auth_mode in {"auto", "token"} and settings.token is not None
        token = settings.token if uses_own else await self._tokens.get()
        address = "/".join(quote(part, safe="") for part in path)
        answer = await self._caller.call(
            f"{settings.url.rstrip('/')}/v1/{address}:access",
            headers={"Authorization": f"Bearer {token}"},
        )
        encoded = at_pointer(answer.json(), ("payload", "data"))
        try:
            return base64.b64decode(encoded, validate=True).decode()
        except (binascii.Error, ValueError):
            raise SecretError("secret-read-error", "the value is no text in base64") from None

    async def _fetch_token(self) -> tuple[str, float]:
        """Get a token of the service account, or of the machine."""
        settings = self._settings
        account = None if settings.auth_mode == "metadata_server" else await self._account()
        if account is None:
            answer = await self._caller.call(
                settings.metadata_server_url.rstrip("/") + METADATA_PATH,
                headers={"Metadata-Flavor": "Google"},
            )
            return token_of(answer)
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
            "assertion": self._assertion(account),
        }
        answer = await self._caller.call(
            account.token_uri,
            method="POST",
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            content=urlencode(form).encode(),
        )
        return token_of(answer)

    async def _account(self) -> _Account | None:
        """Return the service account, None when there is none.

        Raises:
            SecretError: Its key cannot be read.
        """
        settings = self._settings
        content: str | None = settings.service_account_key_content
        path = settings.service_account_key_path
        if settings.auth_mode in {"auto", "google"}:
            path = path or self._environ.get("GOOGLE_APPLICATION_CREDENTIALS")
        reason = "the service account's key cannot be read"
        try:
            if content is None and path is not None:
                content = await trio.Path(path).read_text()
            return None if content is None else msgspec.json.decode(content, type=_Account)
        except (OSError, UnicodeError, msgspec.DecodeError, RecursionError):
            raise SecretError("secret-read-error", reason, is_down=True) from None

    def _assertion(self, account: _Account) -> str:
        """Sign who we are, for the token endpoint.

        Raises:
            SecretError: The key is none.
        """
        now = int(datetime.now(UTC).timestamp())
        claims = {
            "iss": account.client_email,
            "scope": " ".join(self._settings.service_account_scopes),
            "aud": account.token_uri,
            "iat": now,
            "exp": now + LIFE_S,
        }
        key = {"type": "RSAlgoSettings", "size": 256, "privateKey": account.private_key}
        try:
            signer = JwtSigner(msgspec.json.encode(key))
            header = msgspec.json.encode({"kid": account.private_key_id})
            return signer.sign(msgspec.json.encode(claims), header)
        except ValueError:
            reason = "the service account's private_key is no RSA key in PEM"
            raise SecretError("secret-read-error", reason, is_down=True) from None

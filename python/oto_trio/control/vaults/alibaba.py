"""Secrets of Alibaba Cloud's Key Management Service: ``${vault://ali/SECRET}``, the current version.

Source: KMS API, GetSecretValue; Alibaba Cloud SDK, request syntax and signature method V3. (Otoroshi signs with V1 of
it, which leaves out half of what the service asks for.)
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

import msgspec

from oto_trio.control.vaults.base import SecretError
from oto_trio.control.vaults.calls import Caller, check_url, refusal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["AlibabaProvider", "AlibabaSettings", "signed_headers"]

_VERSION: Final = "2016-01-20"
"""Version of the KMS API."""

_OPTIONS: Final = frozenset({"VersionId", "VersionStage"})


class AlibabaSettings(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"
):
    """An instance of type ``alibaba-cloud``, as the settings have it."""

    access_key_id: str
    access_key_secret: str
    url: str = "https://kms.eu-central-1.aliyuncs.com"

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            ValueError: The address is no http or https URL, or has a path, or a key is empty.
        """
        check_url(self.url)
        if urlsplit(self.url).path.strip("/"):
            raise ValueError("url must have no path")
        if not self.access_key_id or not self.access_key_secret:
            raise ValueError("access-key-id and access-key-secret must not be empty")


class _Value(msgspec.Struct, rename="pascal"):
    """The answer of GetSecretValue."""

    secret_data: str | None = None


class _Refusal(msgspec.Struct, rename="pascal"):
    """What the service answers instead."""

    code: str = ""


class AlibabaProvider:
    """Asks the Key Management Service.

    Args:
        settings: Its settings.
    """

    is_near = False

    def __init__(self, settings: AlibabaSettings) -> None:
        self._settings = settings
        parts = urlsplit(settings.url)
        self._base = f"{parts.scheme}://{parts.netloc}/"
        self._host = parts.netloc.rpartition("@")[2].lower()
        self._caller = Caller()

    async def read(self, path: Sequence[str], options: Mapping[str, str]) -> str:
        """Read a secret; see `SecretProvider.read`. Binary ones are given in base64, as they are answered.

        Options: ``VersionId`` and ``VersionStage`` name another version than the current one.
        """
        if len(path) != 1:
            raise SecretError("bad-secret-path", "name one secret; a / in its name is written %2F")
        if not options.keys() <= _OPTIONS:
            raise SecretError("bad-secret-path", "its options are VersionId and VersionStage")
        settings = self._settings
        query = _canonical_query({**options, "SecretName": path[0]})
        headers = signed_headers(
            (settings.access_key_id, settings.access_key_secret),
            host=self._host,
            action="GetSecretValue",
            version=_VERSION,
            query=query,
            date=dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            nonce=secrets.token_hex(16),
        )
        answer = await self._caller.call(f"{self._base}?{query}", method="POST", headers=headers)
        if answer.status != 200:
            raise _refusal(answer.status, answer.body)
        try:
            value = msgspec.json.decode(answer.body, type=_Value).secret_data
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            raise SecretError("secret-read-error", "the answer is no secret") from None
        if value is None:
            raise SecretError("secret-value-not-found", "the secret has no value")
        return value


def signed_headers(
    keys: tuple[str, str],
    *,
    host: str,
    action: str,
    version: str,
    query: str,
    date: str,
    nonce: str,
) -> dict[str, str]:
    """Return the headers of a POST to ``/`` without a body, signed with method V3.

    Args:
        keys: Id and secret of the access key.
        host: The host, with its port if that is not the scheme's.
        action: The operation.
        version: The version of the API.
        query: The query, sorted and escaped.
        date: Now, in ISO 8601 and UTC.
        nonce: Another one for each request.
    """
    nothing = hashlib.sha256(b"").hexdigest()
    headers = {
        "host": host,
        "x-acs-action": action,
        "x-acs-content-sha256": nothing,
        "x-acs-date": date,
        "x-acs-signature-nonce": nonce,
        "x-acs-version": version,
    }
    names = ";".join(headers)
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    request = f"POST\n/\n{query}\n{lines}\n{names}\n{nothing}"
    text = f"ACS3-HMAC-SHA256\n{hashlib.sha256(request.encode()).hexdigest()}"
    key_id, secret = keys
    signature = hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    headers["Authorization"] = (
        f"ACS3-HMAC-SHA256 Credential={key_id},SignedHeaders={names},Signature={signature}"
    )
    return headers


def _canonical_query(params: Mapping[str, str]) -> str:
    return "&".join(
        f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in sorted(params.items())
    )


def _refusal(status: int, body: bytes) -> SecretError:
    """Say what an answer that is none means."""
    try:
        code = msgspec.json.decode(body, type=_Refusal).code
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        code = ""
    match code.partition(".")[0], code:
        case _, "Forbidden.ResourceNotFound":
            return SecretError("secret-not-found", "there is no such secret, or no such version")
        case "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "IncompleteSignature", _:
            # An unknown key is a 404 of its own.
            return SecretError("secret-read-not-authorized", "the keys are refused", is_down=True)
        case "Forbidden", _:
            return SecretError("secret-read-forbidden", "the keys lack the right")
        case "Throttling", _:
            return refusal(429)
        case _:
            return refusal(status)

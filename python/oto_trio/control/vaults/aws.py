"""Secrets of the AWS Secrets Manager: ``${vault://aws/SECRET/VERSION/STAGE}``; the newest without the last two.

A secret's id that has a ``/`` in it is written with ``%2F``. Requests are signed by botocore, of the extra
``aws``. Source: AWS Secrets Manager API, GetSecretValue.
"""

from __future__ import annotations

import base64
import binascii
import importlib
from typing import TYPE_CHECKING, Any

import msgspec
import trio

from oto_trio.control.vaults.base import SecretError
from oto_trio.control.vaults.calls import Caller, check_url, refusal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["AwsProvider", "AwsSettings"]


class AwsSettings(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"
):
    """An instance of type ``aws``, as the settings have it.

    Without keys, those that AWS' own tools would find. ``endpoint`` is another address of the service.
    """

    access_key: str | None = None
    access_key_secret: str | None = None
    region: str = "eu-west-3"
    endpoint: str | None = None

    def __post_init__(self) -> None:
        """Check what belongs together.

        Raises:
            ValueError: An address is none, or one of two keys is missing.
        """
        if (self.access_key is None) != (self.access_key_secret is None):
            raise ValueError("give access-key and access-key-secret, or neither")
        if self.endpoint is not None:
            check_url(self.endpoint, "endpoint")


class _Value(msgspec.Struct, rename="pascal"):
    """The answer of GetSecretValue."""

    secret_string: str | None = None
    secret_binary: str | None = None


class _Refusal(msgspec.Struct):
    """What the service answers instead."""

    kind: str = msgspec.field(default="", name="__type")


class AwsProvider:
    """Asks the Secrets Manager.

    Args:
        settings: Its settings.
    """

    is_near = False

    def __init__(self, settings: AwsSettings) -> None:
        self._settings = settings
        self._caller = Caller()
        self._credentials: Any = None
        # Keys may come from a server of the machine, and are renewed: that blocks. Who waits no longer lets the
        # thread go on, one at most.
        self._thread = trio.CapacityLimiter(1)

    async def read(self, path: Sequence[str], options: Mapping[str, str]) -> str:
        """Read a secret; see `SecretProvider.read`. There are no options."""
        del options
        if not 1 <= len(path) <= 3:
            raise SecretError("bad-secret-path", "name a secret, and perhaps a version and a stage")
        names = ("SecretId", "VersionId", "VersionStage")
        body = msgspec.json.encode(dict(zip(names, path, strict=False)))
        url, headers = await trio.to_thread.run_sync(
            self._signed,
            body,
            limiter=self._thread,
            thread_name="oto-trio aws keys",
            abandon_on_cancel=True,
        )
        answer = await self._caller.call(url, method="POST", headers=headers, content=body)
        if answer.status != 200:
            raise _refusal(answer.status, answer.body)
        try:
            value = msgspec.json.decode(answer.body, type=_Value)
            if value.secret_string is None and value.secret_binary is not None:
                return base64.b64decode(value.secret_binary, validate=True).decode()
        except (msgspec.DecodeError, binascii.Error, RecursionError, UnicodeError):
            raise SecretError("secret-read-error", "the answer is no secret") from None
        if value.secret_string is None:
            raise SecretError("secret-value-not-found", "the secret has no value")
        return value.secret_string

    def _signed(self, body: bytes) -> tuple[str, dict[str, str]]:
        """Return the address and the signed headers of a request. Runs in a thread: it may read files.

        Raises:
            SecretError: botocore or keys are missing.
        """
        settings = self._settings
        try:
            library = {
                name: importlib.import_module(f"botocore.{name}")
                for name in ("auth", "awsrequest", "credentials", "exceptions", "session")
            }
        except ImportError:
            reason = "botocore is missing; install oto-trio[aws]"
            raise SecretError("secret-read-error", reason, is_down=True) from None
        try:
            if self._credentials is None:
                self._credentials = (
                    library["session"].Session().get_credentials()
                    if settings.access_key is None
                    else library["credentials"].Credentials(
                        settings.access_key, settings.access_key_secret
                    )
                )
            if self._credentials is None:
                reason = "there are no keys; give access-key and access-key-secret"
                raise SecretError("secret-read-not-authorized", reason, is_down=True)
            address = settings.endpoint or f"https://secretsmanager.{settings.region}.amazonaws.com"
            request: Any = library["awsrequest"].AWSRequest(
                "POST",
                f"{address.rstrip('/')}/",
                data=body,
                headers={
                    "Content-Type": "application/x-amz-json-1.1",
                    "X-Amz-Target": "secretsmanager.GetSecretValue",
                },
            )
            frozen = self._credentials.get_frozen_credentials()
            signer: Any = library["auth"].SigV4Auth(frozen, "secretsmanager", settings.region)
            signer.add_auth(request)
        except library["exceptions"].BotoCoreError as error:
            reason = f"no keys can be had ({type(error).__name__})"
            raise SecretError("secret-read-not-authorized", reason, is_down=True) from None
        return str(request.url), dict(request.headers.items())


def _refusal(status: int, body: bytes) -> SecretError:
    """Say what an answer that is none means."""
    try:
        kind = msgspec.json.decode(body, type=_Refusal).kind.rpartition("#")[2]
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        kind = ""
    match kind:
        case "ResourceNotFoundException":
            return SecretError("secret-not-found", "there is no such secret, or no such version")
        case "InvalidParameterException" | "ValidationException":
            return SecretError("bad-secret-path", "it takes no such id, version or stage")
        case "AccessDeniedException":
            return SecretError("secret-read-forbidden", "the keys lack the right")
        case (
            "UnrecognizedClientException"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "IncompleteSignature"
            | "MissingAuthenticationTokenException"
            | "InvalidClientTokenId"
            | "ExpiredTokenException"
        ):
            return SecretError("secret-read-not-authorized", "the keys are refused")
        case _:
            return refusal(429 if kind == "ThrottlingException" else status)

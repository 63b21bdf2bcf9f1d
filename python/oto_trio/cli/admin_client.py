"""How commands ask the admin API of a running gateway: one request at a time, blocking."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, Final, cast

import click

from oto_trio.cli.words import spoken
from oto_trio.control.credentials import DEV_CREDENTIALS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from email.message import Message

__all__ = ["AdminClient", "OutdatedError", "refusal"]

JSON: Final = "application/json"

PAGE: Final = 500
"""Entities asked for at once."""

TIMEOUT_S: Final = 60.0
"""How long one answer may take, unless a command knows better; a key of 4096 bits may have to be made."""


class OutdatedError(click.ClickException):
    """What a command looked at was changed by others meanwhile, and nothing was done."""


class AdminClient:
    """An admin API and a key to it.

    Args:
        url: Its base URL.
        client_id: Id of the key; the well-known one when left out.
        client_secret: The secret of that key.
        instead: Options that work without a gateway, for the message that there is none.
        timeout_s: How long one answer may take.

    Raises:
        UsageError: The URL is none.
    """

    def __init__(
        self,
        url: str,
        client_id: str | None,
        client_secret: str | None,
        *,
        instead: str,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise click.UsageError(
                f"--admin {url!r} is no URL; write it like http://127.0.0.1:8081"
            )
        self.base = url.rstrip("/")
        key = (
            f"{client_id or DEV_CREDENTIALS.client_id}:"
            f"{client_secret or DEV_CREDENTIALS.client_secret}"
        )
        self._authorization = "Basic " + base64.b64encode(key.encode()).decode()
        self._instead = instead
        self._timeout_s = timeout_s

    def ask(
        self, path: str, *, verb: str = "GET", body: object = None, may_lack: bool = False
    ) -> Any:
        """Send a request and return the JSON of the answer; None for 404 when that is foreseen.

        Raises:
            ClickException: The API cannot be reached, or refuses.
        """
        content = None if body is None else json.dumps(body).encode()
        answer = self.send(
            path, verb=verb, headers={"Content-Type": JSON}, content=content, may_lack=may_lack
        )
        if answer is None:
            return None
        try:
            return json.loads(answer[0])
        except ValueError as error:
            raise click.ClickException(
                f"{self.base}{path} answers what is no JSON: {error}"
            ) from None

    def walk(self, path: str, *, may_lack: bool = False) -> Iterator[Any]:
        """Walk all entities of a kind, page by page.

        Args:
            path: Where the kind is listed.
            may_lack: Whether a gateway without this kind (404) has none of it.

        Raises:
            ClickException: The API cannot be reached, or refuses.
        """
        page = 1
        while True:
            asked = f"{path}?page={page}&pageSize={PAGE}"
            found: list[Any] = self.ask(asked, may_lack=may_lack) or []
            yield from found
            if len(found) < PAGE:
                return
            page += 1

    def send(
        self,
        path: str,
        *,
        verb: str,
        headers: Mapping[str, str],
        content: bytes | None = None,
        may_lack: bool = False,
    ) -> tuple[bytes, Message] | None:
        """Send a request; give body and headers of the answer, None for 404 when that is foreseen.

        Raises:
            ClickException: The API cannot be reached, or refuses.
        """
        url = self.base + path
        request = urllib.request.Request(  # noqa: S310 (http or https, checked)
            url,
            method=verb,
            data=content,
            headers={"Accept": JSON, "Authorization": self._authorization, **headers},
        )
        try:
            with urllib.request.urlopen(request, timeout=self._timeout_s) as answer:  # noqa: S310 (as above)
                return answer.read(), answer.headers
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 404 and may_lack:
                    return None
                raise refusal(url, error.code, error.read()) from None
        except (OSError, ValueError) as error:
            raise click.ClickException(
                f"{url} cannot be asked: {spoken(error)}; is the gateway running? {self._instead}"
            ) from None


def refusal(url: str, status: int, content: bytes) -> click.ClickException:
    """Make the error of what the admin API refused: the key, or every problem on a line of its own.

    Args:
        url: What was asked.
        status: The status of the answer.
        content: Its body.

    Returns:
        An `OutdatedError` for 412.
    """
    message = _said(url, status, content)
    return OutdatedError(message) if status == 412 else click.ClickException(message)


def _said(url: str, status: int, content: bytes) -> str:
    """Say why the admin API refused."""
    try:
        document: Any = json.loads(content)
    except ValueError:
        document = None
    answer = cast("dict[str, Any]", document) if isinstance(document, dict) else {}
    reason = str(answer.get("error", ""))
    if status in {400, 401, 403} and reason.startswith("errors."):
        return (
            f"{url} refuses the key ({status}); give --client-id and --client-secret, which the "
            "gateway keeps in admin-credentials.json of its data folder"
        )
    told = answer.get("error_description") or reason or f"{url} answers {status}"
    return "\n".join(map(str, cast("list[object]", told) if isinstance(told, list) else [told]))

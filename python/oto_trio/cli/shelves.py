"""Where `oto-trio certs` reads and writes certificates: a store at rest, or a running gateway."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar
from urllib.parse import quote

import click
import trio

from oto_trio.app import STORE_FILE
from oto_trio.cli.words import spoken
from oto_trio.control.certificates import CertificateStore, certificate_of
from oto_trio.control.credentials import DEV_CREDENTIALS
from oto_trio.control.store.sqlite import SqliteStore
from oto_trio.model.certificate import Certificate, read_certificate, write_certificate
from oto_trio.model.errors import EntityError, StoreError
from oto_trio.pki import CsrQuery, PkiError, issue

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

__all__ = ["AdminShelf", "Shelf", "StoreShelf"]

PAGE: Final = 500
"""Certificates asked from an admin API at once."""

TIMEOUT_S: Final = 60.0
"""How long an admin API may take for one answer; it may have to make a key of 4096 bits."""

T = TypeVar("T")


class Shelf(Protocol):
    """Where certificates are. Every method raises `ClickException` for what goes wrong."""

    def all(self) -> list[Certificate]:
        """Read every certificate."""
        ...

    def get(self, certificate_id: str) -> Certificate | None:
        """Read one certificate."""
        ...

    def make(self, query: CsrQuery, authority: str | None) -> Certificate:
        """Make a certificate, and keep nothing: signed by an authority, or by itself."""
        ...

    def put(self, certificate: Certificate, *, replaces: bool) -> None:
        """Keep a certificate.

        Args:
            certificate: The certificate.
            replaces: Whether there may be one under its id already.
        """
        ...


class StoreShelf:
    """The certificates in the embedded store of a data folder, whose gateway does not run.

    Args:
        folder: The data folder.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / STORE_FILE
        if not self._path.is_file():
            raise click.ClickException(
                f"there is no store at {self._path}; is it the right --data folder?"
            )

    def all(self) -> list[Certificate]:
        """See `Shelf.all`."""
        return self._run(lambda certificates: certificates.all())

    def get(self, certificate_id: str) -> Certificate | None:
        """See `Shelf.get`."""
        return self._run(lambda certificates: certificates.get(certificate_id))

    def make(self, query: CsrQuery, authority: str | None) -> Certificate:
        """See `Shelf.make`."""
        return self._run(partial(_make, query=query, reference=authority))

    def put(self, certificate: Certificate, *, replaces: bool) -> None:
        """See `Shelf.put`."""
        if not replaces and self.get(certificate.id) is not None:
            raise click.ClickException(_is_taken(certificate.id))
        self._run(lambda certificates: certificates.save(certificate))

    def _run(self, use: Callable[[CertificateStore], Awaitable[T]]) -> T:
        """Open the store, use it, and close it."""

        async def main() -> T:
            async with await SqliteStore.open(self._path) as store:
                return await use(CertificateStore(store))

        try:
            return trio.run(main)
        except PkiError as error:
            raise click.ClickException(str(error)) from None
        except StoreError as error:
            raise click.ClickException(
                f"{error}\nof a running gateway, use the admin API: --admin http://127.0.0.1:8081"
            ) from None


async def _make(
    certificates: CertificateStore, *, query: CsrQuery, reference: str | None
) -> Certificate:
    """Make a certificate with what a store holds."""
    found = None
    if reference is not None:
        found = await certificates.authority(reference)
        if found is None:
            raise click.ClickException(_is_missing(reference))
    issued = issue(query, None if found is None else found[1], now=certificates.now())
    return certificate_of(issued, query, ca_ref=None if found is None else found[0].id)


class AdminShelf:
    """The certificates of a running gateway, through its admin API.

    Args:
        url: Its base URL.
        client_id: Id of its key; the well-known one when left out.
        client_secret: The secret of that key.
    """

    def __init__(self, url: str, client_id: str | None, client_secret: str | None) -> None:
        if not url.startswith(("http://", "https://")):
            raise click.UsageError(
                f"--admin {url!r} is no URL; write it like http://127.0.0.1:8081"
            )
        self._base = url.rstrip("/")
        known = DEV_CREDENTIALS
        key = f"{client_id or known.client_id}:{client_secret or known.client_secret}"
        self._authorization = "Basic " + base64.b64encode(key.encode()).decode()

    def all(self) -> list[Certificate]:
        """See `Shelf.all`."""
        found: list[Certificate] = []
        page = 1
        while True:
            listed = self._ask("GET", f"/api/certificates?page={page}&pageSize={PAGE}")
            found += [self._read(raw) for raw in listed]
            if len(listed) < PAGE:
                return found
            page += 1

    def get(self, certificate_id: str) -> Certificate | None:
        """See `Shelf.get`."""
        raw = self._ask("GET", f"/api/certificates/{_quoted(certificate_id)}", may_lack=True)
        return None if raw is None else self._read(raw)

    def make(self, query: CsrQuery, authority: str | None) -> Certificate:
        """See `Shelf.make`."""
        what = "cas" if query.ca else "certs"
        if authority is not None:
            what = f"cas/{_quoted(authority)}/{what}"
        raw = self._ask("POST", f"/api/pki/{what}?persist=false", query.to_json(), may_lack=True)
        if raw is None:
            raise click.ClickException(_is_missing(authority or ""))
        return self._read({key: value for key, value in raw.items() if key != "certId"})

    def put(self, certificate: Certificate, *, replaces: bool) -> None:
        """See `Shelf.put`."""
        is_there = self.get(certificate.id) is not None
        if is_there and not replaces:
            raise click.ClickException(_is_taken(certificate.id))
        body = write_certificate(certificate)
        if is_there:
            self._ask("PUT", f"/api/certificates/{_quoted(certificate.id)}", body)
        else:
            self._ask("POST", "/api/certificates", body)

    def _read(self, raw: object) -> Certificate:
        """Read a certificate that the admin API answered."""
        try:
            return read_certificate(raw)
        except EntityError as error:
            raise click.ClickException(
                f"{self._base} answered what is no certificate: {error}"
            ) from None

    def _ask(self, verb: str, path: str, body: object = None, *, may_lack: bool = False) -> Any:
        """Send a request and return the JSON of the answer; None for 404 when that is foreseen."""
        url = f"{self._base}{path}"
        request = urllib.request.Request(  # noqa: S310 (the scheme was checked)
            url,
            method=verb,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": self._authorization,
                "Accept": "application/json",
                "Content-Type": "application/json",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 (http or https, checked)
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 404 and may_lack:
                    return None
                raise click.ClickException(_said(url, error)) from None
        except (OSError, ValueError) as error:
            raise click.ClickException(
                f"{url} cannot be asked: {spoken(error)}; is the gateway running? --data works without one"
            ) from None


def _said(url: str, error: urllib.error.HTTPError) -> str:
    """Say why the admin API refused."""
    try:
        answer: Any = json.load(error)
    except ValueError:
        answer = {}
    if error.code in {400, 401} and str(answer.get("error", "")).startswith("errors."):
        return (
            f"{url} refuses the key ({error.code}); give --client-id and --client-secret, which the "
            "gateway keeps in admin-credentials.json of its data folder"
        )
    problems: list[dict[str, str]] = answer.get("problems") or []
    words = [f"{p['path']}: {p['message']}; {p['fix']}" for p in problems]
    return "\n".join(words) or str(answer.get("error") or f"{url} answers {error.code}")


def _quoted(text: str) -> str:
    """Make a text a segment of a path."""
    return quote(text, safe="")


def _is_taken(certificate_id: str) -> str:
    return f"there is a certificate {certificate_id!r} already; choose another --id, or --replace"


def _is_missing(reference: str) -> str:
    return f"there is no authority {reference!r}; `oto-trio certs list` shows what there is"

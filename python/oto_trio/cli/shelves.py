"""Where `oto-trio certs` reads and writes certificates: a store at rest, or a running gateway."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar
from urllib.parse import quote

import click

from oto_trio.cli.admin_client import AdminClient
from oto_trio.control.certificates import CertificateStore, certificate_of
from oto_trio.model.certificate import Certificate, read_certificate, write_certificate
from oto_trio.model.errors import EntityError
from oto_trio.pki import CsrQuery, PkiError, issue

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from oto_trio.cli.at_rest import StoreAtRest
    from oto_trio.control.store.whole import CopiedStore

__all__ = ["AdminShelf", "Shelf", "StoreShelf"]

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
    """The certificates in a store that is opened without a gateway.

    Args:
        store: The store.
    """

    def __init__(self, store: StoreAtRest) -> None:
        self._store = store

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

        async def certificates(store: CopiedStore) -> T:
            return await use(CertificateStore(store))

        try:
            return self._store.run(
                certificates,
                PkiError,
                running="of a running gateway, use the admin API: --admin http://127.0.0.1:8081",
            )
        except PkiError as error:
            raise click.ClickException(str(error)) from None


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
        self._api = AdminClient(url, client_id, client_secret, instead="--data works without one")

    def all(self) -> list[Certificate]:
        """See `Shelf.all`."""
        return [self._read(raw) for raw in self._api.walk("/api/certificates")]

    def get(self, certificate_id: str) -> Certificate | None:
        """See `Shelf.get`."""
        raw = self._api.ask(f"/api/certificates/{_quoted(certificate_id)}", may_lack=True)
        return None if raw is None else self._read(raw)

    def make(self, query: CsrQuery, authority: str | None) -> Certificate:
        """See `Shelf.make`."""
        what = "cas" if query.ca else "certs"
        if authority is not None:
            what = f"cas/{_quoted(authority)}/{what}"
        raw = self._api.ask(
            f"/api/pki/{what}?persist=false", verb="POST", body=query.to_json(), may_lack=True
        )
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
            self._api.ask(f"/api/certificates/{_quoted(certificate.id)}", verb="PUT", body=body)
        else:
            self._api.ask("/api/certificates", verb="POST", body=body)

    def _read(self, raw: object) -> Certificate:
        """Read a certificate that the admin API answered."""
        try:
            return read_certificate(raw)
        except EntityError as error:
            raise click.ClickException(
                f"{self._api.base} answered what is no certificate: {error}"
            ) from None


def _quoted(text: str) -> str:
    """Make a text a segment of a path."""
    return quote(text, safe="")


def _is_taken(certificate_id: str) -> str:
    return f"there is a certificate {certificate_id!r} already; choose another --id, or --replace"


def _is_missing(reference: str) -> str:
    return f"there is no authority {reference!r}; `oto-trio certs list` shows what there is"

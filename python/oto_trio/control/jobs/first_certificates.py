"""Makes the certificates that every gateway has, and brings in those its settings name.

At the first start, and once a day whatever of them is missing; the wildcard certificate only once, so
that whoever removes it is rid of it.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import trio

from oto_trio.control.certificates import certificate_of, certificate_of_pem
from oto_trio.control.jobs.runner import Job
from oto_trio.control.store import Put
from oto_trio.model.certificate import CERTIFICATES, Certificate
from oto_trio.model.document import encode_document
from oto_trio.model.errors import ConflictError
from oto_trio.pki import PkiError, in_pki_thread, issue
from oto_trio.pki.facts import authority_of
from oto_trio.pki.first_certificates import (
    FIRST_CERTIFICATES,
    INTERMEDIATE_CA,
    WILDCARD,
    FirstCertificate,
)
from oto_trio.pki.pem import is_issued_by, read_certificates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oto_trio.control.certificates import CertificateStore
    from oto_trio.control.store import Expectation
    from oto_trio.pki import Authority

__all__ = ["FirstCertificates", "GivenCertificate"]

logger = logging.getLogger(__name__)

DAY_S: Final = 86_400.0
"""Seconds between two looks at whether all are there."""

FIRST_S: Final = 5.0
"""Seconds from the start to the first look, when nothing waits for the certificates."""

MARK_KIND: Final = "oto-trio"
WILDCARD_MARK: Final = "first-certificates-wildcard"
"""Where the store keeps that the wildcard certificate was made once."""


class GivenCertificate(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate that the settings name: each part as PEM text, or as the path of a file."""

    settings: str = "the settings"
    """The settings that name it, for messages."""
    id: str | None = None
    """Id to store it under; None = a new one, unless it is there already."""
    ca: str | None = None
    """Its authority, stored without a key when `import_ca` is set."""
    cert: str | None = None
    """The certificate, with its chain."""
    key: str | None = None
    """Its private key."""
    import_ca: bool = False
    """Whether the authority is stored too."""


class FirstCertificates:
    """The job.

    Args:
        certificates: Where they are kept.
        domain: The gateway's domain.
        aia_base: Base URL under which issuers are published.
        given: Certificates that the settings name, brought in before any is made.
        has_wildcard: Whether a wildcard certificate is wanted.
        is_awaited: Whether a listener waits for them: then the first look is taken at once.
    """

    def __init__(
        self,
        certificates: CertificateStore,
        *,
        domain: str,
        aia_base: str | None = None,
        given: Sequence[GivenCertificate] = (),
        has_wildcard: bool = True,
        is_awaited: bool = False,
    ) -> None:
        self._certificates = certificates
        self._domain = domain
        self._aia_base = aia_base
        self._given = tuple(given)
        self._has_wildcard = has_wildcard
        self._is_awaited = is_awaited
        self.can_sign = trio.Event()
        """Set once the authority is there that signs what is made for clients, or the first look failed."""

    def job(self) -> Job:
        """Return when it is done."""
        first_s = 0.0 if self._is_awaited else FIRST_S
        return Job(name="first certificates", run=self.run, every_s=DAY_S, first_s=first_s)

    async def run(self) -> None:
        """Bring in and make what is missing.

        Raises:
            PkiError: One of those stored under a well-known id cannot sign the next.
            StoreError: The store cannot be read or written.
        """
        try:
            for given in self._given:
                await self._bring_in(given)
            for first in FIRST_CERTIFICATES:
                if first.id == WILDCARD and not await self._wants_wildcard():
                    continue
                await self._make(first)
                if first.id == INTERMEDIATE_CA:
                    self.can_sign.set()
        finally:
            self.can_sign.set()

    # ------------------------------------------------------------------- made

    async def _wants_wildcard(self) -> bool:
        """Tell whether the wildcard certificate is to be made, if it is not there."""
        if not self._has_wildcard:
            return False
        store = self._certificates.store
        if await store.get(MARK_KIND, WILDCARD_MARK) is not None:
            return False
        host = f"*.{self._domain}"
        return not any(host in known.names for known in await self._certificates.all())

    async def _make(self, first: FirstCertificate) -> None:
        """Make one that is not there, and keep it."""
        if await self._is_there(first.id):
            return
        authority: Authority | None = None
        if first.issuer is not None:
            above = await self._certificates.get(first.issuer)
            if above is None:  # removed in this moment; the next run makes it again
                return
            authority = await in_pki_thread(authority_of, above)
        query = first.query(self._domain)
        now = self._certificates.now()
        issued = await in_pki_thread(issue, query, authority, now=now, aia_base=self._aia_base)
        made = certificate_of(
            issued,
            query,
            ca_ref=first.issuer,
            id=first.id,
            name=first.name,
            description=first.description,
            keypair=first.keypair,
            auto_renew=True,
            exposed=True,
        )
        writes = [Put(CERTIFICATES, made.id, encode_document(made))]
        if first.id == WILDCARD:
            writes.append(Put(MARK_KIND, WILDCARD_MARK, b'{"done":true}'))
        await self._certificates.store.transact(writes)
        logger.info("certificate %s made: %s", made.id, made.subject)

    async def _is_there(self, certificate_id: str) -> bool:
        """Tell whether there is a certificate that can be read under an id."""
        known = await self._certificates.get(certificate_id)
        if known is None:
            return False
        try:
            read_certificates(known.chain)
        except PkiError as error:
            logger.warning("certificate %s is made anew: %s", certificate_id, error)
            return False
        return True

    # ------------------------------------------------------------------- brought in

    async def _bring_in(self, given: GivenCertificate) -> None:
        """Store a certificate that the settings name, unless it is there; tell what is wrong."""
        try:
            if given.import_ca and given.ca is not None:
                await self._store(None, await _content(given.ca), "")
            if given.cert is not None and given.key is not None:
                chain = await _content(given.cert)
                if given.ca is not None:
                    chain = await in_pki_thread(_extended, chain, await _content(given.ca))
                await self._store(given.id, chain, await _content(given.key))
            elif given.ca is not None and not given.import_ca:
                await self._store(None, await _content(given.ca), "")
        except PkiError as error:
            logger.error("the certificate of %s was not brought in: %s", given.settings, error)

    async def _store(self, certificate_id: str | None, chain: str, key: str) -> None:
        """Store a certificate unless one with the same signature and serial number is there."""
        found = await in_pki_thread(certificate_of_pem, chain, key)
        if await in_pki_thread(_is_among, found, await self._certificates.all()):
            return
        named = msgspec.structs.replace(found, id=certificate_id or found.id)
        expect: Expectation = None if certificate_id is None else "absent"
        try:
            await self._certificates.store.put(
                CERTIFICATES, named.id, encode_document(named), expect=expect
            )
        except ConflictError:
            logger.warning(
                "certificate %s is another than the settings name; it stays as it is", named.id
            )
            return
        logger.info("certificate %s brought in from the settings: %s", named.id, named.subject)


async def _content(value: str) -> str:
    """Return PEM text as it is, or the content of the file that a value names.

    Raises:
        PkiError: The file cannot be read. Does not repeat what may be a key.
    """
    if "-----BEGIN" in value:
        return value
    path = Path(value.removeprefix("file://"))
    try:
        return await trio.to_thread.run_sync(_read, path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        shown = str(path) if len(str(path)) < 200 and str(path).isprintable() else "what is given"
        raise PkiError(
            "$", f"{shown} cannot be read ({reason})", "give PEM, or a file's path"
        ) from None


def _read(path: Path) -> str:
    """Read a small file."""
    with path.open(encoding="utf-8") as file:
        return file.read(1024 * 1024)


def _extended(chain: str, ca: str) -> str:
    """Return a chain with the authority at its end, if that issued one of its certificates."""
    issuer = read_certificates(ca)[0]
    if any(is_issued_by(link, issuer) for link in read_certificates(chain)):
        return f"{chain}\n{ca}"
    return chain


def _is_among(certificate: Certificate, known: Sequence[Certificate]) -> bool:
    """Tell whether one of some certificates has the same signature and serial number."""
    first = read_certificates(certificate.chain)[0]
    for other in known:
        try:
            same = read_certificates(other.chain)[0]
        except PkiError:
            continue
        if same.signature == first.signature and same.serial_number == first.serial_number:
            return True
    return False

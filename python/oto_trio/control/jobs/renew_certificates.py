"""Renews certificates before they expire, and marks those that have.

Order: authorities, then what they sign, then marks. A renewed certificate keeps its id; what it was
before is kept as a copy until 30 days after its end.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, TypeAlias

from oto_trio.control.certificates import new_certificate_id
from oto_trio.control.jobs.runner import Job
from oto_trio.control.store import Delete, Put
from oto_trio.model.certificate import CERTIFICATES, Certificate
from oto_trio.model.document import encode_document
from oto_trio.model.errors import ConflictError
from oto_trio.pki import PkiError, in_pki_thread
from oto_trio.pki.facts import authority_of
from oto_trio.pki.renewal import (
    find_issuer,
    is_due,
    is_expired,
    is_outlived,
    is_renewable,
    marked_expired,
    renewed,
    until_expiration,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from oto_trio.control.certificates import CertificateStore
    from oto_trio.control.store import Expectation

__all__ = ["OnAlert", "RenewCertificates", "log_alert", "renew"]

logger = logging.getLogger(__name__)

EVERY_S: Final = 600.0
"""Seconds between two looks."""

FIRST_S: Final = 60.0
"""Seconds from the start to the first look."""

WARN_AGAIN_MS: Final = 86_400_000
"""Milliseconds between two warnings that the same certificate almost expired."""

OnAlert: TypeAlias = "Callable[[str, Certificate], None]"
"""Takes an alert: its name as Otoroshi has it, and the certificate it is about. Must not block."""


def log_alert(name: str, certificate: Certificate) -> None:
    """Log an alert."""
    logger.warning("%s: %s (%s)", name, certificate.id, certificate.name)


async def renew(
    certificate: Certificate, certificates: CertificateStore, known: Sequence[Certificate]
) -> tuple[Certificate, int]:
    """Renew one certificate, and keep what it was as a copy.

    Args:
        certificate: As it is stored.
        certificates: Where it is kept.
        known: Every certificate, to find the authority among.

    Returns:
        The renewed one, and the revision of the store from which on it is seen.

    Raises:
        PkiError: It cannot be renewed.
        ConflictError: Somebody changed it meanwhile; nothing was kept.
    """
    record = await certificates.store.get(CERTIFICATES, certificate.id)
    issuer = await in_pki_thread(find_issuer, certificate, known)
    authority = None if issuer is None else await in_pki_thread(authority_of, issuer)
    new = await in_pki_thread(renewed, certificate, authority, now=certificates.now())
    copy = until_expiration(certificate, new_certificate_id())
    expect: Expectation = "absent" if record is None else record.revision
    revision = await certificates.store.transact(
        [
            Put(CERTIFICATES, new.id, encode_document(new), expect=expect),
            Put(CERTIFICATES, copy.id, encode_document(copy), expect="absent"),
        ]
    )
    return new, revision


class RenewCertificates:
    """The job.

    Args:
        certificates: Where they are kept.
        on_alert: Told what operators should know.
    """

    def __init__(self, certificates: CertificateStore, *, on_alert: OnAlert = log_alert) -> None:
        self._certificates = certificates
        self._on_alert = on_alert
        self._warned: dict[tuple[str, int], int] = {}

    def job(self) -> Job:
        """Return when it is done."""
        return Job(name="certificate renewal", run=self.run, every_s=EVERY_S, first_s=FIRST_S)

    async def run(self) -> None:
        """Renew what is due, and mark what has expired.

        Raises:
            StoreError: The store cannot be read or written.
        """
        for is_authority in (True, False):
            # Read again in between: what the authorities sign shall get their new chain.
            known = await self._certificates.all()
            for certificate in known:
                if certificate.ca is is_authority and is_renewable(certificate, self._now_ms()):
                    await self._renew(certificate, known)
        for certificate in await self._certificates.all():
            if is_expired(certificate, self._now_ms()):
                await self._mark(certificate)
            elif is_outlived(certificate, self._now_ms()):
                await self._forget(certificate)
            elif self._is_warned_of(certificate):
                self._on_alert("CertAlmostExpiredAlert", certificate)

    async def _renew(self, certificate: Certificate, known: Sequence[Certificate]) -> None:
        """Renew one, and tell of it; one that cannot be renewed is told and left alone."""
        try:
            new, _ = await renew(certificate, self._certificates, known)
        except PkiError as error:
            logger.warning("certificate %s cannot be renewed: %s", certificate.id, error)
        except ConflictError:
            logger.info(
                "certificate %s changed meanwhile; the next run looks again", certificate.id
            )
        else:
            self._on_alert("CertRenewalAlert", new)

    async def _mark(self, certificate: Certificate) -> None:
        """Mark one as expired, and tell of it."""
        record = await self._certificates.store.get(CERTIFICATES, certificate.id)
        if record is None:
            return
        marked = marked_expired(certificate)
        try:
            await self._certificates.store.put(
                CERTIFICATES, marked.id, encode_document(marked), expect=record.revision
            )
        except ConflictError:
            return
        self._on_alert("CertExpiredAlert", marked)

    async def _forget(self, copy: Certificate) -> None:
        """Remove the copy of a renewed certificate; short ones would else leave more and more of them."""
        record = await self._certificates.store.get(CERTIFICATES, copy.id)
        if record is None:
            return
        try:
            await self._certificates.store.transact(
                [Delete(CERTIFICATES, copy.id, expect=record.revision)]
            )
        except ConflictError:
            return
        logger.info("certificate %s (%s) is removed", copy.id, copy.name)

    def _is_warned_of(self, certificate: Certificate) -> bool:
        """Tell whether to warn of a certificate that nobody renews, once a day."""
        now_ms = self._now_ms()
        is_near = certificate.is_current(now_ms) and is_due(certificate, now_ms)
        if not is_near or certificate.revoked or "untilExpiration" in certificate.metadata:
            return False
        self._warned = {k: at for k, at in self._warned.items() if now_ms - at < WARN_AGAIN_MS}
        key = (certificate.id, certificate.valid_to)
        if key in self._warned:
            return False
        self._warned[key] = now_ms
        return True

    def _now_ms(self) -> int:
        """Return the Unix time in ms."""
        return int(self._certificates.now().timestamp() * 1000)

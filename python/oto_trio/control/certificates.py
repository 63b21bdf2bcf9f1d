"""Certificates in the store: found, made into entities, kept.

What the admin API, the jobs and automatic certificates have in common. Nothing else in the control
plane reads or writes certificates, but for the generic table of resources.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from oto_trio.control.store import Put
from oto_trio.model.certificate import CERTIFICATES, Certificate
from oto_trio.model.document import encode_document, inspect_document
from oto_trio.model.global_config import GLOBAL_CONFIG_ID, GlobalConfig, first_global_config
from oto_trio.model.ids import id_problem
from oto_trio.pki import PkiError, enrich, in_pki_thread
from oto_trio.pki.facts import authority_of
from oto_trio.pki.keys import private_pem, read_private_key
from oto_trio.pki.pem import chain_pem, read_certificates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oto_trio.control.store import Record, Store
    from oto_trio.model.global_sections import AutoCertificate
    from oto_trio.pki import Authority, CsrQuery, Issued

__all__ = ["CertificateStore", "certificate_of", "certificate_of_pem", "new_certificate_id"]

GLOBAL_CONFIG: Final = "global-config"
"""Kind under which the store keeps the global configuration."""

_ID_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def new_certificate_id() -> str:
    """Make the id of a certificate that was made here: 32 letters and digits, as in Otoroshi."""
    return "".join(secrets.choice(_ID_LETTERS) for _ in range(32))


def certificate_of(
    issued: Issued, query: CsrQuery | None, *, ca_ref: str | None = None, **more: Any
) -> Certificate:
    """Make the entity of a certificate that was made just now.

    Args:
        issued: The certificate and its key.
        query: What was asked for, kept in the metadata; None leaves it out.
        ca_ref: Id of the authority that signed it.
        more: Further attributes, such as ``id`` or ``name``.
    """
    metadata: dict[str, str] = {}
    if query is not None:
        metadata["csr"] = msgspec.json.encode(query.to_json()).decode()
    bare = Certificate(
        id=new_certificate_id(),
        domain="--",
        chain=issued.chain,
        private_key=issued.private_key,
        ca_ref=ca_ref,
        client=query is not None and query.client,
        metadata=metadata,
    )
    found = enrich(bare)
    named = {"name": found.domain, "description": f"Certificate for {found.subject}"}
    return msgspec.structs.replace(found, **{**named, **more})


def certificate_of_pem(
    chain: str, private_key: str | None = None, password: str | None = None
) -> Certificate:
    """Make the entity of a certificate that was made elsewhere, named after what it says.

    Args:
        chain: PEM text with the certificate and its chain, in any order.
        private_key: PEM text with its key; None looks for it in `chain`.
        password: Of the key.

    Raises:
        PkiError: They cannot be read, or do not fit together.
    """
    key = private_key
    if key is None:
        key = chain if "PRIVATE KEY-----" in chain else ""
    if key:
        key = private_pem(read_private_key(key, password))
    certificates = chain_pem(read_certificates(chain))
    found = enrich(
        Certificate(id=new_certificate_id(), domain="--", chain=certificates, private_key=key)
    )
    return msgspec.structs.replace(
        found, name=found.domain, description=f"Certificate for {found.subject}"
    )


class CertificateStore:
    """The certificates of a store.

    Args:
        store: Holds them.
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    async def all(self) -> list[Certificate]:
        """Read every certificate; what cannot be read as one is left out: the workers report it."""
        found: list[Certificate] = []
        async for record in self.store.walk(CERTIFICATES, page=100):
            certificate = _read(record)
            if certificate is not None:
                found.append(certificate)
        return found

    async def get(self, certificate_id: str) -> Certificate | None:
        """Read one certificate; None when there is none under this id."""
        if id_problem(certificate_id):
            return None
        record = await self.store.get(CERTIFICATES, certificate_id)
        return None if record is None else _read(record)

    async def find(self, reference: str) -> Certificate | None:
        """Find a certificate by its id, else by its serial number in decimal."""
        found = await self.get(reference)
        if found is None and reference.isascii() and reference.isdigit() and len(reference) < 60:
            return await in_pki_thread(_with_serial, await self.all(), int(reference))
        return found

    async def authority(self, reference: str) -> tuple[Certificate, Authority] | None:
        """Find what signs certificates, by id or serial number.

        Raises:
            PkiError: It is no authority, or its key is not here.
        """
        found = await self.find(reference)
        if found is None:
            return None
        return found, await in_pki_thread(authority_of, found)

    async def save(self, *certificates: Certificate) -> int:
        """Write certificates, new or over older ones, in one transaction.

        Returns:
            The revision from which on they are seen.
        """
        return await self.store.transact(
            [Put(CERTIFICATES, one.id, encode_document(one)) for one in certificates]
        )

    async def auto_certificate(self) -> AutoCertificate:
        """Read what the global configuration says of automatic certificates."""
        record = await self.store.get(GLOBAL_CONFIG, GLOBAL_CONFIG_ID)
        if record is None:
            return first_global_config().auto_cert
        config, _ = inspect_document(GlobalConfig, msgspec.json.decode(record.document))
        return first_global_config().auto_cert if config is None else config.auto_cert

    @property
    def revision(self) -> int:
        """The store's latest revision."""
        return self.store.revision

    def entity_of(self, issued: Issued, query: CsrQuery, ca_ref: str, **more: Any) -> Certificate:
        """Make the entity of a certificate that was made just now; see `certificate_of`."""
        return certificate_of(issued, query, ca_ref=ca_ref, **more)

    def now(self) -> datetime:
        """Return the time of day."""
        return datetime.now(UTC)


def _read(record: Record) -> Certificate | None:
    """Read a stored document."""
    return inspect_document(Certificate, msgspec.json.decode(record.document))[0]


def _with_serial(certificates: Sequence[Certificate], serial: int) -> Certificate | None:
    """Find a certificate by its serial number."""
    for certificate in certificates:
        try:
            if read_certificates(certificate.chain)[0].serial_number == serial:
                return certificate
        except PkiError:
            continue
    return None

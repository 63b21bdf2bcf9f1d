"""The certificate: a chain and mostly its private key, with what can be read from them.

What is derived from the chain (``domain``, ``subject``, ``from``, ``to``, ``sans``, ``ca``,
``selfSigned``, ``valid``) is kept beside it, so that lists can be filtered by it; `oto_trio.pki.enrich`
computes it at every save.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import msgspec
from msgspec import Meta
from typing_extensions import override

from oto_trio.model.document import Document, JsonObject, read_document, write_document
from oto_trio.model.ids import named_id
from oto_trio.model.location import Location

__all__ = [
    "CERTIFICATES",
    "EXPIRED_PREFIX",
    "UNTIL_EXPIRATION_PREFIX",
    "Certificate",
    "certificate_template",
    "public_document",
    "read_certificate",
    "write_certificate",
]

CERTIFICATES = "certificates"
"""Kind under which the store keeps certificates."""

EXPIRED_PREFIX = "[EXPIRED] "
"""Start of the name of a certificate that has expired."""

UNTIL_EXPIRATION_PREFIX = "[UNTIL EXPIRATION] "
"""Start of the name of the copy of a certificate that was renewed before its end."""


def _now_ms() -> int:
    """Return the Unix time in ms."""
    return int(datetime.now(UTC).timestamp() * 1000)


class Certificate(Document, frozen=True, kw_only=True, rename="camel"):
    """A certificate (``pki.otoroshi.io/Certificate``)."""

    loc: Annotated[Location, Meta(description="tenant and teams")] = msgspec.field(
        default=Location(), name="_loc"
    )
    id: Annotated[str, Meta(description="id of the certificate")]
    domain: Annotated[str, Meta(description="first name it is for; read from the chain")]
    name: Annotated[str, Meta(description="name of the certificate")] = ""
    description: Annotated[str, Meta(description="what it is for")] = ""
    chain: Annotated[str, Meta(description="the certificate, then its issuers, as PEM")]
    ca_ref: Annotated[str | None, Meta(description="id of the authority that issued it")] = None
    private_key: Annotated[str, Meta(description="its private key as PEM; empty = none")] = ""
    self_signed: Annotated[bool, Meta(description="signed by its own key; read from the chain")] = (
        False
    )
    ca: Annotated[bool, Meta(description="an authority; read from the chain")] = False
    valid: Annotated[bool, Meta(description="chain and key can be read and fit")] = False
    exposed: Annotated[bool, Meta(description="published by the JWKS and AIA endpoints")] = False
    revoked: Annotated[bool, Meta(description="not used any more; the reason is in metadata")] = (
        False
    )
    auto_renew: Annotated[bool, Meta(description="renewed before it expires")] = False
    lets_encrypt: Annotated[bool, Meta(description="ordered by ACME")] = False
    subject: Annotated[str, Meta(description="subject; read from the chain")] = "--"
    valid_from: Annotated[int, Meta(description="begin, Unix time in ms")] = msgspec.field(
        default_factory=_now_ms, name="from"
    )
    valid_to: Annotated[int, Meta(description="end, Unix time in ms")] = msgspec.field(
        default_factory=_now_ms, name="to"
    )
    client: Annotated[bool, Meta(description="identifies a client, never a server")] = False
    keypair: Annotated[bool, Meta(description="only there for its keys, to sign tokens")] = False
    sans: Annotated[
        tuple[str, ...], Meta(description="alternative names; read from the chain")
    ] = ()
    cert_type: Annotated[
        str,
        Meta(description="client, ca, letsEncrypt, keypair, selfSigned or certificate; computed"),
    ] = ""
    password: Annotated[str | None, Meta(description="password of the private key")] = None
    metadata: Annotated[
        dict[str, str], Meta(description="free texts by name; some names have a meaning")
    ] = msgspec.field(default_factory=dict[str, str])
    tags: Annotated[tuple[str, ...], Meta(description="free labels")] = ()

    def __post_init__(self) -> None:
        """Fill in what follows from other keys."""
        force = msgspec.structs.force_setattr
        if not self.description:
            force(self, "description", f"Certificate for {self.domain}" if self.domain else "none")
        if not self.name:
            force(self, "name", self.domain or "none")
        if self.password is not None and not self.password.strip():
            force(self, "password", None)
        force(self, "cert_type", self._kind())

    def _kind(self) -> str:
        """Return what `cert_type` must say."""
        kinds = (
            (self.client, "client"),
            (self.ca, "ca"),
            (self.lets_encrypt, "letsEncrypt"),
            (self.keypair, "keypair"),
            (self.self_signed, "selfSigned"),
        )
        return next((name for applies, name in kinds if applies), "certificate")

    @override
    def __repr__(self) -> str:
        """Show what it is, so that a log line never holds the private key."""
        return f"Certificate(id={self.id!r}, subject={self.subject!r}, …)"

    @property
    def names(self) -> tuple[str, ...]:
        """The host names it is for, each once: its domain, then the alternative names."""
        named = (name for name in (self.domain, *self.sans) if name.strip() and name != "--")
        return tuple(dict.fromkeys(named))

    def is_current(self, now_ms: int) -> bool:
        """Tell whether a moment (Unix time in ms) is within its validity."""
        return self.valid_from <= now_ms <= self.valid_to


def read_certificate(raw: object) -> Certificate:
    """Read a certificate from its decoded JSON document; the chain itself is not looked at.

    Raises:
        EntityError: A required key is missing or wrong; lists every such key.
    """
    return read_document(Certificate, raw)


def write_certificate(certificate: Certificate) -> JsonObject:
    """Write a certificate as its JSON document, private key included, keys in Otoroshi's order."""
    return write_document(certificate)


def public_document(certificate: Certificate) -> JsonObject:
    """Write what of a certificate may be shown to anybody: all but its private key and password."""
    secret = {"privateKey", "password"}
    return {key: value for key, value in write_document(certificate).items() if key not in secret}


def certificate_template(*, env: str = "prod") -> Certificate:
    """Make the certificate that ``_template`` answers with, under a new id: no chain, no key."""
    return Certificate(
        id=named_id("cert", env=env),
        domain="--",
        name="a new certificate",
        description="a new certificate",
        chain="",
    )

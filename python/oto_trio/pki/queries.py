"""What is asked for when a key or a certificate is made: the bodies of the PKI endpoints.

The JSON is Otoroshi's, its reader rules too: an absent key has its default, a key of the wrong type
counts as absent. A value of the right type that cannot be used is refused (`checked`).
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from msgspec import Meta
from typing_extensions import override

from oto_trio.model.document import Document, JsonObject, read_document, write_document
from oto_trio.pki.errors import PkiError
from oto_trio.pki.names import LONGEST_COMMON_NAME, make_name, parse_name

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "LONGEST_MS",
    "CsrQuery",
    "Digest",
    "KeyQuery",
    "check_host",
    "read_csr_query",
    "read_key_query",
]

DAY_MS: Final = 86_400_000
"""Milliseconds of a day."""

YEAR_MS: Final = 365 * DAY_MS
"""How long a certificate is valid unless asked otherwise."""

LONGEST_MS: Final = 100 * YEAR_MS
"""How long a certificate may be valid."""

MOST_HOSTS: Final = 500
"""Alternative names of one certificate."""

Digest: TypeAlias = hashes.SHA256 | hashes.SHA384 | hashes.SHA512
"""What certificates are signed with."""

_HASHES: Final[Mapping[str, type[Digest]]] = {
    "256": hashes.SHA256,
    "384": hashes.SHA384,
    "512": hashes.SHA512,
}
_SIGNATURE: Final = re.compile(r"SHA-?(256|384|512)WITH[A-Z0-9]+", re.IGNORECASE)
_DIGEST: Final = re.compile(r"SHA-?(1|224|256|384|512)", re.IGNORECASE)
_LABEL: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")


class KeyQuery(Document, frozen=True, kw_only=True):
    """Which key is wanted (``GenKeyPairQuery``)."""

    algo: Annotated[str, Meta(description="rsa or ecdsa")] = "rsa"
    size: Annotated[int, Meta(description="bits: 2048 to 4096 for rsa, 256, 384 or 521")] = 2048

    @property
    def is_rsa(self) -> bool:
        """Whether an RSA key is wanted."""
        return self.algo.lower() == "rsa"

    @property
    def curve_bits(self) -> int:
        """The size of the curve; P-256 when only the default size of RSA is there."""
        return 256 if self.size == 2048 else self.size

    def check(self, path: str = "$") -> None:
        """Refuse a key that cannot be made.

        Raises:
            PkiError: The algorithm or the size is not served.
        """
        if self.algo.lower() not in {"rsa", "ecdsa", "ec"}:
            raise PkiError(f"{path}.algo", f"{self.algo!r:.40} is unknown", "use rsa or ecdsa")
        if self.is_rsa and not 2048 <= self.size <= 4096:
            raise PkiError(f"{path}.size", f"RSA with {self.size} bits", "use 2048 to 4096")
        if not self.is_rsa and self.curve_bits not in {256, 384, 521}:
            raise PkiError(f"{path}.size", f"ECDSA with {self.size} bits", "use 256, 384 or 521")


class CsrQuery(Document, frozen=True, kw_only=True, rename="camel"):
    """Which certificate is wanted (``GenCsrQuery``)."""

    hosts: Annotated[tuple[str, ...], Meta(description="alternative names: hosts, addresses")] = ()
    key: Annotated[KeyQuery, Meta(description="kind of its key")] = KeyQuery()
    name: Annotated[dict[str, str], Meta(description="parts of the subject by name")] = (
        msgspec.field(default_factory=dict[str, str])
    )
    subject: Annotated[str | None, Meta(description="the subject; wins over name")] = None
    client: Annotated[bool, Meta(description="also identifies clients")] = False
    ca: Annotated[bool, Meta(description="an authority")] = False
    include_aia: Annotated[bool, Meta(description="say where its issuer is found")] = msgspec.field(
        default=False, name="includeAIA"
    )
    duration: Annotated[int, Meta(description="validity, ms")] = YEAR_MS
    signature_alg: Annotated[str, Meta(description="digest to sign with")] = (
        "SHA256WithRSAEncryption"
    )
    digest_alg: Annotated[str, Meta(description="kept from Otoroshi")] = "SHA-256"
    existing_serial_number: Annotated[int | None, Meta(description="serial number to use")] = None

    @classmethod
    @override
    def expand(cls, raw: JsonObject) -> JsonObject:
        """Accept ``keyType`` and ``keySize`` in place of ``key``."""
        if "key" in raw or not {"keyType", "keySize"} & raw.keys():
            return raw
        rest = {k: v for k, v in raw.items() if k not in {"keyType", "keySize"}}
        key = {"algo": raw.get("keyType", "rsa"), "size": raw.get("keySize", 2048)}
        return {**rest, "key": key}

    @property
    def digest(self) -> Digest:
        """The digest to sign with; a key of another kind than the name says uses it too."""
        match = _SIGNATURE.fullmatch(self.signature_alg)
        assert match is not None, "checked"
        return _HASHES[match[1]]()

    def to_json(self) -> JsonObject:
        """Write it as Otoroshi does, for the metadata of what is made."""
        return write_document(self)

    def subject_name(self) -> x509.Name:
        """Return the subject: as asked, else the first host's name.

        Raises:
            PkiError: It cannot be read, or there is none.
        """
        if self.subject is not None and self.subject.strip():
            return parse_name(self.subject)
        if self.name:
            return make_name(self.name)
        if not self.hosts:
            raise PkiError("$.subject", "there is neither a subject nor a host", "give one of them")
        # A longer name does not fit there; clients look at the alternative names anyway.
        return make_name({"CN": self.hosts[0]}) if self.has_short_name else x509.Name([])

    @property
    def has_short_name(self) -> bool:
        """Whether the first host fits into a common name."""
        return len(self.hosts[0]) <= LONGEST_COMMON_NAME

    def alternative_names(self) -> list[x509.GeneralName]:
        """Return the alternative names: addresses as such, everything else as host names."""
        return [_general_name(host) for host in dict.fromkeys(self.hosts)]

    def check(self) -> None:
        """Refuse a certificate that cannot be made.

        Raises:
            PkiError: Something asked for is not served; names it.
        """
        self.key.check("$.key")
        if len(self.hosts) > MOST_HOSTS:
            raise PkiError("$.hosts", f"{len(self.hosts)} hosts", f"give at most {MOST_HOSTS}")
        for index, host in enumerate(self.hosts):
            check_host(host, f"$.hosts[{index}]")
        if not 1000 <= self.duration <= LONGEST_MS:
            raise PkiError(
                "$.duration", f"valid for {self.duration} ms", f"give 1000 to {LONGEST_MS}"
            )
        if not _SIGNATURE.fullmatch(self.signature_alg):
            raise PkiError(
                "$.signatureAlg",
                f"{self.signature_alg!r:.40} is not served",
                "use SHA256WithRSAEncryption, or the same with 384 or 512",
            )
        if not _DIGEST.fullmatch(self.digest_alg):
            raise PkiError("$.digestAlg", f"{self.digest_alg!r:.40} is unknown", "use SHA-256")
        serial = self.existing_serial_number
        if serial is not None and not 0 < serial < 1 << 159:
            raise PkiError("$.existingSerialNumber", "out of range", "give 1 to 2^159")
        self.subject_name()


def read_key_query(raw: object) -> KeyQuery:
    """Read and check the body of a request for a key.

    Raises:
        EntityError: It is no object.
        PkiError: It asks for what is not served.
    """
    query = read_document(KeyQuery, raw)
    query.check()
    return query


def read_csr_query(raw: object) -> CsrQuery:
    """Read and check the body of a request for a certificate.

    Raises:
        EntityError: It is no object.
        PkiError: It asks for what is not served.
    """
    query = read_document(CsrQuery, raw)
    query.check()
    return query


def check_host(host: str, path: str) -> None:
    """Refuse what is neither a host name, with a wildcard at most as its first label, nor an address.

    Raises:
        PkiError: It is neither.
    """
    if _is_address(host):
        return
    labels = host.removeprefix("*.").removesuffix(".").split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise PkiError(
            path,
            f"{host!r:.80} is no host name",
            "write it like api.localhost, *.localhost or 127.0.0.1; others than ASCII as xn--…",
        )


def _is_address(host: str) -> bool:
    """Tell whether a host is an IP address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _general_name(host: str) -> x509.GeneralName:
    """Return a host as an alternative name."""
    if _is_address(host):
        return x509.IPAddress(ipaddress.ip_address(host))
    return x509.DNSName(host)

"""The certificates that every gateway has from its first start on, under well-known ids.

Source: Otoroshi's InitialCertsJob.
"""

from __future__ import annotations

from typing import Final

import msgspec

from oto_trio.pki.queries import YEAR_MS, CsrQuery

__all__ = [
    "CLIENT",
    "FIRST_CERTIFICATES",
    "INTERMEDIATE_CA",
    "JWT_SIGNING",
    "ROOT_CA",
    "WILDCARD",
    "FirstCertificate",
]

ROOT_CA: Final = "otoroshi-root-ca"
"""Id of the authority at the top."""
INTERMEDIATE_CA: Final = "otoroshi-intermediate-ca"
"""Id of the authority that signs everything else."""
CLIENT: Final = "otoroshi-client"
"""Id of the certificate the gateway identifies itself with."""
JWT_SIGNING: Final = "otoroshi-jwt-signing"
"""Id of the key pair that signs tokens."""
WILDCARD: Final = "otoroshi-wildcard"
"""Id of the certificate for every host of the gateway's domain."""

_SUFFIX: Final = "OU=Otoroshi Certificates, O=Otoroshi"


class FirstCertificate(msgspec.Struct, frozen=True):
    """One of them."""

    id: str
    name: str
    """Its name; its common name too, but for the wildcard certificate."""
    what: str
    """What its description says it is."""
    issuer: str | None
    """Id of the one that signs it; None = it signs itself."""
    years: int
    ca: bool = False
    client: bool = False
    keypair: bool = False

    @property
    def description(self) -> str:
        """The description of its entity."""
        return f"Otoroshi {self.what} (auto-generated)"

    def query(self, domain: str) -> CsrQuery:
        """Return what is asked for.

        Args:
            domain: The gateway's domain, which the wildcard certificate is for.
        """
        subject = f"CN={self.name}, {_SUFFIX}"
        hosts: tuple[str, ...] = ()
        if self.id == WILDCARD:
            host = f"*.{domain}"
            subject, hosts = f"CN={host}, SN={self.name}, {_SUFFIX}", (host,)
        return CsrQuery(
            hosts=hosts,
            subject=subject,
            ca=self.ca,
            client=self.client,
            include_aia=True,
            duration=self.years * YEAR_MS,
        )


FIRST_CERTIFICATES: Final = (
    FirstCertificate(ROOT_CA, "Otoroshi Default Root CA Certificate", "root CA", None, 10, ca=True),
    FirstCertificate(
        INTERMEDIATE_CA,
        "Otoroshi Default Intermediate CA Certificate",
        "intermediate CA",
        ROOT_CA,
        10,
        ca=True,
    ),
    FirstCertificate(
        CLIENT,
        "Otoroshi Default Client Certificate",
        "client certificate",
        INTERMEDIATE_CA,
        1,
        client=True,
    ),
    FirstCertificate(
        JWT_SIGNING,
        "Otoroshi Default Jwt Signing Keypair",
        "jwt signing keypair",
        INTERMEDIATE_CA,
        1,
        keypair=True,
    ),
    FirstCertificate(
        WILDCARD,
        "Otoroshi Default Wildcard Certificate",
        "wildcard certificate",
        INTERMEDIATE_CA,
        1,
    ),
)
"""All of them, each after its issuer."""

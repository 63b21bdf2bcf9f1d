"""What the twins of the plugins on signatures and certificates are tried with."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import strategies as st

from oto_trio._core import Snapshot

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

    from oto_trio._core import ClientCertificate

__all__ = ["CONFIGS", "EXTRAS", "SERIAL", "client_certificate", "client_chain"]

SERIAL: Final = 0xABCDEF12345


def _name(*parts: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(kind, value) for kind, value in parts])


@cache
def client_chain() -> tuple[bytes, ...]:
    """Return a client's certificate and the authority that issued it, in DER."""
    authority_name = _name((NameOID.ORGANIZATION_NAME, "Me"), (NameOID.COMMON_NAME, "Authority"))
    client_name = _name(
        (NameOID.ORGANIZATION_NAME, "Me, Myself"),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, "dév"),
        (NameOID.SURNAME, "Doe"),
        (NameOID.COMMON_NAME, "client"),
    )
    signer = ec.generate_private_key(ec.SECP256R1())
    chain = list[bytes]()
    for subject, key, serial in (
        (client_name, ec.generate_private_key(ec.SECP256R1()), SERIAL),
        (authority_name, signer, 7),
    ):
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(authority_name)
            .public_key(key.public_key())
            .serial_number(serial)
            .not_valid_before(datetime(2023, 1, 2, 3, 4, 5, tzinfo=UTC))
            .not_valid_after(datetime(2033, 1, 2, 3, 4, 5, tzinfo=UTC))
        )
        certificate = builder.sign(signer, hashes.SHA256())
        chain.append(certificate.public_bytes(serialization.Encoding.DER))
    return tuple(chain)


def client_certificate() -> ClientCertificate:
    """Return the chain as a plugin sees it."""
    exchange = Snapshot().begin(b"GET", b"/", [(b"Host", b"a")], client_chain=client_chain())
    certificate = exchange.client_certificate
    assert certificate is not None
    return certificate


NAMES: Final = st.sampled_from(
    [
        "CN=client, SN=Doe, OU=dév, O=Me\\, Myself",
        "o=Me\\, Myself, ou=dév, sn=Doe, cn=client",
        "*CN=client",
        "*",
        "CN=Authority, O=Me",
        "O=Me, CN=*",
        "CN=other",
        "",
    ]
)
REGEXES: Final = st.sampled_from(
    ["SURNAME=.*CN=client", ".*OU=dév.*", "O=Me, CN=Authority", "x", ""]
)
HEADER: Final = st.sampled_from(["X-One", "X-Client", ""])

NO_CONFIG: Final[SearchStrategy[dict[str, Any]]] = st.fixed_dictionaries({})

CONFIGS: Final[dict[str, SearchStrategy[dict[str, Any]]]] = {
    "NgClientCertChainHeader": st.fixed_dictionaries(
        {
            "send_pem": st.booleans(),
            "pem_header_name": HEADER,
            "send_dns": st.booleans(),
            "dns_header_name": HEADER,
            "send_chain": st.booleans(),
            "chain_header_name": HEADER,
        }
    ),
    "NgHasClientCertMatchingApikeyValidator": NO_CONFIG,
    "NgHasClientCertMatchingValidator": st.fixed_dictionaries(
        {"mandatory": st.booleans()},
        optional={
            "serial_numbers": st.lists(st.sampled_from(["abcdef12345", "7", "ABCDEF12345", "8"])),
            "subject_dns": st.lists(NAMES, max_size=2),
            "issuer_dns": st.lists(NAMES, max_size=2),
            "regex_subject_dns": st.lists(REGEXES, max_size=2),
            "regex_issuer_dns": st.lists(REGEXES, max_size=2),
        },
    ),
    "NgHasClientCertValidator": NO_CONFIG,
    "NgRfc9440ClientCertHeader": st.fixed_dictionaries({"send_chain": st.booleans()}),
    "OtoroshiHeadersIn": NO_CONFIG,
    "OtoroshiInfos": st.fixed_dictionaries(
        {"version": st.sampled_from(["Latest", "legacy"]), "ttl": st.sampled_from([0, 30])},
        optional={
            "header_name": st.sampled_from(["", "X-One"]),
            "add_fields": st.dictionaries(
                st.sampled_from(["a", "sub", "exp"]), st.sampled_from(["b", "${req.method}", ""])
            ),
        },
    ),
}


def _apikey(metadata: dict[str, str], tags: list[str]) -> dict[str, Any]:
    return {
        "clientId": "c",
        "clientSecret": "s",
        "clientName": "n",
        "metadata": metadata,
        "tags": tags,
    }


_TEXT = st.sampled_from(["jo@a.b", "x", "é"])
_PROFILE = st.dictionaries(
    st.sampled_from(["sub", "user_id", "picture", "given_name", "locale"]), _TEXT | st.none()
)
USERS: Final = st.none() | st.fixed_dictionaries(
    {"randomId": st.just("session")},
    optional={
        "name": _TEXT,
        "email": _TEXT,
        "profile": _PROFILE,
        "metadata": st.just({"a": 1}),
        "tags": st.just(["t"]),
        "otoroshiData": st.dictionaries(st.sampled_from(["sub", "plan"]), _TEXT),
    },
)
APIKEYS: Final = st.none() | st.builds(
    _apikey,
    st.dictionaries(st.sampled_from(["allowed-client-cert-dn", "sub"]), NAMES, max_size=2),
    st.lists(st.just("t"), max_size=1),
)
CHAINS: Final = st.sampled_from([0, 1, 2]).map(lambda length: client_chain()[:length])

EXTRAS: Final[dict[str, Any]] = {
    name: {"user": USERS, "apikey": APIKEYS, "client_chain": CHAINS} for name in CONFIGS
} | {
    "HMACValidator": {
        "apikey": st.none()
        | st.just({"clientId": "c", "clientSecret": "a shared secret", "clientName": "n"})
    }
}
"""More of a case than a plugin usually needs."""

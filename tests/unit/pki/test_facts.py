"""What is read from a chain, and kept beside it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

from oto_trio.model.certificate import Certificate
from oto_trio.pki import CsrQuery, Issued, PkiError, certificate_data, enrich, issue
from oto_trio.pki.facts import authority_of
from oto_trio.pki.pem import certificate_pem

from .conftest import ECDSA, NOW


def entity(issued: Issued, **more: Any) -> Certificate:
    return Certificate(
        **{
            "id": "c1",
            "domain": "wrong",
            "chain": issued.chain,
            "private_key": issued.private_key,
            **more,
        }
    )


def test_a_leaf_is_read(leaf: Issued) -> None:
    found = enrich(entity(leaf, subject="wrong", ca=True, self_signed=True, name="kept"))
    assert found.domain == "api.localhost"
    assert found.subject == "CN=api.localhost"
    assert found.sans == ("api.localhost", "*.api.localhost", "127.0.0.1")
    assert (found.ca, found.self_signed, found.valid) == (False, False, True)
    assert found.valid_from == int(NOW.timestamp()) * 1000
    assert found.valid_to == int((NOW + timedelta(days=365)).timestamp()) * 1000
    assert (found.name, found.cert_type) == ("kept", "certificate")
    assert found.chain == leaf.chain
    assert enrich(found) == found


def test_a_root_is_read(root: Issued) -> None:
    found = enrich(entity(root, private_key=""))
    assert (found.ca, found.self_signed, found.valid) == (True, True, False)
    assert (found.domain, found.subject, found.cert_type) == ("Root", "O=Test, CN=Root", "ca")


def test_the_domain_without_a_common_name_is_the_first_alternative_name() -> None:
    made = issue(CsrQuery(subject="O=Test", hosts=("b.c", "d.e"), key=ECDSA), None, now=NOW)
    assert enrich(entity(made)).domain == "b.c"
    made = issue(CsrQuery(subject="O=Test, OU=Unit", key=ECDSA), None, now=NOW)
    assert enrich(entity(made)).domain == "OU=Unit, O=Test"


def test_the_chain_is_put_in_order(root: Issued, intermediate: Issued, leaf: Issued) -> None:
    mixed = "".join(certificate_pem(i.certificate) for i in (root, leaf, intermediate, leaf))
    assert enrich(entity(leaf, chain=mixed)).chain == leaf.chain


def test_an_encrypted_key_is_stored_decrypted(leaf: Issued) -> None:
    encrypted = leaf.key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"s3cret")
    ).decode()
    found = enrich(entity(leaf, private_key=encrypted, password="s3cret"))
    assert (found.private_key, found.password) == (leaf.private_key, None)
    with pytest.raises(PkiError, match="or the password is wrong"):
        enrich(entity(leaf, private_key=encrypted, password="guessed"))


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"chain": ""}, "$.chain"),
        ({"chain": "  \n"}, "$.chain"),
        ({"chain": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"}, "$.chain"),
        ({"private_key": "secret words"}, "$.privateKey"),
    ],
)
def test_what_cannot_be_read_is_refused(leaf: Issued, change: dict[str, str], path: str) -> None:
    with pytest.raises(PkiError) as caught:
        enrich(entity(leaf, **change))
    assert caught.value.problem.path == path
    assert "secret words" not in str(caught.value)


def test_only_an_authority_with_its_key_signs(root: Issued, leaf: Issued) -> None:
    found = authority_of(entity(root))
    assert found.certificate == root.certificate
    with pytest.raises(PkiError, match="is not here"):
        authority_of(entity(root, private_key=""))
    with pytest.raises(PkiError, match="is no authority"):
        authority_of(entity(leaf))


def test_the_facts_have_otoroshis_names(root: Issued, leaf: Issued) -> None:
    data = certificate_data(leaf.certificate)
    assert list(data) == [
        *("issuerDN", "notAfter", "notBefore", "serialNumber", "serialNumberLng", "sigAlgName"),
        *("sigAlgOID", "_signature", "signature", "subjectDN", "domain", "rawDomain", "version"),
        *("type", "publicKey", "selfSigned", "constraints", "ca", "client", "subAltNames"),
        *("cExtensions", "ncExtensions"),
    ]
    assert data["issuerDN"] == "O=Test, CN=Intermediate"
    assert data["sigAlgName"] == "SHA256withECDSA"
    assert int(data["serialNumber"], 16) == data["serialNumberLng"]
    assert (data["version"], data["constraints"], data["ca"], data["client"]) == (
        3,
        -1,
        False,
        False,
    )
    assert {e["oid"] for e in data["cExtensions"]} == {"2.5.29.19", "2.5.29.15"}
    assert len(data["signature"]) == 32 * 3 - 1
    above = certificate_data(root.certificate)
    assert (above["constraints"], above["ca"], above["selfSigned"]) == (2147483647, True, True)
    msgspec.json.encode(above)


def test_a_key_is_in_no_representation(leaf: Issued) -> None:
    shown = repr(entity(leaf, password="s3cret"))
    assert leaf.private_key.splitlines()[1] not in shown
    assert "s3cret" not in shown

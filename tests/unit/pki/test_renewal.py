"""Certificates near their end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from oto_trio.model.certificate import Certificate
from oto_trio.pki import CsrQuery, Issued, PkiError, enrich, issue
from oto_trio.pki.facts import authority_of
from oto_trio.pki.pem import read_certificates
from oto_trio.pki.renewal import (
    WANTED,
    find_issuer,
    is_due,
    is_expired,
    is_renewable,
    marked_expired,
    renewed,
    until_expiration,
)

from .conftest import ECDSA, NOW, authority

NEAR_END = NOW + timedelta(days=300)


def entity(issued: Issued, entity_id: str = "c1", **more: Any) -> Certificate:
    bare = Certificate(
        id=entity_id, domain="-", name="n", chain=issued.chain, private_key=issued.private_key
    )
    return msgspec.structs.replace(enrich(bare), **more)


@pytest.mark.parametrize(
    ("now_ms", "due"), [(0, False), (800, False), (801, True), (1000, True), (2000, True)]
)
def test_a_certificate_is_due_when_less_than_a_fifth_is_left(now_ms: int, due: bool) -> None:
    certificate = Certificate(id="c", domain="a", chain="", valid_from=0, valid_to=1000)
    assert is_due(certificate, now_ms) is due
    assert is_renewable(certificate, now_ms) is False
    willing = msgspec.structs.replace(certificate, auto_renew=True)
    assert is_renewable(willing, now_ms) is due
    for change in (
        {"revoked": True},
        {"lets_encrypt": True},
        {"name": "[UNTIL EXPIRATION] x"},
        {"metadata": {"untilExpiration": "true"}},
    ):
        assert is_renewable(msgspec.structs.replace(willing, **change), now_ms) is False


def test_a_certificate_without_length_is_never_due() -> None:
    certificate = Certificate(
        id="c", domain="a", chain="", valid_from=5, valid_to=5, auto_renew=True
    )
    assert is_renewable(certificate, 10) is False


def test_a_renewed_certificate_keeps_all_but_its_validity(
    intermediate: Issued, leaf: Issued
) -> None:
    old = entity(leaf, auto_renew=True, metadata={"mine": "kept", "expired": "true"})
    new = renewed(old, authority(intermediate), now=NEAR_END)
    (first, *above), (before, *_) = read_certificates(new.chain), read_certificates(old.chain)
    assert first.serial_number == before.serial_number
    assert first.subject == before.subject
    assert [e.value for e in first.extensions] == sorted_like(first, before)
    assert above == [intermediate.certificate, *intermediate.issuers]
    assert first.not_valid_before_utc == NEAR_END
    lifetime = before.not_valid_after_utc - before.not_valid_before_utc
    assert first.not_valid_after_utc == NEAR_END + lifetime
    assert (new.id, new.private_key, new.sans) == (old.id, old.private_key, old.sans)
    assert new.metadata == {"mine": "kept"}
    first.verify_directly_issued_by(intermediate.certificate)


def sorted_like(first: Any, before: Any) -> list[Any]:
    by_oid = {e.oid: e.value for e in before.extensions}
    assert len(by_oid) == len(list(first.extensions))
    return [by_oid[e.oid] for e in first.extensions]


@pytest.mark.parametrize(
    ("metadata", "lifetime_days", "days"),
    [
        ({"csr": '{"duration": 7776000000}'}, 90, 90),
        ({"csr": '{"duration": 7776000000}'}, 30, 90),  # its authority ended soon
        ({}, 90, 90),
        ({}, 400, 400),
        ({"csr": '{"duration": 34560000000}'}, 400, 400),
        ({"csr": '{"duration": 34560000000}'}, 30, 365),  # nobody gets more by writing it
        ({"csr": '{"duration": 3600000}'}, 1, 1),
        ({"csr": '{"duration": 1000}', WANTED: "7776000000"}, 90, 1),
        ({WANTED: "7776000000"}, 30, 90),
        ({WANTED: "9" * 15}, 30, 30),
        ({WANTED: "x"}, 30, 30),
        ({"csr": "no json"}, 30, 30),
        ({"csr": "[1]"}, 30, 30),
        ({"csr": '{"duration": "1"}'}, 30, 30),
        ({"csr": '{"duration": -1}'}, 30, 30),
        ({"csr": '{"duration": true}'}, 30, 30),
        ({"csr": f'{{"duration": 7776000000, "x": "{"x" * 17_000}"}}'}, 30, 30),
    ],
)
def test_a_renewed_certificate_keeps_the_validity_that_was_asked_for(
    intermediate: Issued, metadata: dict[str, str], lifetime_days: int, days: int
) -> None:
    query = CsrQuery(hosts=("a.b",), key=ECDSA, duration=lifetime_days * 86_400_000)
    old = entity(issue(query, authority(intermediate), now=NOW), metadata=metadata)
    new = renewed(old, authority(intermediate), now=NEAR_END)
    (first, *_) = read_certificates(new.chain)
    assert first.not_valid_after_utc == NEAR_END + timedelta(days=days)
    assert new.metadata == metadata


def test_what_its_authority_cut_short_gets_its_validity_back(root: Issued) -> None:
    query = CsrQuery(subject="CN=short", ca=True, key=ECDSA, duration=500 * 86_400_000)
    short = issue(query, authority(root), now=NOW)
    leaf = CsrQuery(hosts=("a.b",), key=ECDSA, duration=200 * 86_400_000)
    old = entity(issue(leaf, authority(short), now=NOW))
    cut = renewed(old, authority(short), now=NOW + timedelta(days=450))
    assert read_certificates(cut.chain)[0].not_valid_after_utc == NOW + timedelta(days=500)
    above = renewed(entity(short), authority(root), now=NOW + timedelta(days=490))
    late = NOW + timedelta(days=495)
    back = renewed(cut, authority_of(above), now=late)
    assert read_certificates(back.chain)[0].not_valid_after_utc == late + timedelta(days=200)


def test_an_authority_is_renewed_for_as_long_as_it_was_valid(root: Issued) -> None:
    late = NOW + timedelta(days=3600)
    new = renewed(entity(root), None, now=late)
    (first,) = read_certificates(new.chain)
    assert first.not_valid_after_utc == late + timedelta(days=3650)
    assert new.ca
    assert new.self_signed


def test_what_cannot_be_renewed_is_said(root: Issued, intermediate: Issued, leaf: Issued) -> None:
    with pytest.raises(PkiError, match="authority that issued it is not in the store"):
        renewed(entity(leaf), None, now=NEAR_END)
    with pytest.raises(PkiError, match="the private key is not here"):
        renewed(entity(leaf, private_key=""), authority(intermediate), now=NEAR_END)
    query = CsrQuery(subject="CN=short", ca=True, key=ECDSA, duration=400 * 86_400_000)
    short = issue(query, authority(root), now=NOW)
    last = NOW + timedelta(days=390)
    below = issue(CsrQuery(hosts=("a.b",), key=ECDSA), authority(short), now=NOW)
    renewed(entity(below), authority(short), now=NEAR_END)
    clamped = issue(CsrQuery(hosts=("a.b",), key=ECDSA), authority(short), now=NEAR_END)
    with pytest.raises(PkiError, match="its authority ends too soon"):
        renewed(entity(clamped), authority(short), now=last)


def test_the_issuer_is_the_one_that_signed_whatever_is_named(
    root: Issued, intermediate: Issued, leaf: Issued
) -> None:
    above = [entity(root, "root"), entity(intermediate, "inter")]
    assert find_issuer(entity(leaf), above) == above[1]
    assert find_issuer(entity(leaf, ca_ref="root"), above) == above[1]
    assert find_issuer(entity(leaf, ca_ref="root"), above[:1]) is None
    assert find_issuer(entity(leaf, ca_ref="gone", self_signed=True), above) == above[1]
    assert find_issuer(entity(root), above) is None
    again = entity(intermediate, "again")
    assert find_issuer(entity(leaf, ca_ref="again"), [*above, again]) == again
    anew = renewed(above[0], None, now=NEAR_END)
    assert anew.chain != above[0].chain
    assert find_issuer(above[1], [anew]) == anew
    keyless = [msgspec.structs.replace(above[1], private_key="")]
    assert find_issuer(entity(leaf), keyless) is None
    broken = [msgspec.structs.replace(above[1], chain="x"), above[1]]
    assert find_issuer(entity(leaf), broken) == above[1]


def test_what_signed_itself_has_no_other_issuer(root: Issued, intermediate: Issued) -> None:
    query = CsrQuery(subject="CN=Mine", ca=True, key=ECDSA)
    mine = issue(query, None, now=NOW)
    above = [entity(root, "root"), entity(intermediate, "inter")]
    for named in (None, "root", "inter"):
        for said in (True, False):
            certificate = entity(mine, ca_ref=named, self_signed=said)
            assert find_issuer(certificate, above) is None
    with pytest.raises(PkiError, match="the authority that issued it is not in the store"):
        renewed(entity(mine), authority(intermediate), now=NEAR_END)


def test_only_the_certificate_of_the_key_tells_who_issued(
    root: Issued, intermediate: Issued, leaf: Issued
) -> None:
    """What is stored with ``?enrich=false`` may begin with a certificate that belongs to somebody else."""
    above = [entity(root, "root"), entity(intermediate, "inter")]
    mine = issue(CsrQuery(subject="CN=Mine", ca=True, key=ECDSA), None, now=NOW)
    posed = entity(mine, ca_ref="inter", chain=leaf.chain + mine.chain, self_signed=False)
    assert find_issuer(posed, above) is None
    posing = entity(mine, "posing", chain=intermediate.chain + mine.chain)
    for named in (None, "posing"):
        assert find_issuer(entity(leaf, ca_ref=named), [posing, *above]) == above[1]
    assert find_issuer(entity(leaf), [posing]) is None


def test_marks(leaf: Issued) -> None:
    certificate = entity(leaf)
    end = certificate.valid_to
    assert is_expired(certificate, end + 1)
    assert not is_expired(certificate, end)
    assert is_expired(certificate, certificate.valid_from - 1)
    marked = marked_expired(certificate)
    assert (marked.name, marked.metadata["expired"]) == ("[EXPIRED] n", "true")
    assert not is_expired(marked, end + 1)
    assert not is_expired(msgspec.structs.replace(certificate, revoked=True), end + 1)
    copy = until_expiration(certificate, "c2")
    assert (copy.id, copy.name) == ("c2", "[UNTIL EXPIRATION] n")
    assert copy.metadata == {"untilExpiration": "true", "nextCertificate": "c1"}

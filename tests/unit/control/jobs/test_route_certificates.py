"""Certificates for the routes that ask for one."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from oto_trio.control.certificates import CertificateStore, certificate_of
from oto_trio.control.jobs import issue_route_certificates
from oto_trio.control.jobs.issue_route_certificates import ASKS, AUTHORITY, IssueRouteCertificates
from oto_trio.control.store import MemoryStore, Put
from oto_trio.model.document import encode_document, read_document
from oto_trio.model.location import Location
from oto_trio.model.service_descriptor import ServiceDescriptor
from oto_trio.pki import CsrQuery, KeyQuery, issue
from oto_trio.pki.pem import read_certificates

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ECDSA = KeyQuery(algo="ecdsa", size=256)


@pytest.fixture
async def shelf() -> AsyncIterator[CertificateStore]:
    """A store with two authorities."""
    async with MemoryStore() as store:
        certificates = CertificateStore(store)
        for name in ("otoroshi-intermediate-ca", "other"):
            query = CsrQuery(subject=f"CN={name}", ca=True, key=ECDSA)
            issued = issue(query, None, now=certificates.now())
            await certificates.save(certificate_of(issued, query, id=name))
        yield certificates


async def put(
    shelf: CertificateStore,
    metadata: dict[str, str],
    *domains: str,
    enabled: bool = True,
    loc: dict[str, Any] | None = None,
) -> None:
    """Store a route."""
    document: dict[str, Any] = {
        "id": "r1",
        "name": "r1",
        "enabled": enabled,
        "metadata": metadata,
        "frontend": {"domains": list(domains)},
        "backend": {"targets": [{"hostname": "127.0.0.1", "port": 80}]},
    }
    if loc is not None:
        document["_loc"] = loc
    await shelf.store.transact([Put("routes", "r1", json.dumps(document).encode())])


async def made(shelf: CertificateStore) -> dict[str, str | None]:
    """What is stored beside the authorities: names to the authority's id."""
    return {" ".join(one.names): one.ca_ref for one in await shelf.all() if not one.ca}


async def test_each_domain_gets_one_and_only_once(shelf: CertificateStore) -> None:
    await put(shelf, {ASKS: "true"}, "A.test/users", "a.test", "*.b.test", "c.b.test/x")
    job = IssueRouteCertificates(shelf)
    await job.run()
    expected = {"a.test": "otoroshi-intermediate-ca", "*.b.test": "otoroshi-intermediate-ca"}
    assert await made(shelf) == expected
    revision = shelf.revision
    await job.run()
    assert shelf.revision == revision
    assert all(one.auto_renew and one.private_key for one in await shelf.all() if not one.ca)


async def test_routes_are_read_again_only_when_something_changed(
    shelf: CertificateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(shelf, {}, "a.test")
    job = IssueRouteCertificates(shelf)
    await job.run()
    with monkeypatch.context() as patched:
        patched.delattr(MemoryStore, "list")  # reading would fail
        await job.run()
    await put(shelf, {ASKS: "true"}, "a.test")
    await job.run()
    assert await made(shelf) == {"a.test": "otoroshi-intermediate-ca"}


async def test_the_authority_may_be_named(shelf: CertificateStore) -> None:
    await put(shelf, {ASKS: "true", AUTHORITY: "other"}, "a.test")
    await IssueRouteCertificates(shelf).run()
    assert await made(shelf) == {"a.test": "other"}


ACME = Location(tenant="acme", teams=("shop",))


@pytest.mark.parametrize(
    ("named", "tenant", "of_route", "signed"),
    [
        ("other", "acme", "acme", True),
        ("other", "*", "acme", True),
        ("other", "*", "*", True),
        ("other", "acme", "default", False),
        ("other", "acme", "globex", False),
        ("other", "acme", "*", False),
        ("other", "default", "acme", False),
        ("otoroshi-intermediate-ca", "default", "acme", True),
        (None, "default", "acme", True),
    ],
)
async def test_an_authority_signs_for_routes_of_its_organization_only(
    shelf: CertificateStore,
    caplog: pytest.LogCaptureFixture,
    named: str | None,
    tenant: str,
    of_route: str,
    signed: bool,
) -> None:
    found = await shelf.get(named or "otoroshi-intermediate-ca")
    assert found is not None
    await shelf.save(msgspec.structs.replace(found, loc=Location(tenant=tenant)))
    serial = str(read_certificates(found.chain)[0].serial_number)
    for number, reference in enumerate((found.id, serial) if named == "other" else (named,)):
        metadata = {ASKS: "true"} if reference is None else {ASKS: "true", AUTHORITY: reference}
        host = f"a{number}.test"
        await put(shelf, metadata, host, loc={"tenant": of_route, "teams": ["shop"]})
        await IssueRouteCertificates(shelf).run()
        got = await made(shelf)
        assert got.get(host) == (found.id if signed else None)
        assert ("belongs to another organization" in caplog.text) is not signed


async def test_a_certificate_goes_where_its_route_is(shelf: CertificateStore) -> None:
    await put(shelf, {ASKS: "true"}, "a.test", loc={"tenant": "acme", "teams": ["shop"]})
    composition = {
        "id": "c",
        "name": "c",
        "_loc": {"tenant": "acme", "teams": ["shop"]},
        "metadata": {ASKS: "true"},
        "routes": [{"frontend": {"domains": ["b.test"]}}],
    }
    service = {
        "id": "s",
        "_loc": {"tenant": "acme", "teams": ["shop"]},
        "domain": "svc.test",
        "subdomain": "s",
        "issueCert": True,
    }
    await shelf.store.transact(
        [
            Put(
                "service-descriptors",
                "s",
                encode_document(read_document(ServiceDescriptor, service)),
            ),
            Put("route-compositions", "c", json.dumps(composition).encode()),
        ]
    )
    await IssueRouteCertificates(shelf).run()
    places = {one.names: one.loc for one in await shelf.all() if not one.ca}
    assert places == {("a.test",): ACME, ("b.test",): ACME, ("s.svc.test",): ACME}


@pytest.mark.parametrize("metadata", [{}, {ASKS: "false"}, {AUTHORITY: "other"}, {"x": ASKS}])
async def test_others_get_none(shelf: CertificateStore, metadata: dict[str, str]) -> None:
    await put(shelf, metadata, "a.test")
    await IssueRouteCertificates(shelf).run()
    await put(shelf, {ASKS: "true"}, "a.test", enabled=False)
    await IssueRouteCertificates(shelf).run()
    assert await made(shelf) == {}


async def test_what_cannot_be_made_is_said_once(
    shelf: CertificateStore, caplog: pytest.LogCaptureFixture
) -> None:
    job = IssueRouteCertificates(shelf)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            await put(shelf, {ASKS: "true"}, "*", "ok.test")
            await job.run()
            await put(shelf, {ASKS: "true", AUTHORITY: "gone"}, "a.test")
            await job.run()
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert "no host name" in said[0]
    assert "there is no authority gone" in said[1]
    assert await made(shelf) == {"ok.test": "otoroshi-intermediate-ca"}


async def test_a_look_makes_so_many_and_the_next_one_the_rest(
    shelf: CertificateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(issue_route_certificates, "MOST_A_RUN", 2)
    await put(shelf, {ASKS: "true"}, "a.test", "b.test", "c.test")
    job = IssueRouteCertificates(shelf)
    await job.run()
    assert len(await made(shelf)) == 2
    await job.run()
    assert len(await made(shelf)) == 3


async def test_services_and_compositions_ask_too(shelf: CertificateStore) -> None:
    service = {
        "id": "s",
        "domain": "svc.test",
        "subdomain": "s",
        "hosts": ["h.test"],
        "issueCert": True,
        "issueCertCA": "other",
    }
    composition = {
        "id": "c",
        "name": "c",
        "metadata": {ASKS: "true"},
        "routes": [
            {"frontend": {"domains": ["one.test/a"]}},
            {"frontend": {"domains": ["two.test"]}},
        ],
    }
    documents = [
        Put("service-descriptors", "s", encode_document(read_document(ServiceDescriptor, service))),
        Put("route-compositions", "c", json.dumps(composition).encode()),
    ]
    await shelf.store.transact(documents)
    await IssueRouteCertificates(shelf).run()
    assert await made(shelf) == {
        "h.test": "other",
        "s.svc.test": "other",
        "one.test": "otoroshi-intermediate-ca",
        "two.test": "otoroshi-intermediate-ca",
    }

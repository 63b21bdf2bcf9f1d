"""The jobs that make and renew certificates, on a store in memory and a clock of their own."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import trio
from typing_extensions import override

from oto_trio.control.certificates import CertificateStore, certificate_of
from oto_trio.control.jobs import run_jobs
from oto_trio.control.jobs.first_certificates import FirstCertificates, GivenCertificate
from oto_trio.control.jobs.renew_certificates import RenewCertificates
from oto_trio.control.store import MemoryStore
from oto_trio.pki import Authority, CsrQuery, Issued, KeyQuery, issue
from oto_trio.pki.facts import authority_of
from oto_trio.pki.pem import certificate_pem, is_issued_by, read_certificates

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from trio.testing import MockClock

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ECDSA = KeyQuery(algo="ecdsa", size=256)
DAY_MS = 86_400_000
IDS = [
    "otoroshi-client",
    "otoroshi-intermediate-ca",
    "otoroshi-jwt-signing",
    "otoroshi-root-ca",
    "otoroshi-wildcard",
]


class Shelf(CertificateStore):
    """Certificates at a time of day that a test sets."""

    time = NOW

    @override
    def now(self) -> datetime:
        return self.time


@pytest.fixture
async def shelf() -> AsyncIterator[Shelf]:
    async with MemoryStore() as store:
        yield Shelf(store)


def first(shelf: Shelf, **more: Any) -> FirstCertificates:
    return FirstCertificates(shelf, domain="oto.tools", aia_base="http://x/y", **more)


@pytest.mark.slow
async def test_the_first_start_makes_the_certificates_that_every_gateway_has(
    shelf: Shelf,
) -> None:
    await first(shelf).run()
    found = {c.id: c for c in await shelf.all()}
    assert sorted(found) == IDS
    kinds = {
        key: (c.cert_type, round((c.valid_to - c.valid_from) / DAY_MS)) for key, c in found.items()
    }
    assert kinds == {
        "otoroshi-root-ca": ("ca", 3650),
        "otoroshi-intermediate-ca": ("ca", 3650),
        "otoroshi-client": ("client", 365),
        "otoroshi-jwt-signing": ("keypair", 365),
        "otoroshi-wildcard": ("certificate", 365),
    }
    suffix = "OU=Otoroshi Certificates, O=Otoroshi, CN="
    assert {key: c.subject for key, c in found.items()} == {
        "otoroshi-root-ca": suffix + "Otoroshi Default Root CA Certificate",
        "otoroshi-intermediate-ca": suffix + "Otoroshi Default Intermediate CA Certificate",
        "otoroshi-client": suffix + "Otoroshi Default Client Certificate",
        "otoroshi-jwt-signing": suffix + "Otoroshi Default Jwt Signing Keypair",
        "otoroshi-wildcard": "SERIALNUMBER=Otoroshi Default Wildcard Certificate, "
        + suffix
        + "*.oto.tools",
    }
    assert all(c.auto_renew and c.exposed and c.valid for c in found.values())
    assert found["otoroshi-wildcard"].names == ("*.oto.tools",)
    assert found["otoroshi-root-ca"].description == "Otoroshi root CA (auto-generated)"
    chain = read_certificates(found["otoroshi-client"].chain)
    assert len(chain) == 3
    assert all(is_issued_by(below, above) for below, above in itertools.pairwise(chain))
    revision = shelf.store.revision
    await first(shelf).run()
    assert shelf.store.revision == revision, "a second run finds all there"


@pytest.mark.slow
async def test_what_was_removed_comes_back_but_for_the_wildcard(shelf: Shelf) -> None:
    await first(shelf).run()
    before = await shelf.get("otoroshi-root-ca")
    await shelf.store.delete("certificates", "otoroshi-client")
    await shelf.store.delete("certificates", "otoroshi-wildcard")
    await first(shelf).run()
    assert sorted(c.id for c in await shelf.all()) == IDS[:4]
    assert await shelf.get("otoroshi-root-ca") == before


async def with_root(shelf: Shelf) -> Issued:
    root = issue(
        CsrQuery(subject="CN=Mine", ca=True, key=ECDSA, duration=9 * 365 * DAY_MS), None, now=NOW
    )
    await shelf.save(certificate_of(root, None, id="otoroshi-root-ca"))
    query = CsrQuery(subject="CN=Inter", ca=True, key=ECDSA)
    inter = issue(query, Authority(root.certificate, root.key), now=NOW)
    await shelf.save(
        certificate_of(inter, query, id="otoroshi-intermediate-ca", ca_ref="otoroshi-root-ca")
    )
    return root


@pytest.mark.slow
@pytest.mark.parametrize("why", ["switched off", "another covers it"])
async def test_no_wildcard_certificate_is_made(shelf: Shelf, why: str) -> None:
    await with_root(shelf)
    if why == "another covers it":
        other = issue(CsrQuery(hosts=("*.oto.tools",), key=ECDSA), None, now=NOW)
        await shelf.save(certificate_of(other, None, id="other"))
    await first(shelf, has_wildcard=why != "switched off").run()
    assert await shelf.get("otoroshi-wildcard") is None
    assert await shelf.get("otoroshi-client") is not None


async def test_an_unreadable_one_is_made_anew(shelf: Shelf) -> None:
    root = await with_root(shelf)
    stored = await shelf.get("otoroshi-root-ca")
    assert stored is not None
    made = FirstCertificates(shelf, domain="x")
    assert await made._is_there("otoroshi-root-ca")
    await shelf.save(msgspec.structs.replace(stored, chain="damaged"))
    assert not await made._is_there("otoroshi-root-ca")
    assert root.certificate


async def test_certificates_of_the_settings_are_brought_in_once(
    shelf: Shelf, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ca = issue(CsrQuery(subject="CN=Given CA", ca=True, key=ECDSA), None, now=NOW)
    leaf = issue(
        CsrQuery(hosts=("given.localhost",), key=ECDSA), Authority(ca.certificate, ca.key), now=NOW
    )
    (tmp_path / "key.pem").write_text(leaf.private_key)
    given = [
        GivenCertificate(
            ca=ca.chain,
            cert=certificate_pem(leaf.certificate),
            key=f"file://{tmp_path}/key.pem",
            import_ca=True,
        ),
        GivenCertificate(id="otoroshi-root-ca", cert=ca.chain, key=ca.private_key),
        GivenCertificate(
            settings="initial_cert", cert=str(tmp_path / "missing.pem"), key=leaf.private_key
        ),
        GivenCertificate(cert=leaf.chain, key=ca.private_key.replace("\n", "x", 3)),
    ]
    job = first(shelf, given=given)
    for one in given:
        await job._bring_in(one)
    found = {c.subject: c for c in await shelf.all()}
    assert sorted(found) == ["CN=Given CA", "CN=given.localhost"]
    assert found["CN=given.localhost"].valid
    assert found["CN=Given CA"].private_key == "", "stored once, as the authority it came with"
    assert "missing.pem cannot be read (No such file or directory)" in caplog.text
    assert caplog.text.count("was not brought in") == 2
    assert "the certificate of initial_cert was not brought in" in caplog.text
    assert leaf.private_key.splitlines()[1] not in caplog.text
    revision = shelf.store.revision
    for one in given:
        await job._bring_in(one)
    assert shelf.store.revision == revision


async def test_renewal_follows_the_clock(shelf: Shelf) -> None:
    root = await with_root(shelf)
    inter = await shelf.get("otoroshi-intermediate-ca")
    assert inter is not None
    query = CsrQuery(hosts=("a.b",), key=ECDSA, duration=100 * DAY_MS)
    leaf = issue(query, authority_of(inter), now=NOW)
    await shelf.save(
        msgspec.structs.replace(inter, auto_renew=True),
        certificate_of(leaf, query, id="leaf", ca_ref=inter.id, auto_renew=True),
        certificate_of(leaf, query, id="left", ca_ref=inter.id),
        certificate_of(leaf, query, id="gone", ca_ref=inter.id, revoked=True),
    )
    alerts: list[tuple[str, str]] = []
    job = RenewCertificates(shelf, on_alert=lambda name, c: alerts.append((name, c.id)))
    shelf.time = NOW + timedelta(days=79)
    await job.run()
    assert alerts == []
    shelf.time = NOW + timedelta(days=81)
    await job.run()
    await job.run()
    assert alerts == [("CertRenewalAlert", "leaf"), ("CertAlmostExpiredAlert", "left")]
    renewed = await shelf.get("leaf")
    assert renewed is not None
    assert renewed.valid_from == int(shelf.time.timestamp() * 1000)
    assert renewed.valid_to == renewed.valid_from + 100 * DAY_MS
    (copy,) = [c for c in await shelf.all() if c.name == "[UNTIL EXPIRATION] a.b"]
    assert copy.metadata["nextCertificate"] == "leaf"
    assert copy.chain == leaf.chain
    alerts.clear()
    shelf.time = NOW + timedelta(days=101)
    await job.run()
    assert sorted(alerts) == [("CertExpiredAlert", id_) for id_ in sorted([copy.id, "left"])]
    marked = await shelf.get("left")
    assert marked is not None
    assert (marked.name, marked.metadata["expired"]) == ("[EXPIRED] a.b", "true")
    alerts.clear()
    shelf.time = NOW + timedelta(days=129)
    await job.run()
    assert await shelf.get(copy.id) is not None
    shelf.time = NOW + timedelta(days=131)
    await job.run()
    assert await shelf.get(copy.id) is None
    assert await shelf.get("left") is not None
    shelf.time = NOW + timedelta(days=300)
    await job.run()
    assert ("CertRenewalAlert", "otoroshi-intermediate-ca") in alerts
    above = await shelf.get("otoroshi-intermediate-ca")
    assert above is not None
    assert is_issued_by(read_certificates(above.chain)[0], root.certificate)
    assert is_issued_by(read_certificates(renewed.chain)[0], read_certificates(above.chain)[0])


async def test_what_cannot_be_renewed_is_told_and_left(
    shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    query = CsrQuery(subject="CN=Elsewhere", ca=True, key=ECDSA)
    elsewhere = issue(query, None, now=NOW)
    leaf = issue(
        CsrQuery(hosts=("a.b",), key=ECDSA),
        Authority(elsewhere.certificate, elsewhere.key),
        now=NOW,
    )
    kept = certificate_of(leaf, None, id="leaf", auto_renew=True)
    await shelf.save(kept)
    shelf.time = NOW + timedelta(days=360)
    alerts: list[str] = []
    await RenewCertificates(shelf, on_alert=lambda name, _: alerts.append(name)).run()
    assert alerts == ["CertAlmostExpiredAlert"]
    assert "leaf cannot be renewed: the authority that issued it is not in the store" in caplog.text
    assert await shelf.get("leaf") == kept


async def test_a_certificate_is_not_signed_by_whom_it_only_names(
    shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    """Otherwise whoever may store a certificate gets an authority below the installation's own."""
    await with_root(shelf)
    inter = await shelf.get("otoroshi-intermediate-ca")
    assert inter is not None
    query = CsrQuery(subject="CN=Mine", ca=True, key=ECDSA)
    mine = issue(query, None, now=NOW)
    elsewhere = issue(query, None, now=NOW)
    below = issue(query, Authority(elsewhere.certificate, elsewhere.key), now=NOW)
    await shelf.save(
        certificate_of(mine, None, id="mine", ca_ref=inter.id, auto_renew=True),
        certificate_of(below, None, id="below", ca_ref=inter.id, auto_renew=True),
    )
    shelf.time = NOW + timedelta(days=360)
    await RenewCertificates(shelf).run()
    renewed = await shelf.get("mine")
    assert renewed is not None
    assert renewed.valid_from == int(shelf.time.timestamp() * 1000)
    (alone,) = read_certificates(renewed.chain)
    assert is_issued_by(alone, alone)
    left = await shelf.get("below")
    assert left is not None
    assert left.chain == below.chain
    assert "certificate below cannot be renewed: the authority that issued it" in caplog.text


async def test_the_jobs_have_their_times(shelf: Shelf, mock_clock: MockClock) -> None:
    mock_clock.autojump_threshold = 0.5
    runs: list[tuple[str, float]] = []
    began = trio.current_time()

    class Noted(FirstCertificates):
        @override
        async def run(self) -> None:
            runs.append(("first", trio.current_time() - began))

    awaited = Noted(shelf, domain="x", is_awaited=True).job()
    later = Noted(shelf, domain="x").job()
    renewal = RenewCertificates(shelf).job()
    assert (awaited.first_s, later.first_s, later.every_s) == (0, 5, 86_400)
    assert (renewal.first_s, renewal.every_s) == (60, 600)
    with trio.move_on_after(86_420):
        await run_jobs([later], chance=lambda: 0.0)
    assert [round(at) for _, at in runs] == [5, 86_405]

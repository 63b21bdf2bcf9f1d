"""Certificates for server names that none is for: what is allowed, and every bound."""

from __future__ import annotations

import fnmatch
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from oto_trio.control.certificates import certificate_of
from oto_trio.model.certificate import Certificate
from oto_trio.model.errors import StoreError
from oto_trio.model.global_sections import AutoCertificate
from oto_trio.pki import Authority, CsrQuery, Issued, PkiError, issue
from oto_trio.pki.auto_certificate import (
    AUTO_MARK,
    BURST,
    MOST_STORED,
    MOST_WAITING,
    REFUSED_S,
    AutoCertificates,
    is_allowed,
)
from oto_trio.pki.pem import read_certificates

from .conftest import ECDSA, NOW, authority

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from trio.testing import MockClock

ON = AutoCertificate(enabled=True, ca_ref="ca", allowed=("*",))


class Keeper:
    """Keeps certificates in a list."""

    def __init__(self, settings: AutoCertificate, ca: Issued) -> None:
        self.settings = settings
        self.stored: list[Certificate] = []
        self.gate: trio.Event | None = None
        self.reads = 0
        self.failure: Exception | None = None
        self._ca = ca

    @property
    def revision(self) -> int:
        return len(self.stored) + 5

    def now(self) -> datetime:
        return NOW

    async def auto_certificate(self) -> AutoCertificate:
        await trio.lowlevel.checkpoint()
        if self.failure is not None:
            raise self.failure
        return self.settings

    async def all(self) -> list[Certificate]:
        self.reads += 1
        if self.gate is not None:
            await self.gate.wait()
        return list(self.stored)

    async def authority(self, reference: str) -> tuple[Certificate, Authority] | None:
        if reference not in {"ca", "otoroshi-intermediate-ca"}:
            return None
        entity = certificate_of(self._ca, None, id=reference)
        return entity, authority(self._ca)

    async def save(self, *certificates: Certificate) -> int:
        await trio.lowlevel.checkpoint()
        self.stored += certificates
        return self.revision

    def entity_of(self, issued: Issued, query: CsrQuery, ca_ref: str, **more: Any) -> Certificate:
        return certificate_of(issued, query, ca_ref=ca_ref, **more)


async def test_an_allowed_name_gets_a_certificate_that_is_stored(
    intermediate: Issued, root: Issued, openssl: Callable[..., str]
) -> None:
    keeper = Keeper(ON, intermediate)
    verdict = await AutoCertificates(keeper).ask("API.Localhost.")
    assert (verdict.ok, verdict.revision, verdict.unsaved) == (True, 6, b"")
    (made,) = keeper.stored
    assert (made.domain, made.name) == ("api.localhost", "api.localhost")
    assert made.sans == ("api.localhost",)
    assert (made.auto_renew, made.ca_ref, made.valid, made.ca) == (True, "ca", True, False)
    assert made.metadata[AUTO_MARK] == "api.localhost"
    subject = read_certificates(made.chain)[0].subject
    assert [str(part.value) for part in subject] == [
        "api.localhost",
        "Auto Generated Certificates",
        "Otoroshi Certificates",
        "Otoroshi",
    ]
    said = openssl(
        *("verify", "-attime", str(int(NOW.timestamp()) + 60)),
        *("-verify_hostname", "api.localhost", "-CAfile", root.chain),
        *("-untrusted", made.chain, made.chain),
    )
    assert said.endswith(": OK\n")


async def test_a_name_that_is_covered_by_now_needs_nothing(intermediate: Issued) -> None:
    keeper = Keeper(ON, intermediate)
    query = CsrQuery(hosts=("*.localhost",), key=ECDSA)
    wild = certificate_of(issue(query, authority(intermediate), now=NOW), query)
    keeper.stored = [wild]
    verdict = await AutoCertificates(keeper).ask("api.localhost")
    assert (verdict.ok, verdict.revision) == (True, 6)
    assert keeper.stored == [wild]
    await AutoCertificates(keeper).ask("x.api.localhost")
    assert len(keeper.stored) == 2, "a wildcard covers one label"
    for change in (
        {"revoked": True},
        {"keypair": True},
        {"private_key": ""},
        {"valid_from": wild.valid_from + 1},
    ):
        keeper.stored = [msgspec.structs.replace(wild, **change)]
        await AutoCertificates(keeper).ask("api.localhost")
        assert len(keeper.stored) == 2, change


async def test_what_is_off_or_lacks_an_authority_is_refused_with_a_line_in_the_log(
    intermediate: Issued, caplog: pytest.LogCaptureFixture
) -> None:
    for settings, word in (
        (AutoCertificate(), "autoCert is off"),
        (AutoCertificate(enabled=True, ca_ref="ca"), "autoCert does not allow it"),
        (AutoCertificate(enabled=True, allowed=("*",)), "set autoCert.caRef"),
        (AutoCertificate(enabled=True, allowed=("*",), ca_ref="none"), "set autoCert.caRef"),
    ):
        caplog.clear()
        keeper = Keeper(settings, intermediate)
        verdict = await AutoCertificates(keeper).ask("api.localhost")
        assert (verdict.ok, verdict.unsaved, keeper.stored) == (False, b"", [])
        assert word in verdict.why
        assert f"no certificate for the server name 'api.localhost': {verdict.why}" in caplog.text


async def test_on_a_desk_every_name_is_allowed(intermediate: Issued) -> None:
    keeper = Keeper(AutoCertificate(), intermediate)
    assert (await AutoCertificates(keeper, dev=True).ask("api.localhost")).ok
    assert keeper.stored[0].ca_ref == "otoroshi-intermediate-ca"
    keeper.settings = AutoCertificate(enabled=True, ca_ref="ca", allowed=("only.me",))
    assert not (await AutoCertificates(keeper, dev=True).ask("other.localhost")).ok


async def test_a_refusal_may_be_nice(intermediate: Issued) -> None:
    settings = AutoCertificate(enabled=True, ca_ref="ca", reply_nicely=True, allowed=("a.b",))
    keeper = Keeper(settings, intermediate)
    certificates = AutoCertificates(keeper)
    verdict = await certificates.ask("c.d")
    assert (verdict.ok, verdict.revision, keeper.stored) == (True, 0, [])
    made = msgspec.json.decode(verdict.unsaved, type=Certificate)
    assert "CN=NotAllowedCert" in made.subject
    assert made.sans == ("c.d",)
    assert made.private_key
    assert await certificates.ask("c.d") is verdict, "remembered"


@pytest.mark.parametrize(
    "name", ["", "not a name", "a..b", "a/b", "x" * 64 + ".b", "ä.b", "a.b\n", ".", "*" * 3]
)
async def test_what_is_no_name_is_refused_unasked(intermediate: Issued, name: str) -> None:
    keeper = Keeper(ON, intermediate)
    verdict = await AutoCertificates(keeper).ask(name)
    assert (verdict.ok, keeper.stored, keeper.reads) == (False, [], 0)


async def test_tasks_that_want_the_same_name_share_one_certificate(
    intermediate: Issued,
) -> None:
    keeper = Keeper(ON, intermediate)
    keeper.gate = trio.Event()
    certificates = AutoCertificates(keeper)
    verdicts: list[Any] = []

    async def ask(name: str) -> None:
        verdicts.append(await certificates.ask(name))

    async with trio.open_nursery() as nursery:
        for name in ["a.b", "A.B", "a.b.", "c.d"]:
            nursery.start_soon(ask, name)
        await wait_all_tasks_blocked()
        assert keeper.reads == 1, "one is made at a time"
        keeper.gate.set()
    assert [v.ok for v in verdicts] == [True] * 4
    assert sorted(c.domain for c in keeper.stored) == ["a.b", "c.d"]


async def test_a_task_that_is_cancelled_leaves_the_others_their_certificate(
    intermediate: Issued,
) -> None:
    keeper = Keeper(ON, intermediate)
    keeper.gate = trio.Event()
    certificates = AutoCertificates(keeper)
    verdicts: list[Any] = []

    async def ask() -> None:
        verdicts.append(await certificates.ask("a.b"))

    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as first:
            async with trio.open_nursery() as inner:
                inner.start_soon(ask)
                await wait_all_tasks_blocked()
                nursery.start_soon(ask)
                await wait_all_tasks_blocked()
                first.cancel()
        keeper.gate.set()
    assert [v.ok for v in verdicts] == [True]
    assert len(keeper.stored) == 1


async def test_a_flood_of_names_makes_few_certificates(
    intermediate: Issued, mock_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    keeper = Keeper(ON, intermediate)
    certificates = AutoCertificates(keeper)
    answers = [(await certificates.ask(f"n{n}.localhost")).ok for n in range(BURST + 300)]
    assert answers == [True] * BURST + [False] * 300
    assert len(keeper.stored) == BURST
    assert keeper.reads == BURST, "the store is not read for those above the rate"
    lines = [r for r in caplog.records if "no certificate" in r.message]
    assert len(lines) == 20, "and the log is not flooded"
    mock_clock.jump(REFUSED_S)
    more = [(await certificates.ask(f"m{n}.localhost")).ok for n in range(10)]
    assert more == [True] * 3 + [False] * 7
    hour = BURST + 3600 / 10
    assert hour == 380


async def test_there_is_a_last_one(intermediate: Issued) -> None:
    keeper = Keeper(ON, intermediate)
    bare = Certificate(id="x", domain="x", chain="", metadata={AUTO_MARK: "x"})
    keeper.stored = [bare] * MOST_STORED
    verdict = await AutoCertificates(keeper).ask("a.b")
    assert not verdict.ok
    assert "1000 certificates were made so" in verdict.why


async def test_so_many_names_wait_and_no_more(intermediate: Issued) -> None:
    keeper = Keeper(ON, intermediate)
    keeper.gate = trio.Event()
    certificates = AutoCertificates(keeper)
    async with trio.open_nursery() as nursery:
        for n in range(MOST_WAITING):
            nursery.start_soon(certificates.ask, f"n{n}.localhost")
        await wait_all_tasks_blocked()
        verdict = await certificates.ask("one.more")
        assert (verdict.ok, verdict.why) == (False, "256 names wait already")
        nursery.cancel_scope.cancel()


async def test_refusals_are_remembered_until_they_age_or_the_settings_change(
    intermediate: Issued, mock_clock: MockClock
) -> None:
    keeper = Keeper(AutoCertificate(), intermediate)
    certificates = AutoCertificates(keeper)
    first = await certificates.ask("a.b")
    assert await certificates.ask("a.b") is first
    mock_clock.jump(REFUSED_S)
    assert await certificates.ask("a.b") is not first
    keeper.settings = ON
    assert (await certificates.ask("a.b")).ok, "at once, when it was turned on"


async def test_the_memory_of_refusals_is_bounded(
    intermediate: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oto_trio.pki.auto_certificate.MOST_REMEMBERED", 10)
    certificates = AutoCertificates(Keeper(AutoCertificate(), intermediate))
    for n in range(50):
        await certificates.ask(f"n{n}.localhost")
    assert list(certificates._verdicts) == [f"n{n}.localhost" for n in range(40, 50)]


async def test_a_failure_is_a_verdict_and_is_not_remembered(
    intermediate: Issued, caplog: pytest.LogCaptureFixture
) -> None:
    keeper = Keeper(ON, intermediate)
    certificates = AutoCertificates(keeper)
    for failure in (StoreError("the disk is gone"), PkiError("$.ca", "no key", "give it")):
        keeper.failure = failure
        verdict = await certificates.ask("a.b")
        assert not verdict.ok
        assert verdict.why in caplog.text
    keeper.failure = None
    assert (await certificates.ask("a.b")).ok


async def test_a_fault_of_ours_is_a_verdict_too(
    intermediate: Issued, caplog: pytest.LogCaptureFixture
) -> None:
    """The asker is the supervisor's own task, and anybody may send the name that meets the fault."""
    keeper = Keeper(ON, intermediate)
    certificates = AutoCertificates(keeper)
    keeper.failure = ZeroDivisionError("a fault")
    verdict = await certificates.ask("a.b")
    assert not verdict.ok
    assert "a fault" in caplog.text
    keeper.failure = None
    assert (await certificates.ask("a.b")).ok


@pytest.mark.parametrize(
    ("allowed", "not_allowed", "name", "is_so"),
    [
        (("*",), (), "a.b", True),
        ((), (), "a.b", False),
        (("*",), ("*.b",), "a.b", False),
        (("*.b",), (), "b", False),
        (("*.b",), (), "x.a.b", True),
        (("A.B",), (), "a.b", True),
        (("a.*.c",), (), "a.b.c", True),
        (("a.*.c",), (), "a.c", False),
        (("a*a",), (), "a", False),
        (("a.b",), (), "axb", False),
    ],
)
def test_patterns(
    allowed: tuple[str, ...], not_allowed: tuple[str, ...], name: str, is_so: bool
) -> None:
    settings = AutoCertificate(enabled=True, allowed=allowed, not_allowed=not_allowed)
    assert is_allowed(name, settings) is is_so


@given(
    pattern=st.text("ab.*", max_size=12),
    name=st.text("ab.", min_size=1, max_size=12),
)
def test_patterns_match_as_shells_do(pattern: str, name: str) -> None:
    settings = AutoCertificate(enabled=True, allowed=(pattern,))
    assert is_allowed(name, settings) is fnmatch.fnmatchcase(name, pattern)


async def test_a_name_too_long_for_a_common_name_is_served_too(intermediate: Issued) -> None:
    keeper = Keeper(ON, intermediate)
    name = ".".join(["a" * 60, "b" * 60, "localhost"])
    assert (await AutoCertificates(keeper).ask(name)).ok
    assert keeper.stored[0].names == (name,)
    assert (
        timedelta(milliseconds=keeper.stored[0].valid_to - keeper.stored[0].valid_from).days == 365
    )

"""Certificates made while a client waits: for server names that no stored certificate is for.

A worker meets an unknown server name in a handshake and asks; the handshake waits for the verdict.

What is allowed is in ``autoCert`` of the global configuration: `notAllowed` wins over `allowed`, and
both are lists of names in which ``*`` stands for any characters. A name that is allowed gets a leaf of
the authority ``caRef``, stored and renewed like any other. One that is not gets nothing, or with
``replyNicely`` a certificate that is in no store and whose subject says ``CN=NotAllowedCert``: the
handshake succeeds, and the HTTP layer can say what is wrong.

With ``--dev`` every name is allowed, unless ``autoCert`` is on and says otherwise, and without
``caRef`` the gateway's own intermediate authority signs.

Bounds
    Anybody can send server names, as many as they like. One certificate is made at a time; at most
    `BURST` at once and then one in `REFILL_S` seconds, so at most 380 in the first hour and 360 in each
    later one; never more than `MOST_STORED` that were made so and are in the store. Requests for the
    same name share one answer; `MOST_WAITING` names wait at most; refusals are remembered for
    `REFUSED_S` seconds, at most `MOST_REMEMBERED` of them, the oldest forgotten first. Certificates for
    refused names (``replyNicely``) share one key, have a bucket of their own, and are never stored.

Keys are ECDSA on P-256: where Otoroshi makes RSA keys, which take a handshake a tenth of a second and
more to wait for.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec
import trio

from oto_trio.model.document import encode_document
from oto_trio.model.errors import GatewayError
from oto_trio.pki.errors import PkiError
from oto_trio.pki.first_certificates import INTERMEDIATE_CA
from oto_trio.pki.issuing import Authority, Issued, issue
from oto_trio.pki.keys import generate_key
from oto_trio.pki.queries import CsrQuery, KeyQuery, check_host
from oto_trio.pki.threads import in_pki_thread

if TYPE_CHECKING:
    from datetime import datetime

    from oto_trio.model.certificate import Certificate
    from oto_trio.model.global_sections import AutoCertificate

__all__ = [
    "AUTO_MARK",
    "AutoCertificates",
    "CertificateKeeper",
    "Verdict",
    "covers",
    "is_allowed",
    "leaf_query",
]

logger = logging.getLogger(__name__)

BURST: Final = 20
"""Certificates that may be made at once, before the rate counts."""

REFILL_S: Final = 10.0
"""Seconds after which one more may be made."""

MOST_STORED: Final = 1000
"""Certificates made so that the store holds at most."""

MOST_WAITING: Final = 256
"""Names that wait for their certificate at once; more are refused."""

REFUSED_S: Final = 30.0
"""How long a refusal is remembered."""

MOST_REMEMBERED: Final = 4096
"""Refusals that are remembered."""

AUTO_MARK: Final = "oto-trio-auto-certificate"
"""Metadata key of the certificates made so; its value is the server name."""

UNIT: Final = "OU=Auto Generated Certificates, OU=Otoroshi Certificates, O=Otoroshi"
NOT_ALLOWED: Final = f"CN=NotAllowedCert, {UNIT}"
_KEY: Final = KeyQuery(algo="ecdsa", size=256)


class CertificateKeeper(Protocol):
    """Where certificates are kept, as far as this needs it."""

    @property
    def revision(self) -> int:
        """The store's latest revision."""
        ...

    def now(self) -> datetime:
        """Return the time of day."""
        ...

    async def auto_certificate(self) -> AutoCertificate:
        """Read what is allowed."""
        ...

    async def all(self) -> list[Certificate]:
        """Read every certificate."""
        ...

    async def authority(self, reference: str) -> tuple[Certificate, Authority] | None:
        """Find an authority by id or serial number. Raises `PkiError` when it cannot sign."""
        ...

    async def save(self, *certificates: Certificate) -> int:
        """Store certificates; return the revision."""
        ...

    def entity_of(self, issued: Issued, query: CsrQuery, ca_ref: str, **more: Any) -> Certificate:
        """Make the entity of a certificate that was made just now."""
        ...


class Verdict(msgspec.Struct, frozen=True):
    """What became of a wish."""

    ok: bool
    """Whether there is a certificate for the name."""
    why: str = ""
    """Why there is none, or why it is in no store; for the log."""
    revision: int = 0
    """The store's revision from which on it is there; 0 when it is in no store."""
    unsaved: bytes = b""
    """JSON of the entity that is in no store."""


class _Bucket:
    """How many things may still be done."""

    def __init__(self, burst: int, refill_s: float) -> None:
        self._burst = burst
        self._refill_s = refill_s
        self._left = float(burst)
        self._at = trio.current_time()

    def is_filled(self) -> bool:
        """Tell whether there is one left."""
        now = trio.current_time()
        self._left = min(self._burst, self._left + (now - self._at) / self._refill_s)
        self._at = now
        return self._left >= 1

    def take(self) -> bool:
        """Take one, if there is one."""
        if not self.is_filled():
            return False
        self._left -= 1
        return True


class _Wish:
    """A name that waits for its verdict; None is left there when the asker was cancelled."""

    def __init__(self) -> None:
        self.done = trio.Event()
        self.verdict: Verdict | None = None


class AutoCertificates:
    """Makes them, within the bounds. Any number of tasks may ask.

    Args:
        keeper: Where certificates are kept.
        dev: Whether this is a desk: every name is allowed, the gateway's own authority signs.
    """

    def __init__(self, keeper: CertificateKeeper, *, dev: bool = False) -> None:
        self._keeper = keeper
        self._dev = dev
        self._wishes: dict[str, _Wish] = {}
        self._verdicts: OrderedDict[str, tuple[AutoCertificate, float, Verdict]] = OrderedDict()
        self._one_at_a_time = trio.Lock()
        self._made = _Bucket(BURST, REFILL_S)
        self._refused = _Bucket(BURST, 1.0)
        self._logged = _Bucket(BURST, 1.0)
        self._refusal_key: Any = None

    async def ask(self, server_name: str) -> Verdict:
        """Have a certificate made for a server name, if that is allowed.

        Never raises for what goes wrong: that is a verdict, and a line in the log.

        Cancellation: a checkpoint; another task that waits for the same name takes over.
        """
        name = server_name.lower().rstrip(".")
        try:
            check_host(name, "$")
        except PkiError:
            await trio.lowlevel.checkpoint()
            return Verdict(ok=False, why="this is no host name")
        while name in self._wishes:
            wish = self._wishes[name]
            await wish.done.wait()
            if wish.verdict is not None:
                return wish.verdict
        if len(self._wishes) >= MOST_WAITING:
            await trio.lowlevel.checkpoint()
            return Verdict(ok=False, why=f"{MOST_WAITING} names wait already")
        wish = self._wishes[name] = _Wish()
        try:
            wish.verdict = await self._verdict(name)
        finally:
            del self._wishes[name]
            wish.done.set()
        return wish.verdict

    async def _verdict(self, name: str) -> Verdict:
        """Decide, and remember refusals."""
        try:
            settings = await self._keeper.auto_certificate()
            known = self._remembered(name, settings)
            if known is not None:
                return known
            async with self._one_at_a_time:
                verdict = await self._make(name, settings)
        except GatewayError as error:
            verdict = Verdict(ok=False, why=error.message)
            self._log(name, verdict)
            return verdict
        except Exception:
            # A fault of ours must not end whoever asked: anybody can send the name again.
            verdict = Verdict(ok=False, why="a fault of the gateway")
            if self._logged.take():
                logger.exception("no certificate for the server name %r: %s", name, verdict.why)
            return verdict
        if not verdict.revision:
            self._remember(name, settings, verdict)
            self._log(name, verdict)
        return verdict

    def _log(self, name: str, verdict: Verdict) -> None:
        """Say that there is no certificate for a name; at most once a second, after a few."""
        if self._logged.take():
            logger.warning("no certificate for the server name %r: %s", name, verdict.why)

    def _remembered(self, name: str, settings: AutoCertificate) -> Verdict | None:
        """Return a verdict of just now, unless the settings changed since."""
        found = self._verdicts.get(name)
        if found is None:
            return None
        then, until, verdict = found
        if then != settings or trio.current_time() >= until:
            del self._verdicts[name]
            return None
        return verdict

    def _remember(self, name: str, settings: AutoCertificate, verdict: Verdict) -> None:
        """Remember a verdict that stored nothing."""
        self._verdicts[name] = (settings, trio.current_time() + REFUSED_S, verdict)
        while len(self._verdicts) > MOST_REMEMBERED:
            self._verdicts.popitem(last=False)

    # ------------------------------------------------------------------- making

    async def _make(self, name: str, settings: AutoCertificate) -> Verdict:
        """Make what the settings allow."""
        if not settings.enabled and not self._dev:
            return Verdict(
                ok=False,
                why="no certificate is for it, and autoCert is off; store one, or turn that on",
            )
        if settings.enabled and not is_allowed(name, settings):
            return await self._refuse(name, settings)
        if not self._made.is_filled():  # looked at before the store is: that is what takes time
            return Verdict(ok=False, why=f"more than one is wanted in {REFILL_S:g} s")
        revision = self._keeper.revision
        stored = await self._keeper.all()
        if any(covers(one, name, self._keeper.now()) for one in stored):
            return Verdict(ok=True, why="there is one", revision=max(1, revision))
        if sum(AUTO_MARK in one.metadata for one in stored) >= MOST_STORED:
            return Verdict(ok=False, why=f"{MOST_STORED} certificates were made so; remove some")
        found = await self._authority(settings)
        if found is None:
            return Verdict(ok=False, why="there is no authority to sign it: set autoCert.caRef")
        self._made.take()
        ca, authority = found
        query = leaf_query(name)
        issued = await in_pki_thread(issue, query, authority, now=self._keeper.now())
        made = self._keeper.entity_of(issued, query, ca.id, name=name, auto_renew=True)
        made = msgspec.structs.replace(made, metadata={**made.metadata, AUTO_MARK: name})
        revision = await self._keeper.save(made)
        logger.info("certificate %s made for the server name %r", made.id, name)
        return Verdict(ok=True, revision=revision)

    async def _authority(self, settings: AutoCertificate) -> tuple[Certificate, Authority] | None:
        """Find what signs."""
        reference = settings.ca_ref or (INTERMEDIATE_CA if self._dev else None)
        return None if reference is None else await self._keeper.authority(reference)

    async def _refuse(self, name: str, settings: AutoCertificate) -> Verdict:
        """Refuse a name, nicely if that is wanted."""
        why = "autoCert does not allow it"
        found = await self._authority(settings) if settings.reply_nicely else None
        if found is None:
            return Verdict(ok=False, why=why)
        if not self._refused.take():
            return Verdict(ok=False, why=f"{why}, and more than one is refused in a second")
        ca, authority = found
        if self._refusal_key is None:
            self._refusal_key = await in_pki_thread(generate_key, _KEY)
        query = CsrQuery(hosts=(name,), subject=NOT_ALLOWED, key=_KEY, duration=86_400_000)
        issued = await in_pki_thread(
            issue, query, authority, now=self._keeper.now(), key=self._refusal_key
        )
        made = self._keeper.entity_of(issued, query, ca.id, name="NotAllowedCert")
        return Verdict(ok=True, why=why, unsaved=encode_document(made))


def leaf_query(name: str) -> CsrQuery:
    """Return what is asked for a name that is allowed."""
    bare = CsrQuery(hosts=(name,), key=_KEY)
    subject = f"CN={name}, {UNIT}" if bare.has_short_name else UNIT
    return CsrQuery(hosts=(name,), key=_KEY, subject=subject)


def covers(certificate: Certificate, name: str, now: datetime) -> bool:
    """Tell whether a stored certificate serves a name now."""
    is_server = not (certificate.ca or certificate.keypair or certificate.revoked)
    if not is_server or not certificate.private_key:
        return False
    if not certificate.is_current(int(now.timestamp() * 1000)):
        return False
    above = "*." + name.partition(".")[2]
    return name in certificate.names or above in certificate.names


def is_allowed(name: str, settings: AutoCertificate) -> bool:
    """Tell whether certificates may be made for a name."""
    if any(_matches(pattern, name) for pattern in settings.not_allowed):
        return False
    return any(_matches(pattern, name) for pattern in settings.allowed)


def _matches(pattern: str, name: str) -> bool:
    """Match a name against a pattern in which ``*`` stands for any characters.

    Cost: linear for each part between two stars, whatever the pattern.
    """
    first, *parts = pattern.lower().split("*")
    if not parts:
        return name == first
    last = parts.pop()
    if len(name) < len(first) + len(last):
        return False
    if not name.startswith(first) or not name.endswith(last):
        return False
    at, end = len(first), len(name) - len(last)
    for part in parts:
        found = name.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True

"""Makes certificates for the routes that ask for one in their metadata.

The routes of route compositions and service descriptors are among them; a service asks by ``issueCert``.
A route with ``otoroshi-core-issue-certificate: "true"`` gets a certificate for each domain of its frontend
that no stored certificate is for, signed by the authority that ``otoroshi-core-issue-certificate-ca``
names, or else by the gateway's intermediate one. It is stored where the route belongs, and renewed like
any other. It stays when the route goes: others may use it by then.

A route only names an authority of its own organization or of all: whoever may write routes in one
organization must not get certificates, with their keys, from the authority of another. The gateway's
intermediate authority signs for all.

Bounds: `MOST_A_RUN` certificates a look; the rest wait for the next one.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import msgspec

from oto_trio.control.jobs.runner import Job
from oto_trio.gateway.compile import Surroundings, derive_routes
from oto_trio.model.errors import EntityError
from oto_trio.model.route import read_route
from oto_trio.model.route_composition import ROUTE_COMPOSITIONS
from oto_trio.model.service_descriptor import SERVICE_DESCRIPTORS
from oto_trio.pki import PkiError, in_pki_thread, issue
from oto_trio.pki.auto_certificate import covers, leaf_query
from oto_trio.pki.first_certificates import INTERMEDIATE_CA
from oto_trio.pki.queries import check_host

if TYPE_CHECKING:
    from oto_trio.control.certificates import CertificateStore
    from oto_trio.control.store import Record
    from oto_trio.model.certificate import Certificate
    from oto_trio.model.route import Route

__all__ = ["ASKS", "AUTHORITY", "IssueRouteCertificates"]

logger = logging.getLogger(__name__)

ASKS: Final = "otoroshi-core-issue-certificate"
"""Metadata key of a route; ``true`` asks."""

AUTHORITY: Final = "otoroshi-core-issue-certificate-ca"
"""Metadata key of a route: id or serial number of the authority."""

ROUTES: Final = "routes"

EVERY_TENANT: Final = "*"
"""The tenant of what belongs to all organizations."""

_ASKING: Final = {
    ROUTES: ASKS.encode(),
    ROUTE_COMPOSITIONS: ASKS.encode(),
    SERVICE_DESCRIPTORS: b'"issueCert":true',
}
"""Kinds of entities, and a text that is in those which ask."""

_SURROUNDINGS: Final = Surroundings(lambda _: True, lambda _: None)
"""Of what a service means, only its hosts and metadata are of use here."""

EVERY_S: Final = 30.0
"""Seconds between two looks: how long a new route waits at most."""

FIRST_S: Final = 10.0
"""Seconds from the start to the first look."""

MOST_A_RUN: Final = 50
"""Certificates made in one look."""

MOST_TOLD: Final = 1000
"""Complaints remembered, so that each is logged once."""


class IssueRouteCertificates:
    """The job.

    Args:
        certificates: Where they are kept, with the routes beside them.
    """

    def __init__(self, certificates: CertificateStore) -> None:
        self._certificates = certificates
        self._told: set[tuple[str, str]] = set()
        self._nobody_asked_at = -1  # the revision of the store

    def job(self) -> Job:
        """Return when it is done."""
        return Job(name="certificates of routes", run=self.run, every_s=EVERY_S, first_s=FIRST_S)

    async def run(self) -> None:
        """Make what is missing.

        Raises:
            StoreError: The store cannot be read or written.
        """
        store = self._certificates.store
        revision = store.revision
        if revision == self._nobody_asked_at:
            return  # nothing has changed, and all routes need not be read again
        asking = [
            route
            for kind, word in _ASKING.items()
            async for record in store.walk(kind, page=100)
            for route in _asking(record, word)
        ]
        if not asking:
            self._nobody_asked_at = revision
            return
        known = await self._certificates.all()
        left: int = MOST_A_RUN
        for route in asking:
            for host in dict.fromkeys(map(_host, route.frontend.domains)):
                if left == 0:
                    return
                now = self._certificates.now()
                if any(covers(one, host, now) for one in known):
                    continue
                made = await self._make(route, host)
                if made is not None:
                    known.append(made)
                    left -= 1

    async def _make(self, route: Route, host: str) -> Certificate | None:
        """Make one certificate; what cannot be made is told and left out."""
        reference = route.metadata.get(AUTHORITY) or INTERMEDIATE_CA
        try:
            check_host(host, "$.frontend.domains")
            found = await self._certificates.authority(reference)
            if found is None:
                self._tell(route, host, f"there is no authority {reference}; set {AUTHORITY}")
                return None
            ca, authority = found
            if not _may_sign(ca, route):
                self._tell(
                    route,
                    host,
                    f"the authority {reference} belongs to another organization; name one of "
                    f"{route.loc.tenant!r} in {AUTHORITY}, or none",
                )
                return None
            query = leaf_query(host)
            issued = await in_pki_thread(issue, query, authority, now=self._certificates.now())
        except PkiError as error:
            self._tell(route, host, error.message)
            return None
        made = self._certificates.entity_of(
            issued, query, ca.id, name=host, auto_renew=True, loc=route.loc
        )
        await self._certificates.save(made)
        logger.info("certificate %s made for %r of the route %s", made.id, host, route.id)
        return made

    def _tell(self, route: Route, host: str, why: str) -> None:
        """Say once why a route does not get its certificate."""
        if len(self._told) >= MOST_TOLD:
            self._told.clear()
        if (route.id, why) not in self._told:
            self._told.add((route.id, why))
            logger.warning("no certificate for %r of the route %s: %s", host, route.id, why)


def _asking(record: Record, word: bytes) -> list[Route]:
    """Read the routes that ask for a certificate; what cannot be read is left to the workers."""
    if word not in record.document:
        return []
    try:
        document = msgspec.json.decode(record.document)
        if record.kind == ROUTES:
            routes = [read_route(document)]
        else:
            made = derive_routes(record.kind, document, _SURROUNDINGS)
            routes = [one.route for one in made]
    except EntityError:
        return []
    return [route for route in routes if route.enabled and route.metadata.get(ASKS) == "true"]


def _may_sign(ca: Certificate, route: Route) -> bool:
    """Tell whether an authority is there for a route."""
    return ca.id == INTERMEDIATE_CA or ca.loc.tenant in (route.loc.tenant, EVERY_TENANT)


def _host(domain: str) -> str:
    """Return the host of a frontend's domain, which may have a path behind it."""
    return domain.partition("/")[0].lower()

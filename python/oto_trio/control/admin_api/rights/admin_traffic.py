"""What takes, or could take, the requests that are meant for the admin API behind the gateway.

They come with a key's id and secret. Of two routes for one host the one with the longer path gets them, so whoever
stores a route for ``otoroshi-api.oto.tools/api`` would be shown the keys of everybody, those of super admins too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from oto_trio.control.admin_route import ADMIN_ROUTE
from oto_trio.gateway.compile.services import service_domains
from oto_trio.gateway.installer import ROUTES
from oto_trio.model.document import read_document
from oto_trio.model.errors import EntityError
from oto_trio.model.matching import is_wildcard_match
from oto_trio.model.route import Route, read_route
from oto_trio.model.route_composition import ROUTE_COMPOSITIONS, RouteComposition
from oto_trio.model.service_descriptor import SERVICE_DESCRIPTORS, ServiceDescriptor

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["ROUTED_KINDS", "is_admin_route", "own_hosts", "taken_domain"]

ROUTED_KINDS: Final = frozenset({ROUTES, SERVICE_DESCRIPTORS, ROUTE_COMPOSITIONS})
"""Kinds whose entities take requests by their domains."""


def is_admin_route(kind: str, entity_id: str) -> bool:
    """Tell whether an entity is the admin API's route, or would pass for it.

    Args:
        kind: Kind under which the store keeps it.
        entity_id: Its id.
    """
    return kind in ROUTED_KINDS and entity_id == ADMIN_ROUTE


def own_hosts(document: bytes) -> list[str]:
    """Return the hosts that the stored admin route has to itself: those without star and path.

    Args:
        document: The stored route, JSON text; one that cannot be read has none.
    """
    try:
        domains = read_route(msgspec.json.decode(document)).frontend.domains
    except (EntityError, msgspec.MsgspecError, ValueError, RecursionError):
        return []
    plain = (domain.strip().removesuffix("/") for domain in domains)
    return [host for host in plain if host and not set("*/$") & set(host)]


def taken_domain(kind: str, document: bytes, names: Sequence[str]) -> str | None:
    """Return a domain of an entity whose host is one of the admin API's, or a pattern that matches one.

    A disabled entity counts too. What stands for a secret in a host may be any text.

    Args:
        kind: Kind under which the store keeps the entity.
        document: Its JSON text.
        names: Host names of the admin API.

    Returns:
        The domain as it is written; empty when the entity cannot be read; None when there is none.

    Cost: some 10 µs, 100 µs for a service; of patterns the product of the lengths of both at worst.
    """
    if kind not in ROUTED_KINDS or not names:
        return None
    try:
        domains = _domains(kind, msgspec.json.decode(document))
    except (EntityError, msgspec.MsgspecError, ValueError, RecursionError):
        return ""
    lower = [name.lower() for name in names]
    return next((d for d in domains if any(is_wildcard_match(_host(d), n) for n in lower)), None)


def _domains(kind: str, document: object) -> Iterable[str]:
    """Return the domains of an entity, as the workers read it."""
    if kind == SERVICE_DESCRIPTORS:
        return service_domains(read_document(ServiceDescriptor, document))
    if kind == ROUTE_COMPOSITIONS:
        routes = read_document(RouteComposition, document).routes
        return [domain for each in routes for domain in each.frontend.domains]
    return read_document(Route, document).frontend.domains


def _host(domain: str) -> str:
    """Return the host of a domain, as a pattern; the secret of a vault may hold the rest of it."""
    before, mark, _ = domain.strip().lower().partition("${")
    host, slash, _ = before.partition("/")
    return f"{host}*" if mark and not slash else host.strip().rstrip(".")

"""What takes, or could take, requests that are meant for the admin API behind the gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from oto_trio.control.admin_api.rights.admin_traffic import (
    ROUTED_KINDS,
    is_admin_route,
    own_hosts,
    taken_domain,
)
from oto_trio.control.lint.finding import Hit, Rule
from oto_trio.gateway.installer import ROUTES
from oto_trio.model.route_composition import ROUTE_COMPOSITIONS
from oto_trio.model.service_descriptor import SERVICE_DESCRIPTORS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oto_trio.control.lint.ground import Ground

__all__ = ["RULE"]

FIELDS: Final = {
    ROUTES: "$.frontend.domains",
    ROUTE_COMPOSITIONS: "$.routes",
    SERVICE_DESCRIPTORS: "$.hosts",
}
"""Where an entity has its domains, by the kind of the store."""


def _find(ground: Ground) -> Iterator[Hit]:
    rows = [
        i for i in ground.items if i.resource.store_kind in ROUTED_KINDS and i.entity is not None
    ]
    own = [item for item in rows if is_admin_route(item.resource.store_kind, item.id)]
    names = [name for item in own for name in own_hosts(msgspec.json.encode(item.document))]
    for item in rows:
        kind = item.resource.store_kind
        if item in own:
            continue
        domain = taken_domain(kind, msgspec.json.encode(item.document), names)
        if domain:
            yield Hit(
                item,
                FIELDS[kind],
                f"{domain} matches a host of the admin API: requests with its keys may come here",
                "declare another domain; if it is meant, only super admins should be able to write this entity",
            )


RULE = Rule(
    "route-takes-admin-host",
    "warning",
    "A route, service or composition has a domain that matches a host name of the stored admin API route.",
    _find,
)

"""The routes that other entities mean: route compositions and service descriptors.

Both are read here, in the worker, and become the JSON of routes; from then on nothing knows the difference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from oto_trio.gateway.compile.compositions import ORIGINAL, composed_routes
from oto_trio.gateway.compile.services import convert_service
from oto_trio.model.document import read_document
from oto_trio.model.errors import Problem
from oto_trio.model.route import Route
from oto_trio.model.route_composition import ROUTE_COMPOSITIONS, RouteComposition
from oto_trio.model.service_descriptor import SERVICE_DESCRIPTORS, ServiceDescriptor

if TYPE_CHECKING:
    from oto_trio.gateway.compile.service_slots import Surroundings

__all__ = ["DERIVED_KINDS", "DerivedRoute", "derive_routes", "with_own_id"]

DERIVED_KINDS: Final = (SERVICE_DESCRIPTORS, ROUTE_COMPOSITIONS)
"""The kinds of entities that become routes."""


class DerivedRoute(msgspec.Struct, frozen=True):
    """A route that another entity means.

    Attributes:
        route: It.
        problems: What the entity asks for and does not get; paths start at the entity.
    """

    route: Route
    problems: tuple[Problem, ...] = ()

    @property
    def closed(self) -> Problem | None:
        """Why it has to answer 503, when it has to."""
        return next((p for p in self.problems if p.severity == "error"), None)


def derive_routes(kind: str, document: object, surroundings: Surroundings) -> list[DerivedRoute]:
    """Return the routes of an entity; none when it is disabled.

    Args:
        kind: One of `DERIVED_KINDS`.
        document: The entity, decoded.
        surroundings: What the conversion of a service depends on.

    Raises:
        EntityError: The entity cannot be read.

    Cost: about 100 µs for a service.
    """
    if kind == ROUTE_COMPOSITIONS:
        composition = read_document(RouteComposition, document)
        return [DerivedRoute(route) for route in composed_routes(composition)]
    service = read_document(ServiceDescriptor, document)
    if not service.enabled:
        return []
    converted = convert_service(service, surroundings)
    return [DerivedRoute(converted.route, converted.problems)]


def with_own_id(route: Route, own_id: str) -> Route:
    """Return a route under another id, that of its entity being taken; API keys know it by the old one."""
    metadata = {**route.metadata}
    metadata.setdefault(ORIGINAL, route.id)
    return msgspec.structs.replace(route, id=own_id, metadata=metadata)

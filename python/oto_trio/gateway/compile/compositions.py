"""From a route composition to its routes.

Each of them is compiled like any other route. A composition that is disabled has none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import UNSET

from oto_trio.model.backend import BackendSettings
from oto_trio.model.route import Route

if TYPE_CHECKING:
    from oto_trio.model.errors import Problem
    from oto_trio.model.route_composition import ComposedRoute, RouteComposition

__all__ = ["CACHEABLE", "ORIGINAL", "composed_path", "composed_routes"]

ORIGINAL: Final = "otoroshi-core-original-route-id"
"""Metadata of a route that was made from another entity: that entity's id."""

CACHEABLE: Final = "otoroshi-core-cacheable-route-id"
"""Metadata of a composition's route: the id of the composition and the route's place in it."""


def composed_routes(composition: RouteComposition) -> list[Route]:
    """Return the routes of a composition, in its order; none when it is disabled.

    Each is named by the composition, its methods and its paths, and runs its own plugins, then those of
    the composition unless it overrides them. How targets are called, the composition says, for all of
    them.

    Otoroshi gives all of them the composition's id. Here each has an id of its own, that and its place;
    API keys and events know it by the composition's (`ORIGINAL`).
    """
    if not composition.enabled:
        return []
    return [_route(composition, each, place) for place, each in enumerate(composition.routes)]


def _route(composition: RouteComposition, composed: ComposedRoute, place: int) -> Route:
    own = () if composed.plugins is UNSET else composed.plugins
    shared = () if composed.override_plugins is True else composition.plugins
    frontend, backend = composed.frontend, composed.backend
    paths = ("/" + domain.partition("/")[2] for domain in frontend.domains)
    own_id = f"{composition.id}-{place}"
    return Route(
        loc=composition.loc,
        id=own_id,
        name=f"{composition.name} - {', '.join(frontend.methods)} - {', '.join(paths)}",
        description=composition.description,
        tags=composition.tags,
        metadata={**composition.metadata, ORIGINAL: composition.id, CACHEABLE: own_id},
        debug_flow=composition.debug_flow,
        export_reporting=composition.export_reporting,
        capture=composition.capture,
        groups=composition.groups,
        frontend=frontend,
        backend=BackendSettings(
            targets=backend.targets,
            root=backend.root,
            rewrite=backend.rewrite,
            load_balancing=backend.load_balancing,
            client=composition.client,
        ),
        backend_ref=composed.backend_ref,
        plugins=(*own, *shared),
    )


def composed_path(composition: RouteComposition, place: int, problem: Problem) -> str:
    """Return where a problem of one of its routes stands in the composition.

    Args:
        composition: The composition.
        place: The route's place in it.
        problem: What is wrong; its path starts at the route.
    """
    path = problem.path
    client = "$.backend.client"
    if path.startswith(client):
        return "$.client" + path.removeprefix(client)
    own = composition.routes[place].plugins
    first_shared = 0 if own is UNSET else len(own)
    if path.startswith("$.plugins["):
        number, _, rest = path.removeprefix("$.plugins[").partition("]")
        if number.isdigit() and int(number) >= first_shared:
            return f"$.plugins[{int(number) - first_shared}]{rest}"
    return f"$.routes[{place}]" + path.removeprefix("$")

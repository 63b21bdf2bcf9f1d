"""The route composition: several small routes that share plugins and client settings."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from oto_trio.model.backend import LoadBalancing, Target
from oto_trio.model.client_settings import ClientSettings
from oto_trio.model.document import Document
from oto_trio.model.ids import named_id, new_uuid
from oto_trio.model.location import Location
from oto_trio.model.plugin_slot import PluginSlot
from oto_trio.model.route import Frontend

__all__ = [
    "ROUTE_COMPOSITIONS",
    "ComposedRoute",
    "MinimalBackend",
    "RouteComposition",
    "empty_route_composition",
    "route_composition_template",
]

ROUTE_COMPOSITIONS = "route-compositions"
"""Kind under which the store keeps them."""


class MinimalBackend(Document, frozen=True, kw_only=True):
    """Where a composed route forwards to; how the targets are called, the composition says."""

    targets: Annotated[tuple[Target, ...], Meta(description="the upstream servers")] = ()
    root: Annotated[str, Meta(description="path put before the request's path")] = "/"
    rewrite: Annotated[bool, Meta(description="replace the whole path by root")] = False
    load_balancing: Annotated[LoadBalancing, Meta(description="how a target is chosen")] = (
        LoadBalancing()
    )


class ComposedRoute(Document, frozen=True, kw_only=True):
    """One route of a composition (an element of ``routes``).

    Two keys are written only when they say something, as Otoroshi does: ``override_plugins`` when it is
    true, ``plugins`` when there are any. Plugins that are no list are an error, as in a route.
    """

    strict_keys = frozenset({"plugins", "override_plugins"})

    frontend: Annotated[Frontend, Meta(description="which requests it takes")] = Frontend()
    backend: Annotated[MinimalBackend, Meta(description="where they go")] = MinimalBackend()
    backend_ref: Annotated[
        str | None, Meta(description="id of a stored backend that replaces the inline one")
    ] = None
    override_plugins: Annotated[
        bool | UnsetType, Meta(description="run its own plugins only, not the composition's")
    ] = UNSET
    plugins: Annotated[
        tuple[PluginSlot, ...] | UnsetType,
        Meta(description="plugins that run before those of the composition"),
    ] = UNSET

    def __post_init__(self) -> None:
        """Leave out what says nothing."""
        if self.override_plugins is False:
            msgspec.structs.force_setattr(self, "override_plugins", UNSET)
        if self.plugins == ():
            msgspec.structs.force_setattr(self, "plugins", UNSET)


class RouteComposition(Document, frozen=True, kw_only=True):
    """A route composition (``proxy.otoroshi.io/RouteComposition``)."""

    strict_keys = frozenset({"plugins", "routes"})

    loc: Annotated[Location, Meta(description="tenant and teams")] = msgspec.field(
        default=Location(), name="_loc"
    )
    id: Annotated[str, Meta(description="id of the composition, and of each of its routes")]
    name: Annotated[str, Meta(description="name of the composition")]
    description: Annotated[str, Meta(description="what it is for")] = ""
    tags: Annotated[tuple[str, ...], Meta(description="free labels")] = ()
    metadata: Annotated[dict[str, str], Meta(description="free texts by name")] = msgspec.field(
        default_factory=dict[str, str]
    )
    enabled: Annotated[bool, Meta(description="take requests")] = True
    debug_flow: Annotated[bool, Meta(description="trace each request's way")] = False
    export_reporting: Annotated[bool, Meta(description="export a report of each request")] = False
    capture: Annotated[bool, Meta(description="keep requests and responses for replay")] = False
    groups: Annotated[tuple[str, ...], Meta(description="ids of the groups it belongs to")] = (
        "default",
    )
    routes: Annotated[tuple[ComposedRoute, ...], Meta(description="its routes")] = ()
    client: Annotated[ClientSettings, Meta(description="how all of their targets are called")] = (
        ClientSettings()
    )
    plugins: Annotated[
        tuple[PluginSlot, ...], Meta(description="what happens to the requests of all routes")
    ] = ()


def empty_route_composition() -> RouteComposition:
    """Make the composition that ``_template`` of the generic dialect answers with."""
    # Otoroshi's id starts so, and has no name of an environment.
    return RouteComposition(
        id=f"route_{new_uuid()}",
        name="empty route-composition",
        description="empty route-composition",
    )


def route_composition_template(*, env: str = "prod") -> RouteComposition:
    """Make the composition that ``_template`` of the legacy dialect answers with."""
    target = Target(id="target_1", hostname="request.otoroshi.io", port=443, tls=True)
    return RouteComposition(
        id=named_id("route-composition", env=env),
        name="New route-composition",
        description="A new route-composition",
        routes=(
            ComposedRoute(
                frontend=Frontend(domains=("new-route.oto.tools",)),
                backend=MinimalBackend(targets=(target,)),
            ),
        ),
        plugins=(PluginSlot(plugin="cp:otoroshi.next.plugins.OverrideHost"),),
    )

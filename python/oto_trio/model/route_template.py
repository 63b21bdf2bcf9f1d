"""The route template: a route to start new ones from."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from oto_trio.model.backend import BackendSettings, Target
from oto_trio.model.document import Document
from oto_trio.model.ids import named_id, new_uuid
from oto_trio.model.location import Location
from oto_trio.model.route import Frontend, Route

__all__ = ["ROUTE_TEMPLATES", "RouteTemplate", "empty_route", "route_template_template"]

ROUTE_TEMPLATES = "route-templates"
"""Kind under which the store keeps them."""


def empty_route() -> Route:
    """Make the route of a template that has none, under a new id."""
    target = Target(id="target_1", hostname="request.otoroshi.io", port=443, tls=True)
    return Route(
        id=f"route_{new_uuid()}",
        name="empty route",
        description="empty route",
        frontend=Frontend(domains=("empty.oto.tools",)),
        backend=BackendSettings(targets=(target,)),
    )


class RouteTemplate(Document, frozen=True, kw_only=True):
    """A route template (``proxy.otoroshi.io/RouteTemplate``).

    Its place has the key ``location``, not ``_loc``, and may not be left out.
    """

    location: Annotated[Location, Meta(description="tenant and teams")]
    id: Annotated[str, Meta(description="id of the template")]
    name: Annotated[str, Meta(description="name of the template")]
    description: Annotated[str, Meta(description="what it is for")]
    tags: Annotated[tuple[str, ...], Meta(description="free labels")] = ()
    metadata: Annotated[dict[str, str], Meta(description="free texts by name")] = msgspec.field(
        default_factory=dict[str, str]
    )
    route: Annotated[Route, Meta(description="the route to start from")] = msgspec.field(
        default_factory=empty_route
    )


def route_template_template(*, env: str = "prod") -> RouteTemplate:
    """Make the route template that ``_template`` answers with, under a new id."""
    return RouteTemplate(
        location=Location(),
        id=named_id("route-template", env=env),
        name="New route template",
        description="New route template description",
    )

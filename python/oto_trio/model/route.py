"""The route: which requests it takes, what happens to them, and where they go."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta
from typing_extensions import override

from oto_trio.model.backend import BackendSettings, Target
from oto_trio.model.document import Document, JsonObject, read_document, write_document
from oto_trio.model.ids import named_id
from oto_trio.model.location import Location
from oto_trio.model.plugin_slot import PluginSlot

__all__ = ["Frontend", "Route", "read_route", "route_template", "write_route"]

_MATCHERS = "value, or Exists(), NotDefined(), Regex(…), Wildcard(…), by name"


class Frontend(Document, frozen=True, kw_only=True):
    """Which requests a route takes."""

    domains: Annotated[
        tuple[str, ...], Meta(description="domains with an optional path: host[/path]")
    ] = ()
    strip_path: Annotated[bool, Meta(description="remove the matched path before forwarding")] = (
        True
    )
    exact: Annotated[bool, Meta(description="take the path exactly, not as a prefix")] = False
    headers: Annotated[dict[str, str], Meta(description=f"headers required: {_MATCHERS}")] = (
        msgspec.field(default_factory=dict[str, str])
    )
    cookies: Annotated[dict[str, str], Meta(description=f"cookies required: {_MATCHERS}")] = (
        msgspec.field(default_factory=dict[str, str])
    )
    query: Annotated[
        dict[str, str], Meta(description=f"query parameters required: {_MATCHERS}")
    ] = msgspec.field(default_factory=dict[str, str])
    methods: Annotated[tuple[str, ...], Meta(description="methods taken; empty = all")] = ()

    @classmethod
    @override
    def expand(cls, raw: JsonObject) -> JsonObject:
        """Accept a single domain under ``domain``."""
        if "domains" in raw or not isinstance(raw.get("domain"), str):
            return raw
        rest = {k: v for k, v in raw.items() if k != "domain"}
        return {**rest, "domains": [raw["domain"]]}


class Route(Document, frozen=True, kw_only=True):
    """A route (``proxy.otoroshi.io/Route``).

    Otoroshi reads ``plugins`` that are no list as none, which opens the route to everybody; here they
    are an error.
    """

    strict_keys = frozenset({"plugins"})

    loc: Annotated[Location, Meta(description="tenant and teams")] = msgspec.field(
        default=Location(), name="_loc"
    )
    id: Annotated[str, Meta(description="id of the route")]
    name: Annotated[str, Meta(description="name of the route")]
    description: Annotated[str, Meta(description="what it is for")] = ""
    tags: Annotated[tuple[str, ...], Meta(description="free labels")] = ()
    metadata: Annotated[
        dict[str, str], Meta(description="free texts by name; some names have a meaning")
    ] = msgspec.field(default_factory=dict[str, str])
    enabled: Annotated[bool, Meta(description="take requests")] = True
    debug_flow: Annotated[bool, Meta(description="trace each request's way")] = False
    export_reporting: Annotated[bool, Meta(description="export a report of each request")] = False
    capture: Annotated[bool, Meta(description="keep requests and responses for replay")] = False
    groups: Annotated[tuple[str, ...], Meta(description="ids of the groups it belongs to")] = (
        "default",
    )
    bound_listeners: Annotated[
        tuple[str, ...], Meta(description="ids of its listeners; empty = all non-exclusive ones")
    ] = ()
    frontend: Annotated[Frontend, Meta(description="which requests it takes")] = Frontend()
    backend: Annotated[BackendSettings, Meta(description="where they go")] = BackendSettings()
    backend_ref: Annotated[
        str | None, Meta(description="id of a stored backend that replaces the inline one")
    ] = None
    plugins: Annotated[
        tuple[PluginSlot, ...], Meta(description="what happens to them on the way")
    ] = ()


def read_route(raw: object) -> Route:
    """Read a route from its decoded JSON document.

    Raises:
        EntityError: A required key is missing or wrong; lists every such key.

    Cost: about 10 µs for a route in the form that oto-trio writes.
    """
    return read_document(Route, raw)


def write_route(route: Route) -> JsonObject:
    """Write a route as its JSON document, keys in Otoroshi's order."""
    return write_document(route)


def route_template(*, env: str = "prod", domain: str = "newroute.oto.tools") -> Route:
    """Make the route that ``_template`` answers with, under a new id."""
    return Route(
        id=named_id("route", env=env),
        name="New route",
        description="A new route",
        frontend=Frontend(domains=(domain,)),
        backend=BackendSettings(
            targets=(Target(id="target_1", hostname="request.otoroshi.io", port=443, tls=True),)
        ),
        plugins=(PluginSlot(plugin="cp:otoroshi.next.plugins.OverrideHost"),),
    )

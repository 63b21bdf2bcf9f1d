"""One use of a plugin in a route: the plugin, its config, and when and where it runs."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from oto_trio.model.document import Document

__all__ = ["PluginIndex", "PluginSlot"]


class PluginIndex(Document, frozen=True, kw_only=True):
    """Where the plugin runs within each phase; lower goes first. Only the keys that are set are written.

    Otoroshi reads ``call_backend`` but does not write it back; oto-trio keeps it.
    """

    sink: Annotated[int | float | UnsetType, Meta(description="place among request sinks")] = UNSET
    pre_route: Annotated[int | float | UnsetType, Meta(description="place in pre_route")] = UNSET
    validate_access: Annotated[int | float | UnsetType, Meta(description="place in access")] = UNSET
    transform_request: Annotated[
        int | float | UnsetType, Meta(description="place in transform_request")
    ] = UNSET
    transform_response: Annotated[
        int | float | UnsetType, Meta(description="place in transform_response")
    ] = UNSET
    match_route: Annotated[int | float | UnsetType, Meta(description="place in match_route")] = (
        UNSET
    )
    handles_tunnel: Annotated[
        int | float | UnsetType, Meta(description="place among tunnel handlers")
    ] = UNSET
    handles_websocket: Annotated[
        int | float | UnsetType, Meta(description="place among websocket handlers")
    ] = UNSET
    call_backend: Annotated[int | float | UnsetType, Meta(description="place in call_backend")] = (
        UNSET
    )

    def __post_init__(self) -> None:
        """Hold whole numbers as such, so that 2.0 is written as 2."""
        for key in _INDEX_KEYS:
            value = getattr(self, key)
            if isinstance(value, float) and value.is_integer():
                msgspec.structs.force_setattr(self, key, int(value))


_INDEX_KEYS = tuple(f for f in PluginIndex.__struct_fields__ if f != "unknown")


class PluginSlot(Document, frozen=True, kw_only=True):
    """A plugin of a route (an element of ``plugins``)."""

    strict_keys = frozenset({"config"})

    enabled: Annotated[bool, Meta(description="run the plugin")] = True
    debug: Annotated[bool, Meta(description="trace what the plugin does")] = False
    plugin: Annotated[str, Meta(description="id of the plugin, such as cp:otoroshi.next.…")]
    include: Annotated[
        tuple[str, ...],
        Meta(description="patterns of the whole path; when given, others are left out"),
    ] = ()
    exclude: Annotated[
        tuple[str, ...], Meta(description="patterns of the whole path that are left out")
    ] = ()
    config: Annotated[dict[str, Any], Meta(description="the plugin's own settings, verbatim")] = (
        msgspec.field(default_factory=dict[str, Any])
    )
    bound_listeners: Annotated[
        tuple[str, ...], Meta(description="ids of the listeners it runs for; empty = all")
    ] = ()
    plugin_index: Annotated[
        PluginIndex | UnsetType, Meta(description="where it runs within each phase")
    ] = UNSET

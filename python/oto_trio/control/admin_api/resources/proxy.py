"""Rows of what routes traffic: ``proxy.otoroshi.io``."""

from __future__ import annotations

from typing import Final

from oto_trio.control.admin_api.resources.resource import Resource
from oto_trio.model.backend import Backend, backend_template
from oto_trio.model.route import Route, route_template

__all__ = ["BACKENDS", "ROUTES"]

ROUTES: Final = Resource(
    kind="Route",
    plural="routes",
    singular="route",
    group="proxy.otoroshi.io",
    legacy_path="/api/routes",
    store_kind="routes",
    cls=Route,
    template=lambda env: route_template(env=env),
    template_key="route",
)

BACKENDS: Final = Resource(
    kind="Backend",
    plural="backends",
    singular="backend",
    group="proxy.otoroshi.io",
    legacy_path="/api/backends",
    store_kind="backends",
    cls=Backend,
    template=lambda env: backend_template(env=env),
    template_key="backend",
)

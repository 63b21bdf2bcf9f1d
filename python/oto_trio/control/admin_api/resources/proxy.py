"""Rows of what routes traffic: ``proxy.otoroshi.io``."""

from __future__ import annotations

from typing import Final

from oto_trio.control.admin_api.resources.resource import Resource
from oto_trio.model.backend import Backend, backend_template
from oto_trio.model.draft import DRAFTS as DRAFT_KIND
from oto_trio.model.draft import Draft, draft_template
from oto_trio.model.error_template import ERROR_TEMPLATES as ERROR_TEMPLATE_KIND
from oto_trio.model.error_template import ErrorTemplate, error_template_template
from oto_trio.model.route import Route, route_template
from oto_trio.model.route_composition import ROUTE_COMPOSITIONS as ROUTE_COMPOSITION_KIND
from oto_trio.model.route_composition import (
    RouteComposition,
    empty_route_composition,
    route_composition_template,
)
from oto_trio.model.route_template import ROUTE_TEMPLATES as ROUTE_TEMPLATE_KIND
from oto_trio.model.route_template import RouteTemplate, route_template_template
from oto_trio.model.service_descriptor import SERVICE_DESCRIPTORS as SERVICE_DESCRIPTOR_KIND
from oto_trio.model.service_descriptor import ServiceDescriptor, service_descriptor_template
from oto_trio.model.tcp_service import TCP_SERVICES as TCP_SERVICE_KIND
from oto_trio.model.tcp_service import TcpService, tcp_service_template

__all__ = [
    "BACKENDS",
    "DRAFTS",
    "ERROR_TEMPLATES",
    "ROUTES",
    "ROUTE_COMPOSITIONS",
    "ROUTE_TEMPLATES",
    "SERVICE_DESCRIPTORS",
    "TCP_SERVICES",
]

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

ROUTE_COMPOSITIONS: Final = Resource(
    kind="RouteComposition",
    plural="route-compositions",
    singular="route-composition",
    group="proxy.otoroshi.io",
    legacy_path="/api/route-compositions",
    store_kind=ROUTE_COMPOSITION_KIND,
    cls=RouteComposition,
    template=lambda _env: empty_route_composition(),
    template_key="service",
    legacy_template=lambda env: route_composition_template(env=env),
)

TCP_SERVICES: Final = Resource(
    kind="TcpService",
    plural="tcp-services",
    singular="tcp-service",
    group="proxy.otoroshi.io",
    legacy_path="/api/tcp/services",
    store_kind=TCP_SERVICE_KIND,
    cls=TcpService,
    template=lambda env: tcp_service_template(env=env),
    template_key="tcpService",
    legacy_template_path="/api/tcp/_template",
)

ERROR_TEMPLATES: Final = Resource(
    kind="ErrorTemplate",
    plural="error-templates",
    singular="error-templates",
    group="proxy.otoroshi.io",
    legacy_path="/api/error-templates",
    store_kind=ERROR_TEMPLATE_KIND,
    cls=ErrorTemplate,
    template=lambda _env: error_template_template(),
    template_key="template",
    id_key="serviceId",
    has_template_path=False,
)

DRAFTS: Final = Resource(
    kind="Draft",
    plural="drafts",
    singular="draft",
    group="proxy.otoroshi.io",
    legacy_path=None,
    store_kind=DRAFT_KIND,
    cls=Draft,
    template=lambda env: draft_template(env=env),
    template_key="draft",
    has_own_kind=True,
    lists_by_prefix=True,
)

ROUTE_TEMPLATES: Final = Resource(
    kind="RouteTemplate",
    plural="route-templates",
    singular="route-template",
    group="proxy.otoroshi.io",
    legacy_path=None,
    store_kind=ROUTE_TEMPLATE_KIND,
    cls=RouteTemplate,
    template=lambda env: route_template_template(env=env),
    template_key="routeTemplate",
)

SERVICE_DESCRIPTORS: Final = Resource(
    kind="ServiceDescriptor",
    plural="service-descriptors",
    singular="service-descriptor",
    group="proxy.otoroshi.io",
    legacy_path="/api/services",
    store_kind=SERVICE_DESCRIPTOR_KIND,
    cls=ServiceDescriptor,
    template=lambda env: service_descriptor_template(env=env),
    template_key="descriptor",
)

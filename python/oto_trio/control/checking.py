"""Would an entity work? Compiled and given to the engine, but to no gateway.

The admin API asks before it stores an entity, `oto-trio check` for every declared one.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from oto_trio import _core, jq
from oto_trio.control.addresses import host_problem
from oto_trio.control.supervisor.http_listeners import wanted_by_http_listener
from oto_trio.gateway.compile import (
    Hooks,
    RouteCompiler,
    Surroundings,
    check_global_slots,
    composed_path,
    composed_routes,
    convert_service,
    incoming_validators,
    service_path,
    unjudged,
)
from oto_trio.gateway.compile.tcp import compile_tcp_ports
from oto_trio.model.api_key import ApiKey
from oto_trio.model.backend import Backend
from oto_trio.model.data_exporter import DataExporter
from oto_trio.model.document import Document, encode_document
from oto_trio.model.errors import EntityError, Problem
from oto_trio.model.global_config import GlobalConfig
from oto_trio.model.http_listener import HttpListener
from oto_trio.model.jwt_verifier import JwtVerifier
from oto_trio.model.route import Frontend, Route
from oto_trio.model.route_composition import RouteComposition
from oto_trio.model.service_descriptor import ServiceDescriptor
from oto_trio.model.tcp_service import TcpService, TcpSettings
from oto_trio.plugin_api.addresses import address_fault
from oto_trio.plugin_api.registry import Registry
from oto_trio.telemetry.exporters import check_exporter

__all__ = ["check_engine_settings", "check_entity", "check_redaction"]

_MORE_THAN_0: Final = frozenset(
    {
        *("head_bytes", "target_bytes", "head_fields", "max_connections"),
        *("head_timeout_s", "handshake_timeout_s", "body_idle_s", "tunnel_idle_s"),
    }
)
"""Settings of the engine with which, at 0, it would serve nobody."""

_FIELD: Final = re.compile(r"([A-Za-z_][\w.\[\]]*): ")


def check_entity(
    entity: Document, registry: Registry, backends: Mapping[str, Backend]
) -> list[Problem]:
    """Say why an entity could not be served.

    Args:
        entity: A route, a route composition, a service descriptor, a stored backend, an API key, a JWT
            verifier, a data exporter, a TCP service, an HTTP listener or the global config; anything else has no problems here.
        registry: Which plugins there are.
        backends: The stored backends by id, for a route that refers to one.

    Returns:
        The problems, warnings included; paths start at the entity.
    """
    with jq.one_document():
        return _check_entity(entity, registry, backends)


def _check_entity(
    entity: Document, registry: Registry, backends: Mapping[str, Backend]
) -> list[Problem]:
    if isinstance(entity, GlobalConfig):
        _, unfit = incoming_validators(entity, registry)
        return [*check_global_slots(entity, registry), *unfit, *_check_addresses(entity)]
    if isinstance(entity, Backend):
        return _check_route(_probe(entity), registry, {})
    if isinstance(entity, Route):
        return _check_route(entity, registry, backends)
    if isinstance(entity, RouteComposition):
        return _check_composition(entity, registry, backends)
    if isinstance(entity, ServiceDescriptor):
        return _check_service(entity, registry)
    if isinstance(entity, ApiKey):
        return _check_row("apikeys", entity.id, encode_document(entity))
    if isinstance(entity, JwtVerifier):
        return _check_row("jwt-verifiers", entity.id, encode_document(entity))
    if isinstance(entity, DataExporter):
        return check_exporter(entity)
    return _check_port(entity)


def _check_port(entity: Document) -> list[Problem]:
    """Check what opens a port of its own; anything else has no problems here."""
    if isinstance(entity, TcpService):
        return _check_tcp_service(entity)
    return _check_http_listener(entity) if isinstance(entity, HttpListener) else []


def _check_http_listener(listener: HttpListener) -> list[Problem]:
    """Warn of a listener that would open no port; Otoroshi takes it, so an export with one has to come in whole."""
    try:
        wanted_by_http_listener(encode_document(listener))
    except EntityError as error:
        return [_warning(problem) for problem in error.problems]
    return []


def _check_tcp_service(service: TcpService) -> list[Problem]:
    """Say why a service would open no port, or let nobody in. Other services of its port, the workers know.

    Otoroshi takes what opens no port here, so that is a warning; the lists of addresses only this gateway has.
    """
    settings = service.settings if isinstance(service.settings, TcpSettings) else TcpSettings()
    lists = {
        "allowed": settings.allowed,
        "blocked": settings.blocked,
        "proxyProtocol.trusted": settings.proxy_protocol.trusted,
    }
    problems = [
        problem
        for name, entries in lists.items()
        for problem in _no_addresses(f"$.settings.{name}", entries)
    ]
    if (odd := host_problem("$.interface", service.interface.strip("[]"))) is not None:
        problems.append(_warning(odd))  # see `_check_http_listener`
    _, found = compile_tcp_ports([msgspec.structs.replace(service, enabled=True)])
    return [*problems, *(problem for _, problem in found)]


def _warning(problem: Problem) -> Problem:
    """Return a problem that refuses nothing."""
    return msgspec.structs.replace(problem, severity="warning")


def _check_row(kind: str, entity_id: str, document: bytes) -> list[Problem]:
    """Have the engine read an entity that native steps look up."""
    try:
        _core.Snapshot().apply([], [], None, [(kind, entity_id, document)])
    except ValueError as error:
        return [_refused("", str(error).removeprefix(f"{kind} {entity_id}: "))]
    return []


def check_engine_settings(settings: bytes) -> str | None:
    """Say what is wrong with the engine's settings (JSON); None when nothing is."""
    try:
        _core.Engine(settings).close()
    except ValueError as error:
        return str(error)
    for key, value in msgspec.json.decode(settings, type=dict[str, object]).items():
        if not isinstance(value, int | float):
            continue
        if key in _MORE_THAN_0 and value <= 0:
            return f"{key} must be more than 0: with {value} nothing is served"
        if value < 0:
            return f"{key} must be at least 0"
    return None


def _check_addresses(config: GlobalConfig) -> list[Problem]:
    """Return what is no address in the lists of the global config."""
    return [
        *_no_addresses("$.ipFiltering.whitelist", config.ip_filtering.whitelist),
        *_no_addresses("$.ipFiltering.blacklist", config.ip_filtering.blacklist),
    ]


def _no_addresses(path: str, entries: Sequence[str]) -> list[Problem]:
    """Return what is no address in a list."""
    return [
        Problem(f"{path}[{place}]", fault, "correct the entry, or remove it")
        for place, entry in enumerate(entries)
        if (fault := address_fault(entry)) is not None
    ]


def check_redaction(redaction: Mapping[str, object]) -> str | None:
    """Say what is wrong with the setting `redaction`; None when nothing is."""
    engine = _core.Engine()
    try:
        engine.capture(msgspec.json.encode({"redaction": redaction}))
    except ValueError as error:
        return str(error).removeprefix("capture settings: ").removeprefix("redaction.")
    finally:
        engine.close()
    return None


def _probe(backend: Backend) -> Route:
    """Return a route that does nothing but call a backend."""
    frontend = Frontend(domains=("probe.invalid",))
    return Route(id="probe", name="probe", frontend=frontend, backend=backend.backend)


def _check_route(
    route: Route, registry: Registry, backends: Mapping[str, Backend]
) -> list[Problem]:
    """Compile a route, and have the engine read the outcome."""
    lowered = RouteCompiler(registry, Hooks(), resolve=unjudged).compile(route, backends)
    problems = list(lowered.problems)
    try:
        _core.Snapshot().apply([lowered.document], [])
    except ValueError as error:
        problems.append(_refused(route.id, str(error)))
    return problems


def _check_composition(
    composition: RouteComposition, registry: Registry, backends: Mapping[str, Backend]
) -> list[Problem]:
    """Check the routes of a composition; what is wrong with a shared plugin is told once."""
    enabled = msgspec.structs.replace(composition, enabled=True)
    problems = [
        msgspec.structs.replace(problem, path=composed_path(composition, place, problem))
        for place, route in enumerate(composed_routes(enabled))
        for problem in _check_route(route, registry, backends)
    ]
    return list(dict.fromkeys(problems))


def _check_service(service: ServiceDescriptor, registry: Registry) -> list[Problem]:
    """Check the route that a service means. What its keys refer to, the workers know."""
    converted = convert_service(service, Surroundings(registry.__contains__, unjudged))
    problems = [
        msgspec.structs.replace(problem, path=service_path(converted, problem.path))
        for problem in _check_route(converted.route, registry, {})
    ]
    return [*converted.problems, *problems]


def _refused(route_id: str, text: str) -> Problem:
    """Take the engine's words apart: `route ID: FIELD: what is wrong; the fix`."""
    text = text.removeprefix(f"route {route_id}: ")
    match = _FIELD.match(text)
    path, words = ("$", text) if match is None else (f"$.{match[1]}", text[match.end() :])
    message, _, fix = words.partition("; ")
    return Problem(path, message, fix or "correct it")

"""From a service descriptor, Otoroshi's older form of a route, to the route it means.

Its plugins are those that Otoroshi's own conversion gives it, in the same order (`service_slots`). What has
no equivalent is named in the problems. Where it is one that keeps callers out, the problem is an error and
the service must answer 503: Otoroshi leaves it out and lets everybody in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

import msgspec

from oto_trio.gateway.compile.service_slots import Surroundings, service_slots
from oto_trio.gateway.compile.service_targets import convert_client, convert_targets
from oto_trio.model.backend import BackendSettings, HealthCheck
from oto_trio.model.document import read_document
from oto_trio.model.errors import Problem
from oto_trio.model.route import Frontend, Route

if TYPE_CHECKING:
    from oto_trio.model.service_descriptor import ServiceDescriptor

__all__ = ["ConvertedService", "Surroundings", "convert_service", "service_domains", "service_path"]


class ConvertedService(msgspec.Struct, frozen=True):
    """What a service descriptor means.

    Attributes:
        route: The route; of no use when a problem is an error.
        origins: For each of its plugins, where in the descriptor it comes from.
        problems: What has no equivalent; an error where it keeps callers out. Paths start at the
            descriptor.
    """

    route: Route
    origins: tuple[str, ...]
    problems: tuple[Problem, ...]


def convert_service(service: ServiceDescriptor, surroundings: Surroundings) -> ConvertedService:
    """Convert a service descriptor to a route.

    Args:
        service: The descriptor.
        surroundings: The plugins there are, and what its texts may refer to.

    Never raises: what is wrong is in the problems.
    """
    slots, origins, problems = service_slots(service, surroundings)
    problems += _not_there(service)
    targets, wrong = convert_targets("$.targets", service.targets)
    problems += wrong
    health = service.health_check
    route = Route(
        loc=service.loc,
        id=service.id,
        name=service.name,
        description=service.description,
        tags=(*service.tags, f"env:{service.env}"),
        metadata=_metadata(service),
        enabled=service.enabled,
        export_reporting=service.metadata.get("otoroshi-core-export-reporting") == "true",
        capture=service.metadata.get("otoroshi-core-capture") == "true",
        groups=cast("tuple[str, ...]", service.groups),
        frontend=Frontend(
            domains=service_domains(service),
            strip_path=service.strip_path,
            headers=service.matching_headers,
        ),
        backend=BackendSettings(
            targets=targets,
            root=service.root,
            load_balancing=service.targets_load_balancing,
            client=convert_client(service.client_config),
            health_check=read_document(HealthCheck, msgspec.to_builtins(health))
            if health.enabled
            else None,
        ),
        plugins=slots,
    )
    return ConvertedService(route, origins, tuple(problems))


def service_hosts(service: ServiceDescriptor) -> tuple[str, ...]:
    """Return the host names of a service: its list, then the one made of subdomain, line and domain.

    As Otoroshi converts it, a service of the line ``prod`` without a subdomain is at ``prod.<domain>``.
    """
    made: tuple[str, ...] = (service.subdomain, service.env, service.domain)
    if service.subdomain and service.env == "prod":
        made = (service.subdomain, service.domain)
    legacy = ".".join(part for part in made if part)
    return (*service.hosts, legacy) if service.handle_legacy_domain else service.hosts


def service_path(converted: ConvertedService, path: str) -> str:
    """Return where a problem of the converted route stands in the descriptor.

    Args:
        converted: The conversion.
        path: The problem's path, which starts at the route.
    """
    if path.startswith("$.plugins["):
        number, _, _ = path.removeprefix("$.plugins[").partition("]")
        if number.isdigit() and int(number) < len(converted.origins):
            return converted.origins[int(number)]
    for inner, outer in _PLACES.items():
        if path.startswith(inner):
            return outer
    return path


_PLACES: Final = {
    "$.frontend.headers": "$.matchingHeaders",
    "$.frontend": "$.hosts",
    "$.backend.targets": "$.targets",
    "$.backend.root": "$.root",
    "$.backend.client": "$.clientConfig",
    "$.backend.load_balancing": "$.targetsLoadBalancing",
    "$.backend.health_check": "$.healthCheck",
}


def service_domains(service: ServiceDescriptor) -> tuple[str, ...]:
    """Return every host with every path."""
    hosts = service_hosts(service)
    paths = service.paths
    if service.handle_legacy_domain and service.matching_root is not None:
        paths = (*paths, service.matching_root)
    paths = paths or (service.matching_root or "/",)
    return tuple(dict.fromkeys(host + path for path in paths for host in hosts))


def _metadata(service: ServiceDescriptor) -> dict[str, str]:
    """Return the metadata, with what Otoroshi says there of a converted service."""
    core = "otoroshi-core-"
    said = {
        f"{core}legacy": "true",
        f"{core}env": service.env,
        f"{core}use-akka-http-client": "true" if service.use_akka_http_client else None,
        f"{core}use-akka-http-ws-client": "true" if service.use_new_ws_client else None,
        f"{core}issue-lets-encrypt-certificate": "true" if service.lets_encrypt else None,
        f"{core}issue-certificate": "true" if service.issue_cert else None,
        f"{core}issue-certificate-ca": (service.issue_cert_ca or "")
        if service.issue_cert
        else None,
        f"{core}user-facing": "true" if service.user_facing else None,
        f"{core}openapi-url": (service.api.open_api_descriptor_url or "")
        if service.api.expose_api
        else None,
    }
    return {**service.metadata, **{key: text for key, text in said.items() if text is not None}}


def _not_there(service: ServiceDescriptor) -> list[Problem]:
    """Tell what a service asks for that is left out without letting anybody in."""
    asked = (
        (
            service.lets_encrypt,
            "letsEncrypt",
            "no certificate is ordered by ACME",
            "use issueCert, or bring a certificate",
        ),
        (
            service.redirect_to_local,
            "redirectToLocal",
            "requests go to the targets; Otoroshi's own conversion leaves this out too",
            "name the local upstream as target",
        ),
        (
            not service.client_config.use_circuit_breaker,
            "clientConfig.useCircuitBreaker",
            "the breaker stays on; Otoroshi's own conversion leaves this out too",
            "raise maxErrors",
        ),
        (
            service.log_analytics_on_server,
            "logAnalyticsOnServer",
            "events are not written to the log",
            "use a data exporter of the type console",
        ),
        (
            service.detect_api_key_sooner,
            "detectApiKeySooner",
            "public paths take no API key; Otoroshi's own conversion leaves this out too",
            "make those paths private",
        ),
    )
    return [
        Problem(f"$.{key}", message, fix, "warning") for is_on, key, message, fix in asked if is_on
    ]

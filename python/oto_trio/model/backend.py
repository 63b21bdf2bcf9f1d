"""Where a route forwards to: targets, and how one of them is chosen.

The object `BackendSettings` stands inline in a route under ``backend``; the entity `Backend` stores one
under a name, so that several routes can refer to it by ``backend_ref``. Durations are milliseconds, as
in Otoroshi's JSON.
"""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET, Meta, UnsetType
from typing_extensions import override

from oto_trio.model.client_settings import ClientSettings, Whole
from oto_trio.model.document import (
    Document,
    JsonObject,
    ShortFormError,
    read_document,
    write_document,
)
from oto_trio.model.ids import named_id
from oto_trio.model.location import Location

__all__ = [
    "Backend",
    "BackendSettings",
    "HealthCheck",
    "LoadBalancing",
    "Predicate",
    "Target",
    "TargetTls",
    "backend_template",
    "read_backend",
    "write_backend",
]

_HASH_KEYS = {
    "HeaderHash": "header_name",
    "CookieHash": "cookie_name",
    "QueryHash": "query_name",
}


class LoadBalancing(Document, frozen=True, kw_only=True):
    """How one of the targets is chosen.

    Otoroshi forgets the names of the ``*Hash`` strategies when it writes an entity back; oto-trio keeps
    them.
    """

    type: Annotated[
        Literal[
            "RoundRobin",
            "NaiveFailover",
            "PowerOfTwoRandomChoices",
            "LeastConnections",
            "Random",
            "Sticky",
            "IpAddressHash",
            "BestResponseTime",
            "WeightedBestResponseTime",
            "HeaderHash",
            "CookieHash",
            "QueryHash",
        ],
        Meta(description="name of the strategy"),
    ] = "RoundRobin"
    ratio: Annotated[
        int | float | UnsetType,
        Meta(description="share of calls for the fastest target, WeightedBestResponseTime only"),
    ] = UNSET
    header_name: Annotated[str | UnsetType, Meta(description="header hashed by HeaderHash")] = UNSET
    cookie_name: Annotated[str | UnsetType, Meta(description="cookie hashed by CookieHash")] = UNSET
    query_name: Annotated[
        str | UnsetType, Meta(description="query parameter hashed by QueryHash")
    ] = UNSET

    def __post_init__(self) -> None:
        """Fill in the default of the one option that the chosen strategy has."""
        if self.type == "WeightedBestResponseTime" and self.ratio is UNSET:
            msgspec.structs.force_setattr(self, "ratio", 0.5)
        key = _HASH_KEYS.get(self.type)
        if key is not None and getattr(self, key) is UNSET:
            msgspec.structs.force_setattr(self, key, "session-id")


class TargetTls(Document, frozen=True, kw_only=True):
    """TLS towards one target: client certificates and trust."""

    certs: Annotated[
        tuple[str, ...], Meta(description="ids of the client certificates to present")
    ] = ()
    trusted_certs: Annotated[
        tuple[str, ...], Meta(description="ids of the certificates to trust")
    ] = ()
    enabled: Annotated[bool, Meta(description="use these settings at all")] = False
    loose: Annotated[bool, Meta(description="do not check the target's host name")] = False
    trust_all: Annotated[bool, Meta(description="trust any certificate")] = False

    @classmethod
    @override
    def expand(cls, raw: JsonObject) -> JsonObject:
        """Accept a single certificate id under ``certId`` or ``cert_id``."""
        if "certs" in raw:
            return raw
        for short in ("certId", "cert_id"):
            if isinstance(raw.get(short), str):
                rest = {k: v for k, v in raw.items() if k not in ("certId", "cert_id")}
                return {**rest, "certs": [raw[short]]}
        return raw


class Predicate(Document, frozen=True, kw_only=True):
    """For which clients, or from which place of this gateway, a target may be used.

    Positions are written back as they were read, ``lat;lng;radius``; Otoroshi writes them with colons,
    which it cannot read again.
    """

    type: Annotated[
        Literal["AlwaysMatch", "GeolocationMatch", "NetworkLocationMatch"],
        Meta(description="name of the predicate"),
    ] = "AlwaysMatch"
    positions: Annotated[
        tuple[str, ...] | UnsetType,
        Meta(description="GeolocationMatch: positions as lat;lng;radius"),
    ] = UNSET
    provider: Annotated[
        str | UnsetType | None, Meta(description="NetworkLocationMatch: provider")
    ] = UNSET
    region: Annotated[str | UnsetType | None, Meta(description="NetworkLocationMatch: region")] = (
        UNSET
    )
    zone: Annotated[str | UnsetType | None, Meta(description="NetworkLocationMatch: zone")] = UNSET
    dc: Annotated[str | UnsetType | None, Meta(description="NetworkLocationMatch: data centre")] = (
        UNSET
    )
    rack: Annotated[str | UnsetType | None, Meta(description="NetworkLocationMatch: rack")] = UNSET

    def __post_init__(self) -> None:
        """Fill in the keys that Otoroshi writes for the chosen predicate."""
        if self.type == "GeolocationMatch" and self.positions is UNSET:
            msgspec.structs.force_setattr(self, "positions", ())
        if self.type == "NetworkLocationMatch":
            for key in ("provider", "region", "zone", "dc", "rack"):
                if getattr(self, key) is UNSET:
                    msgspec.structs.force_setattr(self, key, None)


_PROTOCOLS = {p.lower(): p for p in ("HTTP/1.0", "HTTP/1.1", "HTTP/2.0", "HTTP/3.0")}


class Target(Document, frozen=True, kw_only=True):
    """One upstream server."""

    id: Annotated[
        str, Meta(description="id of the target; computed from its address when left out")
    ] = ""
    hostname: Annotated[
        str, Meta(description="host name or IP address of the upstream", min_length=1)
    ]
    port: Annotated[int, Meta(description="TCP port of the upstream, 1 to 65535", ge=1, le=65535)]
    tls: Annotated[bool, Meta(description="speak TLS to the target")] = False
    weight: Annotated[Whole, Meta(description="share of calls relative to the other targets")] = 1
    backup: Annotated[
        bool, Meta(description="used only when every other target is unavailable")
    ] = False
    predicate: Annotated[Predicate, Meta(description="when the target may be used")] = Predicate()
    protocol: Annotated[
        Literal["HTTP/1.0", "HTTP/1.1", "HTTP/2.0", "HTTP/3.0"],
        Meta(description="protocol spoken to the target"),
    ] = "HTTP/1.1"
    ip_address: Annotated[
        str | None,
        Meta(
            description="address to connect to instead of resolving the host name; unix:PATH is a Unix socket"
        ),
    ] = None
    tls_config: Annotated[TargetTls, Meta(description="TLS towards the target")] = TargetTls()

    def __post_init__(self) -> None:
        """Compute the id from the address when none is given."""
        if not self.id:
            scheme = "https" if self.tls else "http"
            at = f"@{self.ip_address}" if self.ip_address else ""
            msgspec.structs.force_setattr(self, "id", f"{scheme}://{self.hostname}{at}:{self.port}")

    @classmethod
    @override
    def expand(cls, raw: JsonObject) -> JsonObject:
        """Accept the protocol in any case."""
        protocol = raw.get("protocol")
        if isinstance(protocol, str):
            return {**raw, "protocol": _PROTOCOLS.get(protocol.lower(), protocol)}
        return raw


class HealthCheck(Document, frozen=True, kw_only=True, rename="camel"):
    """Active health checks of the targets. Its keys are camelCase in Otoroshi too."""

    enabled: Annotated[bool, Meta(description="check the targets")] = False
    url: Annotated[str, Meta(description="path or URL to call")] = ""
    timeout: Annotated[Whole, Meta(description="longest wait for an answer, ms")] = 5000
    healthy_statuses: Annotated[
        tuple[int, ...], Meta(description="statuses that mean healthy")
    ] = ()
    unhealthy_statuses: Annotated[
        tuple[int, ...], Meta(description="statuses that mean unhealthy")
    ] = ()
    block_on_red: Annotated[bool, Meta(description="take an unhealthy target out of service")] = (
        False
    )
    logic_check: Annotated[bool, Meta(description="send Otoroshi's logic-check header")] = True
    healthy_regex_checks: Annotated[
        tuple[str, ...], Meta(description="patterns a healthy body must have")
    ] = ()
    unhealthy_regex_checks: Annotated[
        tuple[str, ...], Meta(description="patterns that mean unhealthy")
    ] = ()


def _target_of_url(url: str) -> tuple[JsonObject, str] | None:
    """Take a URL apart into a target and the root path; None when it is not a usable URL.

    ``unix:/run/app.sock`` is a Unix socket, which is told the host ``localhost``.
    """
    if url.startswith("unix:/"):
        return {"hostname": "localhost", "port": 80, "tls": False, "ip_address": url}, "/"
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    tls = parts.scheme == "https"
    target: JsonObject = {
        "hostname": parts.hostname,
        "port": port if port is not None else (443 if tls else 80),
        "tls": tls,
    }
    return target, parts.path or "/"


class BackendSettings(Document, frozen=True, kw_only=True):
    """Targets and how they are called."""

    targets: Annotated[tuple[Target, ...], Meta(description="the upstream servers")] = ()
    root: Annotated[str, Meta(description="path put before the request's path")] = "/"
    rewrite: Annotated[bool, Meta(description="replace the whole path by root")] = False
    load_balancing: Annotated[LoadBalancing, Meta(description="how a target is chosen")] = (
        LoadBalancing()
    )
    client: Annotated[ClientSettings, Meta(description="retries, breaker and timeouts")] = (
        ClientSettings()
    )
    health_check: Annotated[HealthCheck | None, Meta(description="active health checks")] = None

    @classmethod
    @override
    def expand(cls, raw: JsonObject) -> JsonObject:
        """Accept one target as a URL under ``url``, ``target`` or ``target_url``."""
        for short in ("url", "target", "target_url"):
            value = raw.get(short)
            if not isinstance(value, str):
                continue
            found = _target_of_url(value)
            if found is None:
                raise ShortFormError(
                    short,
                    f"{value!r} is not a URL",
                    "write http://host:port/path, https://… or unix:/path",
                )
            rest = {k: v for k, v in raw.items() if k not in (short, "targets", "root")}
            return {**rest, "targets": [found[0]], "root": found[1]}
        return raw


class Backend(Document, frozen=True, kw_only=True):
    """A backend stored under a name (``proxy.otoroshi.io/Backend``)."""

    loc: Annotated[Location, Meta(description="tenant and teams")] = msgspec.field(
        default=Location(), name="_loc"
    )
    id: Annotated[str, Meta(description="id of the backend")]
    name: Annotated[str, Meta(description="name of the backend")]
    description: Annotated[str, Meta(description="what it is for")] = ""
    tags: Annotated[tuple[str, ...], Meta(description="free labels")] = ()
    metadata: Annotated[dict[str, str], Meta(description="free texts by name")] = msgspec.field(
        default_factory=dict[str, str]
    )
    backend: Annotated[BackendSettings, Meta(description="targets and how they are called")]


def read_backend(raw: object) -> Backend:
    """Read a stored backend from its decoded JSON document.

    Raises:
        EntityError: A required key is missing or wrong; lists every such key.
    """
    return read_document(Backend, raw)


def write_backend(backend: Backend) -> JsonObject:
    """Write a stored backend as its JSON document."""
    return write_document(backend)


def backend_template(*, env: str = "prod") -> Backend:
    """Make the backend that ``_template`` answers with, under a new id."""
    return Backend(
        id=named_id("backend", env=env),
        name="New backend",
        description="A new backend",
        backend=BackendSettings(),
    )

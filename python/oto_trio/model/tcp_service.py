"""The TCP service: a port whose connections are passed on, by the name that TLS asks for."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from oto_trio.model.document import Document
from oto_trio.model.ids import named_id
from oto_trio.model.location import Location
from oto_trio.model.mtls_config import MtlsConfig  # noqa: TC001 (msgspec reads it)

__all__ = [
    "TCP_SERVICES",
    "SniSettings",
    "TcpProxyProtocol",
    "TcpRule",
    "TcpService",
    "TcpSettings",
    "TcpTarget",
    "tcp_service_template",
]

TCP_SERVICES = "tcp-services"
"""Kind under which the store keeps them."""

_PORT = Meta(description="TCP port, 1 to 65535", ge=1, le=65535)


class TcpTarget(Document, frozen=True, kw_only=True):
    """One upstream server of a TCP service."""

    host: Annotated[str, Meta(description="host name of the server")]
    ip: Annotated[
        str | None,
        Meta(
            description="address to connect to instead of resolving the host name; unix:PATH is a Unix socket"
        ),
    ] = None
    port: Annotated[int, _PORT] = 8080
    tls: Annotated[bool, Meta(description="speak TLS to the server")] = False
    mtls_config: Annotated[
        MtlsConfig | UnsetType, Meta(description="certificates and trust of that TLS")
    ] = msgspec.field(default=UNSET, name="mtlsConfig")


class SniSettings(Document, frozen=True, kw_only=True, rename="camel"):
    """What becomes of a connection by the server name its client asks for."""

    enabled: Annotated[bool, Meta(description="look at the server name")] = False
    forward_if_no_match: Annotated[
        bool, Meta(description="pass on connections whose name no rule takes")
    ] = False
    forwards_to: Annotated[TcpTarget, Meta(description="where those go")] = TcpTarget(
        host="127.0.0.1"
    )


class TcpRule(Document, frozen=True, kw_only=True):
    """Where connections for a name go."""

    domain: Annotated[str, Meta(description="pattern of the server name; * = every one")] = "*"
    targets: Annotated[tuple[TcpTarget, ...], Meta(description="the upstream servers")] = ()


_BOUND = Meta(ge=1, le=2**53)
_MS = Meta(ge=1, le=2**31 - 1)


class TcpProxyProtocol(Document, frozen=True, kw_only=True, rename="camel"):
    """Who tells whom of clients, in front of the first byte."""

    strict_keys = frozenset({"accept", "trusted", "send"})

    accept: Annotated[
        bool, Meta(description="every connection begins with a header, version 1 or 2")
    ] = False
    trusted: Annotated[
        tuple[str, ...], Meta(description="addresses that may send one; empty = every address")
    ] = ()
    send: Annotated[
        Literal["None", "V1", "V2"], Meta(description="version of the header sent to the targets")
    ] = "None"


class TcpSettings(Document, frozen=True, kw_only=True, rename="camel"):
    """What this gateway does beyond Otoroshi's keys; left out of documents that do not have it."""

    strict_keys = frozenset(
        {"allowed", "blocked", "maxConnections", "maxBytesIn", "maxBytesOut", "totalTimeout"}
    )

    proxy_protocol: Annotated[TcpProxyProtocol, Meta(description="who tells whom of clients")] = (
        TcpProxyProtocol()
    )
    allowed: Annotated[
        tuple[str, ...], Meta(description="addresses that alone may connect; empty = every address")
    ] = ()
    blocked: Annotated[tuple[str, ...], Meta(description="addresses that may not connect")] = ()
    max_connections: Annotated[
        Annotated[int, _BOUND] | None,
        Meta(description="connections at once in each gateway worker"),
    ] = None
    max_bytes_in: Annotated[
        Annotated[int, _BOUND] | None, Meta(description="bytes of one connection from its client")
    ] = None
    max_bytes_out: Annotated[
        Annotated[int, _BOUND] | None, Meta(description="bytes of one connection to its client")
    ] = None
    connect_timeout: Annotated[
        int, _MS, Meta(description="milliseconds that a connection to a target may take")
    ] = 10_000
    idle_timeout: Annotated[
        int, _MS, Meta(description="milliseconds in which nothing may move either way")
    ] = 3_600_000
    total_timeout: Annotated[
        Annotated[int, _MS] | None, Meta(description="milliseconds that a connection may last")
    ] = None


class TcpService(Document, frozen=True, kw_only=True, rename="camel"):
    """A TCP service (``proxy.otoroshi.io/TcpService``).

    Otoroshi reads an unknown ``tls`` or ``clientAuth`` as none, which opens the port to everybody; here
    they are errors.
    """

    strict_keys = frozenset({"tls", "clientAuth", "settings"})

    loc: Annotated[Location, Meta(description="tenant and teams")] = msgspec.field(
        default=Location(), name="_loc"
    )
    id: Annotated[str, Meta(description="id of the service")]
    name: Annotated[str, Meta(description="name of the service")]
    description: Annotated[str, Meta(description="what it is for")]
    enabled: Annotated[bool, Meta(description="listen")] = False
    tls: Annotated[
        Literal["Disabled", "Enabled", "PassThrough"],
        Meta(description="whether TLS ends here, is passed on, or is not spoken"),
    ] = "Disabled"
    sni: Annotated[SniSettings, Meta(description="rules by server name")] = SniSettings()
    client_auth: Annotated[
        Literal["None", "Want", "Need", "Dynamic"],
        Meta(description="whether clients need a certificate"),
    ] = "None"
    port: Annotated[int, _PORT]
    interface: Annotated[str, Meta(description="address to listen on")] = "0.0.0.0"  # noqa: S104
    rules: Annotated[tuple[TcpRule, ...], Meta(description="where connections go")] = ()
    metadata: Annotated[dict[str, str], Meta(description="free texts by name")] = msgspec.field(
        default_factory=dict[str, str]
    )
    tags: Annotated[tuple[str, ...], Meta(description="free labels")] = ()
    settings: Annotated[
        TcpSettings | UnsetType, Meta(description="what Otoroshi has no keys for")
    ] = UNSET


def tcp_service_template(*, env: str = "prod") -> TcpService:
    """Make the TCP service that ``_template`` answers with, under a new id."""
    return TcpService(
        id=named_id("tcp_service", env=env),
        name="TCP Proxy",
        description="A TCP Proxy",
        enabled=True,
        port=4200,
        rules=(TcpRule(targets=(TcpTarget(host="42.42.42.42", port=4200),)),),
    )

"""The TCP service: a port whose connections are passed on, by the name that TLS asks for."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from oto_trio.model.document import Document
from oto_trio.model.ids import named_id
from oto_trio.model.location import Location

__all__ = [
    "TCP_SERVICES",
    "SniSettings",
    "TcpRule",
    "TcpService",
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
        str | None, Meta(description="address to connect to instead of resolving the host name")
    ] = None
    port: Annotated[int, _PORT] = 8080
    tls: Annotated[bool, Meta(description="speak TLS to the server")] = False


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


class TcpService(Document, frozen=True, kw_only=True, rename="camel"):
    """A TCP service (``proxy.otoroshi.io/TcpService``).

    Otoroshi reads an unknown ``tls`` or ``clientAuth`` as none, which opens the port to everybody; here
    they are errors.
    """

    strict_keys = frozenset({"tls", "clientAuth"})

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

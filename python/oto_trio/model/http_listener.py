"""The HTTP listener: one more port of the gateway, with its own protocols and TLS."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from oto_trio.model.document import Document
from oto_trio.model.ids import named_id
from oto_trio.model.location import Location

__all__ = ["HTTP_LISTENERS", "HttpListener", "ListenerSettings", "http_listener_template"]

HTTP_LISTENERS: Final = "http-listeners"
"""Kind under which the store keeps them."""


class ListenerSettings(Document, frozen=True, kw_only=True):
    """Where a listener listens, and what it speaks. The keys are as Otoroshi mixes them.

    Where a wrong value would open another port than was meant, or let more people in, it is an error.
    """

    strict_keys: ClassVar[frozenset[str]] = frozenset(
        {"tls", "port", "host", "exclusive", "clientAuth"}
    )

    enabled: Annotated[bool, Meta(description="listen")] = False
    exclusive: Annotated[bool, Meta(description="serve only routes that are bound to it")] = False
    tls: Annotated[bool, Meta(description="speak TLS")] = True
    http1: Annotated[bool, Meta(description="speak HTTP/1.1")] = True
    http2: Annotated[bool, Meta(description="speak HTTP/2")] = True
    h2c: Annotated[bool, Meta(description="speak HTTP/2 without TLS")] = False
    http3: Annotated[bool, Meta(description="speak HTTP/3")] = False
    port: Annotated[int, Meta(description="port it listens at, 1 to 65535", ge=1, le=65535)] = 7890
    exposed_port: Annotated[
        Annotated[int, Meta(ge=1, le=65535)] | UnsetType,
        Meta(description="port clients see; the port itself when left out"),
    ] = msgspec.field(default=UNSET, name="exposedPort")
    host: Annotated[str, Meta(description="address it listens at")] = "0.0.0.0"  # noqa: S104
    access_log: Annotated[bool, Meta(description="write a line for each request")] = msgspec.field(
        default=False, name="accessLog"
    )
    client_auth: Annotated[
        Literal["None", "Want", "Need"], Meta(description="whether clients show certificates")
    ] = msgspec.field(default="None", name="clientAuth")

    def __post_init__(self) -> None:
        """Let clients see the port itself unless another is given."""
        if self.exposed_port is UNSET:
            msgspec.structs.force_setattr(self, "exposed_port", self.port)


class HttpListener(Document, frozen=True, kw_only=True):
    """A listener (``http-listeners.proxy.otoroshi.io/HttpListener``)."""

    loc: Annotated[Location, Meta(description="tenant and teams")] = msgspec.field(
        default=Location(), name="_loc"
    )
    id: Annotated[str, Meta(description="id of the listener")]
    name: Annotated[str, Meta(description="name of the listener")]
    description: Annotated[str, Meta(description="what it is for")]
    config: Annotated[ListenerSettings, Meta(description="where it listens, what it speaks")] = (
        ListenerSettings()
    )
    metadata: Annotated[dict[str, str], Meta(description="free texts by name")] = msgspec.field(
        default_factory=dict[str, str]
    )
    tags: Annotated[tuple[str, ...], Meta(description="free labels")] = ()


def http_listener_template(*, env: str = "prod") -> HttpListener:
    """Make the listener that ``_template`` answers with, under a new id.

    Args:
        env: Environment name of this gateway.
    """
    return HttpListener(
        id=named_id("http-listener", env=env),
        name="New Http Listener",
        description="New Http Listener",
        config=ListenerSettings(enabled=True),
    )

"""Let pages call gRPC services.

Phases: transform_request, transform_response. Native.
Otoroshi: ``cp:otoroshi.next.plugins.GrpcWebProxyPlugin``.
Source: the gRPC project, "gRPC Web".
"""

import re
from typing import Annotated, Final

from msgspec import UNSET, Meta, UnsetType
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, Phase, Plugin, Response, Step, steps

__all__ = ["GrpcWebProxyPlugin", "GrpcWebProxyPluginConfig"]

ASKED: Final = re.compile(
    r"application/grpc-web(-text)?(\+[^; ]*)?(?:[; ].*)?", re.IGNORECASE | re.DOTALL
)
"""The content type of a call: its form and the format of its messages."""

ANSWERED: Final = re.compile(r"application/grpc(\+[^; ]*)?(?:[; ].*)?", re.IGNORECASE | re.DOTALL)
"""The content type of a backend's answer."""

FORM: Final = "grpc-web.form"
"""Under this name the exchange keeps its caller's form."""

REFUSED: Final = Response(
    200,
    (
        ("grpc-status", "403"),
        ("grpc-message", "You're not authorized here!"),
        ("content-type", "application/grpc-web+proto"),
    ),
)


class GrpcWebProxyPluginConfig(Config, frozen=True):
    """What pages may call."""

    allowed_services: Annotated[
        tuple[str, ...],
        Meta(
            description="Services that may be called: by full name, by their package, or by the name behind it; "
            "all, if there is none here and in allow_services."
        ),
    ] = ()
    allow_methods: Annotated[
        tuple[str, ...], Meta(description="Methods that may be called; empty: all.")
    ] = ()
    blocked_methods: Annotated[
        tuple[str, ...], Meta(description="Methods that may not be called, allowed or not.")
    ] = ()
    allow_services: Annotated[
        tuple[str, ...] | UnsetType, Meta(description="More of allowed_services.")
    ] = UNSET


class GrpcWebProxyPlugin(Plugin[GrpcWebProxyPluginConfig]):
    """Turns calls of gRPC-Web, binary and text, into calls of gRPC, and their answers back.

    The backend is to speak HTTP/2 (a target with ``"protocol": "HTTP/2.0"``). Messages pass one by one, as they
    come, both ways. Trailers end the body of the answer in a frame of their own, as the protocol has it; Otoroshi
    leaves them out. Errors of the gateway itself are told as ``grpc-status`` in an answer with status 200, and
    ``grpc-timeout`` bounds the call. A service or a method that may not be called is answered with Otoroshi's 200
    and ``grpc-status: 403``. Otoroshi writes the services as ``allowed_services`` and reads ``allow_services``:
    here both count.

    What is neither a call nor the answer of a gRPC server passes as it is. Hooks of other plugins that read the
    body of a call see it as the client sent it. The engine translates bodies while they pass: there is no
    hook in Python that could.
    """

    id = "cp:otoroshi.next.plugins.GrpcWebProxyPlugin"
    name = "gRPC-Web proxy"
    description = "Lets pages call gRPC services."
    categories = ("Custom", "Transformations")

    @override
    def transform_request(self, exchange: Exchange) -> Response | None:
        headers = exchange.request.headers
        asked = ASKED.fullmatch(headers.get("content-type") or "")
        if asked is None:
            return None
        if not self._allows(exchange.request.path):
            return REFUSED
        text, message_format = asked.groups()
        exchange.attrs[FORM] = "-text" if text else ""
        headers.set(
            "content-type", "application/grpc" + (message_format or ("+proto" if text else ""))
        )
        return None

    @override
    def transform_response(self, exchange: Exchange) -> None:
        assert exchange.response is not None, "a response phase has a response"
        headers = exchange.response.headers
        form = exchange.attrs.get(FORM)
        answered = ANSWERED.fullmatch(headers.get("content-type") or "")
        if isinstance(form, str) and answered is not None:
            message_format = answered[1] or ("+proto" if form else "")
            headers.set("content-type", f"application/grpc-web{form}{message_format}")

    @override
    def lower(self) -> tuple[Step, ...]:
        return (
            steps.Native("grpc_web", Phase.TRANSFORM_REQUEST, self.config),
            steps.Native("grpc_web", Phase.TRANSFORM_RESPONSE, self.config),
        )

    def _allows(self, path: str) -> bool:
        """Tell whether the service and the method that a path names may be called."""
        config = self.config
        parts = [part for part in path.split("/") if part]
        if len(parts) < 2:
            return False
        service, method = parts[:2]
        services = config.allowed_services
        if config.allow_services is not UNSET:
            services += config.allow_services
        return (
            method not in config.blocked_methods
            and (not services or any(_is_named(service, name) for name in services))
            and (not config.allow_methods or method in config.allow_methods)
        )


def _is_named(service: str, name: str) -> bool:
    """Tell whether a name is that of a service, with its package or without, or of a package it is in."""
    return service == name or service.startswith(f"{name}.") or service.rpartition(".")[2] == name

"""Echo the request's body as it came.

Phases: call_backend.
Otoroshi: ``cp:otoroshi.next.plugins.RequestBodyEchoBackend``.
"""

from typing import Annotated

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import BodyTooLarge, Config, Exchange, Plugin, Response
from oto_trio.plugins.other.echo_backend import too_large

__all__ = ["RequestBodyEchoBackend", "RequestBodyEchoBackendConfig"]


class RequestBodyEchoBackendConfig(Config, frozen=True):
    """How much to echo."""

    limit: Annotated[
        int, Meta(description="Longest request body in bytes; a longer one gets 413.", ge=0)
    ] = 524288


class RequestBodyEchoBackend(Plugin[RequestBodyEchoBackendConfig]):
    """Answers 200 with the request's body and content type; 204 when there is no body."""

    id = "cp:otoroshi.next.plugins.RequestBodyEchoBackend"
    name = "Request body Echo"
    description = "Echoes the request body."
    categories = ("Other",)

    @override
    async def call_backend(self, exchange: Exchange) -> Response:
        request = exchange.request
        try:
            body = await request.read(self.config.limit)
        except BodyTooLarge:
            return too_large(self.config.limit)
        if not body:
            return Response(204)
        content_type = request.headers.get("Content-Type") or "application/octet-stream"
        return Response(200, (("Content-Type", content_type),), body)

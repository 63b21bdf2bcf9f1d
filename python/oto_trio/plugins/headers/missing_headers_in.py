"""Set header fields that the request lacks.

Phases: transform_request. Native.
Otoroshi: ``cp:otoroshi.next.plugins.MissingHeadersIn``.
"""

from typing import Annotated

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import (
    Config,
    Exchange,
    HeaderName,
    HeaderValue,
    Phase,
    Plugin,
    Step,
    steps,
    writable_fields,
)

__all__ = ["MissingHeadersIn", "MissingHeadersInConfig"]


class MissingHeadersInConfig(Config, frozen=True):
    """The fields to set."""

    headers: Annotated[
        dict[HeaderName, HeaderValue],
        Meta(description="Values by header name, for headers that are absent."),
    ] = {}


class MissingHeadersIn(Plugin[MissingHeadersInConfig]):
    """Sets request headers the client did not send."""

    id = "cp:otoroshi.next.plugins.MissingHeadersIn"
    name = "Missing headers in"
    description = "Sets request headers the client did not send."
    categories = ("Headers", "Classic")

    @override
    def transform_request(self, exchange: Exchange) -> None:
        headers = exchange.request.headers
        for name, value in writable_fields(self.config.headers).items():
            if name not in headers:
                headers.set(name, value)

    @override
    def lower(self) -> tuple[Step, ...]:
        return (
            steps.AddMissingHeaders(writable_fields(self.config.headers), Phase.TRANSFORM_REQUEST),
        )

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
    header_templates,
    steps,
    writable_fields,
)

__all__ = ["MissingHeadersIn", "MissingHeadersInConfig"]


class MissingHeadersInConfig(Config, frozen=True):
    """The fields to set."""

    headers: Annotated[
        dict[HeaderName, HeaderValue],
        Meta(description="Values by header name, for headers that are absent; ${…} is evaluated."),
    ] = {}


class MissingHeadersIn(Plugin[MissingHeadersInConfig]):
    """Sets request headers the client did not send."""

    id = "cp:otoroshi.next.plugins.MissingHeadersIn"
    name = "Missing headers in"
    description = "Sets request headers the client did not send."
    categories = ("Headers", "Classic")

    def __init__(self, config: MissingHeadersInConfig) -> None:
        super().__init__(config)
        self._values = header_templates(config.headers)

    @override
    def transform_request(self, exchange: Exchange) -> None:
        headers = exchange.request.headers
        for name, value in self._values.items():
            if name not in headers:
                headers.set(name, value.render_header(exchange))

    @override
    def lower(self) -> tuple[Step, ...]:
        return (
            steps.AddMissingHeaders(writable_fields(self.config.headers), Phase.TRANSFORM_REQUEST),
        )

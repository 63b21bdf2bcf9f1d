"""Set header fields of the request.

Phases: transform_request. Native.
Otoroshi: ``cp:otoroshi.next.plugins.AdditionalHeadersIn``.
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

__all__ = ["AdditionalHeadersIn", "AdditionalHeadersInConfig"]


class AdditionalHeadersInConfig(Config, frozen=True):
    """The fields to set."""

    headers: Annotated[
        dict[HeaderName, HeaderValue],
        Meta(description="Values by header name; they replace the client's; ${…} is evaluated."),
    ] = {}


class AdditionalHeadersIn(Plugin[AdditionalHeadersInConfig]):
    """Sets request headers, replacing those the client sent."""

    id = "cp:otoroshi.next.plugins.AdditionalHeadersIn"
    name = "Additional headers in"
    description = "Sets request headers, replacing those the client sent."
    categories = ("Headers", "Classic")

    def __init__(self, config: AdditionalHeadersInConfig) -> None:
        super().__init__(config)
        self._values = header_templates(config.headers)

    @override
    def transform_request(self, exchange: Exchange) -> None:
        headers = exchange.request.headers
        for name, value in self._values.items():
            headers.set(name, value.render_header(exchange))

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.SetHeaders(writable_fields(self.config.headers), Phase.TRANSFORM_REQUEST),)

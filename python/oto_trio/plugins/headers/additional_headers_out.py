"""Set header fields of the response.

Phases: transform_response. Native.
Otoroshi: ``cp:otoroshi.next.plugins.AdditionalHeadersOut``.
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

__all__ = ["AdditionalHeadersOut", "AdditionalHeadersOutConfig"]


class AdditionalHeadersOutConfig(Config, frozen=True):
    """The fields to set."""

    headers: Annotated[
        dict[HeaderName, HeaderValue],
        Meta(description="Values by header name; they replace the backend's; ${…} is evaluated."),
    ] = {}


class AdditionalHeadersOut(Plugin[AdditionalHeadersOutConfig]):
    """Sets response headers, replacing those the backend sent."""

    id = "cp:otoroshi.next.plugins.AdditionalHeadersOut"
    name = "Additional headers out"
    description = "Sets response headers, replacing those the backend sent."
    categories = ("Headers", "Classic")

    def __init__(self, config: AdditionalHeadersOutConfig) -> None:
        super().__init__(config)
        self._values = header_templates(config.headers)

    @override
    def transform_response(self, exchange: Exchange) -> None:
        assert exchange.response is not None, "a response phase has a response"
        headers = exchange.response.headers
        for name, value in self._values.items():
            headers.set(name, value.render_header(exchange))

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.SetHeaders(writable_fields(self.config.headers), Phase.TRANSFORM_RESPONSE),)

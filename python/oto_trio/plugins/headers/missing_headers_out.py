"""Set header fields that the response lacks.

Phases: transform_response. Native.
Otoroshi: ``cp:otoroshi.next.plugins.MissingHeadersOut``.
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

__all__ = ["MissingHeadersOut", "MissingHeadersOutConfig"]


class MissingHeadersOutConfig(Config, frozen=True):
    """The fields to set."""

    headers: Annotated[
        dict[HeaderName, HeaderValue],
        Meta(description="Values by header name, for headers that are absent; ${…} is evaluated."),
    ] = {}


class MissingHeadersOut(Plugin[MissingHeadersOutConfig]):
    """Sets response headers the backend did not send."""

    id = "cp:otoroshi.next.plugins.MissingHeadersOut"
    name = "Missing headers out"
    description = "Sets response headers the backend did not send."
    categories = ("Headers", "Classic")

    def __init__(self, config: MissingHeadersOutConfig) -> None:
        super().__init__(config)
        self._values = header_templates(config.headers)

    @override
    def transform_response(self, exchange: Exchange) -> None:
        assert exchange.response is not None, "a response phase has a response"
        headers = exchange.response.headers
        for name, value in self._values.items():
            if name not in headers:
                headers.set(name, value.render_header(exchange))

    @override
    def lower(self) -> tuple[Step, ...]:
        return (
            steps.AddMissingHeaders(writable_fields(self.config.headers), Phase.TRANSFORM_RESPONSE),
        )

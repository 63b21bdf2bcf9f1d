"""Redirect every request to one address.

Phases: pre_route. Native.
Otoroshi: ``cp:otoroshi.next.plugins.Redirection``.
"""

from typing import Annotated

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import (
    Config,
    Exchange,
    HeaderValue,
    Plugin,
    Response,
    Step,
    compiled_template,
    steps,
)

__all__ = ["Redirection", "RedirectionConfig"]

_CODES = frozenset({301, 302, 303, 307, 308})


class RedirectionConfig(Config, frozen=True):
    """Where to, and how."""

    code: Annotated[
        int, Meta(description="Status: 301, 302, 303, 307 or 308; with any other, nothing happens.")
    ] = 303
    to: Annotated[
        HeaderValue, Meta(description="The address sent as Location; ${…} is evaluated.")
    ] = "https://www.otoroshi.io"


class Redirection(Plugin[RedirectionConfig]):
    """Answers every request with a redirect; steps aside when the configured code is none."""

    id = "cp:otoroshi.next.plugins.Redirection"
    name = "Redirection"
    description = "Redirects every request to one address."
    categories = ("TrafficControl", "Classic")

    def __init__(self, config: RedirectionConfig) -> None:
        super().__init__(config)
        self._to = compiled_template("$.to", config.to)

    @override
    def pre_route(self, exchange: Exchange) -> Response | None:
        if self.config.code not in _CODES:
            return None
        return Response(self.config.code, (("Location", self._to.render_header(exchange)),))

    @override
    def lower(self) -> tuple[Step, ...]:
        if self.config.code not in _CODES:
            return ()
        return (steps.Redirect(self.config.code, self.config.to),)

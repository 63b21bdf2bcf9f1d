"""Drop request header fields that are too long.

Phases: transform_request. Native.
Otoroshi: ``cp:otoroshi.next.plugins.RejectHeaderInTooLong``.
"""

from typing import Annotated

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, Phase, Plugin, Step, steps
from oto_trio.plugin_api.fields import shorten_fields

__all__ = ["RejectHeaderInTooLong", "RejectHeaderInTooLongConfig"]


class RejectHeaderInTooLongConfig(Config, frozen=True):
    """How long a value may be."""

    value: Annotated[int, Meta(description="The longest value, in bytes.", ge=0)] = 8192


class RejectHeaderInTooLong(Plugin[RejectHeaderInTooLongConfig]):
    """Drops request header fields whose value is longer; each one raises a ``HeaderTooLongAlert``."""

    id = "cp:otoroshi.next.plugins.RejectHeaderInTooLong"
    name = "Reject headers in too long"
    description = "Drops request header fields that are too long."
    categories = ("Headers",)

    @override
    def transform_request(self, exchange: Exchange) -> None:
        shorten_fields(exchange, exchange.request.headers, self.config.value, cut=False)

    @override
    def lower(self) -> tuple[Step, ...]:
        settings = steps.LongHeaders(self.config.value, cut=False)
        return (steps.Native("long_headers", Phase.TRANSFORM_REQUEST, settings),)

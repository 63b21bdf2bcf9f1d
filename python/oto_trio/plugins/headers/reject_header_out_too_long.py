"""Drop response header fields that are too long.

Phases: transform_response. Native.
Otoroshi: ``cp:otoroshi.next.plugins.RejectHeaderOutTooLong``.
"""

from typing import Annotated

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, Phase, Plugin, Step, steps
from oto_trio.plugin_api.fields import shorten_fields

__all__ = ["RejectHeaderOutTooLong", "RejectHeaderOutTooLongConfig"]


class RejectHeaderOutTooLongConfig(Config, frozen=True):
    """How long a value may be."""

    value: Annotated[int, Meta(description="The longest value, in bytes.", ge=0)] = 8192


class RejectHeaderOutTooLong(Plugin[RejectHeaderOutTooLongConfig]):
    """Drops response header fields whose value is longer; each one raises a ``HeaderTooLongAlert``."""

    id = "cp:otoroshi.next.plugins.RejectHeaderOutTooLong"
    name = "Reject headers out too long"
    description = "Drops response header fields that are too long."
    categories = ("Headers",)

    @override
    def transform_response(self, exchange: Exchange) -> None:
        if exchange.response is not None:
            shorten_fields(exchange, exchange.response.headers, self.config.value, cut=False)

    @override
    def lower(self) -> tuple[Step, ...]:
        settings = steps.LongHeaders(self.config.value, cut=False)
        return (steps.Native("long_headers", Phase.TRANSFORM_RESPONSE, settings),)

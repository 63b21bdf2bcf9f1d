"""Cut response header fields that are too long.

Phases: transform_response. Native.
Otoroshi: ``cp:otoroshi.next.plugins.LimitHeaderOutTooLong``.
"""

from typing import Annotated

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, Phase, Plugin, Step, steps
from oto_trio.plugin_api.fields import shorten_fields

__all__ = ["LimitHeaderOutTooLong", "LimitHeaderOutTooLongConfig"]


class LimitHeaderOutTooLongConfig(Config, frozen=True):
    """How long a value may be."""

    value: Annotated[
        int,
        Meta(
            description="The longest value, in bytes; a longer one is cut to one byte less.", ge=0
        ),
    ] = 8192


class LimitHeaderOutTooLong(Plugin[LimitHeaderOutTooLongConfig]):
    """Cuts response header values that are longer, to one byte less; each one raises a ``HeaderTooLongAlert``."""

    id = "cp:otoroshi.next.plugins.LimitHeaderOutTooLong"
    name = "Limit headers out too long"
    description = "Cuts response header values that are too long."
    categories = ("Headers",)

    @override
    def transform_response(self, exchange: Exchange) -> None:
        if exchange.response is not None:
            shorten_fields(exchange, exchange.response.headers, self.config.value, cut=True)

    @override
    def lower(self) -> tuple[Step, ...]:
        settings = steps.LongHeaders(self.config.value, cut=True)
        return (steps.Native("long_headers", Phase.TRANSFORM_RESPONSE, settings),)

"""Cut request header fields that are too long.

Phases: transform_request. Native.
Otoroshi: ``cp:otoroshi.next.plugins.LimitHeaderInTooLong``.
"""

from typing import Annotated

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, Phase, Plugin, Step, steps
from oto_trio.plugin_api.fields import shorten_fields

__all__ = ["LimitHeaderInTooLong", "LimitHeaderInTooLongConfig"]


class LimitHeaderInTooLongConfig(Config, frozen=True):
    """How long a value may be."""

    value: Annotated[
        int,
        Meta(
            description="The longest value, in bytes; a longer one is cut to one byte less.", ge=0
        ),
    ] = 8192


class LimitHeaderInTooLong(Plugin[LimitHeaderInTooLongConfig]):
    """Cuts request header values that are longer, to one byte less; each one raises a ``HeaderTooLongAlert``."""

    id = "cp:otoroshi.next.plugins.LimitHeaderInTooLong"
    name = "Limit headers in too long"
    description = "Cuts request header values that are too long."
    categories = ("Headers",)

    @override
    def transform_request(self, exchange: Exchange) -> None:
        shorten_fields(exchange, exchange.request.headers, self.config.value, cut=True)

    @override
    def lower(self) -> tuple[Step, ...]:
        settings = steps.LongHeaders(self.config.value, cut=True)
        return (steps.Native("long_headers", Phase.TRANSFORM_REQUEST, settings),)

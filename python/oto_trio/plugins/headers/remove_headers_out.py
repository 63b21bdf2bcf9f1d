"""Remove header fields of the response.

Phases: transform_response. Native.
Otoroshi: ``cp:otoroshi.next.plugins.RemoveHeadersOut``.
"""

from typing import Annotated, Any

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, HeaderName, Phase, Plugin, Step, steps

__all__ = ["RemoveHeadersOut", "RemoveHeadersOutConfig"]


class RemoveHeadersOutConfig(Config, frozen=True):
    """The fields to remove."""

    header_names: Annotated[
        tuple[HeaderName, ...], Meta(description="Names of the headers to remove, in any case.")
    ] = ()

    @classmethod
    @override
    def normalise(cls, raw: dict[str, Any]) -> dict[str, Any]:
        """Take the first list that is not empty among the three names it has had."""
        for key in ("header_names", "headers", "names"):
            if raw.get(key):
                raw["header_names"] = raw[key]
                break
        return raw


class RemoveHeadersOut(Plugin[RemoveHeadersOutConfig]):
    """Removes every field with one of the names."""

    id = "cp:otoroshi.next.plugins.RemoveHeadersOut"
    name = "Remove headers out"
    description = "Removes response headers."
    categories = ("Headers", "Classic")

    @override
    def transform_response(self, exchange: Exchange) -> None:
        assert exchange.response is not None, "a response phase has a response"
        for name in self._names():
            exchange.response.headers.remove(name)

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.RemoveHeaders(self._names(), Phase.TRANSFORM_RESPONSE),)

    def _names(self) -> tuple[str, ...]:
        """Return the names, without the empty one."""
        return tuple(name for name in self.config.header_names if name)

"""Remove header fields of the request.

Phases: transform_request. Native.
Otoroshi: ``cp:otoroshi.next.plugins.RemoveHeadersIn``.
"""

from typing import Annotated, Any

from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, HeaderName, Phase, Plugin, Step, steps

__all__ = ["RemoveHeadersIn", "RemoveHeadersInConfig"]


class RemoveHeadersInConfig(Config, frozen=True):
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


class RemoveHeadersIn(Plugin[RemoveHeadersInConfig]):
    """Removes every field with one of the names."""

    id = "cp:otoroshi.next.plugins.RemoveHeadersIn"
    name = "Remove headers in"
    description = "Removes request headers."
    categories = ("Headers", "Classic")

    @override
    def transform_request(self, exchange: Exchange) -> None:
        for name in self._names():
            exchange.request.headers.remove(name)

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.RemoveHeaders(self._names(), Phase.TRANSFORM_REQUEST),)

    def _names(self) -> tuple[str, ...]:
        """Return the names, without the empty one."""
        return tuple(name for name in self.config.header_names if name)

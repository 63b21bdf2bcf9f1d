"""Let only requests through that read.

Phases: access. Native.
Otoroshi: ``cp:otoroshi.next.plugins.ReadOnlyCalls``.
"""

from typing_extensions import override

from oto_trio.plugin_api import Exchange, Plugin, Refusal, Step, steps

__all__ = ["ReadOnlyCalls"]

_READING = ("GET", "HEAD", "OPTIONS")


class ReadOnlyCalls(Plugin):
    """Refuses with 405 every method but GET, HEAD and OPTIONS."""

    id = "cp:otoroshi.next.plugins.ReadOnlyCalls"
    name = "Read only requests"
    description = "Lets only GET, HEAD and OPTIONS through."
    categories = ("AccessControl", "Classic")

    @override
    def access(self, exchange: Exchange) -> Refusal | None:
        if exchange.request.method.upper() in _READING:
            return None
        return Refusal(405, "Method not allowed", "errors.method.not.allowed")

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.AllowMethods(_READING),)

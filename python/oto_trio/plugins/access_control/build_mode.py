"""Close a route that is still being built.

Phases: pre_route. Native.
Otoroshi: ``cp:otoroshi.next.plugins.BuildMode``.
"""

from typing_extensions import override

from oto_trio.plugin_api import Exchange, Plugin, Refusal, Step, steps

__all__ = ["BuildMode"]

_STATUS = 503
_MESSAGE = "Service under construction"
_CAUSE = "errors.service.under.construction"


class BuildMode(Plugin):
    """Refuses every request with 503; browsers get the page of a service under construction."""

    id = "cp:otoroshi.next.plugins.BuildMode"
    name = "Build mode"
    description = "Answers every request with the under-construction page."
    categories = ("AccessControl", "Classic")

    @override
    def pre_route(self, exchange: Exchange) -> Refusal:
        return Refusal(_STATUS, _MESSAGE, _CAUSE)

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.Refuse(_STATUS, _MESSAGE, _CAUSE),)

"""Close every route for maintenance.

Phases: pre_route. Native.
Otoroshi: ``cp:otoroshi.next.plugins.GlobalMaintenanceMode``.
"""

from typing_extensions import override

from oto_trio.plugin_api import Exchange, Plugin, Refusal, Step, steps

__all__ = ["GlobalMaintenanceMode"]

_STATUS = 503
_MESSAGE = "Service in maintenance mode"
_CAUSE = "errors.service.in.maintenance"


class GlobalMaintenanceMode(Plugin):
    """Refuses every request with 503; browsers get the maintenance page.

    For a global slot. That it is there is enough: the switch ``maintenanceMode`` of the global config,
    which does the same without a plugin, is not looked at.
    """

    id = "cp:otoroshi.next.plugins.GlobalMaintenanceMode"
    name = "Global Maintenance mode"
    description = "Answers every request with the maintenance page."
    categories = ("AccessControl", "Classic")

    @override
    def pre_route(self, exchange: Exchange) -> Refusal:
        return Refusal(_STATUS, _MESSAGE, _CAUSE)

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.Refuse(_STATUS, _MESSAGE, _CAUSE),)

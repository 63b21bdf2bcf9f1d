"""Send the target's host name as ``Host``.

Phases: transform_request. Native.
Otoroshi: ``cp:otoroshi.next.plugins.OverrideHost``.
"""

from typing_extensions import override

from oto_trio.plugin_api import Exchange, Plugin, Step, steps

__all__ = ["OverrideHost"]


class OverrideHost(Plugin):
    """Replaces ``Host`` by the target's host name, without port; without a target, nothing changes."""

    id = "cp:otoroshi.next.plugins.OverrideHost"
    name = "Override host header"
    description = "Sets Host to the host name of the backend's target."
    categories = ("Headers", "Classic")

    @override
    def transform_request(self, exchange: Exchange) -> None:
        if exchange.target_hostname is not None:
            exchange.request.headers.set("Host", exchange.target_hostname)

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.OverrideHost(),)

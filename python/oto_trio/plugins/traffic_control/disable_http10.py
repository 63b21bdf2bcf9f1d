"""Refuse HTTP/1.0.

Phases: access. Native.
Otoroshi: ``cp:otoroshi.next.plugins.DisableHttp10``.
"""

from typing_extensions import override

from oto_trio.plugin_api import Exchange, Phase, Plugin, Refusal, Step, steps

__all__ = ["DisableHttp10"]


class DisableHttp10(Plugin):
    """Refuses requests of HTTP/1.0 with 503."""

    id = "cp:otoroshi.next.plugins.DisableHttp10"
    name = "Disable HTTP/1.0"
    description = "Refuses requests that speak HTTP/1.0."
    categories = ("TrafficControl", "Classic")

    @override
    def access(self, exchange: Exchange) -> Refusal | None:
        if exchange.request.version != "1.0":
            return None
        return Refusal(503, "HTTP/1.0 not allowed", "errors.http.1_0.not.allowed")

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.Native("disable_http10", Phase.ACCESS),)

"""Send plain http callers to https.

Phases: pre_route. Native.
Otoroshi: ``cp:otoroshi.next.plugins.ForceHttpsTraffic``.
"""

from typing_extensions import override

from oto_trio.plugin_api import Exchange, Plugin, Response, Step, steps

__all__ = ["ForceHttpsTraffic"]


class ForceHttpsTraffic(Plugin):
    """Answers a plain http request with 303 to the same domain, path and query on https.

    The port is the setting ``exposed_https_port``, else that of the listener for https, else 443. The engine
    knows it and adds it; the hook below takes 443 for granted.
    """

    id = "cp:otoroshi.next.plugins.ForceHttpsTraffic"
    name = "Force HTTPS traffic"
    description = "Redirects plain http requests to https."
    categories = ("TrafficControl", "Classic")

    @override
    def pre_route(self, exchange: Exchange) -> Response | None:
        if exchange.secured:
            return None
        request = exchange.request
        query = f"?{request.query}" if request.query else ""
        return Response(303, (("Location", f"https://{request.domain}{request.path}{query}"),))

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.ForceHttps(),)

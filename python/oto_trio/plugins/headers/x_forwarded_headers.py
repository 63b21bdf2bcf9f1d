"""Tell the backend who called, over what, and for which host.

Phases: transform_request. Native.
Otoroshi: ``cp:otoroshi.next.plugins.XForwardedHeaders``.
"""

from typing_extensions import override

from oto_trio.plugin_api import Exchange, Plugin, Step, steps

__all__ = ["XForwardedHeaders"]


class XForwardedHeaders(Plugin):
    """Sets ``X-Forwarded-For``, ``-Host``, ``-Proto``, and ``-Prefix`` when the path is stripped.

    What the client says in these fields counts only when the gateway trusts it (``trustXForwarded``).
    """

    id = "cp:otoroshi.next.plugins.XForwardedHeaders"
    name = "X-Forwarded-* headers"
    description = "Adds X-Forwarded-* headers to the backend's request."
    categories = ("Headers", "Classic")

    @override
    def transform_request(self, exchange: Exchange) -> None:
        headers = exchange.request.headers
        headers.set("X-Forwarded-For", exchange.forwarded_for)
        headers.set("X-Forwarded-Host", exchange.request.host)
        headers.set("X-Forwarded-Proto", "https" if exchange.secured else "http")
        if exchange.strip_path and exchange.matched_path:
            headers.set("X-Forwarded-Prefix", exchange.matched_path)

    @override
    def lower(self) -> tuple[Step, ...]:
        return (steps.XForwarded(),)

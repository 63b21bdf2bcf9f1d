"""Tell the backend which request this is, in Otoroshi's header fields.

Phases: transform_request. Native.
Otoroshi: ``cp:otoroshi.next.plugins.OtoroshiHeadersIn``.
"""

from typing_extensions import override

from oto_trio.plugin_api import Exchange, Native, Phase, Plugin, Step
from oto_trio.plugin_api.call_headers import timestamp

__all__ = ["OtoroshiHeadersIn"]


class OtoroshiHeadersIn(Plugin):
    """Sets ``Otoroshi-Proxied-Host`` (with its port), ``-Request-Id`` and ``-Request-Timestamp``.

    The timestamp is when the request came. What a client sends in these fields, or in
    ``Otoroshi-Parent-Request``, does not reach the backend.

    Unlike Otoroshi, expressions that stand in the client's own header fields are not evaluated: anybody
    could read what expressions know.
    """

    id = "cp:otoroshi.next.plugins.OtoroshiHeadersIn"
    name = "Otoroshi headers in"
    description = "Adds Otoroshi's headers about the request for the backend."
    categories = ("Headers", "Classic")

    @override
    def transform_request(self, exchange: Exchange) -> None:
        headers = exchange.request.headers
        for name in ("Proxied-Host", "Request-Id", "Request-Timestamp", "Parent-Request"):
            headers.remove(f"Otoroshi-{name}")
        headers.set("Otoroshi-Proxied-Host", exchange.request.host)
        headers.set("Otoroshi-Request-Id", str(exchange.request_id))
        headers.set("Otoroshi-Request-Timestamp", timestamp(exchange.received_at))

    @override
    def lower(self) -> tuple[Step, ...]:
        return (Native("otoroshi_headers_in", Phase.TRANSFORM_REQUEST),)

"""Tell the client about its call: its id, how long it took, what is left of its quotas.

Phases: transform_response. Native.
Otoroshi: ``cp:otoroshi.next.plugins.SendOtoroshiHeadersBack``.
"""

from typing_extensions import override

from oto_trio.plugin_api import Exchange, Native, Phase, Plugin, Step
from oto_trio.plugin_api.call_headers import timestamp

__all__ = ["SendOtoroshiHeadersBack"]


class SendOtoroshiHeadersBack(Plugin):
    """Sets ``Otoroshi-Request-Id``, ``-Request-Timestamp``, ``-Proxy-Latency`` and ``-Upstream-Latency``.

    Latencies are in milliseconds: from the request to the first call of the backend, and from there to
    the answer, failed attempts included; -1 without an answer of a backend. When calls of an API key were
    counted, ``Otoroshi-Daily-Calls-Remaining`` and ``Otoroshi-Monthly-Calls-Remaining`` say what is left;
    what has no limit is counted from 10000000. Fields of these names from the backend are replaced. Errors
    of the gateway itself do not have them.

    Otoroshi also tells when the key's secret is replaced; workers do not know that, so it is left out.
    """

    id = "cp:otoroshi.next.plugins.SendOtoroshiHeadersBack"
    name = "Send otoroshi headers back"
    description = "Adds headers about the call to the response."
    categories = ("Headers", "Classic")

    @override
    def transform_response(self, exchange: Exchange) -> None:
        if exchange.response is None:
            return
        headers = exchange.response.headers
        headers.set("Otoroshi-Request-Id", str(exchange.request_id))
        headers.set("Otoroshi-Request-Timestamp", timestamp(exchange.received_at))
        headers.set("Otoroshi-Proxy-Latency", str(exchange.proxy_latency_ms))
        upstream_ms = exchange.upstream_latency_ms
        headers.set("Otoroshi-Upstream-Latency", str(-1 if upstream_ms is None else upstream_ms))
        daily, monthly = exchange.remaining_calls or (None, None)
        for name, left in (("Daily", daily), ("Monthly", monthly)):
            field = f"Otoroshi-{name}-Calls-Remaining"
            if left is None:
                headers.remove(field)
            else:
                headers.set(field, str(left))

    @override
    def lower(self) -> tuple[Step, ...]:
        return (Native("otoroshi_headers_back", Phase.TRANSFORM_RESPONSE),)

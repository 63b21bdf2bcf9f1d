"""Show clients what their ``User-Agent`` says of them.

Phases: transform_request.
Otoroshi: ``cp:otoroshi.next.plugins.NgUserAgentInfoEndpoint``.
"""

import msgspec
from typing_extensions import override

from oto_trio.plugin_api import Exchange, Plugin, Response
from oto_trio.plugin_api.user_agents import user_agent_info

__all__ = ["NgUserAgentInfoEndpoint"]

_PATH = "/.well-known/otoroshi/plugins/user-agent"


class NgUserAgentInfoEndpoint(Plugin):
    """Answers ``GET /.well-known/otoroshi/plugins/user-agent`` with what the extractor found, as JSON.

    Without the extractor before it, and for clients that send no ``User-Agent``, the backend is asked.
    """

    id = "cp:otoroshi.next.plugins.NgUserAgentInfoEndpoint"
    name = "User-Agent endpoint"
    description = "Answers one path with the parsed User-Agent."
    categories = ("TrafficControl",)

    @override
    def transform_request(self, exchange: Exchange) -> Response | None:
        request = exchange.request
        if request.method != "GET" or request.path != _PATH:
            return None
        found = user_agent_info(exchange)
        if found is None:
            return None
        return Response(200, (("Content-Type", "application/json"),), msgspec.json.encode(found))

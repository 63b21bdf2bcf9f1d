"""Tell the backend what the ``User-Agent`` says of the client.

Phases: transform_request.
Otoroshi: ``cp:otoroshi.next.plugins.NgUserAgentInfoHeader``.
"""

from typing import Annotated

import msgspec
from msgspec import Meta
from typing_extensions import override

from oto_trio.plugin_api import Config, Exchange, HeaderName, Plugin
from oto_trio.plugin_api.user_agents import user_agent_info

__all__ = ["NgUserAgentInfoHeader", "NgUserAgentInfoHeaderConfig"]


class NgUserAgentInfoHeaderConfig(Config, frozen=True):
    """The header."""

    header_name: Annotated[HeaderName, Meta(description="The header's name.")] = "X-User-Agent-Info"


class NgUserAgentInfoHeader(Plugin[NgUserAgentInfoHeaderConfig]):
    """Sets a header to what the extractor found, as JSON.

    What a client sends under that name never reaches the backend, also when nothing was found.
    """

    id = "cp:otoroshi.next.plugins.NgUserAgentInfoHeader"
    name = "User-Agent header"
    description = "Sends the parsed User-Agent to the backend."
    categories = ("Headers",)

    @override
    def transform_request(self, exchange: Exchange) -> None:
        name = self.config.header_name
        if not name:
            return
        headers = exchange.request.headers
        found = user_agent_info(exchange)
        if found is None:
            headers.remove(name)
        else:
            headers.set(name, msgspec.json.encode(found).decode())

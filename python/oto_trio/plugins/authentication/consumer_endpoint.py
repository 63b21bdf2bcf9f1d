"""Tell callers who they are.

Phases: call_backend.
Otoroshi: ``cp:otoroshi.next.plugins.ConsumerEndpoint``.
"""

from typing import Any

import msgspec
from typing_extensions import override

from oto_trio.plugin_api import Exchange, Plugin, Response

__all__ = ["ConsumerEndpoint"]

_SHOWN = ("name", "email", "profile", "metadata", "tags")


class ConsumerEndpoint(Plugin):
    """Answers with the user or the API key of the caller, without secrets."""

    id = "cp:otoroshi.next.plugins.ConsumerEndpoint"
    name = "Consumer endpoint"
    description = "Answers with the user or the API key of the caller."
    categories = ("Authentication",)

    @override
    def call_backend(self, exchange: Exchange) -> Response:
        user, key = exchange.user, exchange.apikey
        shown: dict[str, Any]
        if user is not None:
            shown = {name: user.get(name) for name in _SHOWN} | {"access_type": "session"}
        elif key is not None:
            shown = {
                "clientId": key.client_id,
                "clientName": key.client_name,
                "metadata": key.metadata,
                "tags": key.tags,
                "access_type": "apikey",
            }
        else:
            shown = {"access_type": "public"}
        return Response(200, (("Content-Type", "application/json"),), msgspec.json.encode(shown))

"""Paths of parts that Otoroshi has and can be without, answered as an Otoroshi without them does.

Cluster mode is off, tunnels are disabled, and no Elasticsearch is read: that is so here, always. Clients
ask for these to see whether they are there.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec
from starlette.routing import Route as Path

from oto_trio.control.admin_api.answers import answer
from oto_trio.control.admin_api.rights import global_config_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from oto_trio.control.admin_api.operations import Entities

__all__ = ["ANALYTICS", "CLUSTER", "TUNNELS", "AbsentParts"]

CLUSTER: Final = {
    "/api/cluster/state": ["GET"],
    "/api/cluster/quotas": ["PUT"],
    "/api/cluster/members": ["GET", "DELETE"],
    "/api/cluster/live": ["GET"],
    "/api/cluster/sessions": ["POST"],
    "/api/cluster/sessions/{id}": ["GET"],
    "/api/cluster/login-tokens/{id}": ["GET", "POST"],
    "/api/cluster/user-tokens": ["POST"],
    "/api/cluster/user-tokens/{id}": ["GET"],
    "/api/cluster/relay": ["POST"],
    "/apis/cluster": ["GET"],
}
"""Verbs by path of what only a cluster has."""

TUNNELS: Final = {"/api/tunnels": ["GET"], "/api/tunnels/infos": ["GET"]}
"""Verbs by path of what only a gateway with tunnels has."""

ANALYTICS: Final = {
    "/api/stats": ["GET"],
    "/api/stats/global": ["GET"],
    "/api/services/{id}/stats": ["GET"],
    "/api/events": ["GET"],
    "/api/services/{id}/events": ["GET"],
    "/api/status": ["POST"],
    "/api/status/global": ["GET"],
    "/api/services/{id}/status": ["GET"],
    "/api/groups/{id}/status": ["GET"],
    "/api/services/{id}/response": ["GET"],
}
"""Verbs by path of what Otoroshi reads from Elasticsearch."""


class AbsentParts:
    """Endpoints that tell that a part is not there.

    Args:
        entities: Where the global configuration is.
    """

    def __init__(self, entities: Entities) -> None:
        self._entities = entities

    def paths(self) -> list[Path]:
        """Give the paths; they must come before those of the resources."""
        cluster = partial(_absent, {"error": "Cluster API not available"})
        tunnels = partial(_absent, {"error": "resource not found"})
        return [
            Path(path, endpoint, methods=verbs)
            for table, endpoint in (
                (CLUSTER, cluster),
                (TUNNELS, tunnels),
                (ANALYTICS, self._analytics),
            )
            for path, verbs in table.items()
        ]

    async def _analytics(self, request: Request) -> Response:
        """Answer that no events can be read; 501 where the configuration names where from."""
        record = await global_config_of(self._entities.store)
        config: dict[str, Any] = {} if record is None else msgspec.json.decode(record.document)
        if config.get("elasticReadsConfig") is None:
            told = {"error": "no elastic read config found !"}
            return answer(request, told, status=404, pretty_by_default=False)
        told = {"error": "oto-trio does not read events from Elasticsearch; ask it directly"}
        return answer(request, told, status=501, pretty_by_default=False)


async def _absent(told: dict[str, Any], request: Request) -> Response:
    """Answer 404 in Otoroshi's words."""
    return answer(request, told, status=404, pretty_by_default=False)

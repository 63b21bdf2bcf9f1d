"""Probes and metrics on the control listener: open to all, or to who knows the access key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio
from starlette.responses import Response
from starlette.routing import Route as Path

from oto_trio.control.admin_api.about import THIS_NODE
from oto_trio.control.admin_api.resources import GLOBAL_CONFIGS
from oto_trio.gateway.metrics import Page, metrics_page
from oto_trio.gateway.monitoring import PREFIX, health_page, is_key_accepted, probe_page
from oto_trio.model.errors import StoreError

if TYPE_CHECKING:
    from starlette.requests import Request

    from oto_trio.control.admin_api.gateway_control import GatewayControl
    from oto_trio.control.store import Store

__all__ = ["Probes", "is_probe_path"]

STORE_WAIT_S: Final = 2.0
"""How long the store may take to answer before it counts as unreachable."""

_NAMES: Final = ("health", "live", "ready", "startup", "metrics")
_PATHS: Final = frozenset(f"{start}{name}" for start in ("/", PREFIX) for name in _NAMES)


def is_probe_path(path: str) -> bool:
    """Tell whether a path is a probe's, and so needs no API key."""
    return path in _PATHS


class Probes:
    """Endpoints for whoever watches the gateway.

    Args:
        store: Asked whether it answers.
        gateway: Asked how it is.
        health_access_key: Key the probes ask for in the query; None leaves them open.
        metrics_access_key: Key ``/metrics`` asks for; None takes the key of the probes.
    """

    def __init__(
        self,
        store: Store,
        gateway: GatewayControl,
        *,
        health_access_key: str | None,
        metrics_access_key: str | None,
    ) -> None:
        self._store = store
        self._gateway = gateway
        self._health_access_key = health_access_key
        self._metrics_access_key = metrics_access_key or health_access_key

    def paths(self) -> list[Path]:
        """Give the paths: plain, below ``/.well-known/otoroshi/monitoring/``, and two of this node."""
        return [
            *(Path(path, self._show, methods=["GET"]) for path in sorted(_PATHS)),
            *(
                Path(f"{THIS_NODE}/{name}", self._show_to_callers, methods=["GET"])
                for name in ("health", "metrics")
            ),
        ]

    async def _show(self, request: Request) -> Response:
        """Answer one probe."""
        name = request.url.path.rpartition("/")[2]
        key = self._metrics_access_key if name == "metrics" else self._health_access_key
        if not is_key_accepted(request.url.query, key):
            return Response(b'{"error":"unauthorized"}', 401, media_type="application/json")
        return await self._show_to_callers(request)

    async def _show_to_callers(self, request: Request) -> Response:
        """Answer health or metrics to whoever has an API key; no access key is asked for then."""
        name = request.url.path.rpartition("/")[2]
        if name == "metrics":
            counters = await self._gateway.metrics()
            accept = request.headers.get("accept", "")
            page = metrics_page(counters, query=request.url.query, accept=accept)
        else:
            page = await self._page(name)
        return Response(page.body, page.status, {"Content-Type": page.content_type})

    async def _page(self, name: str) -> Page:
        """Make the page of a probe."""
        health = self._gateway.health()
        if name == "health":
            return health_page(
                store_is_healthy=await self._store_answers(),
                is_started=health.is_started,
                serving=health.is_ready,
            )
        up = {"live": True, "ready": health.is_ready, "startup": health.is_started}[name]
        return probe_page(name, is_up=up)

    async def _store_answers(self) -> bool:
        """Tell whether the store answers in time."""
        with trio.move_on_after(STORE_WAIT_S):
            try:
                await self._store.count(GLOBAL_CONFIGS.store_kind)
            except StoreError:
                return False
            return True
        return False

"""The admin API served in the test's own process, on a real socket. Needs httpx."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import httpx
import msgspec
import trio

from oto_trio.control.admin_api import AdminServer, build_app, serve_admin_api
from oto_trio.control.credentials import DEV_CREDENTIALS
from oto_trio.control.first_start import bootstrap
from oto_trio.control.store import MemoryStore, Store
from oto_trio.testing.fake_gateway import FakeGatewayControl

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from oto_trio.control.admin_api.audit_trail import AuditTrail
    from oto_trio.control.limits import LimitsTable
    from oto_trio.model.document import Document, JsonObject
    from oto_trio.model.errors import Problem
    from oto_trio.model.rights import Validators

__all__ = ["ServedAdminApi", "route_document", "serving_admin_api"]

PATIENCE_S: Final = 60.0
"""How long an answer may take; a machine that also compiles is slow."""


class ServedAdminApi:
    """A served admin API: its parts, and a client that has the API key."""

    def __init__(
        self,
        store: Store,
        gateway: FakeGatewayControl,
        server: AdminServer,
        client: httpx.AsyncClient,
    ) -> None:
        self.store = store
        self.gateway = gateway
        self.server = server
        self.client = client

    async def call(self, verb: str, path: str, body: Any = None, **options: Any) -> httpx.Response:
        """Send a request.

        Args:
            verb: The method.
            path: Path and query.
            body: Sent as JSON, unless it is None.
            options: More arguments of httpx's ``request``.
        """
        if body is not None:
            options["content"] = msgspec.json.encode(body)
            headers = {"Content-Type": "application/json"}
            options["headers"] = headers | options.get("headers", {})
        return await self.client.request(verb, path, **options)


@asynccontextmanager
async def serving_admin_api(
    *,
    check: Callable[[Document], list[Problem]] | None = None,
    health_access_key: str | None = None,
    metrics_access_key: str | None = None,
    limits: LimitsTable | None = None,
    trail: AuditTrail | None = None,
    entity_validators: Validators | None = None,
) -> AsyncGenerator[ServedAdminApi]:
    """Serve the admin API on a free port, over an empty memory store and a fake gateway.

    Args:
        check: What the gateway says of an entity; by default it can serve everything.
        health_access_key: Key the probes ask for.
        metrics_access_key: Key ``/metrics`` asks for.
        limits: The counters whose quotas it serves.
        trail: Told of every write.
        entity_validators: What the writes of every user must look like.
    """
    gateway = FakeGatewayControl(check)
    shutdown = trio.Event()
    async with MemoryStore() as store, trio.open_nursery() as nursery:
        await bootstrap(store)
        app = build_app(
            store,
            [DEV_CREDENTIALS],
            gateway,
            health_access_key=health_access_key,
            metrics_access_key=metrics_access_key,
            limits=limits,
            trail=trail,
            entity_validators=entity_validators,
        )

        async def run(task_status: trio.TaskStatus[AdminServer]) -> None:
            await serve_admin_api(app, shutdown=shutdown, task_status=task_status)

        server: AdminServer = await nursery.start(run)
        key = (DEV_CREDENTIALS.client_id, DEV_CREDENTIALS.client_secret)
        async with httpx.AsyncClient(base_url=server.url, auth=key, timeout=PATIENCE_S) as client:
            yield ServedAdminApi(store, gateway, server, client)
        shutdown.set()


def route_document(entity_id: str = "r1", **more: Any) -> JsonObject:
    """Make the document of a small route.

    Args:
        entity_id: Its id.
        more: Keys to add or replace.
    """
    return {
        "id": entity_id,
        "name": f"route {entity_id}",
        "frontend": {"domains": ["api.localhost/users"]},
        "backend": {"targets": [{"hostname": "127.0.0.1", "port": 9000}]},
        **more,
    }

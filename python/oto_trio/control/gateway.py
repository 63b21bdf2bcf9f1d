"""The gateway as the admin API sees it: the supervisor, the plugins, and what would work.

Implements `admin_api.GatewayControl`.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
import trio

from oto_trio.control.admin_api.gateway_control import GatewayHealth
from oto_trio.control.checking import check_entity
from oto_trio.control.store.base import Store
from oto_trio.control.supervisor.supervision import Supervisor
from oto_trio.gateway.frames import EntityKey
from oto_trio.gateway.installer import BACKENDS
from oto_trio.model.backend import Backend, read_backend
from oto_trio.model.document import Document
from oto_trio.model.errors import ApplyTimeoutError, EntityError, Problem
from oto_trio.model.service_descriptor import ServiceDescriptor
from oto_trio.plugin_api.folder import FolderPlugins, with_folder
from oto_trio.plugin_api.registry import Registry

__all__ = ["Gateway"]


class Gateway:
    """What the control plane knows and asks of its gateway.

    Args:
        supervisor: Keeps the workers.
        store: Holds the entities.
        registry: The built-in plugins and those of installed distributions.
        folder: The folder of user plugins; None when there is none.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        store: Store,
        registry: Registry,
        folder: FolderPlugins | None,
    ) -> None:
        self.is_started = False
        """Whether the first start-up has completed."""
        self.is_draining = False
        """Whether the gateway is about to end."""
        self._supervisor = supervisor
        self._store = store
        self._base = registry
        self._folder = folder
        self._backends: dict[str, Backend] = {}

    async def wait_applied(self, revision: int, timeout_s: float) -> None:
        """See `GatewayControl.wait_applied`."""
        with trio.move_on_after(timeout_s):
            await self._supervisor.wait_applied(revision)
            return
        raise ApplyTimeoutError(
            f"revision {revision} is stored, but not every worker serves it after {timeout_s:g} s; "
            "it will be served as soon as they can",
            revision=revision,
        )

    def check(self, entity: Document) -> list[Problem]:
        """See `GatewayControl.check`.

        A service descriptor is taken whatever it says: Otoroshi takes it too, and here it answers 503
        rather than to let in whom it should not. Its problems are warnings.
        """
        problems = check_entity(entity, self.registry(), self._backends)
        if isinstance(entity, ServiceDescriptor):
            return [msgspec.structs.replace(problem, severity="warning") for problem in problems]
        return problems

    def health(self) -> GatewayHealth:
        """See `GatewayControl.health`."""
        is_ready = self.is_started and not self.is_draining and bool(self._supervisor.serving)
        return GatewayHealth(is_started=self.is_started, is_ready=is_ready)

    async def metrics(self) -> Mapping[str, Any]:
        """See `GatewayControl.metrics`."""
        return await self._supervisor.metrics()

    async def route_counts(self, entity: EntityKey) -> Mapping[str, Any]:
        """See `GatewayControl.route_counts`."""
        return await self._supervisor.route_counts(entity)

    def registry(self) -> Registry:
        """Return the plugins there are now; the folder is looked at again."""
        if self._folder is None:
            return self._base
        self._folder = self._folder.poll()
        return with_folder(self._base, self._folder)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Follow the stored backends, which a check of a route must know, until cancelled."""
        with self._store.watch() as changes:
            snapshot = await self._store.snapshot((BACKENDS,))
            for record in snapshot.records:
                self._note(record.id, record.document)
            task_status.started()
            async for batch in changes:
                for change in batch.changes:
                    if change.kind == BACKENDS:
                        self._note(change.id, change.document)

    def _note(self, backend_id: str, document: bytes | None) -> None:
        """Take over one stored backend; one that cannot be read counts as absent."""
        self._backends.pop(backend_id, None)
        if document is None:
            return
        try:
            self._backends[backend_id] = read_backend(msgspec.json.decode(document))
        except (EntityError, msgspec.DecodeError):
            return  # the workers report it, with the reason

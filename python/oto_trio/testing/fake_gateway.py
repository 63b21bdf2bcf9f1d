"""A gateway for tests of the admin API: it serves nothing, and applies a revision when told to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from oto_trio.control.admin_api.gateway_control import GatewayHealth
from oto_trio.model.errors import ApplyTimeoutError
from oto_trio.plugin_api.registry import discover

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from oto_trio.gateway.frames import EntityKey
    from oto_trio.model.document import Document
    from oto_trio.model.errors import Problem
    from oto_trio.plugin_api.registry import Registry

__all__ = ["FakeGatewayControl"]


class FakeGatewayControl:
    """Stands in for the gateway (`oto_trio.control.admin_api.GatewayControl`).

    Args:
        check: Says what is wrong with an entity; by default nothing is.
    """

    def __init__(self, check: Callable[[Document], list[Problem]] | None = None) -> None:
        self.applied = 0
        """The revision that is "live"."""
        self.waits: list[int] = []
        """Revisions that were waited for, in order."""
        self.waited = trio.Event()
        """Set at the first wait."""
        self.counters: dict[str, Any] = {"requests": 3, "workers": 1}
        """What `metrics` gives."""
        self.counters_by_entity: dict[tuple[str, str], dict[str, Any]] = {}
        """What `route_counts` gives, by kind and id."""
        self.state = GatewayHealth(is_started=True, is_ready=True)
        """What `health` gives."""
        self._check = check
        self._news = trio.Event()

    def apply(self, revision: int) -> None:
        """Make a revision live."""
        self.applied = revision
        self._news.set()
        self._news = trio.Event()

    async def wait_applied(self, revision: int, timeout_s: float) -> None:
        """Wait until `apply` was called with the revision, or a later one."""
        self.waits.append(revision)
        self.waited.set()
        with trio.move_on_after(timeout_s):
            while self.applied < revision:
                await self._news.wait()
            return
        raise ApplyTimeoutError(f"revision {revision} is not live after {timeout_s} s")

    def check(self, entity: Document) -> list[Problem]:
        """Ask the function given."""
        return self._check(entity) if self._check else []

    def registry(self) -> Registry:
        """Give the plugins that are installed."""
        return discover()

    def health(self) -> GatewayHealth:
        """Give `state`."""
        return self.state

    async def metrics(self) -> Mapping[str, Any]:
        """Give `counters`."""
        await trio.lowlevel.checkpoint()
        return self.counters

    async def route_counts(self, entity: EntityKey) -> Mapping[str, Any]:
        """Give those of `counters_by_entity`."""
        await trio.lowlevel.checkpoint()
        return self.counters_by_entity.get((entity.kind, entity.id), {})

"""What the admin API needs of the gateway: the supervisor, or the app, gives it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from oto_trio.gateway.frames import EntityKey
    from oto_trio.model.document import Document
    from oto_trio.model.errors import Problem
    from oto_trio.plugin_api.registry import Registry

__all__ = ["GatewayControl", "GatewayHealth"]


class GatewayHealth(msgspec.Struct, frozen=True):
    """What the gateway says of itself."""

    is_started: bool
    """Whether the first start-up has completed."""
    is_ready: bool
    """Whether it takes new connections now: started, and not draining."""


class GatewayControl(Protocol):
    """The gateway, as the admin API sees it."""

    async def wait_applied(self, revision: int, timeout_s: float) -> None:
        """Wait until every worker serves a revision of the store.

        Args:
            revision: The revision, as `Store.transact` gave it.
            timeout_s: How long to wait.

        Raises:
            ApplyTimeoutError: Not every worker did in time.
        """
        ...

    def check(self, entity: Document) -> list[Problem]:
        """Say why an entity could not be served, before it is stored.

        Args:
            entity: A route, a backend or the global configuration.

        Returns:
            The problems, their paths starting with ``$``; empty when all is well. Only errors refuse
            the entity, warnings are told to the client.
        """
        ...

    def registry(self) -> Registry:
        """Return the plugins there are now."""
        ...

    def health(self) -> GatewayHealth:
        """Tell how the gateway is. Never blocks."""
        ...

    async def metrics(self) -> Mapping[str, Any]:
        """Collect the counters of all workers, added up (`oto_trio.gateway.metrics`)."""
        ...

    async def route_counts(self, entity: EntityKey) -> Mapping[str, Any]:
        """Collect what the calls of an entity's routes came to.

        Args:
            entity: A route, a service descriptor or a route composition.

        Returns:
            Sums since the start, named as in `metrics`: ``requests``, ``bytes_in``, ``bytes_out``,
            ``latency_sum_s``, ``overhead_sum_s``; and ``exchanges``, which run now.
        """
        ...

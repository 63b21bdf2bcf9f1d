"""What a worker tells of its routes' calls: of one entity when it is asked, of all when it ends.

The engine keeps the sums (`tallies.rs`). Nothing goes over the link unasked while the worker runs: a thousand
routes with traffic cost no more than one.
"""

from __future__ import annotations

from itertools import starmap
from typing import TYPE_CHECKING, Final

from oto_trio.gateway.frames import AskRouteCounts, RouteCount, RouteCounts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oto_trio.gateway.engine import Engine
    from oto_trio.gateway.installer import Installer

__all__ = ["COUNTS_PER_FRAME", "all_counts", "counts_of"]

COUNTS_PER_FRAME: Final = 4096
"""Routes in one frame when a worker ends: about 400 kB, and 25 frames for all that an engine tells apart."""


def counts_of(engine: Engine, installer: Installer, ask: AskRouteCounts) -> RouteCounts:
    """Answer what the calls of an entity's routes came to here."""
    routes = installer.routes_of(ask.entity)
    return RouteCounts(ask.token, routes, list(starmap(RouteCount, engine.count_routes(routes))))


def all_counts(engine: Engine) -> Iterator[RouteCounts]:
    """Walk all that a worker which ends has counted, in frames that are not too large."""
    routes = engine.tallied_routes()
    for first in range(0, len(routes), COUNTS_PER_FRAME):
        part = routes[first : first + COUNTS_PER_FRAME]
        yield RouteCounts(0, [], list(starmap(RouteCount, part)))

"""Which routes of a worker other entities mean, and under which ids they are there.

A route composition or service descriptor that came becomes the JSON of routes, kept beside the stored
ones. Usually under the ids that it says; where one is taken already, under one of its own: no entity may
take the place of another's route, whoever wrote it. A stored route has the first right to its id.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from oto_trio.gateway.compile.derived import DERIVED_KINDS, with_own_id
from oto_trio.gateway.frames import EntityKey
from oto_trio.model.document import encode_document
from oto_trio.model.errors import Problem
from oto_trio.model.route import Route, read_route

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterable, Sequence

    from oto_trio.gateway.compact_texts import CompactTexts
    from oto_trio.gateway.compile.derived import DerivedRoute

__all__ = ["DerivedRoutes", "OwnedRoute", "beside", "free_id"]


class OwnedRoute(msgspec.Struct, frozen=True):
    """A route that another entity means, under the id that it has in a worker that starts.

    Attributes:
        route: It.
        owner: The entity.
        place: Its place among the routes of that entity.
        closed: Why it has to answer 503, when it has to.
    """

    route: Route
    owner: EntityKey
    place: int
    closed: Problem | None


def beside(
    stored: Collection[str], made: Iterable[tuple[EntityKey, Sequence[DerivedRoute]]]
) -> list[OwnedRoute]:
    """Give the routes of entities the ids that they have beside the stored ones.

    Args:
        stored: Ids of the stored routes.
        made: The routes of each entity, in the order in which they come.
    """
    taken = set(stored)
    found: list[OwnedRoute] = []
    for owner, routes in made:
        for place, each in enumerate(routes):
            own_id = free_id(each.route.id, taken)
            taken.add(own_id)
            route = each.route if own_id == each.route.id else with_own_id(each.route, own_id)
            found.append(OwnedRoute(route, owner, place, each.closed))
    return found


def free_id(wanted: str, taken: Container[str]) -> str:
    """Return an id that no route has."""
    while wanted in taken:
        wanted += "~"
    return wanted


class DerivedRoutes:
    """The routes that other entities mean.

    Args:
        routes: JSON of every route by its id, the stored ones included; kept up to date.
    """

    def __init__(self, routes: CompactTexts) -> None:
        self.closed: dict[str, Problem] = {}
        """Why some of them have to answer 503, by id."""
        self._routes = routes
        self._ids: dict[EntityKey, list[str]] = {}
        self._owners: dict[str, EntityKey] = {}

    @property
    def keys(self) -> Iterable[EntityKey]:
        """The entities, those without routes included."""
        return self._ids.keys()

    def owner(self, route_id: str) -> EntityKey | None:
        """Return the entity that means a route; None for a stored one."""
        return self._owners.get(route_id)

    def of(self, key: EntityKey) -> list[str]:
        """Return the ids of the routes that an entity means, a stored route's own among them."""
        if key.kind in DERIVED_KINDS:
            return list(self._ids.get(key, ()))
        return [] if key.id in self._owners else [key.id]

    def put(self, key: EntityKey, derived: Sequence[DerivedRoute]) -> tuple[list[str], list[str]]:
        """Take the routes of an entity over.

        Returns:
            The ids of its routes, and those that are gone.
        """
        before = self._ids.get(key, [])
        for route_id in before:
            self._forget(route_id)
        ids: list[str] = []
        for each in derived:
            own_id = free_id(each.route.id, self._routes)
            route = each.route if own_id == each.route.id else with_own_id(each.route, own_id)
            self._note(key, own_id, encode_document(route), each.closed)
            ids.append(own_id)
        self._ids[key] = ids
        return ids, [route_id for route_id in before if route_id not in self._routes]

    def remove(self, key: EntityKey) -> list[str]:
        """Forget an entity; return the ids of the routes that are gone."""
        gone = self._ids.pop(key, [])
        for route_id in gone:
            self._forget(route_id)
        return gone

    def make_way(self, route_id: str) -> str | None:
        """Leave an id to a stored route; return the id under which what had it is now, if anything had."""
        key = self._owners.get(route_id)
        if key is None:
            return None
        route = read_route(msgspec.json.decode(self._routes[route_id]))
        own_id = free_id(route_id, self._routes)
        closed = self.closed.get(route_id)
        self._forget(route_id)
        self._note(key, own_id, encode_document(with_own_id(route, own_id)), closed)
        ids = self._ids[key]
        ids[ids.index(route_id)] = own_id
        return own_id

    def _note(self, key: EntityKey, route_id: str, body: bytes, closed: Problem | None) -> None:
        self._routes[route_id] = body
        self._owners[route_id] = key
        if closed is not None:
            self.closed[route_id] = closed

    def _forget(self, route_id: str) -> None:
        self._routes.remove(route_id)
        del self._owners[route_id]
        self.closed.pop(route_id, None)

"""What the rules look at: the entities of a place, read once and put in order."""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import msgspec

from oto_trio import _core
from oto_trio.control.documents import KINDS, Item
from oto_trio.control.lint.reach import Lost, lost_declarations
from oto_trio.gateway.compile import (
    DERIVED_KINDS,
    Surroundings,
    convert_service,
    derive_routes,
    service_path,
)
from oto_trio.gateway.compile.chain import ChainSlot, in_order
from oto_trio.gateway.compile.compositions import composed_path
from oto_trio.gateway.compile.route import GLOBAL_PATH, global_slots
from oto_trio.gateway.compile.slots import SlotCompiler
from oto_trio.gateway.compile.words import unjudged
from oto_trio.gateway.derived_routes import beside
from oto_trio.gateway.frames import EntityKey
from oto_trio.model.backend import Backend, BackendSettings
from oto_trio.model.document import Document, write_document
from oto_trio.model.errors import Problem
from oto_trio.model.global_config import GlobalConfig
from oto_trio.model.route import Route
from oto_trio.model.route_composition import RouteComposition
from oto_trio.plugin_api.phases import Phase

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from oto_trio.model.plugin_slot import PluginSlot
    from oto_trio.plugin_api.registry import Registry

__all__ = ["Ground", "Placed", "Source"]

T = TypeVar("T", bound=Document)

RESOURCE: Final = next(row for row in KINDS if row.cls is Route)


class Placed(msgspec.Struct, frozen=True):
    """A plugin slot and where it stands.

    Attributes:
        item: The entity that lists it: the route, or the global configuration.
        path: Its path there.
        entry: The slot, compiled.
    """

    item: Any
    path: str
    entry: ChainSlot

    @property
    def plugin(self) -> str:
        """The plugin's id."""
        return self.entry.slot.plugin

    @property
    def name(self) -> str:
        """The end of the plugin's id, as people say it."""
        return self.plugin.rpartition(".")[2]

    @property
    def config(self) -> dict[str, Any]:
        """The config as it is written, without defaults."""
        return self.entry.slot.config


class Source(msgspec.Struct, frozen=True):
    """What a route comes from that another entity means.

    Attributes:
        item: The route.
        owner: The entity.
        place: The route's place in it.
        surroundings: What the conversion depends on.
    """

    item: Item
    owner: Item
    place: int
    surroundings: Surroundings

    def field(self, path: str) -> str:
        """Return where a path of the route stands in the entity."""
        entity = self.owner.entity
        if isinstance(entity, RouteComposition):
            return composed_path(entity, self.place, Problem(path, "", ""))
        return service_path(convert_service(entity, self.surroundings), path)


class Ground:
    """The entities of a place.

    Args:
        items: All of them.
        registry: Which plugins there are.
        now_ms: Unix time in ms, for what expires.
    """

    def __init__(self, items: Sequence[Item], registry: Registry, *, now_ms: int) -> None:
        self.items = items
        self.registry = registry
        self.now_ms = now_ms
        self._slots = SlotCompiler(registry, resolve=unjudged)

    def of(self, cls: type[T]) -> Iterator[tuple[Item, T]]:
        """Walk the entities of a kind that can be read."""
        for item in self.items:
            if isinstance(item.entity, cls):
                yield item, item.entity

    @cached_property
    def routes(self) -> list[tuple[Item, Route]]:
        """The routes in the order of their ids, in which a worker that starts gets them.

        Those that services and compositions mean are among them: `source` says what they come from.
        """
        owned = [(source.item, source.item.entity) for source in self._sources.values()]
        return sorted([*self.of(Route), *owned], key=lambda pair: pair[0].id)

    def source(self, item: Item) -> Source | None:
        """Return what a route comes from that another entity means; None for any other entity."""
        found = self._sources.get(item.id)
        return found if found is not None and found.item is item else None

    @cached_property
    def _sources(self) -> dict[str, Source]:
        """What services and compositions mean, by the ids of the routes."""
        surroundings = Surroundings(self.registry.__contains__, unjudged)
        owners: dict[EntityKey, Item] = {}
        for kind in DERIVED_KINDS:
            of_kind = (
                i for i in self.items if i.resource.store_kind == kind and i.entity is not None
            )
            owners |= {EntityKey(kind, i.id): i for i in sorted(of_kind, key=lambda i: i.id)}
        made = [
            (key, derive_routes(key.kind, owner.document, surroundings))
            for key, owner in owners.items()
        ]
        stored = {item.id for item, _ in self.of(Route)}
        found: dict[str, Source] = {}
        for each in beside(stored, made):
            owner = owners[each.owner]
            document = write_document(each.route)
            item = Item(RESOURCE, each.route.id, each.route, document, owner.where)
            found[each.route.id] = Source(item, owner, each.place, surroundings)
        return found

    @cached_property
    def backends(self) -> Mapping[str, Backend]:
        """The stored backends by id."""
        return {item.id: backend for item, backend in self.of(Backend)}

    @cached_property
    def router(self) -> _core.Router:
        """The engine's router with every route it takes; what it refuses is left out."""
        router = _core.Router()
        for item, route in self.routes:
            try:
                router.insert(
                    item.id,
                    json.dumps(item.document["frontend"]).encode(),
                    enabled=route.enabled,
                    bound_listeners=route.bound_listeners,
                )
            except ValueError:
                continue  # `document-invalid` says why
        return router

    @cached_property
    def lost(self) -> dict[str, list[Lost]]:
        """The declarations that never win, by the id of their enabled route.

        A route that loses to one whose plugins choose requests too (`match_route`) is not judged: they
        may leave it some.
        """
        choosy = {
            item.id
            for item, _ in self.routes
            if any(Phase.MATCH_ROUTE in each.entry.code.phases for each in self.chain(item))
        }
        found: dict[str, list[Lost]] = {}
        for item, route in self.routes:
            if route.enabled and item.id in self.router:
                lost = lost_declarations(self.router, item.id, route)
                found[item.id] = [each for each in lost if each.winner not in choosy]
        return found

    @cached_property
    def _global_chain(self) -> list[Placed]:
        """The enabled slots of the global configuration."""
        chain: list[Placed] = []
        for item, config in self.of(GlobalConfig):
            for position, slot in enumerate(global_slots(config)[0]):
                if slot is not None and slot.enabled:
                    entry = ChainSlot(slot, self._slots.compile(slot), position, is_global=True)
                    chain.append(Placed(item, f"{GLOBAL_PATH}[{position}]", entry))
        return chain

    def chain(self, item: Item) -> list[Placed]:
        """Return the enabled slots that a route has, the global ones first."""
        route = cast("Route", item.entity)
        own = [
            Placed(item, f"$.plugins[{i}]", ChainSlot(slot, self._slots.compile(slot), i))
            for i, slot in enumerate(route.plugins)
            if slot.enabled
        ]
        return [*self._global_chain, *own]

    def in_order(self, chain: Sequence[Placed], phase: Phase) -> list[Placed]:
        """Return the slots that act in a phase, in the gateway's own order."""
        placed = {id(each.entry): each for each in chain}
        return [placed[id(entry)] for entry in in_order([p.entry for p in chain], phase)]

    def slots(self) -> Iterator[tuple[Item, str, PluginSlot]]:
        """Walk every slot of every route and of the global configuration, disabled ones too."""
        for item, route in self.routes:
            for position, slot in enumerate(route.plugins):
                yield item, f"$.plugins[{position}]", slot
        for item, config in self.of(GlobalConfig):
            for position, listed in enumerate(global_slots(config)[0]):
                if listed is not None:
                    yield item, f"{GLOBAL_PATH}[{position}]", listed

    def backend_settings(self) -> Iterator[tuple[Item, BackendSettings]]:
        """Walk everything that has targets: routes with a backend of their own, stored backends."""
        for item, route in self.routes:
            if route.backend_ref is None:
                yield item, route.backend
        for item, backend in self.of(Backend):
            yield item, backend.backend

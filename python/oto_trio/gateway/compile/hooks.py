"""The worker's table of bound hooks: what the ``slot`` of a lowered Python step points at.

Theory of operation
-------------------
A plan in the engine knows a Python hook only by a number. The table gives it meaning and keeps two
promises: a number means the same hook for as long as a snapshot that holds it is alive, and a plugin
keeps its instance (and so its state) when a route is compiled again without a change to that slot.

A change is made in two steps, because the engine may refuse it::

    lowered = compiler.compile(route, backends)  # stages the route's hooks
    snapshot = snapshot.apply([lowered.document], [])  # may raise: hooks.rollback()
    hooks.commit(snapshot.generation)  # hooks that fell out are retired
    engine.install(snapshot)
    hooks.release(engine.oldest_generation)  # now and then: retired hooks are dropped

Numbers of dropped hooks are given out again. The lists are indexed on the hot path and never shrink;
they are as long as the most hooks that were ever alive at once.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NamedTuple, TypeAlias, cast

import msgspec

from oto_trio.plugin_api.answers import Answer
from oto_trio.plugin_api.exchange import Exchange
from oto_trio.plugin_api.inspection import is_inline
from oto_trio.plugin_api.phases import Phase
from oto_trio.plugin_api.plugin import Plugin
from oto_trio.plugin_api.registry import PluginClass, instantiate

__all__ = ["Hooks", "RouteHooks"]

InlineCall: TypeAlias = Callable[[Exchange], Answer]
AsyncCall: TypeAlias = Callable[[Exchange], Awaitable[Answer]]
InlineHooks: TypeAlias = "list[InlineCall | None]"
AsyncHooks: TypeAlias = "list[AsyncCall | None]"


class _Key(NamedTuple):
    """What makes two slots of one route the same slot, before and after a change."""

    plugin: PluginClass
    config: bytes
    occurrence: int


class _Bound(NamedTuple):
    """One plugin instance and the numbers of its hooks by phase."""

    instance: Plugin[Any]
    slots: dict[Phase, int]


class Hooks:
    """The table. One per worker; used by one Trio run."""

    def __init__(self) -> None:
        self.inline: InlineHooks = []
        """The hooks written ``def``; ``None`` where the slot holds another kind, or nothing."""
        self.suspending: AsyncHooks = []
        """The hooks written ``async def``; ``None`` likewise."""
        self.phases: list[str] = []
        """The phase of each slot."""
        self.plugins: list[str] = []
        """The plugin id of each slot."""
        self.routes: list[str] = []
        """The id of the route that each slot belongs to."""
        self._free: list[int] = []
        self._live: dict[str, dict[_Key, _Bound]] = {}
        self._staged: dict[str, dict[_Key, _Bound]] = {}
        self._retired: list[tuple[int, list[int]]] = []

    def __len__(self) -> int:
        """Return how many hooks are bound, retired ones included."""
        return len(self.inline) - len(self._free)

    def stage(self, route_id: str) -> "RouteHooks":
        """Begin to bind the hooks of a route anew; what an earlier ``stage`` made is undone."""
        self.rollback([route_id])
        staged: dict[_Key, _Bound] = {}
        self._staged[route_id] = staged
        return RouteHooks(self, route_id, self._live.get(route_id, {}), staged)

    def stage_removal(self, route_id: str) -> None:
        """Say that a route goes away; its hooks are retired by the next ``commit``."""
        self.stage(route_id)

    def commit(self, generation: int) -> None:
        """Make what is staged current.

        Args:
            generation: The generation of the snapshot that holds the staged hooks. The hooks it no
                longer holds are retired and dropped once no older snapshot is in use.
        """
        retired: list[int] = []
        for route_id, staged in self._staged.items():
            for key, bound in self._live.pop(route_id, {}).items():
                if staged.get(key) is not bound:
                    retired.extend(bound.slots.values())
            if staged:
                self._live[route_id] = staged
        self._staged.clear()
        if retired:
            self._retired.append((generation, retired))

    def rollback(self, route_ids: Iterable[str] | None = None) -> None:
        """Forget what is staged for some routes, or for all; the current hooks stay.

        Only right when no snapshot that was installed holds the staged hooks.
        """
        for route_id in list(self._staged) if route_ids is None else route_ids:
            live = self._live.get(route_id, {})
            for key, bound in self._staged.pop(route_id, {}).items():
                if live.get(key) is not bound:
                    self._drop(bound.slots.values())

    def release(self, oldest_generation: int) -> int:
        """Drop the retired hooks that no exchange can reach any more.

        Args:
            oldest_generation: The oldest snapshot that an exchange in flight still uses.

        Returns:
            How many hooks were dropped.
        """
        ready = [slots for generation, slots in self._retired if generation <= oldest_generation]
        self._retired = [entry for entry in self._retired if entry[0] > oldest_generation]
        for slots in ready:
            self._drop(slots)
        return sum(map(len, ready))

    def add(self, route_id: str, plugin: Plugin[Any], phase: Phase) -> int:
        """Put one hook in the table and return its number."""
        hook: object = getattr(plugin, phase.value)
        inline = is_inline(type(plugin), phase)
        called_inline = cast("InlineCall", hook) if inline else None
        called_async = None if inline else cast("AsyncCall", hook)
        if self._free:
            slot = self._free.pop()
            self.inline[slot] = called_inline
            self.suspending[slot] = called_async
            self.phases[slot] = phase.value
            self.plugins[slot] = plugin.id
            self.routes[slot] = route_id
            return slot
        self.inline.append(called_inline)
        self.suspending.append(called_async)
        self.phases.append(phase.value)
        self.plugins.append(plugin.id)
        self.routes.append(route_id)
        return len(self.inline) - 1

    def _drop(self, slots: Iterable[int]) -> None:
        """Empty slots and keep their numbers for later."""
        for slot in slots:
            self.inline[slot] = None
            self.suspending[slot] = None
            self._free.append(slot)


class RouteHooks:
    """Binds the hooks of one route while it is compiled. Made by ``Hooks.stage``."""

    def __init__(
        self,
        table: Hooks,
        route_id: str,
        live: dict[_Key, _Bound],
        staged: dict[_Key, _Bound],
    ) -> None:
        self._table = table
        self._route_id = route_id
        self._live = live
        self._staged = staged

    def bind(
        self,
        plugin: PluginClass,
        config: msgspec.Struct | None,
        config_key: bytes,
        phases: Iterable[Phase],
    ) -> dict[Phase, int]:
        """Return the numbers of a plugin's hooks for the next slot with this config.

        Args:
            plugin: The class.
            config: Its config, given to the instance when one must be made.
            config_key: Bytes that are equal when configs are.
            phases: The phases whose hooks to bind.

        Raises:
            PluginError: The plugin's constructor failed; nothing was bound.
        """
        occurrence = 0
        while (key := _Key(plugin, config_key, occurrence)) in self._staged:
            occurrence += 1
        bound = self._live.get(key)
        if bound is None:
            instance = instantiate(plugin, config)
            slots = {phase: self._table.add(self._route_id, instance, phase) for phase in phases}
            bound = _Bound(instance, slots)
        self._staged[key] = bound
        return bound.slots

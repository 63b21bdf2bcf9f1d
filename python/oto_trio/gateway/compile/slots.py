"""One plugin slot, compiled: everything about it that does not depend on the route it is in.

Most routes of a gateway share a few slots, so this work is done once per distinct slot.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import get_args

import msgspec

from oto_trio.gateway.compile.words import resolved_slot
from oto_trio.model.errors import Problem
from oto_trio.model.plugin_slot import PluginSlot
from oto_trio.plugin_api.errors import PluginError
from oto_trio.plugin_api.inspection import is_native, phases_of
from oto_trio.plugin_api.phases import Phase
from oto_trio.plugin_api.registry import PluginClass, Registry, instantiate
from oto_trio.plugin_api.steps import Hook, Native, Refuse, Step, encode_step
from oto_trio.plugin_api.websockets import WebSocketPlugin

__all__ = ["CLOSED", "HOOK", "SlotCode", "SlotCompiler", "lowered_step", "step_prefix"]

CLOSED = Refuse(
    503, "This route is closed: a plugin of its plan cannot run", "errors.plugin.unavailable"
)
"""What stands in for a slot that cannot run: a request must not pass a step that was left out."""

CACHED_SLOTS = 4096
"""Distinct slots kept; a gateway with more of them starts over when the cache is full."""

HOOK = msgspec.Raw(b"")
"""What stands for a hook among native steps; the route's compiler puts its number in."""

_STEP_TYPES = get_args(Step)


class SlotCode(msgspec.Struct, frozen=True):
    """What a slot compiles to.

    Args:
        phases: The phases it acts in, in order.
        native: Its native steps by phase, as JSON; empty when it runs in Python.
        plugin: Its class when some of its hooks may run, else ``None``.
        hooks: The phases whose hooks may run: all of them, or those that native steps leave.
        config: The effective config for its instances.
        config_key: Bytes that are equal when configs are.
        prefix: The beginning of each of its steps as JSON.
        is_conditional: Whether it may sit out a request (path filters, listeners).
        problems: Why it cannot run; paths start at the slot.
        reads_route: Whether its expressions may ask for more of the route than its id and name.
        reads_document: Whether they may ask for the whole of it.
        reads_arrived: Whether they may ask for header fields of the request as they arrived.
        reads_messages: Whether its plugin looks at the messages of WebSockets.
    """

    phases: tuple[Phase, ...] = ()
    native: Mapping[Phase, tuple[msgspec.Raw, ...]] = MappingProxyType({})
    plugin: PluginClass | None = None
    hooks: tuple[Phase, ...] = ()
    config: msgspec.Struct | None = None
    config_key: bytes = b""
    prefix: bytes = b""
    is_conditional: bool = False
    problems: tuple[Problem, ...] = ()
    reads_route: bool = False
    reads_document: bool = False
    reads_arrived: bool = False
    reads_messages: bool = False


def step_prefix(slot: PluginSlot) -> bytes:
    """Return the beginning of a slot's lowered steps: plugin, path filters, listeners; no brace."""
    fields: dict[str, object] = {
        "plugin": slot.plugin,
        "include": slot.include,
        "exclude": slot.exclude,
    }
    if slot.bound_listeners:
        fields["bound_listeners"] = slot.bound_listeners
    return msgspec.json.encode(fields)[:-1]


def lowered_step(prefix: bytes, step: Step) -> msgspec.Raw:
    """Return one native step as the engine reads it."""
    return msgspec.Raw(prefix + b"," + encode_step(step)[1:])


class SlotCompiler:
    """Compiles slots and remembers the outcome.

    Args:
        registry: Where plugins come from.
        close_missing: Whether a slot whose plugin is unknown closes the route; else it is skipped.
        resolve: Gives the values that keys of the exchange protocol refer to; None when nobody knows them
            here, and none is missed.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        close_missing: bool = True,
        resolve: Callable[[str], str | None] | None = None,
    ) -> None:
        self._registry = registry
        self._resolve = resolve
        self._close_missing = close_missing
        self._cache: dict[bytes, SlotCode] = {}

    def compile(self, slot: PluginSlot) -> SlotCode:
        """Compile one slot; it is enabled. Never raises: problems are in the result.

        Cost: about 1 µs when an equal slot was compiled before.
        """
        key = msgspec.json.encode(
            (slot.plugin, slot.include, slot.exclude, slot.bound_listeners, slot.config)
        )
        code = self._cache.get(key)
        if code is None:
            if len(self._cache) >= CACHED_SLOTS:
                self._cache.clear()
            code = self._cache[key] = self._compile(slot, key)
        return code

    def _compile(self, slot: PluginSlot, key: bytes) -> SlotCode:
        prefix = step_prefix(slot)
        is_conditional = bool(slot.include or slot.exclude or slot.bound_listeners)
        plugin = self._registry.get(slot.plugin)
        if plugin is None:
            problem = Problem(
                "$.plugin",
                f"there is no plugin {slot.plugin}",
                self._registry.hint(slot.plugin),
                "error" if self._close_missing else "warning",
            )
            if self._close_missing:
                return _closed(prefix, (problem,))
            return SlotCode(problems=(problem,))
        written = slot.config
        if self._resolve is not None:
            written, unknown = resolved_slot(slot.plugin, slot.config, self._resolve)
            if unknown:
                return _closed(prefix, tuple(unknown))
        try:
            config = self._registry.read_config(slot.plugin, written)
            steps = _lower(plugin, config)
        except PluginError as error:
            return _closed(prefix, tuple(_within_config(p) for p in error.problems))
        reads = _reads_of(plugin, key)
        if steps is None:
            phases = phases_of(plugin)
            return SlotCode(
                phases, {}, plugin, phases, config, key, prefix, is_conditional, (), *reads
            )
        native: dict[Phase, tuple[msgspec.Raw, ...]] = {}
        left: set[Phase] = set()
        for step in steps:
            is_hook = isinstance(step, Hook)
            lowered = HOOK if is_hook else lowered_step(prefix, step)
            native[step.phase] = (*native.get(step.phase, ()), lowered)
            if is_hook or (isinstance(step, Native) and step.undecided):
                left.add(step.phase)
        phases = tuple(phase for phase in Phase if phase in native)
        hooks = tuple(phase for phase in phases if phase in left)
        return SlotCode(
            phases,
            native,
            plugin if hooks else None,
            hooks,
            config,
            key,
            prefix,
            is_conditional,
            (),
            *reads,
        )


def _reads_of(plugin: PluginClass, key: bytes) -> tuple[bool, bool, bool, bool]:
    """Tell what a slot's expressions may ask for (the route's facts, its document, arrived fields), and whether it reads messages."""
    has_expressions = b"${" in key
    reads_document = has_expressions and b"route.json" in key
    asks = has_expressions and any(word in key for word in (b"route.", b"service."))
    # What the operator wrote in the route's metadata or the environment is evaluated again.
    words = (b"req.headers.", b"req.cookies.", b"metadata.", b"env.", b"config.")
    reads_arrived = has_expressions and any(word in key for word in words)
    return (
        plugin.reads_route or asks,
        reads_document,
        plugin.reads_arrived or reads_arrived,
        issubclass(plugin, WebSocketPlugin),
    )


def _lower(plugin: PluginClass, config: msgspec.Struct | None) -> tuple[Step, ...] | None:
    """Ask a plugin for its native steps.

    Raises:
        PluginError: It failed to answer, or answered nonsense.
    """
    if not is_native(plugin):
        return None
    instance = instantiate(plugin, config)
    try:
        steps = instance.lower()
    except Exception as error:  # a plugin is foreign code: any error is its own, not ours
        raise PluginError(
            Problem(
                "$", f"lower() of {plugin.id} failed: {error}", "correct the plugin or its config"
            )
        ) from error
    if steps is not None and not all(isinstance(step, _STEP_TYPES) for step in steps):
        raise PluginError(
            Problem(
                "$",
                f"lower() of {plugin.id} returned something that is no step",
                "return a tuple of oto_trio.plugin_api.steps",
            )
        )
    return steps


def _closed(prefix: bytes, problems: tuple[Problem, ...]) -> SlotCode:
    """Return the code of a slot that cannot run: it refuses whatever it would have handled."""
    steps = {CLOSED.phase: (lowered_step(prefix, CLOSED),)}
    return SlotCode((CLOSED.phase,), steps, prefix=prefix, problems=problems)


def _within_config(problem: Problem) -> Problem:
    """Move a problem of a config (``$.code``) to its slot (``$.config.code``)."""
    path = "$.config" + problem.path.removeprefix("$")
    return msgspec.structs.replace(problem, path=path)

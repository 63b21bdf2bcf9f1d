"""From a route entity to what the engine installs: the lowered route, one JSON object.

A slot that cannot run (its plugin is not installed, its config is wrong) does not vanish: at load time
it becomes a step that refuses with 503, because a check that is left out would open the route. The admin
API does not accept such a route in the first place (``check_route``).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import cast

import msgspec
from msgspec import UNSET

from oto_trio.gateway.compile.chain import ChainSlot, in_order
from oto_trio.gateway.compile.compositions import CACHEABLE, ORIGINAL
from oto_trio.gateway.compile.hooks import Hooks, RouteHooks
from oto_trio.gateway.compile.slots import (
    CLOSED,
    HOOK,
    SlotCode,
    SlotCompiler,
    lowered_step,
    step_prefix,
)
from oto_trio.gateway.compile.words import unjudged
from oto_trio.gateway.loading import HTTP3_BACKENDS, WEBSOCKETS
from oto_trio.model.backend import Backend, BackendSettings
from oto_trio.model.document import JsonObject, inspect_document
from oto_trio.model.errors import EntityError, Problem
from oto_trio.model.global_config import GlobalConfig
from oto_trio.model.plugin_slot import PluginSlot
from oto_trio.model.route import Frontend, Route, write_route
from oto_trio.plugin_api.errors import PluginError
from oto_trio.plugin_api.phases import PHASE_ORDER, Phase
from oto_trio.plugin_api.registry import Registry

__all__ = [
    "SINKS",
    "Lowered",
    "RouteCompiler",
    "check_global_slots",
    "check_route",
    "compile_route",
    "global_slots",
    "used_plugins",
]

GLOBAL_PATH = "$.plugins.config.ng"
"""Where the global config holds the slots of every route."""


SINKS = "@request-sinks"
"""Id of what stands for a route where none takes a request; its steps are the global slots' sinks."""

LEGACY_CHECKS = "otoroshi-core-apply-legacy-checks"
"""Metadata of a route; ``false`` spares it the global config's own checks, such as ``ipFiltering``."""


class Lowered(msgspec.Struct, frozen=True):
    """A compiled route.

    Args:
        route_id: The route's id.
        document: The lowered route as JSON, for ``Snapshot.apply``.
        problems: What could not be compiled and closed the route (severity ``error``), or was left
            out (``warning``).
        needs: The modules that its requests need and few others do; see ``gateway.loading``.
    """

    route_id: str
    document: bytes
    problems: tuple[Problem, ...] = ()
    needs: frozenset[str] = frozenset()


class _RouteFacts(msgspec.Struct, frozen=True):
    """What expressions may ask of a route beyond its id and name."""

    groups: Sequence[str]
    domains: Sequence[str]
    metadata: Mapping[str, str]
    document: JsonObject | None = None


class _LoweredRoute(msgspec.Struct, frozen=True, omit_defaults=True):
    """The shape the engine reads."""

    id: str
    name: str
    enabled: bool
    frontend: Frontend
    bound_listeners: Sequence[str]
    membership: msgspec.Raw
    backend: BackendSettings
    steps: Sequence[msgspec.Raw]
    legacy_checks: bool
    facts: _RouteFacts | None = None
    metadata: Mapping[str, str] | None = None
    reads_arrived: bool = False
    is_sink: bool = False


class _Membership(msgspec.Struct, frozen=True):
    """What a route belongs to: what a key may name beside the route itself."""

    tenant: str
    groups: Sequence[str]
    api: str | None
    original: str | None


_NOWHERE = "request-sinks.invalid"
"""A domain that nobody asks for: the sinks are not looked up by one."""

_API = "Otoroshi-Api-Ref"
"""Metadata of a route that was made from an API."""


def _membership(route: Route) -> msgspec.Raw:
    """Return what a route belongs to."""
    metadata = route.metadata
    belongs = _Membership(
        route.loc.tenant, route.groups, metadata.get(_API), metadata.get(ORIGINAL)
    )
    return msgspec.Raw(msgspec.json.encode(belongs))


def global_slots(
    global_config: GlobalConfig | None,
) -> tuple[list[PluginSlot | None], list[Problem]]:
    """Return the slots that every route has, and what is wrong with them.

    Args:
        global_config: Its ``plugins.config.ng`` holds the slots, whatever ``plugins.enabled`` says:
            that switch is for Otoroshi's older kind of plugins.

    Returns:
        The slots as they are listed, ``None`` for one that is no slot, and the problems; their paths
        start at the global config.
    """
    listed: object = None if global_config is None else global_config.plugins.config.get("ng")
    if listed is None:
        return [], []
    if not isinstance(listed, list):
        return [], [Problem(GLOBAL_PATH, "expected a list of plugin slots", "write a list")]
    slots: list[PluginSlot | None] = []
    problems: list[Problem] = []
    for position, document in enumerate(cast("list[object]", listed)):
        slot, wrong = inspect_document(PluginSlot, document)
        problems += [_at(f"{GLOBAL_PATH}[{position}]", p) for p in wrong]
        slots.append(slot)
    return slots, problems


def used_plugins(route: Route) -> frozenset[str]:
    """Return the plugin ids of a route's own enabled slots."""
    return frozenset(slot.plugin for slot in route.plugins if slot.enabled)


class RouteCompiler:
    """Compiles routes against one registry and one set of global slots.

    Args:
        registry: Where plugins come from.
        hooks: The worker's table; the hooks of each compiled route are staged there.
        global_config: For its slots.
        close_missing: Whether an unknown plugin closes the route (the default), or is skipped with a
            warning, as Otoroshi does.
        resolve: Gives the values that keys of the exchange protocol refer to; see `SlotCompiler`.
    """

    def __init__(
        self,
        registry: Registry,
        hooks: Hooks,
        global_config: GlobalConfig | None = None,
        *,
        close_missing: bool = True,
        resolve: Callable[[str], str | None] | None = None,
    ) -> None:
        self._hooks = hooks
        self._slots = SlotCompiler(registry, close_missing=close_missing, resolve=resolve)
        slots, problems = global_slots(global_config)
        self.problems = tuple(problems)
        """What is wrong with the global slots; paths start at the global config."""
        self._global: list[ChainSlot] = []
        for position, slot in enumerate(slots):
            if slot is not None and slot.enabled:
                code = self._slots.compile(slot)
                self._global.append(ChainSlot(slot, code, position, is_global=True))
                where = f"{GLOBAL_PATH}[{position}]"
                self.problems += tuple(_at(where, p) for p in code.problems)

    @property
    def global_plugins(self) -> frozenset[str]:
        """The plugin ids of the global slots, which every route uses."""
        return frozenset(entry.slot.plugin for entry in self._global)

    def compile(self, route: Route, backends: Mapping[str, Backend]) -> Lowered:
        """Compile one route and stage its hooks.

        Args:
            route: The route.
            backends: The stored backends by id.

        Cost: about 10 µs for a route with a few slots that other routes have too.
        """
        problems: list[Problem] = []
        chain = [entry for entry in self._global if entry.code.phases != (Phase.SINK,)]
        for position, slot in enumerate(route.plugins):
            if slot.enabled:
                code = self._slots.compile(slot)
                if code.problems:
                    problems += [_at(f"$.plugins[{position}]", p) for p in code.problems]
                chain.append(ChainSlot(slot, code, position))
        staged = self._hooks.stage(route.id)
        steps = self._steps(chain, staged, problems) if route.enabled and chain else []
        backend = _backend_of(route, backends, problems)
        problems.extend(_unchecked(backend))
        lowered_facts = _facts_of(route, chain)
        reads_arrived = any(entry.code.reads_arrived for entry in chain)
        lowered = _lowered(
            route, backend, steps, problems, lowered_facts, reads_arrived=reads_arrived
        )
        needs = _needs(chain, backend) if route.enabled else None
        return msgspec.structs.replace(lowered, needs=needs) if needs else lowered

    def compile_sinks(self) -> Lowered | None:
        """Compile what sees the requests that no route takes, and stage its hooks; None when nothing does."""
        chain = [entry for entry in self._global if Phase.SINK in entry.code.phases]
        staged = self._hooks.stage(SINKS)
        problems: list[Problem] = []
        steps = self._steps(chain, staged, problems, (Phase.SINK,))
        if not steps:
            return None
        route = Route(id=SINKS, name=SINKS, frontend=Frontend(domains=(_NOWHERE,)))
        return _lowered(route, BackendSettings(), steps, problems, is_sink=True)

    def compile_closed(self, route: Route, problem: Problem) -> Lowered:
        """Compile a route the engine refused, so that it answers 503 instead of vanishing.

        A route that vanished would leave its requests to a broader one, without its checks.

        Args:
            route: The route; its frontend must be usable.
            problem: What the engine said.
        """
        self._hooks.stage(route.id)
        prefix = step_prefix(PluginSlot(plugin=""))
        return _lowered(route, BackendSettings(), [lowered_step(prefix, CLOSED)], [problem])

    def _steps(
        self,
        chain: list[ChainSlot],
        staged: RouteHooks,
        problems: list[Problem],
        phases: Sequence[Phase] = PHASE_ORDER[1:],
    ) -> list[msgspec.Raw]:
        """Return the steps of a chain in execution order, binding the Python hooks."""
        bound: dict[int, dict[Phase, int]] = {}
        for position, (_, code, listed, is_global) in enumerate(chain):
            if code.plugin is None:
                continue
            try:
                bound[position] = staged.bind(code.plugin, code.config, code.config_key, code.hooks)
            except PluginError as error:
                where = GLOBAL_PATH if is_global else "$.plugins"
                problems += [_at(f"{where}[{listed}].config", p) for p in error.problems]
                closed = msgspec.structs.replace(
                    code,
                    phases=(CLOSED.phase,),
                    native={CLOSED.phase: (lowered_step(code.prefix, CLOSED),)},
                    plugin=None,
                    hooks=(),
                )
                chain[position] = chain[position]._replace(code=closed)
        positions = {id(entry): position for position, entry in enumerate(chain)}
        acting = {phase for entry in chain for phase in entry.code.phases}
        steps: list[msgspec.Raw] = []
        for phase in phases:
            if phase not in acting:
                continue
            for entry in in_order(chain, phase):
                if entry.code.plugin is None:
                    steps.extend(entry.code.native[phase])
                else:
                    slots = bound[positions[id(entry)]]
                    steps.extend(self._hooked(entry.code, phase, slots.get(phase)))
        return steps

    def _hooked(self, code: SlotCode, phase: Phase, slot: int | None) -> Iterable[msgspec.Raw]:
        """Return the steps of one phase of a plugin with hooks, with the number of the hook."""
        native = code.native.get(phase, (HOOK,))
        if slot is None:
            return native
        inline = b"false" if self._hooks.inline[slot] is None else b"true"
        number = b'"slot":%d,"inline":%b' % (slot, inline)
        python = b'%b,"phase":"%b","kind":"python",%b}' % (
            code.prefix,
            phase.value.encode(),
            number,
        )
        return [
            msgspec.Raw(python if step is HOOK else b'%b,"twin":{%b}}' % (bytes(step)[:-1], number))
            for step in native
        ]


def compile_route(
    route: Route,
    backends: Mapping[str, Backend],
    global_config: GlobalConfig | None,
    registry: Registry,
    hooks: Hooks,
) -> bytes:
    """Compile a single route; whoever has many keeps a ``RouteCompiler``, which remembers slots.

    Raises:
        EntityError: One of the route's own slots cannot run, as ``check_route`` says.
    """
    lowered = RouteCompiler(registry, hooks, global_config).compile(route, backends)
    errors = [problem for problem in lowered.problems if problem.severity == "error"]
    if errors:
        hooks.rollback([route.id])
        raise EntityError("route", errors)
    return lowered.document


def check_route(route: Route, backends: Mapping[str, Backend], registry: Registry) -> list[Problem]:
    """Return what keeps a route from running: unknown plugins, wrong configs, a lost backend.

    For an admin write or a file check, before the entity is stored. Frontends and patterns are checked
    by the engine, with ``Snapshot().apply``.
    """
    compiler = RouteCompiler(registry, Hooks(), resolve=unjudged)
    return list(compiler.compile(route, backends).problems)


def check_global_slots(global_config: GlobalConfig, registry: Registry) -> list[Problem]:
    """Return what is wrong with the slots of every route; paths start at the global config."""
    return list(RouteCompiler(registry, Hooks(), global_config).problems)


def _backend_of(
    route: Route, backends: Mapping[str, Backend], problems: list[Problem]
) -> BackendSettings:
    """Return the backend a route calls; a reference wins over the inline one."""
    if not route.backend_ref:
        return route.backend
    backend = backends.get(route.backend_ref)
    if backend is not None and CACHEABLE in route.metadata:
        # How the targets of a composition are called, the composition says.
        return msgspec.structs.replace(
            backend.backend, client=route.backend.client, health_check=None
        )
    if backend is not None:
        return backend.backend
    problems.append(
        Problem(
            "$.backend_ref",
            f"there is no backend {route.backend_ref}; the route answers 503",
            "store that backend, or write the backend inline",
            "warning",
        )
    )
    return BackendSettings()


def _unchecked(backend: BackendSettings) -> Iterable[Problem]:
    """Tell the operator of targets whose certificate is not checked in full."""
    for index, target in enumerate(backend.targets):
        tls = target.tls_config
        if not (target.tls and tls.enabled and (tls.trust_all or tls.loose)):
            continue
        key, what = ("trust_all", "is not checked") if tls.trust_all else ("loose", "fits any name")
        yield Problem(
            f"$.backend.targets[{index}].tls_config.{key}",
            f"the certificate of {target.hostname} {what}",
            "name what to trust in trusted_certs instead",
            "warning",
        )


def _needs(chain: Sequence[ChainSlot], backend: BackendSettings) -> frozenset[str]:
    """Return the modules that a route needs and most do not."""
    needs: frozenset[str] = frozenset()
    if any(entry.code.reads_messages for entry in chain):
        needs |= {WEBSOCKETS}
    if any(target.protocol == "HTTP/3.0" for target in backend.targets):
        needs |= {HTTP3_BACKENDS}
    return needs


def _lowered(
    route: Route,
    backend: BackendSettings,
    steps: Sequence[msgspec.Raw],
    problems: Iterable[Problem],
    facts: _RouteFacts | None = None,
    *,
    reads_arrived: bool = False,
    is_sink: bool = False,
) -> Lowered:
    """Put a lowered route together."""
    frontend = route.frontend
    if frontend.unknown is not UNSET:
        frontend = msgspec.structs.replace(frontend, unknown=UNSET)
    document = msgspec.json.encode(
        _LoweredRoute(
            route.id,
            route.name,
            route.enabled,
            frontend,
            route.bound_listeners,
            _membership(route),
            backend,
            steps,
            route.metadata.get(LEGACY_CHECKS, "true") != "false",
            facts,
            route.metadata or None,
            reads_arrived,
            is_sink,
        )
    )
    return Lowered(route.id, document, tuple(problems))


def _facts_of(route: Route, chain: Sequence[ChainSlot]) -> _RouteFacts | None:
    """Return what expressions may ask of a route; None when no slot asks, which saves memory."""
    if not any(entry.code.reads_route for entry in chain):
        return None
    asked = any(entry.code.reads_document for entry in chain)
    document = write_route(route) if asked else None
    return _RouteFacts(route.groups, route.frontend.domains, route.metadata, document)


def _at(prefix: str, problem: Problem) -> Problem:
    """Return a problem seen from further out: ``$.config`` under ``$.plugins[1]``."""
    return msgspec.structs.replace(problem, path=prefix + problem.path.removeprefix("$"))

"""What a change means for requests: which go to another route, and whose plan is another.

Both states are compiled as a worker does, and both are asked: the router with requests made from the declared
domains of each route that changed, the compiled routes by their steps. A request is an example for many: what
no example covers, such as a path that only a regular expression matches, is not told.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any, Final

import msgspec

from oto_trio import _core
from oto_trio.control.admin_api.resources import LEGACY_RESOURCES
from oto_trio.control.lint.reach import probes
from oto_trio.gateway.compile import Hooks, RouteCompiler, Surroundings, derive_routes
from oto_trio.gateway.compile.derived import DERIVED_KINDS
from oto_trio.gateway.derived_routes import beside
from oto_trio.gateway.frames import EntityKey
from oto_trio.gateway.installer import BACKENDS, GLOBAL_CONFIG, ROUTES
from oto_trio.model.backend import Backend, read_backend
from oto_trio.model.errors import EntityError
from oto_trio.model.global_config import GlobalConfig, read_global_config
from oto_trio.model.route import Route, read_route

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from oto_trio.control.lint.reach import Probe
    from oto_trio.gateway.compile import DerivedRoute
    from oto_trio.plugin_api.registry import Registry

__all__ = [
    "MOST_ROUTES",
    "TRAFFIC_KINDS",
    "Meaning",
    "MovedRequest",
    "PlanChange",
    "PlanStep",
    "SampleRequest",
    "Traffic",
    "compare_traffic",
]

TRAFFIC_KINDS: Final = (GLOBAL_CONFIG, BACKENDS, *DERIVED_KINDS, ROUTES)
"""Kinds of the store that decide which route takes a request, and what happens to it then."""

MOST_ROUTES: Final = 1000
"""Changed routes that are looked into; the answer says how many more there are."""


DATES: Final = ("created_at", "updated_at")
"""Metadata that the API writes itself."""


_SECRETS: Final = "auth|cookie|credential|key|password|secret|session|signature|token"
_SECRET_NAME: Final = re.compile(_SECRETS, re.IGNORECASE)
_SECRET_PAIR: Final = re.compile(rf"([^&=]*(?:{_SECRETS})[^&=]*)=[^&]*", re.IGNORECASE)
"""What a route asks for under such a name is not shown: it may be a secret that only callers know."""


class SampleRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """A request that stands for those like it."""

    method: str
    url: str
    """Without scheme: host, path and query."""
    headers: tuple[tuple[str, str], ...] = ()
    listener: str = "standard-listener"


class MovedRequest(msgspec.Struct, frozen=True):
    """A request that another route takes."""

    request: SampleRequest
    before: str | None
    """Id of the route that took it; None = it got 404."""
    after: str | None
    """Id of the route that takes it now."""


class PlanStep(msgspec.Struct, frozen=True):
    """A step of a plan, without its settings."""

    change: str
    """``added``, ``removed`` or ``configured`` (another setting)."""
    phase: str
    kind: str
    plugin: str


class PlanChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """A route that does something else to the requests it takes."""

    route: str
    request: SampleRequest | None = None
    """One that it takes after the change."""
    steps: tuple[PlanStep, ...] = ()
    targets: tuple[tuple[str, ...], tuple[str, ...]] | None = None
    """Addresses before and after, when they differ."""
    also: tuple[str, ...] = ()
    """Other parts of the compiled route that differ, such as ``backend`` or ``frontend``."""


class Meaning(msgspec.Struct, frozen=True):
    """What a change means for requests."""

    requests: tuple[MovedRequest, ...]
    plans: tuple[PlanChange, ...]
    routes_left_out: int = 0
    """Changed routes beyond `MOST_ROUTES`, which were not looked into."""
    owners: Mapping[str, str] = {}
    """Of the routes named above those that another entity means, and which one."""


class Traffic:
    """The entities that decide what becomes of requests, at one state.

    Args:
        documents: Documents by kind and id; kinds other than `TRAFFIC_KINDS` are ignored, and so is what
            cannot be read, as a worker does.
        registry: Which plugins there are.
    """

    def __init__(self, documents: Mapping[tuple[str, str], bytes], registry: Registry) -> None:
        self.routes: dict[str, Route] = {}
        """Routes by id, those that services and compositions mean included."""
        self.backends: dict[str, Backend] = {}
        self.config: GlobalConfig | None = None
        surroundings = Surroundings(registry.__contains__, lambda _: "known")
        derived: list[tuple[EntityKey, list[DerivedRoute]]] = []
        for (kind, entity_id), text in sorted(documents.items()):
            if kind not in TRAFFIC_KINDS:
                continue
            try:
                document: Any = msgspec.json.decode(text)
                if kind == ROUTES:
                    self.routes[entity_id] = read_route(document)
                elif kind == BACKENDS:
                    self.backends[entity_id] = read_backend(document)
                elif kind == GLOBAL_CONFIG:
                    self.config = read_global_config(document)
                else:
                    routes = derive_routes(kind, document, surroundings)
                    derived.append((EntityKey(kind, entity_id), routes))
            except (EntityError, msgspec.DecodeError):
                continue
        # Of routes that other entities mean, these entities: ``route-compositions users``.
        owned = beside(self.routes, derived)
        self.routes.update((each.route.id, each.route) for each in owned)
        self.owners = {
            each.route.id: f"{_plural(each.owner.kind)} {each.owner.id}" for each in owned
        }
        self._closed = {each.route.id: each.closed for each in owned}
        self._compiler = RouteCompiler(registry, Hooks(), self.config)
        self.router = _core.Router()
        """The engine's router; what it refuses is left out."""
        self._fill_router()

    def _fill_router(self) -> None:
        for route in self.routes.values():
            try:
                self.router.insert(
                    route.id,
                    msgspec.json.encode(msgspec.to_builtins(route.frontend)),
                    enabled=route.enabled,
                    bound_listeners=route.bound_listeners,
                )
            except ValueError:
                continue

    def backend_of(self, route: Route) -> object:
        """Return what a route calls, to be compared."""
        return self.backends.get(route.backend_ref) if route.backend_ref else route.backend

    def compiled(self, route_id: str) -> dict[str, Any]:
        """Compile a route as a worker does, and return what the engine gets."""
        route, closed = self.routes[route_id], self._closed.get(route_id)
        if closed is None:
            lowered = self._compiler.compile(route, self.backends)
        else:
            lowered = self._compiler.compile_closed(route, closed)
        document: dict[str, Any] = msgspec.json.decode(lowered.document)
        # The dates that the API writes with each change decide nothing.
        for date in DATES:
            document.get("metadata", {}).pop(date, None)
        if not document.get("metadata", True):
            del document["metadata"]
        return document


def compare_traffic(before: Traffic, after: Traffic) -> Meaning:
    """Compare what becomes of requests.

    Args:
        before: The older state.
        after: The newer one.

    Cost: some milliseconds for each route that changed; run it in a thread.
    """
    changed = _changed_routes(before, after)
    looked_at = changed[:MOST_ROUTES]
    moved: dict[tuple[str | None, str | None, str], MovedRequest] = {}
    plans: list[PlanChange] = []
    for route_id in looked_at:
        for domain, probe in _probes_of(route_id, before, after):
            old, new = _winner(before.router, probe), _winner(after.router, probe)
            if old != new:
                moved.setdefault((old, new, domain), MovedRequest(_sample(probe), old, new))
        if route_id in before.routes and route_id in after.routes:
            plan = _plan_change(route_id, before, after)
            if plan is not None:
                plans.append(plan)
    named: set[str | None] = {plan.route for plan in plans}
    named.update(*((one.before, one.after) for one in moved.values()))
    owners = {**before.owners, **after.owners}
    return Meaning(
        tuple(moved.values()),
        tuple(plans),
        len(changed) - len(looked_at),
        {route_id: owner for route_id, owner in sorted(owners.items()) if route_id in named},
    )


def _plural(kind: str) -> str:
    """Return how a kind of the store is called."""
    return next(row.plural for row in LEGACY_RESOURCES if row.store_kind == kind)


def _changed_routes(before: Traffic, after: Traffic) -> list[str]:
    """Return the ids of routes that may take other requests, or do something else with them."""
    if before.config != after.config:
        return sorted(before.routes.keys() | after.routes.keys())
    found: list[str] = []
    for route_id in sorted(before.routes.keys() | after.routes.keys()):
        old, new = before.routes.get(route_id), after.routes.get(route_id)
        if (
            old is None
            or new is None
            or old != new
            or before.backend_of(old) != after.backend_of(new)
        ):
            found.append(route_id)
    return found


def _probes_of(route_id: str, before: Traffic, after: Traffic) -> Iterator[tuple[str, Probe]]:
    """Make requests that suit a route, as it was and as it is, each with the domain it is made from."""
    for route in (before.routes.get(route_id), after.routes.get(route_id)):
        if route is not None:
            for domain in route.frontend.domains:
                for probe in probes(route, domain):
                    yield domain, probe


def _winner(router: _core.Router, probe: Probe) -> str | None:
    """Return the id of the route that takes a request."""
    found = router.find(*probe)
    return None if found is None else found[0]


def _sample(probe: Probe) -> SampleRequest:
    """Make a request as it is shown."""
    query = _SECRET_PAIR.sub(r"\1=***", f"?{probe.query}") if probe.query else ""
    headers = tuple(
        (name, "***" if _SECRET_NAME.search(name) else value) for name, value in probe.headers
    )
    return SampleRequest(probe.method, f"{probe.host}{probe.path}{query}", headers, probe.listener)


def _plan_change(route_id: str, before: Traffic, after: Traffic) -> PlanChange | None:
    """Compare the compiled forms of a route; None when they are the same."""
    old, new = before.compiled(route_id), after.compiled(route_id)
    if old == new:
        return None
    taken = (
        probe
        for _, probe in _probes_of(route_id, after, after)
        if _winner(after.router, probe) == route_id
    )
    sample = next(taken, None)
    olds, news = _targets(old), _targets(new)
    ignored = {"steps"} if olds == news else {"steps", "backend"}
    return PlanChange(
        route_id,
        None if sample is None else _sample(sample),
        tuple(_step_changes(old.get("steps", []), new.get("steps", []))),
        None if olds == news else (olds, news),
        tuple(
            key
            for key in dict.fromkeys((*old, *new))
            if key not in ignored and old.get(key) != new.get(key)
        ),
    )


def _targets(compiled: dict[str, Any]) -> tuple[str, ...]:
    """Return the addresses of a compiled route."""
    targets: Iterable[dict[str, Any]] = compiled["backend"].get("targets", ())
    return tuple(
        f"{'https' if target.get('tls') else 'http'}://{target['hostname']}:{target['port']}"
        for target in targets
    )


def _step_changes(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> Iterator[PlanStep]:
    """Compare the steps of two plans, in their order."""
    names = ([_name(step) for step in old], [_name(step) for step in new])
    for tag, i, j, k, m in SequenceMatcher(None, *names, autojunk=False).get_opcodes():
        if tag == "equal":
            for one, other in zip(old[i:j], new[k:m], strict=True):
                if one != other:
                    yield PlanStep("configured", *_name(other))
            continue
        yield from (PlanStep("removed", *_name(step)) for step in old[i:j])
        yield from (PlanStep("added", *_name(step)) for step in new[k:m])


def _name(step: dict[str, Any]) -> tuple[str, str, str]:
    """Return what a step is called: phase, kind and plugin."""
    return str(step.get("phase", "")), str(step.get("kind", "")), str(step.get("plugin", ""))

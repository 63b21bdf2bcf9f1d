"""Turns entities into the snapshot that is live: what a worker does with `SnapshotFull` and `Change`.

Theory of operation
    The installer keeps the JSON of every route (see `compact_texts`) and, decoded, the few entities that
    many routes share: the stored backends and the global config. Route compositions and service
    descriptors become the JSON of routes as they come (`DerivedRoutes`). A change makes a set of routes
    *dirty*: those that
    were written, those that refer to a backend that changed, or all of them when the global slots
    or the set of plugins did. Dirty routes are compiled in slices of `SLICE_S`, with a checkpoint
    after each, so that traffic goes on; the snapshot grows by each slice and is installed once, by one
    assignment, when the revision is complete. Code that only some routes take is loaded before.

    Nothing that is wrong with one route touches another. A route that cannot be compiled answers
    503; one that cannot even be read stays as it was; each is reported. An API key or a JWT verifier
    that cannot be read lets nobody in until it is corrected.

Bounds: one copy of each route's JSON, compressed: less than 100 octets a route, its id included.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import msgspec
import trio

from oto_trio.gateway.compact_texts import CompactTexts
from oto_trio.gateway.compile import (
    DERIVED_KINDS,
    SINKS,
    DerivedRoute,
    Hooks,
    Lowered,
    RouteCompiler,
    Surroundings,
    configured_words,
    derive_routes,
    snapshot_settings,
    used_plugins,
)
from oto_trio.gateway.compile.tcp import TCP_PORTS
from oto_trio.gateway.derived_routes import DerivedRoutes
from oto_trio.gateway.engine import Clock
from oto_trio.gateway.frames import Change, Entity, EntityKey, ProblemReport, SnapshotFull
from oto_trio.gateway.listener_frames import ListenerWays
from oto_trio.gateway.loading import load
from oto_trio.gateway.rotations import Rotations
from oto_trio.gateway.snapshots import SnapshotEngine, SnapshotLike
from oto_trio.gateway.tcp_ports import TcpPorts
from oto_trio.model.api_key import ROTATIONS
from oto_trio.model.backend import Backend, read_backend
from oto_trio.model.errors import EntityError, Problem
from oto_trio.model.global_config import GlobalConfig, read_global_config
from oto_trio.model.route import Route, read_route
from oto_trio.model.tcp_service import TCP_SERVICES
from oto_trio.plugin_api.folder import FolderPlugins, changed_ids, with_folder
from oto_trio.plugin_api.registry import Registry

__all__ = [
    "BACKENDS",
    "GLOBAL_CONFIG",
    "KINDS",
    "ROUTES",
    "TABLE_KINDS",
    "Installer",
]

logger = logging.getLogger(__name__)

GLOBAL_CONFIG: Final = "global-config"
BACKENDS: Final = "backends"
ROUTES: Final = "routes"

API_KEYS: Final = "apikeys"

TABLE_KINDS: Final[tuple[str, ...]] = (ROTATIONS, API_KEYS, "certificates", "jwt-verifiers")
"""The kinds that native steps look up by id. The engine reads them from the store's JSON itself, but for the periods
of keys that rotate (`rotations`)."""

CLOSED_KINDS: Final = frozenset({API_KEYS, "jwt-verifiers", TCP_PORTS})
"""Of the engine's tables those that let callers in. When one cannot be read, what it was before is no answer:
the change may have been its revocation."""

KINDS: Final = (GLOBAL_CONFIG, BACKENDS, *TABLE_KINDS, TCP_SERVICES, *DERIVED_KINDS, ROUTES)
"""The kinds of entities a worker needs, in the order in which they must arrive in a snapshot."""

SLICE_S: Final = 0.001
"""How long compiling may keep the Trio loop: what it adds at most to the latency of an exchange."""

SLICE_DERIVED: Final = 16
"""Service descriptors and route compositions converted between two checkpoints: about 2 ms' work."""

SLICE_ENTITIES: Final = 128
"""Entities of the tables given to one `Snapshot.apply`."""

SLICE_ROUTES: Final = 64
"""Routes given to one `Snapshot.apply`, which cannot be interrupted."""


class Installer:
    """Keeps the engine's snapshot in step with the entities and the plugins.

    Args:
        engine: Where snapshots are installed.
        snapshot: The empty snapshot to start from.
        registry: The built-in plugins and those of installed distributions.
        folder: The folder of user plugins, not yet polled; None when there is none.
        clock: Reads the Trio clock.
        report: Takes each problem; must not block.
        expressions: What expressions may read besides the global config; see `Start`.
        shared_key: The key of the exchange protocol of services that name the installation's.
        makes_certificates: Whether a certificate is asked for each unknown server name, whatever the
            global config says.
        https_port: The port under which clients reach the gateway with TLS; None for 443.
        http3: The listeners that speak HTTP/3, by their names; see `speak_http3`.
    """

    def __init__(  # noqa: PLR0913 (all but two are keyword-only facts of the worker)
        self,
        engine: SnapshotEngine,
        snapshot: SnapshotLike,
        registry: Registry,
        *,
        folder: FolderPlugins | None,
        clock: Clock,
        report: Callable[[ProblemReport], None],
        makes_certificates: bool = False,
        https_port: int | None = None,
        http3: Mapping[str, ListenerWays] = MappingProxyType({}),
        expressions: Mapping[str, Any] = MappingProxyType({}),
        shared_key: str | None = None,
    ) -> None:
        self.hooks = Hooks()
        """The table of bound hooks; the pipeline reads it."""
        self._engine = engine
        self._snapshot = snapshot
        self._base = registry
        self._folder = folder
        self._clock = clock
        self._report = report
        self._makes_certificates = makes_certificates
        self._https_port = https_port
        self._http3 = http3
        self._is_partial = True
        self._expressions = expressions
        self._lock = trio.Lock()
        self._routes = CompactTexts()
        self._derived = DerivedRoutes(self._routes)
        self._fresh: dict[str, bytes] = {}
        self._resolve = configured_words(expressions, shared_key)
        self._backends: dict[str, Backend] = {}
        self._backend_of: dict[str, str] = {}
        self._uses: dict[str, set[str]] = {}
        self._rows: set[EntityKey] = set()
        self._changed_rows: dict[EntityKey, bytes | None] = {}
        self._rotations = Rotations()
        self._tcp_ports = TcpPorts(report)
        self._global: GlobalConfig | None = None
        self._unseen: set[EntityKey] = set()
        self._needed: set[str] = set()
        self._new_settings: bytes | None = self._snapshot_settings()
        if folder is not None:
            self._folder = folder.poll()
        self._compiler = self._make_compiler()
        self._are_sinks_new = False

    def routes_of(self, key: EntityKey) -> list[str]:
        """Return the ids of the routes that an entity means here."""
        return self._derived.of(key)

    @property
    def routes(self) -> int:
        """How many routes the installed snapshot has."""
        return len(self._snapshot)

    async def take(self, frame: SnapshotFull | Change) -> bool:
        """Take over one frame of entities.

        Returns:
            Whether its revision is complete, and live.

        Cancellation: between two slices; the installed snapshot is never a partial one.
        """
        async with self._lock:
            entities = frame.entities if isinstance(frame, SnapshotFull) else frame.upserts
            derived = await self._derive(entities)
            if isinstance(frame, SnapshotFull):
                if frame.chunk == 0:
                    self._unseen = self._keys()
                self._unseen.difference_update(EntityKey(e.kind, e.id) for e in frame.entities)
                removed = list(self._unseen) if frame.last else []
                dirty, gone = self._note(entities, removed, derived)
            else:
                dirty, gone = self._note(entities, frame.removed, derived)
            await self._compile(dirty, gone)
            self._is_partial = not frame.last
            if frame.last:
                self._install()
            return frame.last

    async def speak_http3(self, listeners: Mapping[str, ListenerWays]) -> None:
        """Take over which listeners speak HTTP/3, for what clients are told of it.

        Args:
            listeners: What clients may speak on each, by its name.
        """
        if listeners == self._http3:
            return
        self._http3 = listeners
        async with self._lock:
            self._new_settings = self._snapshot_settings()
            if not self._is_partial:
                await self._compile((), ())
                self._install()

    async def reload_plugins(self) -> bool:
        """Look at the plugin folder again and recompile the routes whose plugins changed.

        Returns:
            Whether anything had changed.
        """
        if self._folder is None:
            return False
        async with self._lock:
            after = self._folder.poll()
            if after is self._folder:
                return False
            changed = changed_ids(self._folder, after)
            self._folder = after
            self._compiler = self._make_compiler()
            self._are_sinks_new = True
            if changed & self._compiler.global_plugins:
                dirty = set(self._routes)
            else:
                dirty = set(self._users_of(changed))
            await self._compile(dirty, [])
            self._install()
            logger.info(
                "plugins loaded again (%s): %d routes compiled",
                ", ".join(sorted(changed)) or "no class changed",
                len(dirty),
            )
            return True

    # ------------------------------------------------------------------------- what is dirty

    def _keys(self) -> set[EntityKey]:
        """Return the key of every entity that is known."""
        keys = {
            EntityKey(ROUTES, route_id)
            for route_id in self._routes
            if self._derived.owner(route_id) is None
        }
        keys.update(self._derived.keys)
        keys.update(EntityKey(BACKENDS, backend_id) for backend_id in self._backends)
        keys.update(EntityKey(TCP_SERVICES, service_id) for service_id in self._tcp_ports.ids)
        return keys | self._rows

    async def _derive(
        self, entities: Sequence[Entity]
    ) -> Mapping[EntityKey, Sequence[DerivedRoute]]:
        """Make the routes of compositions and services; one that cannot be read stays as it was."""
        surroundings = Surroundings(self._registry.__contains__, self._resolve)
        made: dict[EntityKey, Sequence[DerivedRoute]] = {}
        for entity in entities:
            if entity.kind not in DERIVED_KINDS:
                continue
            try:
                routes = derive_routes(entity.kind, msgspec.json.decode(entity.body), surroundings)
            except (EntityError, msgspec.DecodeError) as error:
                told = f"{error}; it stays as it was"
                self._report(ProblemReport(entity.kind, entity.id, told))
                continue
            made[EntityKey(entity.kind, entity.id)] = routes
            for problem in (problem for route in routes for problem in route.problems):
                self._report(ProblemReport(entity.kind, entity.id, str(problem)))
            if len(made) % SLICE_DERIVED == 0:
                await trio.lowlevel.checkpoint()
        return made

    def _note(
        self,
        upserts: Iterable[Entity],
        removed: Iterable[EntityKey],
        derived: Mapping[EntityKey, Sequence[DerivedRoute]],
    ) -> tuple[set[str], list[str]]:
        """Take entities over; return the routes to compile and the routes that are gone."""
        dirty: set[str] = set()
        gone: list[str] = []
        everything = False
        self._fresh.clear()
        for entity in upserts:
            if entity.kind == GLOBAL_CONFIG:
                everything |= self._note_global_config(entity)
            else:
                dirty |= self._note_upsert(entity)
        for key, routes in derived.items():
            ids, lost = self._derived.put(key, routes)
            dirty.update(ids)
            gone += lost
        for key in removed:
            if key.kind == ROUTES:
                if self._derived.owner(key.id) is None and self._routes.remove(key.id):
                    gone.append(key.id)
            elif key.kind in DERIVED_KINDS:
                gone += self._derived.remove(key)
            else:
                dirty |= self._note_removal(key)
        gone = [route_id for route_id in gone if route_id not in self._routes]
        for route_id in gone:
            self._refer(route_id, None)
        dirty = set(self._routes) if everything else {r for r in dirty if r in self._routes}
        return dirty, gone

    def _note_upsert(self, entity: Entity) -> set[str]:
        """Take a route, a backend or a row of the tables over; return the routes to compile."""
        if entity.kind == ROUTES:
            moved = self._derived.make_way(entity.id)
            self._routes[entity.id] = self._fresh[entity.id] = entity.body
            return {entity.id} if moved is None else {entity.id, moved}
        if entity.kind == BACKENDS and self._note_backend(entity):
            return self._uses.get(entity.id, set())
        if entity.kind in TABLE_KINDS:
            self._note_row(EntityKey(entity.kind, entity.id), entity.body)
        elif entity.kind == TCP_SERVICES:
            self._tcp_ports.note(entity.id, entity.body)
        return set()

    def _note_removal(self, key: EntityKey) -> set[str]:
        """Forget a backend or a row of the tables; return the routes to compile."""
        if key.kind in TABLE_KINDS:
            self._note_row(key, None)
        elif key.kind == TCP_SERVICES:
            self._tcp_ports.note(key.id, None)
        elif key.kind == BACKENDS and self._backends.pop(key.id, None) is not None:
            return self._uses.get(key.id, set())
        return set()

    def _note_row(self, key: EntityKey, body: bytes | None) -> None:
        """Take an entity of the tables over; None when it is gone."""
        if body is None:
            self._rows.discard(key)
        else:
            self._rows.add(key)
        if key.kind == ROTATIONS:
            self._rotations.note_period(key.id, body)
            return
        if key.kind == API_KEYS:
            self._rotations.note_key(key.id, body)
        self._changed_rows[key] = body

    def _note_backend(self, entity: Entity) -> bool:
        """Take a stored backend over; tell whether it could be read."""
        try:
            self._backends[entity.id] = read_backend(msgspec.json.decode(entity.body))
        except (EntityError, msgspec.DecodeError) as error:
            self._report(ProblemReport("backend", entity.id, f"{error}; it stays as it was"))
            return False
        return True

    def _note_global_config(self, entity: Entity) -> bool:
        """Take the global config over; tell whether every route must be compiled again."""
        try:
            config = read_global_config(msgspec.json.decode(entity.body))
        except (EntityError, msgspec.DecodeError) as error:
            self._report(ProblemReport("global-config", "", f"{error}; it stays as it was"))
            return False
        before, self._global = self._global, config
        self._new_settings = self._snapshot_settings()
        slots = None if before is None else before.plugins.config.get("ng")
        if config.plugins.config.get("ng") == slots:
            return False
        self._compiler = self._make_compiler()
        self._are_sinks_new = True
        return True

    def _snapshot_settings(self) -> bytes:
        """Return the settings of the snapshot: what holds for every route."""
        settings, problems = snapshot_settings(
            self._global,
            self._base,
            makes_certificates=self._makes_certificates,
            https_port=self._https_port,
            http3=self._http3,
            expressions=self._expressions,
        )
        for problem in problems:
            self._report(ProblemReport(GLOBAL_CONFIG, "", str(problem)))
        return msgspec.json.encode(settings)

    def _make_compiler(self) -> RouteCompiler:
        """Make the compiler for the present plugins and global slots."""
        registry = self._base
        if self._folder is not None:
            registry = with_folder(registry, self._folder)
        self._registry = registry
        for problem in registry.problems:
            self._report(ProblemReport("plugin", problem.path, str(problem)))
        compiler = RouteCompiler(registry, self.hooks, self._global, resolve=self._resolve)
        for problem in compiler.problems:
            self._report(ProblemReport("global-config", "", str(problem)))
        return compiler

    def _users_of(self, plugins: Iterable[str]) -> Iterable[str]:
        """Walk the routes that use one of some plugins."""
        wanted = frozenset(plugins)
        # Decoding every route would take a second for 100,000; an id that is not in the text is not
        # in the route. Ids are ASCII, so JSON has no other way to write them but needless escapes,
        # which the store's writer does not make.
        needles = [plugin.encode() for plugin in wanted]
        for route_id, body in self._routes.items():
            if any(needle in body for needle in needles):
                route = self._read(route_id, body)
                if route is not None and used_plugins(route) & wanted:
                    yield route_id

    # ------------------------------------------------------------------------- compiling

    async def _compile(self, dirty: Iterable[str], gone: Sequence[str]) -> None:
        """Bring routes into the snapshot, in slices; nothing is installed yet."""
        for route_id in gone:
            self.hooks.stage_removal(route_id)
        if gone or self._new_settings is not None:
            self._snapshot = self._snapshot.apply([], list(gone), self._new_settings)
            self._new_settings = None
        await self._apply_rows()
        if self._are_sinks_new:
            self._apply_sinks()
        slice_: list[Route] = []
        documents: list[bytes] = []
        began = self._clock()
        for route_id in dirty:
            # What has just come need not be decompressed again.
            body = self._fresh.pop(route_id, None)
            route = self._read(route_id, self._routes[route_id] if body is None else body)
            if route is not None:
                self._refer(route_id, route.backend_ref)
                lowered = self._lower(route)
                slice_.append(route)
                documents.append(lowered.document)
            if len(slice_) >= SLICE_ROUTES or self._clock() - began > SLICE_S:
                self._apply(slice_, documents)
                slice_, documents = [], []
                await trio.lowlevel.checkpoint()
                began = self._clock()
        self._apply(slice_, documents)
        await load(self._needed)
        self._needed.clear()

    def _lower(self, route: Route) -> Lowered:
        """Compile a route, and report what is wrong with it."""
        closed = self._derived.closed.get(route.id)
        if closed is not None:
            return self._compiler.compile_closed(route, closed)
        lowered = self._compiler.compile(route, self._backends)
        self._needed.update(lowered.needs)
        owner = self._derived.owner(route.id)
        for problem in lowered.problems:
            if owner is None:
                self._report(ProblemReport("route", route.id, str(problem)))
            else:
                self._report(ProblemReport(owner.kind, owner.id, f"as a route: {problem}"))
        return lowered

    def _apply_sinks(self) -> None:
        """Bring in what sees the requests that no route takes; sinks the engine refuses stay as they were."""
        self._are_sinks_new = False
        lowered = self._compiler.compile_sinks()
        try:
            if lowered is None:
                self._snapshot = self._snapshot.apply([], [SINKS])
            else:
                self._snapshot = self._snapshot.apply([lowered.document], [])
        except ValueError as error:
            self.hooks.rollback([SINKS])
            self._report(ProblemReport(GLOBAL_CONFIG, "", str(error)))

    async def _apply_rows(self) -> None:
        """Bring the entities of the tables into the snapshot that is being made, in slices."""
        rows = [(key.kind, key.id, body) for key, body in self._changed_rows.items()]
        rows += self._rotations.take_rows()
        rows += self._tcp_ports.take_rows()
        self._changed_rows.clear()
        for start in range(0, len(rows), SLICE_ENTITIES):
            slice_ = rows[start : start + SLICE_ENTITIES]
            try:
                self._snapshot = self._snapshot.apply([], [], None, slice_)
            except ValueError:
                for row in slice_:
                    self._apply_row(row)
            await trio.lowlevel.checkpoint()

    def _apply_row(self, row: tuple[str, str, bytes | None]) -> None:
        """Apply one entity; of one that the engine cannot read see `CLOSED_KINDS`."""
        kind, entity_id, _ = row
        try:
            self._snapshot = self._snapshot.apply([], [], None, [row])
        except ValueError as error:
            kept = "it stays as it was"
            if kind in CLOSED_KINDS:
                self._snapshot = self._snapshot.apply([], [], None, [(kind, entity_id, None)])
                kept = "until then it lets nobody in"
            self._report(ProblemReport(kind, entity_id, f"{error}; {kept}"))

    def _apply(self, routes: Sequence[Route], documents: list[bytes]) -> None:
        """Apply one slice of compiled routes to the snapshot that is being made."""
        if not documents:
            return
        try:
            self._snapshot = self._snapshot.apply(documents, [])
        except ValueError:
            # One of them at least is refused; which one, each tells by itself.
            for route, document in zip(routes, documents, strict=True):
                self._apply_one(route, document)

    def _apply_one(self, route: Route, document: bytes) -> None:
        """Apply one route; one that the engine refuses is closed instead of left out."""
        try:
            self._snapshot = self._snapshot.apply([document], [])
        except ValueError as error:
            problem = Problem("$", str(error), "correct the route; until then it answers 503")
            self._report(ProblemReport("route", route.id, str(problem)))
            closed = self._compiler.compile_closed(route, problem)
            try:
                self._snapshot = self._snapshot.apply([closed.document], [])
            except ValueError:
                # Not even its frontend is usable: it cannot take a request, so it stays as it was.
                self.hooks.rollback([route.id])

    def _install(self) -> None:
        """Make the snapshot live."""
        self._engine.install(self._snapshot)
        self.hooks.commit(self._snapshot.generation)

    def release_hooks(self, oldest_held: int | None) -> int:
        """Drop the hooks that no exchange in flight can reach any more; return how many.

        Args:
            oldest_held: The oldest snapshot of an exchange that a hook holds, which the engine does
                not see; None when none is held.
        """
        oldest = self._engine.oldest_generation
        return self.hooks.release(oldest if oldest_held is None else min(oldest, oldest_held))

    def _read(self, route_id: str, body: bytes) -> Route | None:
        """Read a route; None when it cannot be read, and then it stays as it was."""
        try:
            return read_route(msgspec.json.decode(body))
        except (EntityError, msgspec.DecodeError) as error:
            self._report(ProblemReport("route", route_id, f"{error}; it stays as it was"))
            return None

    def _refer(self, route_id: str, backend_id: str | None) -> None:
        """Note which stored backend a route refers to."""
        before = self._backend_of.pop(route_id, None)
        if before is not None:
            users = self._uses[before]
            users.discard(route_id)
            if not users:
                del self._uses[before]
        if backend_id:
            self._backend_of[route_id] = backend_id
            self._uses.setdefault(backend_id, set()).add(route_id)

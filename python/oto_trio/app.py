"""The composition root: builds the services, opens their nurseries in order, and owns the end.

    serve
    ├─ access log        writes in a thread, when it is wanted
    ├─ signals           SIGTERM and SIGINT drain, SIGHUP reloads, SIGUSR2 replaces the workers
    ├─ supervisor        the gateway workers (`control.supervisor`)
    └─ control plane     the admin API and what it stands on (`control.plane`)

The store encloses all of them: it is opened first and closed last. What the admin API acknowledged is
in the store, so nothing is lost whatever ends first.

Order matters for the start: the workers are launched before the admin API is even imported, and it is
imported in a thread, so that workers and control plane get ready side by side.
"""

import gc
import importlib
import logging
import os
import resource
import secrets
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import trio

from oto_trio.control.admin_route import AdminRoute, ensure_admin_route
from oto_trio.control.configuration import Configuration, Source, differences
from oto_trio.control.credentials import (
    DEV_CREDENTIALS,
    AdminCredentials,
    load_or_create_credentials,
)
from oto_trio.control.declared import reconcile
from oto_trio.control.limits import LimitsKeeper, LimitsSharer, LimitsTable, load_seed
from oto_trio.control.notify import Notifier
from oto_trio.control.settings import Settings
from oto_trio.control.store.base import Store
from oto_trio.control.store.history import HistoryBounds, Origin, acting
from oto_trio.control.store.opening import counting_name, node_name, open_store
from oto_trio.control.supervisor.activation import check_loopback, take_activation
from oto_trio.control.supervisor.fixed_listeners import bind_admin, bind_fixed
from oto_trio.control.supervisor.http_listeners import wanted_by_settings
from oto_trio.control.supervisor.launch import InProcessLauncher, Launcher, ProcessLauncher
from oto_trio.control.supervisor.listening import Listener, bind_listener, listening
from oto_trio.control.supervisor.supervision import Supervisor
from oto_trio.control.supervisor.worker_settings import WorkerSettings, worker_settings
from oto_trio.control.vaults import vaults_of
from oto_trio.gateway.frames import ProblemReport
from oto_trio.gateway.free_memory import give_back
from oto_trio.model.errors import GatewayError, Problem, SettingsError
from oto_trio.plugin_api.folder import FolderPlugins
from oto_trio.telemetry.access_log import AccessLog
from oto_trio.telemetry.logs import lost_lines

if TYPE_CHECKING:
    from oto_trio.control.plane import ControlPlane

__all__ = ["PLUGIN_FOLDER", "STORE_FILE", "Announcement", "serve"]

logger = logging.getLogger(__name__)

STORE_FILE: Final = "store.sqlite3"
"""Name of the embedded store in the data folder."""

PLUGIN_FOLDER: Final = "plugins"
"""Name of the folder of user plugins in the data folder, when no other one is set."""

ADMIN_GRACE_S: Final = 3.0
"""How long requests of the admin API may take to end once the data plane has drained."""

FEW_DESCRIPTORS: Final = 16_384
"""A hard limit of open descriptors below this is worth a warning."""

PROBLEMS_REMEMBERED: Final = 1024
"""Problems that are logged once although every worker reports them."""


class Announcement(msgspec.Struct, frozen=True):
    """What a gateway tells once it takes requests.

    Attributes:
        http: URL of the first data listener; `unix:` and a path when it is a Unix socket.
        https: URL of the first one for HTTPS; None without one.
        admin: URL of the admin API, or `unix:` and a path.
        pid: The supervisor's process.
        workers: The workers' processes, by slot.
        data: The data folder.
        client_id: Id of the admin API's key.
        client_secret: Its secret, only when it was made just now or is the well-known one.
        credentials_file: Where the secret is kept; None with the well-known one.
        http3: URL of the data listener for HTTP/3; None without one.
        admin_login: Name of the first administrator, at the start that made it.
        admin_password: Its password, when it was made up just now and is to be shown.
        admin_password_file: Where that was written instead.
        others: URLs of the other data listeners.
    """

    http: str
    https: str | None
    admin: str
    pid: int
    workers: list[int]
    data: str
    client_id: str
    client_secret: str | None
    credentials_file: str | None
    http3: str | None = None
    admin_login: str | None = None
    admin_password: str | None = None
    admin_password_file: str | None = None
    others: list[str] = []


class _Key(msgspec.Struct, frozen=True):
    """The admin API's key, and what may be shown of it."""

    credentials: AdminCredentials
    file: Path | None
    is_shown: bool


async def serve(
    source: Source,
    *,
    announce: Callable[[Announcement], None],
    on_settings: Callable[[Settings], None],
    dev: bool = False,
) -> None:
    """Run a whole gateway until a signal ends it.

    Args:
        source: Where the configuration comes from; read again at SIGHUP.
        announce: Told where it listens, once it takes requests.
        on_settings: Told the settings before anything is opened; what it raises ends the start.
        dev: Use Otoroshi's well-known development credentials.

    Raises:
        SettingsError: The configuration is wrong; with every problem.
        ActivationError: A socket that a service manager handed over cannot be used.
        BindError: A listening socket cannot be opened.
        OSError: The admin API's socket cannot be opened.
        StoreError: The store cannot be opened.
        CredentialsError: The credentials file cannot be used.
        DeclarationError: A declared entity belongs to somebody else.
        WorkersFailedError: The workers do not start.
        ExceptionGroup: Some of these, at the same time or in a task.

    Cancellation: ends everything at once, without a drain.
    """
    # Reading 100,000 declared routes makes a million objects and no garbage cycles.
    gc.disable()
    with trio.open_signal_receiver(
        signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2
    ) as signals:
        notifier = Notifier.taken_from(os.environ, os.getpid())
        lent = take_activation(os.environ, os.getpid())
        if dev:
            check_loopback(lent)
        configuration = source.read()
        settings = configuration.settings
        on_settings(settings)
        data = Path(settings.data)
        for warning in configuration.warnings:
            logger.warning("%s", warning)
        _raise_descriptor_limit()
        key = await trio.to_thread.run_sync(_key, configuration, dev)
        # The port of `for_workers` is in what workers are told, so it is held for as long as they run.
        with (
            listening(*bind_fixed(settings, _slots(settings), lent)) as listeners,
            listening(_bind_for_workers()) as (for_workers,),
            listening(*bind_admin(settings, lent)) as admin,
        ):
            node = await trio.to_thread.run_sync(node_name, settings.store, data)
            async with await open_store(
                settings.store, data / STORE_FILE, history=_history(settings)
            ) as store:
                with acting(Origin("configuration files")):
                    await reconcile(store, configuration.declarations)
                    await ensure_admin_route(store, settings, key.credentials, node)
                # From here on they are in the store; a hundred thousand need not be here too.
                del configuration
                seed, among_processes = await load_seed(store), settings.workers != 0
                with (
                    counting_name(node, data) as counter,
                    LimitsTable(
                        data,
                        seed,
                        window_s=settings.throttling_window_s,
                        among_processes=among_processes,
                        slots=settings.limit_counters,
                    ) as limits,
                ):
                    keeper = _keeper(settings, store, limits, counter)
                    await keeper.load()
                    app = _App(
                        *(source, settings, store, listeners, key, limits),
                        for_workers=for_workers,
                        admin=admin,
                        notifier=notifier,
                        dev=dev,
                        node=node,
                    )
                    await app.run(signals, announce, keeper)


def _history(settings: Settings) -> HistoryBounds:
    """Return how much the store remembers."""
    days = settings.history_days
    return HistoryBounds(
        revisions=settings.history_revisions,
        age_s=None if days is None else days * 86_400,
        size=settings.history_mib * 1024 * 1024,
    )


def _keeper(
    settings: Settings, store: Store, limits: LimitsTable, node: str
) -> LimitsKeeper | LimitsSharer:
    """Return what keeps the counters: with those of the other gateways, where there may be some."""
    if not store.is_shared:
        return LimitsKeeper(store, limits)
    limits.sharing = LimitsSharer(store, limits, node, every_s=settings.quota_sync_s)
    return limits.sharing


def _raise_descriptor_limit() -> None:
    """Let this process and its workers open as many descriptors as the system allows them.

    The usual soft limit of 1024 is there for programs that use `select`; it would end a gateway's
    connections long before `max_connections` does.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard != resource.RLIM_INFINITY and hard < FEW_DESCRIPTORS:
        logger.warning(
            "only %d descriptors may be open in a process, about half as many connections; raise "
            "the hard limit (ulimit -Hn, or LimitNOFILE of systemd)",
            hard,
        )


def _key(configuration: Configuration, dev: bool) -> _Key:  # noqa: FBT001 (passed by run_sync)
    """Return the key of the admin API: the environment's, the well-known one, or the kept one."""
    if configuration.credentials is not None:
        return _Key(configuration.credentials, None, is_shown=False)
    if dev:
        return _Key(DEV_CREDENTIALS, None, is_shown=True)
    stored = load_or_create_credentials(Path(configuration.settings.data))
    return _Key(stored.credentials, stored.path, is_shown=stored.is_new)


def _slots(settings: Settings) -> int:
    """Return how many worker slots there are; a gateway inside the supervisor has one."""
    workers = settings.workers
    if workers is None:
        # The cores this process may use, which a container or taskset may have cut down.
        workers = len(os.sched_getaffinity(0))
    return max(workers, 1)


def _bind_for_workers() -> Listener:
    """Open the socket on which the admin API takes what workers pass on (`control.admin_route`)."""
    return bind_listener("admin-api", "127.0.0.1", 0, secured=False, slots=1)


def _launcher(settings: Settings) -> Launcher:
    """Return what starts workers."""
    if settings.workers == 0:
        from oto_trio.gateway.worker import run_worker  # noqa: PLC0415 (only processes need it)

        return InProcessLauncher(run_worker)
    return ProcessLauncher()


def _open_access_log(name: str | None) -> AccessLog | None:
    """Open the access log, where one is wanted.

    Raises:
        SettingsError: It cannot be opened.
    """
    try:
        return None if name is None else AccessLog(name)
    except OSError as error:
        told = f"{name} cannot be opened: {error.strerror}"
        fix = "make its folder, choose another file, or leave the setting out"
        raise SettingsError([Problem("$.settings.access_log", told, fix)]) from None


def _plugin_folder(settings: Settings) -> Path:
    """Return the folder of user plugins; the one in the data folder is made when missing."""
    if settings.plugins is not None:
        return Path(settings.plugins)
    folder = Path(settings.data) / PLUGIN_FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


class _App:
    """A gateway that runs, and what signals do to it."""

    def __init__(  # noqa: PLR0913 (what `serve` opened, each once)
        self,
        source: Source,
        settings: Settings,
        store: Store,
        listeners: tuple[Listener, ...],
        key: _Key,
        limits: LimitsTable,
        *,
        for_workers: Listener,
        admin: Sequence[Listener],
        notifier: Notifier,
        dev: bool,
        node: str,
    ) -> None:
        self._source = source
        self._settings = settings
        self._store = store
        self._listeners = listeners
        self._key = key
        self._dev = dev
        self._node = node
        self._ticket_secret = secrets.token_bytes(32)
        self._folder = _plugin_folder(self._settings)
        self._access_log = _open_access_log(settings.access_log)
        self._for_workers = for_workers
        self._admin = admin
        self._notifier = notifier
        self._admin_route = AdminRoute(settings, for_workers.address[1])
        self._supervisor = Supervisor(
            store,
            _launcher(self._settings),
            listeners,
            self._worker_settings(),
            on_records=None if self._access_log is None else self._access_log.take,
            on_problem=self._log_problem,
            limits=limits,
            vaults=vaults_of(settings, store, os.environ),
            as_served=self._admin_route.as_served,
            given_listeners=wanted_by_settings(settings.http_listeners)[0],
        )
        if self._access_log is not None:
            self._supervisor.extra_metrics.append(self._access_log.metrics)
            self._supervisor.log_tcp = self._access_log.take_tcp
        if settings.workers != 0:  # a worker inside this process counts what its log loses
            self._supervisor.extra_metrics.append(lambda: {"log_lines_dropped": lost_lines()})
        self._problems: set[ProblemReport] = set()
        self._changing = trio.Lock()
        self._is_draining = False
        self._shutdown = trio.Event()
        self._plane: ControlPlane | None = None

    async def run(
        self,
        signals: AsyncIterator[int],
        announce: Callable[[Announcement], None],
        keeper: LimitsKeeper | LimitsSharer,
    ) -> None:
        """Run until a signal ends it."""
        async with trio.open_nursery() as outer:
            outer.start_soon(keeper.run)
            if self._access_log is not None:
                outer.start_soon(self._access_log.run)
            async with trio.open_nursery() as services:
                outer.start_soon(self._obey, signals, outer, services)
                async with trio.open_nursery() as starting:
                    starting.start_soon(services.start, self._supervisor.run)
                    plane = self._plane = await self._make_plane()
                    plane.is_dev = self._dev
                    plane.node = self._node
                    plane.has_https = any(listener.secured for listener in self._listeners)
                    plane.listener = self._admin[0] if self._admin else None
                    admin: str = await services.start(plane.run, self._shutdown)
                if not self._is_draining:
                    plane.gateway.is_started = True
                    await self._supervisor.tell_health(store_is_healthy=True, is_started=True)
                    announce(self._announcement(admin))
                    await self._notifier.ready(self._status)
                    outer.start_soon(self._notifier.run)
                gc.enable()
                gc.collect()
                gc.freeze()
                await trio.to_thread.run_sync(give_back)
            outer.cancel_scope.cancel()

    async def _make_plane(self) -> "ControlPlane":
        """Import and build the control plane, in a thread: the workers must not wait for it."""
        await trio.to_thread.run_sync(importlib.import_module, "oto_trio.control.plane")
        from oto_trio.control.plane import ControlPlane  # noqa: PLC0415 (see above)

        return await trio.to_thread.run_sync(
            ControlPlane,
            self._store,
            self._supervisor,
            self._key.credentials,
            self._settings,
            FolderPlugins(self._folder),
            self._admin_route,
            self._for_workers.sockets[0],
        )

    def _announcement(self, admin: str) -> Announcement:
        key = self._key
        first = None if self._plane is None else self._plane.first_admin
        streams = [it for it in self._listeners if not it.is_datagrams]
        first_of = {it.secured: it for it in reversed(streams)}
        others = [it.url for it in streams if it is not first_of[it.secured]]
        datagrams = next((it for it in self._listeners if it.is_datagrams), None)
        return Announcement(
            http=first_of[False].url,
            https=first_of[True].url if True in first_of else None,
            others=others,
            http3=None if datagrams is None else datagrams.url,
            admin=admin,
            pid=os.getpid(),
            workers=self._supervisor.pids,
            data=self._settings.data,
            client_id=key.credentials.client_id,
            client_secret=key.credentials.client_secret if key.is_shown else None,
            credentials_file=None if key.file is None else str(key.file),
            admin_login=None if first is None else first.login,
            admin_password=None if first is None else first.password,
            admin_password_file=None if first is None else first.file,
        )

    # ------------------------------------------------------------------------- signals

    async def _obey(
        self, signals: AsyncIterator[int], outer: trio.Nursery, services: trio.Nursery
    ) -> None:
        """Act on signals, each in a task of its own: none waits for another one's work."""
        async for number in signals:
            name = signal.Signals(number).name
            if number == signal.SIGHUP:
                outer.start_soon(self._reload)
            elif number == signal.SIGUSR2:
                outer.start_soon(self._replace_workers)
            elif not self._is_draining:
                self._is_draining = True
                timeout_s = self._settings.drain_timeout_s
                logger.info(
                    "%s: draining for up to %g s; a second signal ends at once", name, timeout_s
                )
                outer.start_soon(self._drain, timeout_s, services)
            else:
                logger.warning("%s again: ending at once", name)
                self._supervisor.kill()
                outer.cancel_scope.cancel()

    @property
    def _status(self) -> str:
        """What is said of a gateway that takes requests."""
        return f"takes requests on {', '.join(listener.url for listener in self._listeners)}"

    async def _drain(self, timeout_s: float, services: trio.Nursery) -> None:
        """Drain the data plane, then end the control plane."""
        await self._notifier.stopping("finishes what is in flight")
        if self._plane is not None:
            self._plane.gateway.is_draining = True
        outcome = await self._supervisor.drain(timeout_s)
        logger.log(logging.WARNING if outcome.dropped else logging.INFO, "%s", outcome)
        self._shutdown.set()
        services.cancel_scope.deadline = trio.current_time() + ADMIN_GRACE_S

    async def _reload(self) -> None:
        """Read the configuration again and bring in what can be, and tell the service manager."""
        async with self._changing:
            await self._notifier.reloading()
            try:
                await self._read_again()
            finally:
                if not self._is_draining:
                    await self._notifier.ready(self._status)

    async def _read_again(self) -> None:
        """Read the configuration again and bring in what can be."""
        try:
            configuration = await trio.to_thread.run_sync(self._source.read)
            changes = await reconcile(self._store, configuration.declarations)
        except GatewayError as error:
            logger.error("reload refused, nothing was changed:\n%s", error)
            return
        found = differences(self._settings, configuration.settings)
        for name in found.needs_restart:
            logger.warning("%s is another now, but only a restart brings it in", name)
        self._settings = msgspec.structs.replace(
            configuration.settings,
            **{name: getattr(self._settings, name) for name in found.needs_restart},
        )
        self._folder = _plugin_folder(self._settings)
        self._supervisor.settings = self._worker_settings()
        logging.getLogger().setLevel(self._settings.log_level.upper())
        await self._supervisor.reload_plugins()
        await self._supervisor.give_listeners(wanted_by_settings(self._settings.http_listeners)[0])
        if self._access_log is not None:
            await self._access_log.reopen()
        logger.info(
            "reloaded: %d declared entities changed; %s",
            changes,
            "; ".join(
                f"{how}: {', '.join(names)}"
                for how, names in (
                    ("in force", found.at_once),
                    ("brought in by new workers", found.needs_new_workers),
                )
                if names
            )
            or "no setting changed",
        )
        if found.needs_new_workers:
            await self._supervisor.replace_all()

    async def _replace_workers(self) -> None:
        """Replace the workers one by one."""
        async with self._changing:
            began = trio.current_time()
            if await self._supervisor.replace_all():
                logger.info(
                    "workers replaced in %.1f s: now %s",
                    trio.current_time() - began,
                    ", ".join(map(str, self._supervisor.pids)),
                )

    # ------------------------------------------------------------------------- reports

    def _worker_settings(self) -> WorkerSettings:
        """Return what workers are told."""
        return worker_settings(
            self._settings, self._folder, self._ticket_secret, self._listeners, dev=self._dev
        )

    def _log_problem(self, report: ProblemReport) -> None:
        """Log a problem once, however many workers report it."""
        if report in self._problems:
            return
        if len(self._problems) >= PROBLEMS_REMEMBERED:
            self._problems.clear()
        self._problems.add(report)
        subject = f"{report.kind} {report.id}".strip()
        logger.warning("%s: %s", subject, report.message)

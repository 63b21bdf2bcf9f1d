"""Keeps the gateway workers alive, up to date, and out of each other's way.

    run                      until `drain` has finished
    ├─ vaults                renews the secrets in use
    ├─ listeners             opens and closes what entities ask for (`changing_listeners`)
    ├─ keeper, one a slot    starts the slot's worker, and another when it ends
    └─ worker, one each      `Worker.run`; a slot has two while one replaces the other

Policy
    Back-off: a worker that ends unasked is replaced at once the first time. When the replacement
    ends within `STABLE_S`, the next waits 0.25 s, 0.5 s, 1 s, and so on up to `MAX_DELAY_S`. While
    a slot waits, a worker of another slot also takes the connections of its sockets, so that they
    are not left hanging.

    Replacement (`replace_all`, SIGUSR2): slot by slot, the new worker is ready before the old one
    is told to drain. When a new one does not get ready, the old one stays and the rest is left
    alone: the same fault would take them all.

    Start: when a slot's workers end `START_ATTEMPTS` times in a row and none was ever ready, `run`
    raises, because something is wrong that trying again does not mend.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
import trio

from oto_trio.control.limits.table import LimitsTable
from oto_trio.control.store.base import Store
from oto_trio.control.supervisor.backoff import Backoff
from oto_trio.control.supervisor.changing_listeners import ChangingListeners
from oto_trio.control.supervisor.counting import RetiredCounts, summed
from oto_trio.control.supervisor.drain_outcome import DrainOutcome
from oto_trio.control.supervisor.feeding import AsServed, as_stored
from oto_trio.control.supervisor.launch import Launcher
from oto_trio.control.supervisor.listeners import ListenerSet, WantedListener
from oto_trio.control.supervisor.listening import Listener
from oto_trio.control.supervisor.worker import Worker
from oto_trio.control.supervisor.worker_settings import WorkerSettings
from oto_trio.control.vaults import Vaults
from oto_trio.gateway.frames import (
    AdoptSlot,
    AskCertificate,
    AskMetricsPage,
    Capture,
    CertificateAnswer,
    ControlHealth,
    Drain,
    EntityKey,
    MetricsPage,
    ProblemReport,
    ReloadPlugins,
    RouteCounts,
)
from oto_trio.gateway.metrics import merge_metrics, metrics_page, without_gauges
from oto_trio.model.errors import GatewayError

__all__ = ["CertificateVerdict", "Supervisor", "WorkersFailedError"]

logger = logging.getLogger(__name__)

START_ATTEMPTS: Final = 3
"""Workers of one slot that may end before any of them was ever ready."""

READY_TIMEOUT_S: Final = 60.0
"""How long a replacement may take to get ready; it may have 100,000 routes to compile."""

KILL_GRACE_S: Final = 2.0
"""How long after a drain's deadline workers may take to end by themselves."""

LAST_ACCEPT_S: Final = 1.0
"""How long a drain leaves the sockets open for workers to accept what is queued on them."""

CERTIFICATE_APPLY_S: Final = 1.0
"""How long a worker that asked for a certificate is waited for to apply it, before it is answered."""

MOST_LEAKED_KEYS: Final = 64
"""API keys that are taken out of use at once; further ones wait until they are sent again."""

MOST_CERTIFICATE_ASKS: Final = 1024
"""Handshakes of all workers that wait for a certificate at once; more are refused at once."""

METRICS_TIMEOUT_S: Final = 1.0
"""How long a worker is waited for when all are asked for their counters."""


class WorkersFailedError(GatewayError):
    """The gateway workers do not start."""

    code = "workers_failed"


class CertificateVerdict(msgspec.Struct, frozen=True):
    """What became of the wish for a certificate.

    Attributes:
        ok: Whether there is one now.
        revision: The store's revision from which on it is there; 0 when nothing was stored.
        certificate: JSON of a certificate that is in no store; empty otherwise.
    """

    ok: bool
    revision: int = 0
    certificate: bytes = b""


class _Slot:
    """One place for a worker."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.worker: Worker | None = None
        self.backoff = Backoff()
        self.attempts = 0


class Supervisor:
    """Keeps one worker in every slot.

    Args:
        store: Holds the entities every worker must know.
        launcher: Starts workers.
        listeners: The listening sockets, each with one socket a slot. The supervisor closes them
            when it drains.
        settings: What workers are told; may be replaced, and then holds for the next workers.
        on_records: Takes batches of access records, each with what to add to its times to get Unix
            time; None when nobody wants them.
        on_problem: Takes each problem a worker reports.
        limits: The counters that all workers share; None leaves each alone with its own.
        vaults: Give the secrets that entities refer to; None has none.
        as_served: Makes each document what the workers of this node get.
        given_listeners: Listeners of the settings that are opened as those of entities are, by their ids.
    """

    def __init__(  # noqa: PLR0913 (all but four are keyword-only)
        self,
        store: Store,
        launcher: Launcher,
        listeners: Sequence[Listener],
        settings: WorkerSettings,
        *,
        on_records: Callable[[float, bytes], None] | None = None,
        on_problem: Callable[[ProblemReport], None] | None = None,
        limits: LimitsTable | None = None,
        vaults: Vaults | None = None,
        as_served: AsServed = as_stored,
        given_listeners: Mapping[str, tuple[WantedListener, ...]] | None = None,
    ) -> None:
        self.settings = settings
        self._vaults = Vaults({}) if vaults is None else vaults
        self._as_served = as_served
        self._store = store
        self._launcher = launcher
        self._listeners = ListenerSet(listeners)
        self._changing = ChangingListeners(
            store, self._listeners, lambda: tuple(self._workers), self.moved, given_listeners
        )
        self.give_listeners = self._changing.give
        self._on_records = on_records
        self._on_problem = on_problem
        self.limits = limits
        """The counters that all workers share."""
        self._slots = [_Slot(number) for number in range(self._listeners.slots)]
        self._workers: set[Worker] = set()
        self._stopping = False
        self._moved = trio.Event()
        self._retired_metrics: dict[str, Any] = {}
        self._retired_routes = RetiredCounts()
        self._control_health = ControlHealth(store_is_healthy=True, is_started=False)
        self._capture = Capture(events=False)
        self.on_events: Callable[[float, bytes], None] | None = None
        """Takes the same batches while events are wanted (`capture`); their records have details."""
        self.on_alerts: Callable[[float, bytes], None] | None = None
        """Takes records of exchanges that raised alerts while events are not wanted."""
        self.on_tcp_records: Callable[[float, bytes], None] | None = None
        """Takes records of connections of TCP services while events are wanted."""
        self.log_tcp: Callable[[float, bytes], None] | None = None
        """Takes them in any case: the access log."""
        self.on_websocket_records: Callable[[float, bytes], None] | None = None
        """Likewise messages of WebSockets that plugins refused."""
        self.extra_metrics: list[Callable[[], dict[str, int]]] = []
        """Counters of the control plane, shown with those of the workers."""
        self._nursery: trio.Nursery | None = None
        self._certificate_asks = 0
        self.on_certificate_asked: Callable[[str], Awaitable[CertificateVerdict]] | None = None
        """Makes a certificate for a server name; set once the control plane can. Must not raise."""
        self.on_key_leaked: Callable[[str], Awaitable[None]] | None = None
        """Takes the API key with a client id out of use; set once the control plane can. Must not raise."""
        self._leaked: set[str] = set()
        self.restarts = 0
        """Workers that ended unasked and were replaced."""

    # ------------------------------------------------------------------------- the life of all

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep the slots filled until `drain` has finished; "started" once workers and listeners are there.

        Every worker is ready then, and every listener that was wanted is open or was tried.

        Raises:
            WorkersFailedError: The workers of a slot end again and again and none was ever ready.

        Cancellation: ends every worker at once, without a drain.
        """
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            if not self._stopping:
                nursery.start_soon(self._vaults.run)
                nursery.start_soon(self._changing.run)
                for slot in self._slots:
                    nursery.start_soon(self._keep, slot)
            while not self._stopping and not self._is_started:
                await self._moved.wait()
            task_status.started()

    @property
    def _is_started(self) -> bool:
        """Whether every worker was ready, and every listener that was wanted then is open or was tried."""
        ready = (slot.worker is not None and slot.worker.ready.is_set() for slot in self._slots)
        return self._changing.settled >= 0 and all(ready)

    async def drain(self, timeout_s: float) -> DrainOutcome:
        """Stop accepting, let every worker finish what is in flight, and end it.

        Args:
            timeout_s: Seconds after which what is left is dropped.

        Returns:
            What was waited for and what was dropped.
        """
        self._stopping = True
        began = trio.current_time()
        workers = list(self._workers)
        with trio.move_on_after(timeout_s + KILL_GRACE_S):
            with trio.move_on_after(LAST_ACCEPT_S):
                for worker in workers:
                    await worker.order(Drain(timeout_s))
                for worker in workers:
                    await worker.leaving.wait()
            self._listeners.close_all()
            for worker in workers:
                await worker.ended.wait()
        self._listeners.close_all()
        waited_for: dict[str, int] = {}
        dropped: dict[str, int] = {}
        for worker in workers:
            _add(waited_for, worker.waited_for)
            if worker.draining is None or not worker.draining.finished:
                _add(dropped, {"workers": 1})
            elif worker.draining.dropped:
                _add(dropped, worker.draining.in_flight)
            worker.kill()
        self.moved()
        if self._nursery is not None:
            self._nursery.cancel_scope.cancel()
        return DrainOutcome(trio.current_time() - began, waited_for, dropped)

    def kill(self) -> None:
        """End every worker at once."""
        self._stopping = True
        for worker in self._workers:
            worker.kill()

    async def replace_all(self) -> bool:
        """Replace the workers one by one, each new one ready before the old one drains.

        Returns:
            Whether all were replaced.
        """
        for slot in self._slots:
            if self._stopping or not await self._replace(slot):
                return False
        return True

    # ------------------------------------------------------------------------- talking to all

    async def wait_applied(self, revision: int) -> None:
        """Wait until a revision is live in every worker, and until one serves at all.

        A worker that has not begun to read the store yet is not waited for: it will see the revision
        there, and accept no connection before that is live.
        """
        while not self.is_applied(revision):
            await self._moved.wait()

    def is_applied(self, revision: int) -> bool:
        """Tell whether a revision is live in every worker that may lack it, and one serves."""
        if self._changing.settled < revision:
            return False
        return bool(self.serving) and all(
            worker.applied >= revision
            for worker in self._workers
            if worker.has_read_store and not worker.leaving.is_set()
        )

    @property
    def serving(self) -> list[Worker]:
        """The workers that accept connections now."""
        return [slot.worker for slot in self._slots if slot.worker and slot.worker.is_serving]

    @property
    def slots(self) -> int:
        """How many workers there should be."""
        return len(self._slots)

    @property
    def pids(self) -> list[int]:
        """The processes of the workers that serve, by slot."""
        return [worker.pid for worker in self.serving if worker.pid is not None]

    async def metrics(self) -> dict[str, Any]:
        """Return the counters of all workers added up, those of ended ones included."""
        workers = [worker for worker in self._workers if not worker.ended.is_set()]
        async with trio.open_nursery() as nursery:
            for worker in workers:
                nursery.start_soon(worker.fetch_metrics, METRICS_TIMEOUT_S)
        # One that ended since then is among the retired.
        living = (worker.metrics for worker in workers if not worker.ended.is_set())
        merged: dict[str, Any] = merge_metrics([self._retired_metrics, *living])
        merged["workers"] = len(self.serving)
        merged["worker_restarts"] = self.restarts
        merged["listeners_failed"] = len(self._listeners.failures)
        for counters in self.extra_metrics:
            _add(merged, counters())
        return merged

    async def route_counts(self, entity: EntityKey) -> dict[str, Any]:
        """Return what the calls of an entity's routes came to in all workers, ended ones included."""
        answers: list[tuple[Worker, RouteCounts]] = []

        async def ask(worker: Worker) -> None:
            answer = await worker.questions.ask(entity, METRICS_TIMEOUT_S)
            if answer is not None:
                answers.append((worker, answer))

        async with trio.open_nursery() as nursery:
            for worker in self._workers:
                if worker.ready.is_set() and not worker.ended.is_set():
                    nursery.start_soon(ask, worker)
        routes = {route_id for _, answer in answers for route_id in answer.routes}
        counts = self._retired_routes.of(routes)
        for worker, answer in answers:
            # One that ended since then is among the others.
            if not worker.has_told_counts:
                counts += answer.counts
        return summed(counts)

    async def reload_plugins(self) -> None:
        """Have every worker look for changed user plugins now."""
        for worker in list(self._workers):
            await worker.order(ReloadPlugins())

    async def tell_health(self, *, store_is_healthy: bool, is_started: bool) -> None:
        """Let the workers' probes show how the control plane is."""
        health = ControlHealth(store_is_healthy=store_is_healthy, is_started=is_started)
        if health != self._control_health:
            self._control_health = health
            for worker in list(self._workers):
                await worker.order(health)

    async def capture(self, *, events: bool, redaction: bytes) -> None:
        """Say whether events are wanted, and what of exchanges they may tell.

        Args:
            events: Whether they are.
            redaction: JSON, as the engine reads it.
        """
        capture = Capture(events, redaction)
        if capture != self._capture:
            self._capture = capture
            for worker in list(self._workers):
                await worker.order(capture)

    # ------------------------------------------------------------------------- slots

    async def _keep(self, slot: _Slot) -> None:
        """Keep one slot filled."""
        worker = slot.worker = self._launch(slot)
        while True:
            await worker.leaving.wait()
            if self._stopping:
                return
            if slot.worker is worker:
                if worker.draining is None:
                    await worker.ended.wait()
                    await self._pause(slot, worker)
                # Somebody may have replaced it meanwhile.
                if slot.worker is worker:
                    self.restarts += 1
                    slot.worker = self._launch(slot)
            worker = slot.worker

    async def _pause(self, slot: _Slot, worker: Worker) -> None:
        """Wait as long as the back-off says, and have others take the slot's connections."""
        if not worker.ready.is_set():
            slot.attempts += 1
            if slot.attempts >= START_ATTEMPTS and not self.serving:
                raise WorkersFailedError(
                    f"the gateway worker of slot {slot.number} ended {slot.attempts} times before "
                    "it was ready; its own messages say why"
                )
        else:
            slot.attempts = 0
        delay_s = slot.backoff.next_delay_s(worker.lived_s)
        if not delay_s:
            return
        logger.warning("slot %d waits %.2f s before its next worker", slot.number, delay_s)
        for other in self.serving:
            await other.order(AdoptSlot(slot.number))
            break
        await trio.sleep(delay_s)

    async def _replace(self, slot: _Slot) -> bool:
        """Replace the worker of one slot; tell whether it worked."""
        new = self._launch(slot)
        with trio.move_on_after(READY_TIMEOUT_S):
            while not new.ready.is_set() and not new.ended.is_set():
                await self._moved.wait()
        if not new.is_serving:
            logger.error("slot %d keeps its worker: the new one did not get ready", slot.number)
            new.kill()
            return False
        # Looked at only now: the one there was may have died and been followed by another.
        old, slot.worker = slot.worker, new
        if old is not None and not old.ended.is_set():
            await old.order(Drain(self.settings.drain_timeout_s, is_replaced=True))
            with trio.move_on_after(self.settings.drain_timeout_s + KILL_GRACE_S):
                await old.ended.wait()
            old.kill()
        return True

    def _launch(self, slot: _Slot) -> Worker:
        """Start a worker for a slot, as a task of its own."""
        assert self._nursery is not None, "the supervisor runs"
        worker = Worker(slot.number, self._store, self, self._vaults, self._as_served)
        self._workers.add(worker)
        self._nursery.start_soon(self._run_worker, worker)
        return worker

    async def _run_worker(self, worker: Worker) -> None:
        settings = msgspec.structs.replace(
            self.settings, forward_records=self._on_records is not None
        )
        await worker.order(self._control_health)
        await worker.order(self._capture)
        how = await worker.run(self._launcher, self._listeners.current, settings, self.limits)
        self._workers.discard(worker)
        self._retired_metrics = merge_metrics(
            [self._retired_metrics, without_gauges(worker.metrics)]
        )
        expected = self._stopping or worker.draining is not None
        level = logging.INFO if expected else logging.ERROR
        logger.log(
            level, "worker %d (pid %s) ended %s after %.1f s",
            worker.slot, worker.pid, how, worker.lived_s,
        )  # fmt: skip

    # ------------------------------------------------------------------------- Reports

    def moved(self) -> None:
        """See `Reports.moved`."""
        self._moved.set()
        self._moved = trio.Event()

    def problem(self, report: ProblemReport) -> None:
        """See `Reports.problem`."""
        if self._on_problem is not None:
            self._on_problem(report)

    def records(self, unix_offset_s: float, batch: bytes) -> None:
        """See `Reports.records`."""
        if self._on_records is not None:
            self._on_records(unix_offset_s, batch)
        if self.on_events is not None and self._capture.events:
            self.on_events(unix_offset_s, batch)

    def tcp_records(self, unix_offset_s: float, batch: bytes) -> None:
        """See `Reports.tcp_records`."""
        if self.log_tcp is not None:
            self.log_tcp(unix_offset_s, batch)
        if self.on_tcp_records is not None and self._capture.events:
            self.on_tcp_records(unix_offset_s, batch)

    def websocket_records(self, unix_offset_s: float, batch: bytes) -> None:
        """See `Reports.websocket_records`."""
        if self.on_websocket_records is not None and self._capture.events:
            self.on_websocket_records(unix_offset_s, batch)

    def alerts(self, unix_offset_s: float, batch: bytes) -> None:
        """See `Reports.alerts`."""
        if self.on_alerts is not None:
            self.on_alerts(unix_offset_s, batch)

    def metrics_page_asked(self, worker: Worker, ask: AskMetricsPage) -> None:
        """See `Reports.metrics_page_asked`."""
        assert self._nursery is not None, "the supervisor runs"
        self._nursery.start_soon(self._answer_metrics_page, worker, ask)

    async def _answer_metrics_page(self, worker: Worker, ask: AskMetricsPage) -> None:
        page = metrics_page(await self.metrics(), query=ask.query, accept=ask.accept)
        await worker.order(MetricsPage(ask.token, page.status, page.content_type, page.body))

    def routes_counted(self, counts: RouteCounts) -> None:
        """See `Reports.routes_counted`."""
        self._retired_routes.take(counts.counts)

    def key_leaked(self, client_id: str) -> None:
        """See `Reports.key_leaked`."""
        if client_id in self._leaked or len(self._leaked) >= MOST_LEAKED_KEYS:
            return
        assert self._nursery is not None, "the supervisor runs"
        self._leaked.add(client_id)
        self._nursery.start_soon(self._revoke_key, client_id)

    async def _revoke_key(self, client_id: str) -> None:
        try:
            if self.on_key_leaked is not None:
                await self.on_key_leaked(client_id)
        finally:
            self._leaked.discard(client_id)

    def certificate_asked(self, worker: Worker, ask: AskCertificate) -> None:
        """See `Reports.certificate_asked`."""
        assert self._nursery is not None, "the supervisor runs"
        self._nursery.start_soon(self._answer_certificate, worker, ask)

    async def _answer_certificate(self, worker: Worker, ask: AskCertificate) -> None:
        """Have a certificate made, wait until the asker has it, and say so."""
        make = self.on_certificate_asked
        if make is None or self._certificate_asks >= MOST_CERTIFICATE_ASKS:
            await worker.order(CertificateAnswer(ask.token, ok=False))
            return
        self._certificate_asks += 1
        try:
            verdict = await make(ask.server_name)
            with trio.move_on_after(CERTIFICATE_APPLY_S):
                while worker.applied < verdict.revision and not worker.ended.is_set():
                    await self._moved.wait()
        finally:
            self._certificate_asks -= 1
        await worker.order(CertificateAnswer(ask.token, verdict.ok, verdict.certificate))


def _add(total: dict[str, int], counts: Mapping[str, int]) -> None:
    for name, count in counts.items():
        total[name] = total.get(name, 0) + count

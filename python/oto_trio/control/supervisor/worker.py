"""One worker as its supervisor sees it: the link's tasks, what it has applied, what it reported.

    run                   as long as the worker lives
    ├─ writer             empties the outbox into the link
    ├─ feeder             sends a snapshot of the store, then each of its changes
    ├─ watchdog           ends a worker that gives no sign of life
    └─ reader             the body: takes what the worker says, until it ends

A worker that dies is noticed by its link: the reader gets `LinkClosedError`, and `run` returns with
how it ended. It never raises for what a worker does; the supervision decides what to do next.
"""

import array
import logging
import math
import socket
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import Any, Final, Protocol

import msgspec
import trio

from oto_trio.control.limits.table import LimitsTable
from oto_trio.control.store.base import Store
from oto_trio.control.supervisor.counting import RouteQuestions
from oto_trio.control.supervisor.feeding import AsServed, as_stored, feed
from oto_trio.control.supervisor.launch import Inherited, Launcher, Running
from oto_trio.control.supervisor.listening import Listener
from oto_trio.control.supervisor.worker_settings import WorkerSettings
from oto_trio.control.vaults import Vaults
from oto_trio.gateway.frames import (
    HANDOVER_BYTES,
    PROTOCOL,
    Alerts,
    Applied,
    AskCertificate,
    AskMetrics,
    AskMetricsPage,
    DownFrame,
    Draining,
    Hello,
    InheritedLimits,
    InheritedListener,
    LeakedKey,
    Listen,
    ListenerWays,
    Metrics,
    ProblemReport,
    Ready,
    Records,
    Retune,
    RouteCounts,
    Start,
    TcpRecords,
    Unlisten,
    UpFrame,
    WebsocketRecords,
)
from oto_trio.gateway.link import LinkClosedError, LinkProtocolError, Outbox
from oto_trio.gateway.listener_frames import Released, Retuned, SocketsClosed

__all__ = ["SILENCE_S", "Reports", "Worker"]

logger = logging.getLogger(__name__)

OUTBOX_FRAMES: Final = 16
"""Frames queued for a worker. The feeder waits when it is full; orders are few."""

SILENCE_S: Final = 30.0
"""A worker that says nothing for so long hangs, in an inline hook for instance, and is replaced.
It says something every second."""

FINAL_WAIT_S: Final = 1.0
"""How long the exit status of a worker whose link ended is waited for."""


class Reports(Protocol):
    """Where a worker's words go. No method may block."""

    def moved(self) -> None:
        """Note that a worker applied a revision, is ready, drains or has ended."""
        ...

    def problem(self, report: ProblemReport) -> None:
        """Take a problem that a worker found."""
        ...

    def records(self, unix_offset_s: float, batch: bytes) -> None:
        """Take a msgpack array of access records; the offset makes their times Unix times."""
        ...

    def alerts(self, unix_offset_s: float, batch: bytes) -> None:
        """Take records of exchanges that raised alerts while nobody wants events."""
        ...

    def tcp_records(self, unix_offset_s: float, batch: bytes) -> None:
        """Take records of connections of TCP services."""
        ...

    def websocket_records(self, unix_offset_s: float, batch: bytes) -> None:
        """Take messages of WebSockets that plugins refused."""
        ...

    def metrics_page_asked(self, worker: "Worker", ask: AskMetricsPage) -> None:
        """Answer with `Worker.order(MetricsPage(...))`, from a task."""
        ...

    def certificate_asked(self, worker: "Worker", ask: AskCertificate) -> None:
        """Answer with `Worker.order(CertificateAnswer(...))`, from a task."""
        ...

    def routes_counted(self, counts: RouteCounts) -> None:
        """Keep what a worker that ends has counted."""
        ...

    def key_leaked(self, client_id: str) -> None:
        """Have an API key taken out of use, from a task."""
        ...


class Worker:
    """One worker, from its launch to its end.

    Args:
        slot: The slot it serves.
        store: Holds the entities it must know.
        reports: Where its words go.
        vaults: Give the secrets that entities refer to.
        as_served: Makes each document what the workers of this node get.
    """

    def __init__(
        self,
        slot: int,
        store: Store,
        reports: Reports,
        vaults: Vaults,
        as_served: AsServed = as_stored,
    ) -> None:
        self.slot = slot
        self.pid: int | None = None
        self.applied = -1
        """The newest revision that is live in it; -1 before the first."""
        self.has_read_store = False
        """Whether the store was read for it; what is stored later comes as changes."""
        self.routes = 0
        """Routes in its snapshot."""
        self.metrics: dict[str, Any] = {}
        """Its newest counters."""
        self.draining: Draining | None = None
        """Its newest word on what its drain waits for."""
        self.waited_for: dict[str, int] = {}
        """What was in flight when its drain began."""
        self.ready = trio.Event()
        """Set once it accepts connections."""
        self.leaving = trio.Event()
        """Set once it accepts none any more: it drains, or has ended."""
        self.ended = trio.Event()
        """Set once its process or task has ended."""
        self.has_told_counts = False
        """Whether it said what its routes counted, as it does when it ends."""
        self.lived_s = 0.0
        """How long it lived; 0 until it has ended."""
        self._store = store
        self._vaults = vaults
        self._as_served = as_served
        self._reports = reports
        self._outbox: Outbox[DownFrame] = Outbox(OUTBOX_FRAMES)
        self._running: Running | None = None
        self._last_word = -math.inf
        self._gauge = 0
        self._metrics_token = 0
        self.questions = RouteQuestions(self.order)
        """Asks what the calls of its routes came to."""
        self._fresh_metrics = trio.Event()
        self._handover: trio.SocketStream | None = None
        self._handing = trio.Lock()
        self._listens: set[int] = set()
        self._closing: set[int] = set()
        """Listeners with UDP sockets that it is to close."""
        self._retuning = 0
        self._moved = trio.Event()

    @property
    def is_serving(self) -> bool:
        """Whether it accepts connections now."""
        return self.ready.is_set() and not self.leaving.is_set()

    async def run(
        self,
        launcher: Launcher,
        listeners: Sequence[Listener],
        settings: WorkerSettings,
        limits: LimitsTable | None = None,
    ) -> str:
        """Launch the worker and talk to it until it has ended.

        Args:
            launcher: Starts it.
            listeners: The sockets it inherits.
            settings: What it is told.
            limits: The counters it shares with the others; None leaves it alone with its own.

        Returns:
            How it ended, such as `by SIGKILL`.

        Cancellation: the worker is ended with it, without a drain.
        """
        started = trio.current_time()
        try:
            with ExitStack() as held:
                sockets = self._inherited(listeners, limits, held)
                async with launcher.launch(sockets) as running:
                    held.close()
                    self._running, self.pid = running, running.pid
                    with suppress(LinkClosedError):
                        # Past the outbox: orders may be waiting in it, and this comes before them.
                        await running.link.send(self._start(running, listeners, settings, limits))
                        await self._talk(running)
                    with trio.move_on_after(FINAL_WAIT_S):
                        await running.wait()
                # It has ended now, if need be by force: its last lines may take most of the wait above.
                how = await running.wait()
        except OSError as error:
            how = f"because it could not be started: {error}"
        finally:
            if self._handover is not None:
                self._handover.socket.close()
            if limits is not None:
                limits.give_back(self.pid, self._gauge)
            self.lived_s = trio.current_time() - started
            self._outbox.close()
            self.leaving.set()
            self.ended.set()
            self.questions.close()
            self._move()
        return how

    async def order(self, frame: DownFrame) -> None:
        """Send a frame; does nothing when the worker has ended."""
        with suppress(LinkClosedError):
            await self._outbox.put(frame)

    async def listen(self, listener: Listener) -> None:
        """Have it accept connections of a listener, unless it does or has ended."""
        async with self._handing:
            handover = self._handover
            # One that is not launched yet will get what there is then.
            if handover is None or listener.token in self._listens or self.ended.is_set():
                return
            self._listens.add(listener.token)
            with suppress(OSError, trio.ClosedResourceError):
                for sock in listener.sockets:
                    rights = array.array("i", [sock.fileno()])
                    message = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)]
                    await handover.socket.sendmsg([bytes(HANDOVER_BYTES)], message)
                await self.order(
                    Listen(
                        listener.token,
                        listener.name,
                        listener.ways or ListenerWays(listener.secured),
                        listener.is_tcp,
                        len(listener.sockets),
                        listener.is_datagrams,
                    )
                )

    async def retune(self, listener: Listener) -> None:
        """Tell it what clients may speak on a listener now, unless it does not have it or has ended."""
        if listener.token in self._listens and listener.ways is not None:
            self._retuning += 1
            await self.order(Retune(listener.token, listener.ways))

    async def wait_retuned(self) -> None:
        """Wait until all that it was told by `retune` is so, or it has ended."""
        while self._retuning > 0 and not self.leaving.is_set():
            await self._moved.wait()

    async def unlisten(self, listener: Listener) -> None:
        """Have it accept what is queued and let go of a listener; returns once it has, or has ended."""
        if listener.token not in self._listens:
            return
        if listener.is_datagrams:
            self._closing.add(listener.token)
        await self.order(Unlisten(listener.token))
        while listener.token in self._listens and not self.leaving.is_set():
            await self._moved.wait()

    async def wait_closed(self, listener: Listener) -> None:
        """Wait until it has closed the UDP sockets of a listener that it was told to let go of, or has ended."""
        while listener.token in self._closing and not self.ended.is_set():
            await self._moved.wait()

    async def wait_known(self, revision: int) -> None:
        """Wait until a revision is live in it, or it has ended."""
        while self.applied < revision and not self.leaving.is_set():
            await self._moved.wait()

    async def fetch_metrics(self, timeout_s: float) -> dict[str, Any]:
        """Ask for its counters; after `timeout_s` without an answer, return the last known ones."""
        self._metrics_token += 1
        with trio.move_on_after(timeout_s):
            fresh = self._fresh_metrics
            await self.order(AskMetrics(self._metrics_token))
            if not self.ended.is_set():
                await fresh.wait()
        return self.metrics

    def kill(self) -> None:
        """End it at once, without a drain."""
        if self._running is not None:
            self._running.kill()

    # ------------------------------------------------------------------------- tasks

    def _move(self) -> None:
        """Let whoever waits for this worker look again."""
        self._moved.set()
        self._moved = trio.Event()
        self._reports.moved()

    def _inherited(
        self, listeners: Sequence[Listener], limits: LimitsTable | None, held: ExitStack
    ) -> list[Inherited]:
        """Return what it inherits, in the order in which `_start` names it.

        Listeners that may go meanwhile are held open until it has them.
        """
        sockets: list[Inherited] = []
        for listener in listeners:
            sockets.extend(
                held.enter_context(sock.dup()) if listener.token else sock
                for sock in listener.sockets
            )
            self._listens.add(listener.token)
        if limits is not None:
            sockets.append(limits)
            self._gauge = limits.take_gauge()
        ours, theirs = socket.socketpair()
        self._handover = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
        sockets.append(held.enter_context(theirs))
        return sockets

    async def _talk(self, running: Running) -> None:
        """Run the link's tasks until the worker is gone."""
        self._last_word = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write, running)
            nursery.start_soon(self._send_entities)
            nursery.start_soon(self._watch)
            try:
                while True:
                    frame = await running.link.receive()
                    self._last_word = trio.current_time()
                    self._take(frame)
            except LinkClosedError:
                pass
            except LinkProtocolError as error:
                logger.error("worker %d is ended: it sent %s", self.slot, error)
            nursery.cancel_scope.cancel()

    async def _write(self, running: Running) -> None:
        with suppress(LinkClosedError):
            await self._outbox.run(running.link)

    async def _send_entities(self) -> None:
        """Send a snapshot of the store, then every change of it, with secrets in place."""
        await feed(
            self._store,
            self._vaults,
            self._outbox.put,
            self._note_store_read,
            self.slot,
            self._as_served,
        )

    def _note_store_read(self) -> None:
        self.has_read_store = True

    async def _watch(self) -> None:
        while True:
            silent_s = trio.current_time() - self._last_word
            if silent_s >= SILENCE_S:
                logger.error("worker %d said nothing for %.0f s and is ended", self.slot, silent_s)
                self.kill()
                return
            await trio.sleep(SILENCE_S - silent_s)

    def _take(self, frame: UpFrame) -> None:
        """Act on one frame of the worker."""
        match frame:
            case Applied(revision, routes):
                self.applied, self.routes = revision, routes
                self._move()
            case Ready():
                self.ready.set()
                self._move()
            case Draining(in_flight):
                if self.draining is None:
                    self.waited_for = in_flight
                self.draining = frame
                self.leaving.set()
                self._move()
            case Released(token):
                self._listens.discard(token)
                self._move()
            case SocketsClosed(token):
                self._closing.discard(token)
                self._move()
            case Retuned():
                self._retuning -= 1
                self._move()
            case Hello(protocol):
                if protocol != PROTOCOL:
                    raise LinkProtocolError(f"Hello of protocol {protocol}; this is {PROTOCOL}")
            case _:
                self._take_report(frame)

    def _take_records(self, frame: Records | TcpRecords | WebsocketRecords | Alerts) -> None:
        """Pass records on to who wants them."""
        reports = self._reports
        match frame:
            case Records(batch, unix_offset_s):
                reports.records(unix_offset_s, batch)
            case TcpRecords(batch, unix_offset_s):
                reports.tcp_records(unix_offset_s, batch)
            case WebsocketRecords(batch, unix_offset_s):
                reports.websocket_records(unix_offset_s, batch)
            case Alerts(batch, unix_offset_s):
                reports.alerts(unix_offset_s, batch)

    def _take_report(self, frame: UpFrame) -> None:
        """Act on a frame that changes nothing about the worker itself."""
        match frame:
            case Records() | TcpRecords() | WebsocketRecords() | Alerts():
                self._take_records(frame)
            case Metrics(token, values):
                self.metrics = msgspec.json.decode(values, type=dict[str, Any])
                if token == self._metrics_token:
                    self._fresh_metrics.set()
                    self._fresh_metrics = trio.Event()
            case RouteCounts():
                self._take_counts(frame)
            case ProblemReport():
                self._reports.problem(frame)
            case AskMetricsPage():
                self._reports.metrics_page_asked(self, frame)
            case AskCertificate():
                self._reports.certificate_asked(self, frame)
            case LeakedKey(client_id):
                self._reports.key_leaked(client_id)
            case _:
                pass  # Health: that it came was noted, and that is what it is for

    def _take_counts(self, frame: RouteCounts) -> None:
        """Hand on what routes count: to who asked, or all of it when the worker ends."""
        if frame.token:
            self.questions.take(frame)
        else:
            self.has_told_counts = True
            self._reports.routes_counted(frame)

    def _start(
        self,
        running: Running,
        listeners: Sequence[Listener],
        settings: WorkerSettings,
        limits: LimitsTable | None,
    ) -> Start:
        """Make the first frame."""
        descriptors = iter(running.descriptors)
        inherited = [
            InheritedListener(
                next(descriptors),
                listener.name,
                settings.ways(listener),
                slot,
                listener.is_tcp,
                listener.token,
                listener.is_datagrams,
            )
            for listener in listeners
            for slot in range(len(listener.sockets))
        ]
        return Start(
            protocol=PROTOCOL,
            slot=self.slot,
            listeners=inherited,
            engine_settings=settings.engine,
            plugin_folder=settings.plugin_folder,
            drain_timeout_s=settings.drain_timeout_s,
            forward_records=settings.forward_records,
            log_format=settings.log_format,
            log_level=settings.log_level,
            health_access_key=settings.health_access_key,
            metrics_access_key=settings.metrics_access_key,
            mounts=settings.mounts,
            stream_bounds=settings.stream_bounds,
            jq=settings.jq,
            makes_certificates=settings.makes_certificates,
            http3_early_data=settings.http3_early_data,
            ticket_secret=settings.ticket_secret,
            expressions=settings.expressions,
            shared_key=settings.shared_key,
            https_port=settings.https_port,
            limits=None
            if limits is None
            else InheritedLimits(next(descriptors), self._gauge, limits.among_processes),
            handover=next(descriptors),
        )

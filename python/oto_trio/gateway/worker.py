"""One gateway worker: its task tree, from the first frame to the end of its drain.

    run_worker
    ├─ link writer          empties the outbox into the link
    ├─ link reader          takes the supervisor's frames; its end means: drain shortly
    └─ services             cancelled once the drain is over
       ├─ pump              turns the engine; its follower and its ticker
       ├─ resolver          looks up host names, a few at once
       ├─ installer         compiles entities, installs snapshots, acknowledges revisions
       ├─ plugin watcher    looks at the plugin folder twice a second
       ├─ record drain      empties the engine's ring of access records
       ├─ reporter          sign of life and counters, once a second
       ├─ HTTP/3            reads its UDP sockets, a task each, and keeps its connections' time
       └─ exchanges         one task for each exchange whose hook waits; cancelled first

The worker is born knowing nothing but its end of the link. It listens only once the first snapshot is
live, so no request ever meets a gateway without routes, and it says `Ready` then.

Run as a program (`python -m oto_trio.gateway.worker --link FD`) it is a process of its own. SIGTERM then drains it as an
order of the supervisor would; SIGINT is ignored: a terminal sends it to everybody, and the supervisor is to act on it. So is
SIGHUP, on which the supervisor reads its configuration again.
"""

import argparse
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

import msgspec
import trio

from oto_trio import jq
from oto_trio.gateway.adopting import Adopting
from oto_trio.gateway.asked_certificates import AskedCertificates
from oto_trio.gateway.frames import (
    PROTOCOL,
    AdoptSlot,
    Applied,
    AskMetrics,
    AskRouteCounts,
    Capture,
    CertificateAnswer,
    Change,
    ControlHealth,
    DownFrame,
    Drain,
    Draining,
    Health,
    Hello,
    LeakedKey,
    Metrics,
    MetricsPage,
    ProblemReport,
    Ready,
    ReloadPlugins,
    SnapshotFull,
    Start,
    UpFrame,
)
from oto_trio.gateway.free_memory import give_back
from oto_trio.gateway.installer import Installer
from oto_trio.gateway.link import Link, LinkClosedError, LinkProtocolError, Outbox, worker_end
from oto_trio.gateway.listener_frames import Listen, Released, Retune, Retuned, Unlisten
from oto_trio.gateway.listeners.bounds import http2_limits
from oto_trio.gateway.monitoring import Monitoring
from oto_trio.gateway.mounts import Mounts
from oto_trio.gateway.native_engine import WorkerEngine, native_engine
from oto_trio.gateway.pipeline import Pipeline
from oto_trio.gateway.pump import Pump
from oto_trio.gateway.records import RecordDrain
from oto_trio.gateway.resolver import Resolver
from oto_trio.gateway.route_counts import all_counts, counts_of
from oto_trio.gateway.snapshots import SnapshotLike
from oto_trio.plugin_api.answers import Response
from oto_trio.plugin_api.exchange import Exchange
from oto_trio.plugin_api.folder import FolderPlugins
from oto_trio.plugin_api.registry import discover_on_demand
from oto_trio.telemetry.logs import LogFormat, configure_logging

if TYPE_CHECKING:
    from oto_trio.gateway.listeners.http3.server import Http3Server

__all__ = ["MakeEngine", "WorkerEngine", "main", "native_engine", "run_worker"]

logger = logging.getLogger(__name__)

OUTBOX_FRAMES: Final = 64
"""Frames queued for the supervisor. Acknowledgements and problems wait for room; records, signs of
life and unasked counters are dropped when there is none."""

ENTITY_FRAMES: Final = 2
"""Frames of entities read ahead of the compiler; the supervisor waits when they are not taken."""

START_TIMEOUT_S: Final = 10.0
"""How long the first frame may take: the supervisor sends it at once."""

REPORT_S: Final = 1.0
"""Seconds between two signs of life."""

WATCH_S: Final = 0.5
"""Seconds between two looks at the plugin folder."""

ORPHAN_DRAIN_S: Final = 3.0
"""Drain deadline of a worker whose supervisor is gone: nobody is left to replace or to stop it."""

DRAIN_POLL_S: Final = 0.02
"""Seconds between two looks at what a drain still waits for."""

FLUSH_S: Final = 1.0
"""How long the last frames may take to reach the supervisor."""

RECORDS_CAPACITY: Final = 65_536
"""Access records the engine keeps when they are wanted: more than a second at full load."""

ALERTS_PER_DRAIN: Final = 32
"""Exchanges whose alerts the engine keeps between two drains while no events are wanted."""

_AWAITED: Final = ("connections", "exchanges", "tunnels")

MakeEngine: TypeAlias = Callable[[bytes], tuple[WorkerEngine, SnapshotLike]]
"""Makes an engine from its settings (JSON), and an empty snapshot that it can install."""


async def run_worker(
    link: Link[DownFrame, UpFrame],
    *,
    make_engine: MakeEngine | None = None,
    on_start: Callable[[Start], None] | None = None,
    drain_asked: trio.Event | None = None,
) -> None:
    """Be a gateway worker until drained.

    Args:
        link: The worker's end of its link; it stays open, its owner closes it.
        make_engine: Makes the engine; None makes the native one, with the counters that `Start` names.
        on_start: Called with the first frame, before anything else.
        drain_asked: Set from outside to drain, as SIGTERM does.

    Raises:
        LinkProtocolError: The supervisor does not speak this protocol.

    Cancellation: drops every connection.

    Closes: the listening sockets that `Start` named.
    """
    with trio.fail_after(START_TIMEOUT_S):
        start = await link.receive()
    if not isinstance(start, Start) or start.protocol != PROTOCOL:
        raise LinkProtocolError(f"expected Start of protocol {PROTOCOL}, got {start!r:.200}")
    if on_start is not None:
        on_start(start)
    if make_engine is None:
        make_engine = partial(native_engine, limits=start.limits)
    engine, snapshot = make_engine(_engine_settings(start))
    worker = _Worker(start, link, engine, snapshot)
    try:
        await worker.run(trio.Event() if drain_asked is None else drain_asked)
    finally:
        worker.close_http3()
        engine.close()
        worker.close_listeners()


def _engine_settings(start: Start) -> bytes:
    """Return the engine's settings, with the slot, and with room for records when they are wanted."""
    settings = msgspec.json.decode(start.engine_settings, type=dict[str, object])
    given: dict[str, object] = {"instance": start.slot}
    if start.forward_records:
        given["records_capacity"] = RECORDS_CAPACITY
    return msgspec.json.encode({**given, **settings})


class _Worker:
    """The parts of a worker, and what they say to each other."""

    def __init__(
        self,
        start: Start,
        link: Link[DownFrame, UpFrame],
        engine: WorkerEngine,
        snapshot: SnapshotLike,
    ) -> None:
        self._start = start
        self._link = link
        self._engine = engine
        self._clock = trio.current_time
        self._outbox: Outbox[UpFrame] = Outbox(OUTBOX_FRAMES)
        self._pump = Pump(engine, self._clock)
        self._resolver = Resolver(self._resolved)
        self._records = RecordDrain(
            engine,
            self._outbox,
            forward=start.forward_records,
            unix_offset_s=lambda: datetime.now(UTC).timestamp() - trio.current_time(),
        )
        self._adopting = Adopting(start, engine, self._clock)
        self._filters = jq.Filters(start.jq)
        self._drain_timeout_s: float | None = None
        self._is_replaced = False
        self._http3: Http3Server | None = None
        self._drain_asked = trio.Event()
        self._entities, self._entities_in = trio.open_memory_channel[SnapshotFull | Change](
            ENTITY_FRAMES
        )
        self._problems: set[ProblemReport] = set()
        folder = FolderPlugins(Path(start.plugin_folder)) if start.plugin_folder else None
        self._installer = Installer(
            engine,
            snapshot,
            discover_on_demand(),
            folder=folder,
            clock=self._clock,
            report=self._report_problem,
            makes_certificates=start.makes_certificates,
            https_port=start.https_port,
            http3=self._adopting.http3,
            expressions=msgspec.json.decode(start.expressions, type=dict[str, Any]),
            shared_key=start.shared_key,
        )
        if start.ticket_secret:
            engine.set_ticket_secret(start.ticket_secret)
        self._pipeline: Pipeline | None = None
        self._monitoring: Monitoring | None = None

    async def run(self, drain_asked: trio.Event) -> None:
        """Run the task tree until the worker has drained."""
        async with trio.open_nursery() as plumbing:
            plumbing.start_soon(self._write)
            plumbing.start_soon(self._drain_when, drain_asked)
            await self._tell(Hello(PROTOCOL, os.getpid()))
            async with (
                jq.serving(self._filters),
                trio.open_nursery() as services,
                trio.open_nursery() as exchanges,
            ):
                self._make_pipeline(services, exchanges)
                assert self._pipeline is not None, "it was just made"
                plumbing.start_soon(self._read)
                services.start_soon(self._pump.run, self._pipeline)
                services.start_soon(self._resolver.run)
                services.start_soon(self._install)
                services.start_soon(self._watch_plugins)
                services.start_soon(self._records.run)
                services.start_soon(self._report)
                await self._drain_asked.wait()
                await self._drain()
                await self._mounts.close()
                exchanges.cancel_scope.cancel()
                services.cancel_scope.cancel()
            self._engine.close()  # what it cuts off has its records
            self._records.drain()
            self._outbox.offer(self._counters(token=0))
            for frame in all_counts(self._engine):
                self._outbox.offer(frame)
            self._outbox.finish()
            plumbing.cancel_scope.deadline = self._clock() + FLUSH_S
            await self._outbox.finished.wait()
            plumbing.cancel_scope.cancel()

    def close_listeners(self) -> None:
        """Close the inherited listening sockets. Idempotent."""
        self._adopting.close()

    def close_http3(self) -> None:
        """Close the sockets of HTTP/3. Idempotent."""
        if self._http3 is not None:
            self._http3.close(self._clock())

    # ------------------------------------------------------------------------- the link

    async def _write(self) -> None:
        with suppress(LinkClosedError):
            await self._outbox.run(self._link)

    async def _tell(self, frame: UpFrame) -> None:
        """Queue a frame that must arrive; without a supervisor there is nobody to tell."""
        with suppress(LinkClosedError):
            await self._outbox.put(frame)

    async def _read(self) -> None:
        """Take the supervisor's frames until it is gone."""
        try:
            while True:
                frame = await self._link.receive()
                if isinstance(frame, SnapshotFull | Change):
                    await self._entities.send(frame)
                elif isinstance(frame, Listen | Retune | Unlisten):
                    await self._change_listeners(frame)
                else:
                    await self._obey(frame)
        except LinkClosedError:
            if not self._drain_asked.is_set():
                logger.warning("the supervisor is gone; draining")
            self._ask_drain(min(ORPHAN_DRAIN_S, self._start.drain_timeout_s))
        except trio.BrokenResourceError:
            pass  # the installer has ended with the drain

    async def _obey(self, order: DownFrame) -> None:
        """Act on a frame that brings no entities."""
        assert self._monitoring is not None, "frames are read once everything is made"
        match order:
            case Drain(timeout_s, is_replaced):
                self._is_replaced = is_replaced
                self._ask_drain(timeout_s)
            case AdoptSlot(slot):
                self._adopt(slot)
            case AskMetrics(token):
                await self._tell(self._counters(token))
            case AskRouteCounts():
                await self._tell(counts_of(self._engine, self._installer, order))
            case ControlHealth():
                self._monitoring.control = order
            case MetricsPage():
                self._monitoring.take(order)
            case CertificateAnswer():
                self._certificates.take(order)
            case Capture(events, redaction):
                self._capture(redaction, events=events)
            case ReloadPlugins():
                await self._reload_plugins()
            case _:
                logger.error("the supervisor sent %s where it has no meaning", type(order).__name__)

    def _capture(self, redaction: bytes, *, events: bool) -> None:
        """Have the engine keep records as they are wanted now."""
        is_wanted = events or self._start.forward_records
        settings = msgspec.json.encode(
            {
                "records": RECORDS_CAPACITY if is_wanted else 0,
                "details": events,
                "alerts": ALERTS_PER_DRAIN,
                "redaction": msgspec.Raw(redaction),
            }
        )
        # What was kept so far goes where it was meant to go.
        self._records.drain()
        try:
            self._engine.capture(settings)
        except ValueError as error:
            self._report_problem(ProblemReport("engine", "", f"records stay as they were: {error}"))
            return
        self._records.forward = is_wanted

    # ------------------------------------------------------------------------- services

    def _make_http3(self, services: trio.Nursery, pipeline: Pipeline) -> "Http3Server":
        """Make what HTTP/3 needs. Loaded with its first socket: it takes a third of a worker's memory."""
        from oto_trio.gateway.listeners.http3.server import Http3Server  # noqa: PLC0415

        self._http3 = Http3Server.of(self._start, self._engine, self._clock, self._pump, pipeline)
        services.start_soon(self._http3.run)
        return self._http3

    def _make_pipeline(self, services: trio.Nursery, exchanges: trio.Nursery) -> None:
        self._monitoring = Monitoring(
            self._outbox,
            self._respond,
            exchanges,
            health_access_key=self._start.health_access_key,
            metrics_access_key=self._start.metrics_access_key,
        )
        engine, clock = self._engine, self._clock
        self._pipeline = Pipeline(
            engine,
            self._installer.hooks,
            clock,
            exchanges,
            wake_pump=self._pump.wake,
            resolve=self._resolver.ask,
            monitor=self._monitoring.answer,
        )
        self._pipeline.carried.limits = http2_limits(self._start.stream_bounds)
        self._adopting.make_datagrams = partial(self._make_http3, services, self._pipeline)
        self._adopting.report = self._outbox.offer
        self._certificates = AskedCertificates(engine, clock, self._outbox, self._pipeline.settle)
        self._pipeline.ask_certificate = self._certificates.ask
        self._pipeline.revoke_key = self._revoke_key
        self._pipeline.sockets.rejected = self._records.refused
        self._mounts = Mounts(engine, exchanges, clock, self._pump.wake, self._start.mounts)
        self._pipeline.carried.mounts = self._mounts

    def _respond(self, exchange: Exchange, response: Response) -> None:
        assert self._pipeline is not None, "it surfaced the exchange"
        self._pipeline.respond(exchange, response)

    async def _install(self) -> None:
        """Take entities over, acknowledge each revision, and listen after the first one."""
        async with self._entities_in:
            async for frame in self._entities_in:
                if not await self._installer.take(frame):
                    continue
                if not self._adopting.slots:
                    self._listen()
                    await self._tell(Applied(frame.revision, self._installer.routes))
                    await self._tell(Ready())
                else:
                    await self._tell(Applied(frame.revision, self._installer.routes))

    def _listen(self) -> None:
        """Accept connections from now on."""
        # What was made so far lives as long as the worker; the collector need not look at it again.
        gc.enable()
        gc.collect()
        gc.freeze()
        give_back()
        self._adopt(self._start.slot)

    def _adopt(self, slot: int) -> None:
        """Accept the connections that the kernel queues for a slot."""
        if not self._drain_asked.is_set():
            self._adopting.adopt(slot)
            self._pump.wake()

    async def _change_listeners(self, order: Listen | Retune | Unlisten) -> None:
        """Take, change or let go of a listener."""
        assert self._pipeline is not None, "frames are read once everything is made"
        if isinstance(order, Unlisten):
            name = self._adopting.drop(order.token, self._pipeline.settle)
            if name is not None:
                self._pipeline.drain_listener(name)
            self._pump.wake()
            await self._tell(Released(order.token))
        elif not self._drain_asked.is_set():
            try:
                if isinstance(order, Listen):
                    await self._adopting.prepare(order)
                    if not self._drain_asked.is_set():  # meanwhile
                        self._adopting.take(order)
                else:
                    self._adopting.retune(order)
            except OSError as error:
                name = order.name if isinstance(order, Listen) else f"listener {order.token}"
                self._report_problem(ProblemReport("engine", name, f"no sockets: {error}"))
        self._pump.wake()
        await self._installer.speak_http3(self._adopting.http3)
        if isinstance(order, Retune):
            await self._tell(Retuned(order.token))

    async def _watch_plugins(self) -> None:
        """Look at the plugin folder again and again."""
        if not self._start.plugin_folder:
            return
        while True:
            await trio.sleep(WATCH_S)
            await self._reload_plugins()

    async def _reload_plugins(self) -> None:
        if await self._installer.reload_plugins():
            self._pump.wake()

    async def _report(self) -> None:
        """Give a sign of life and the counters, again and again."""
        assert self._pipeline is not None, "services run once everything is made"
        while True:
            due = self._clock() + REPORT_S
            await trio.sleep_until(due)
            self._outbox.offer(Health(self._pump.turns, self._clock() - due))
            self._outbox.offer(self._counters(token=0))
            self._installer.release_hooks(self._pipeline.oldest_generation)

    def _counters(self, token: int) -> Metrics:
        """Return the engine's counters and the worker's own."""
        assert self._pipeline is not None, "services run once everything is made"
        counters = self._engine.metrics()
        counters["turns"] = self._pump.turns
        counters["turn_failures"] = self._pump.faults
        counters["hook_failures"] = self._pipeline.hook_failures
        counters["hook_tasks"] = self._pipeline.tasks
        counters["resolve_failures"] = self._resolver.failures
        counters.update(self._records.metrics())
        counters.update(self._filters.metrics())
        counters["routes"] = self._installer.routes
        return Metrics(token, msgspec.json.encode(counters))

    def _report_problem(self, report: ProblemReport) -> None:
        """Tell the supervisor of a problem, each one once."""
        if len(self._problems) >= OUTBOX_FRAMES * 16:
            self._problems.clear()
        if report not in self._problems and self._outbox.offer(report):
            self._problems.add(report)

    def _resolved(self, hostname: str, addresses: list[str]) -> None:
        assert self._pipeline is not None, "names are asked for by its exchanges"
        now = self._clock()
        self._pipeline.settle(self._engine.resolved(hostname, addresses, now), now)

    def _revoke_key(self, client_id: str) -> None:
        """Have the supervisor take an API key out of use."""
        if not self._outbox.offer(LeakedKey(client_id)):
            # The next request with it on plain HTTP asks again.
            logger.warning("API key %s was sent in the clear and stays in use", client_id)

    # ------------------------------------------------------------------------- the end

    def _ask_drain(self, timeout_s: float) -> None:
        """Begin to drain; the first one who asks sets the deadline."""
        if self._drain_timeout_s is None:
            self._drain_timeout_s = timeout_s
        self._drain_asked.set()

    async def _drain_when(self, asked: trio.Event) -> None:
        await asked.wait()
        self._ask_drain(self._start.drain_timeout_s)

    async def _drain(self) -> None:
        """Stop accepting, and wait until nothing is in flight or the deadline has come."""
        assert self._drain_timeout_s is not None, "somebody asked"
        assert self._monitoring is not None, "services run once everything is made"
        assert self._pipeline is not None, "services run once everything is made"
        self._monitoring.is_draining = True
        now = self._clock()
        deadline = now + self._drain_timeout_s
        # A last turn accepts what is queued: the sockets may close for good after this.
        self._pipeline.run(self._engine.turn(now), now)
        waiting = self._awaited()
        self._engine.drain(now)
        self._pipeline.carried.drain(now)
        if self._http3 is not None:
            self._http3.drain(now, replaced=self._is_replaced)
        self.close_listeners()
        self._pump.wake()
        self._outbox.offer(Draining(waiting, finished=False, dropped=False))
        while waiting := self._awaited():
            if self._clock() >= deadline:
                break
            await trio.sleep(min(DRAIN_POLL_S, self._drain_timeout_s))
        if waiting:
            # What is cut off lasted until now.
            now = self._clock()
            self._pipeline.run(self._engine.turn(now), now)
        self.close_http3()
        await self._tell(Draining(waiting, finished=True, dropped=bool(waiting)))

    def _awaited(self) -> dict[str, int]:
        """Return what a drain waits for; empty when nothing is left."""
        in_flight = self._engine.in_flight()
        return {name: in_flight[name] for name in _AWAITED if in_flight[name]}


def main() -> int:
    """Be a worker process: `--link FD` is the worker's end of its link."""
    parser = argparse.ArgumentParser(description="One gateway worker; started by the supervisor.")
    parser.add_argument("--link", type=int, required=True, help="descriptor of the link")
    descriptor: int = parser.parse_args().link
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The kernel sends it to a worker that is stopped when its supervisor ends; it is to drain then as others do.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # Nothing that is made before the worker listens is garbage; looking for some costs a start with
    # 100,000 routes a second.
    gc.disable()
    trio.run(_main, socket.socket(fileno=descriptor))
    return 0


async def _main(sock: socket.socket) -> None:
    """Run the worker, with SIGTERM as an order to drain."""
    link = worker_end(trio.SocketStream(trio.socket.from_stdlib_socket(sock)))
    drain_asked = trio.Event()
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_set_on_signal, signals, drain_asked)
            # A supervisor that is gone before it said a word leaves nothing to do.
            with suppress(LinkClosedError):
                await run_worker(link, on_start=_configure, drain_asked=drain_asked)
            await link.aclose()
            nursery.cancel_scope.cancel()


async def _set_on_signal(signals: AsyncIterator[int], event: trio.Event) -> None:
    async for _ in signals:
        event.set()


def _configure(start: Start) -> None:
    configure_logging(
        cast("LogFormat", start.log_format), source=f"worker {start.slot}", level=start.log_level
    )


if __name__ == "__main__":
    sys.exit(main())

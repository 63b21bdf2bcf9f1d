"""Runs the Python steps of exchanges: where the engine's events meet plugin hooks.

Theory of operation
    The engine suspends an exchange at a Python step and surfaces it as a `RUN` event. `run` calls
    the hook and tells the engine what it decided, and the engine answers with further events: the
    next Python step of the same exchange, or whatever else became possible. `run` walks one list
    and appends those events to it, so a plan of any length is a loop and never a recursion.

    A hook written `def` is called right here, between two lines of the pump. This is the hot path
    of every Python plugin: one list index, one call, one call back. A hook written `async def` gets
    a task (`runners`) in the worker's exchange nursery, under a cancel scope that a `GONE` event
    cancels.
    Consecutive async steps of one exchange share one task.

    While a hook runs, Python *holds* the exchange. It is given back exactly once, by `resume`,
    `reject`, `respond` or `refuse`, also when its downstream left meanwhile: the engine then still
    owes its `done` hooks, and raises them as further events.

    An exchange whose hook fails is refused with 500: a step that failed never lets a request
    through. `done` hooks run whatever happened; an async one is shielded from cancellation and has
    `DONE_TIMEOUT_S`.

Bounds
    One call of `run` works through at most `MAX_EVENTS` events; what is left waits for the pump's
    next round, so that a plan cannot keep the loop from other tasks.
"""

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias, cast

import trio

from oto_trio.gateway.engine import (
    BODY,
    CERTIFICATE,
    GONE,
    LEAKED,
    NOTICE,
    OF_SESSIONS,
    PANIC,
    RESOLVE,
    RUN,
    Clock,
    Engine,
    Event,
    SuspendedExchange,
)
from oto_trio.gateway.faults import FaultLog, split_fault
from oto_trio.gateway.listeners.carried import CarriedConnections
from oto_trio.gateway.runners import Runner, Runners
from oto_trio.gateway.websocket.running import SocketRunner
from oto_trio.plugin_api.answers import Answer, Refusal, Response
from oto_trio.plugin_api.exchange import BodyTooLarge, Exchange

if TYPE_CHECKING:
    from oto_trio.gateway.upstream.dialling import Dialler

__all__ = ["DONE_TIMEOUT_S", "MAX_EVENTS", "AsyncCall", "Hooks", "InlineCall", "Pipeline"]

logger = logging.getLogger(__name__)

MAX_EVENTS: Final = 4096
"""Events of one `run`; a turn raises a few hundred at most, each with a handful of steps."""

DONE_TIMEOUT_S: Final = 5.0
"""How long an `async def done` may take; nothing cancels it before."""

InlineCall: TypeAlias = Callable[[Exchange], Answer]
AsyncCall: TypeAlias = Callable[[Exchange], Awaitable[Answer]]

# Otoroshi's words for a hook that raised, by phase; `done` never answers a downstream. A matcher that
# fails refuses too: passing the request on would let it reach a broader route, without its checks.
_FAULTS: Final = {
    "sink": "an error happened during request-sink plugins phase",
    "match_route": "an error happened during route-matching plugins phase",
    "pre_route": "an error happened during pre-routing plugins phase",
    "access": "an error happened during access plugins phase",
    "transform_request": "an error happened during request-transformation plugins phase",
    "call_backend": "an error happened during backend-call plugins phase",
    "transform_response": "an error happened during response-transformation plugins phase",
}
_UNREADABLE: Final = (
    "the exchange is over, or its request body is on its way to the backend; read it before the call",
    "no response waits for this hook; read its body in transform_response",
)
_FAULT_STATUS: Final = 500
_FAULT_CAUSE: Final = "internal_server_error"


class Hooks(Protocol):
    """The worker's table of bound hooks, indexed by the slot of a Python step."""

    @property
    def inline(self) -> Sequence[InlineCall | None]:
        """The hooks written `def`; `None` where the slot holds an async hook."""
        ...

    @property
    def suspending(self) -> Sequence[AsyncCall | None]:
        """The hooks written `async def`; `None` where the slot holds an inline hook."""
        ...

    @property
    def phases(self) -> Sequence[str]:
        """The phase of each slot."""
        ...

    @property
    def plugins(self) -> Sequence[str]:
        """The plugin id of each slot."""
        ...


class Pipeline:
    """Runs hooks and tells the engine what they decided.

    Args:
        engine: The engine whose events come in.
        hooks: The table of bound hooks. May grow while exchanges run.
        clock: Reads the Trio clock.
        nursery: Owns the tasks of async hooks, and the one that drives connections over QUIC.
        wake_pump: Called when work is left that no socket will announce. Must not block.
        resolve: Called with each host name to look up. Must not block.
        monitor: Answers an exchange for a monitoring page, now or in a task of its own.
    """

    def __init__(
        self,
        engine: Engine,
        hooks: Hooks,
        clock: Clock,
        nursery: trio.Nursery,
        *,
        wake_pump: Callable[[], None],
        resolve: Callable[[str], None],
        monitor: Callable[[SuspendedExchange], None],
    ) -> None:
        self._engine = engine
        self._hooks = hooks
        self._clock = clock
        self._nursery = nursery
        self._wake_pump = wake_pump
        self.ask_certificate: Callable[[str], None] = self._no_certificate
        """Called with each server name that a certificate is wanted for. Must not block."""
        self.revoke_key: Callable[[str], None] = _ignore
        """Called with the client id of each API key that is to be taken out of use. Must not block."""
        self._resolve = resolve
        self._monitor = monitor
        self._runners: Runners[_Held] = Runners(nursery, self._run_async)
        self._tasks: dict[int, _Task] = {}
        self._bodies: dict[int, _Body] = {}
        self._faults = FaultLog(clock)
        self.sockets = SocketRunner(nursery, clock, self._follow_up, self._faults)
        """Runs async hooks for messages of WebSockets."""
        self.carried = CarriedConnections(engine, tasks=self.sockets)
        """Connections whose frames are read here."""
        self.carried.make_dialler = self._make_dialler
        self._backlog: deque[Event] = deque()
        self.panics = 0
        """Panics that the engine reported since the start."""

    @property
    def has_backlog(self) -> bool:
        """Whether events wait for `run_backlog`."""
        return bool(self._backlog)

    @property
    def hook_failures(self) -> int:
        """Hooks that raised or answered nonsense since the start."""
        return self._faults.count

    @property
    def tasks(self) -> int:
        """How many exchanges have an async hook running."""
        return len(self._tasks)

    @property
    def oldest_generation(self) -> int | None:
        """The oldest snapshot that a running hook's exchange uses; None when none runs."""
        return min((task.generation for task in self._tasks.values()), default=None)

    def run(self, events: list[Event], now: float) -> None:
        """Act on events, and on those that acting on them brings, until none is left.

        Never raises for what one event does; a fault is logged and refused.

        Args:
            events: What a method of the engine returned; the list is used up.
            now: The Trio clock.

        Cost: one call of the hook and one of the engine for each inline step.
        """
        engine = self._engine
        inline, phases = self._hooks.inline, self._hooks.phases
        for kind, value in events:
            if kind == RUN:
                exchange = cast("SuspendedExchange", value)
                slot = exchange.slot
                if slot < 0:
                    self._monitor(exchange)
                    continue
                call = inline[slot]
                if call is None:
                    self._start(exchange, slot)
                    continue
                try:
                    answer = call(exchange)
                    more = (
                        engine.resume(exchange, now)
                        if answer is None and phases[slot] != "match_route"
                        else self._give(exchange, slot, answer, now)
                    )
                except BaseException as error:  # noqa: BLE001 (re-raised unless it is a fault)
                    more = self._fail(exchange, slot, error, now)
                if more:
                    if len(events) < MAX_EVENTS:
                        events += more
                    else:
                        self._backlog.extend(more)
            elif kind in OF_SESSIONS:
                self.carried.note(kind, value, now)
            else:
                self._note(kind, value)
        self.carried.flush(now)
        if self._backlog:
            self._wake_pump()

    def run_backlog(self, now: float) -> None:
        """Act on the events that an earlier `run` left because it had done enough."""
        events = list(self._backlog)
        self._backlog.clear()
        self.run(events, now)

    def drain_listener(self, name: str) -> None:
        """Have clients of HTTP/2 that came over a listener open no more requests, and end with their answers."""
        self.carried.drain_listener(name, self._clock())
        if self._engine.pending:
            self._wake_pump()

    def settle(self, events: list[Event], now: float) -> None:
        """Act on events that came from outside a turn, and see that the pump follows up."""
        if events:
            self.run(events, now)
        self._follow_up()

    def _follow_up(self) -> None:
        """See that the pump does what is left to do."""
        if self._engine.pending:
            self._wake_pump()

    def _make_dialler(self) -> "Dialler":
        # Most gateways have no backend that speaks HTTP/3, and need no library for it; others have loaded it by now.
        from oto_trio.gateway.upstream.dialling import Dialler  # noqa: PLC0415 (said above)

        dialler = Dialler(self._engine, self._clock, self._settle_sessions)
        self._nursery.start_soon(dialler.run)
        return dialler

    def _settle_sessions(self, now: float) -> None:
        """Have sessions write what came of datagrams, and the engine go on with it."""
        self.carried.flush(now)
        if self._engine.pending:
            self._wake_pump()

    async def read_body(
        self,
        exchange: Exchange,
        limit: int,
        of_response: bool = False,  # noqa: FBT001, FBT002 (the compiled module calls it)
    ) -> bytes:
        """Wait for a whole body; what `request.read` and `response.read` of an exchange do.

        Args:
            exchange: The exchange that an async hook works on.
            limit: The most bytes to accept.
            of_response: Read the response's body, not the request's.

        Raises:
            BodyTooLarge: The body is longer than `limit`.
            RuntimeError: The exchange is over, as it is in `done`, or has no response yet.

        Cancellation: safe; the engine forgets the exchange when its downstream is gone.
        """
        identity = exchange.id
        if identity in self._bodies:
            raise RuntimeError("another task of this hook reads a body already")
        body = self._bodies[identity] = _Body()
        try:
            now = self._clock()
            ask = self._engine.read_response if of_response else self._engine.read_body
            is_held, events = ask(exchange, limit, now)
            self.settle(events, now)
            if not is_held:
                # The downstream may just have left, and then this hook is cancelled here.
                await trio.lowlevel.checkpoint()
                raise RuntimeError(_UNREADABLE[of_response])
            await body.arrived.wait()
        finally:
            del self._bodies[identity]
        if body.data is None:
            raise BodyTooLarge(limit)
        return body.data

    def respond(self, exchange: Exchange, response: Response) -> None:
        """Answer an exchange from outside the pump, as the monitoring pages do."""
        now = self._clock()
        self.settle(
            self._engine.respond(exchange, response.status, response.headers, response.body, now),
            now,
        )

    # ------------------------------------------------------------------------- other events

    def _note(self, kind: int, value: object) -> None:
        """Act on an event that is not `RUN`."""
        if kind == GONE:
            task = self._tasks.get(cast("int", value))
            if task is not None and task.runner is not None:
                task.runner.scope.cancel()
        elif kind == RESOLVE:
            self._resolve(cast("str", value))
        elif kind == BODY:
            identity, data = cast("tuple[int, bytes | None]", value)
            body = self._bodies.get(identity)
            if body is not None:
                body.data = data
                body.arrived.set()
        elif kind == CERTIFICATE:
            self.ask_certificate(cast("str", value))
        elif kind == LEAKED:
            self.revoke_key(cast("str", value))
        elif kind == NOTICE:
            logger.warning("%s", value)
        elif kind == PANIC:
            self.panics += 1
            logger.error("the engine panicked and dropped one connection: %s", value)
        else:
            logger.error("the engine raised an event of unknown kind %r", kind)

    def _no_certificate(self, server_name: str) -> None:
        """Answer that no certificate can be made: nobody is there who makes them."""
        now = self._clock()
        self.settle(self._engine.certificate_told(server_name, b"", now), now)

    # ------------------------------------------------------------------------- async hooks

    def _start(self, exchange: SuspendedExchange, slot: int) -> None:
        """Give an async hook its task."""
        # The task is known before it first runs: a GONE in this very batch must find it.
        if self._hooks.phases[slot] == "done":
            task = self._tasks[exchange.id] = _Task(None, exchange.generation)
            self._nursery.start_soon(self._run_done, exchange, slot, task)
        else:
            task = _Task(None, exchange.generation)
            task.runner = self._runners.start((exchange, slot, task))
            self._tasks[exchange.id] = task

    async def _run_async(self, work: "_Held") -> None:
        """Run the async steps of one exchange until one is inline, or the exchange leaves."""
        exchange, slot, task = work
        identity = exchange.id
        held: SuspendedExchange | None = exchange
        events: list[Event] = []
        now = 0.0
        try:
            while held is not None:
                exchange = held
                answer = await self._call(exchange, slot)
                now, held = self._clock(), None
                if isinstance(answer, _Failed):
                    events = self._fail(exchange, slot, answer.error, now)
                else:
                    events = self._give_safely(exchange, slot, answer, now)
                held = self._next_async(identity, events)
                if held is not None:
                    slot, events = held.slot, []
        finally:
            self._forget(identity, task)
            if held is not None:
                # Cancelled: nobody waits for an answer, but the done hooks are still owed.
                now = self._clock()
                events = self._engine.resume(held, now)
            self.settle(events, now)

    async def _call(self, exchange: SuspendedExchange, slot: int) -> "Answer | _Failed":
        """Await an async hook; a fault of the hook is returned, everything else raised."""
        call = self._hooks.suspending[slot]
        assert call is not None, "a slot holds an inline or an async hook"
        exchange.bind_reader(self.read_body)
        try:
            return await call(exchange)
        except BaseException as error:  # noqa: BLE001 (re-raised unless it is a fault)
            return _Failed(self._faulty(slot, error))

    def _next_async(self, identity: int, events: list[Event]) -> SuspendedExchange | None:
        """Return the exchange to go on with when all that came is its own next async step."""
        if len(events) != 1 or events[0][0] != RUN:
            return None
        exchange = cast("SuspendedExchange", events[0][1])
        slot = exchange.slot
        if exchange.id != identity or slot < 0 or self._hooks.inline[slot] is not None:
            return None
        return None if self._hooks.phases[slot] == "done" else exchange

    async def _run_done(self, exchange: SuspendedExchange, slot: int, task: "_Task") -> None:
        """Run an async `done` hook; a client that is gone does not stop it."""
        with trio.move_on_after(DONE_TIMEOUT_S, shield=True) as deadline:
            answer = await self._call(exchange, slot)
            if isinstance(answer, _Failed):
                self._log(slot, answer.error)
        if deadline.cancelled_caught:
            self._log(slot, TimeoutError(f"it took longer than {DONE_TIMEOUT_S} s"))
        self._forget(exchange.id, task)
        now = self._clock()
        self.settle(self._engine.resume(exchange, now), now)

    def _forget(self, identity: int, task: "_Task") -> None:
        """Forget a task that ends; a later step of its exchange may have another one by now."""
        if self._tasks.get(identity) is task:
            del self._tasks[identity]

    # ------------------------------------------------------------------------- answers and faults

    def _give(self, exchange: Exchange, slot: int, answer: object, now: float) -> list[Event]:
        """Give an exchange back with what its hook decided.

        Raises:
            TypeError: The hook returned nonsense; the exchange is still held.
            ValueError: The engine does not take the answer; the exchange is still held.
        """
        phase = self._hooks.phases[slot]
        if phase == "match_route":
            if answer is True:
                return self._engine.resume(exchange, now)
            if answer is False:
                return self._engine.reject(exchange, now)
            raise TypeError(f"match_route returned {answer!r}; return True or False")
        if answer is None or phase == "done":
            return self._engine.resume(exchange, now)
        if isinstance(answer, Response):
            return self._engine.respond(exchange, answer.status, answer.headers, answer.body, now)
        if isinstance(answer, Refusal):
            return self._engine.refuse(exchange, answer.status, answer.message, answer.cause, now)
        raise TypeError(
            f"the hook returned a {type(answer).__name__}; return a Response, a Refusal or None"
        )

    def _give_safely(
        self, exchange: Exchange, slot: int, answer: Answer, now: float
    ) -> list[Event]:
        """Give an exchange back; when its hook's answer cannot be used, refuse it."""
        try:
            return self._give(exchange, slot, answer, now)
        except Exception as error:  # noqa: BLE001 (it is logged, and the exchange refused)
            return self._fail(exchange, slot, error, now)

    def _log(self, slot: int, error: BaseException) -> None:
        self._faults.log(self._hooks.plugins[slot], self._hooks.phases[slot], error)

    def _faulty(self, slot: int, error: BaseException) -> BaseException:
        """Return what is a hook's fault in an error; raise what must reach Trio instead."""
        passing, fault = split_fault(error)
        if passing is not None:
            if fault is not None:
                self._log(slot, fault)
            raise passing
        return error

    def _fail(self, exchange: Exchange, slot: int, error: BaseException, now: float) -> list[Event]:
        """Refuse an exchange whose hook failed; re-raise what is no fault of the hook."""
        self._log(slot, self._faulty(slot, error))
        message = _FAULTS.get(self._hooks.phases[slot])
        try:
            if message is None:
                return self._engine.resume(exchange, now)
            return self._engine.refuse(exchange, _FAULT_STATUS, message, _FAULT_CAUSE, now)
        except Exception:
            # It was given back already; its connection's deadlines end whatever is left of it.
            logger.exception("an exchange could not be refused")
            return []


def _ignore(_client_id: str) -> None:
    """Do nothing: nobody is there who could write an API key."""


class _Task:
    """What runs async hooks of one exchange.

    Args:
        runner: Its scope is cancelled when the downstream leaves; None for a `done` hook.
        generation: The snapshot that its exchange uses.
    """

    __slots__ = ("generation", "runner")

    def __init__(self, runner: "Runner[_Held] | None", generation: int) -> None:
        self.runner = runner
        self.generation = generation


_Held: TypeAlias = tuple[SuspendedExchange, int, _Task]
"""An exchange, the slot of its async step, and what runs it."""


class _Failed:
    """What stands for the answer of a hook that failed."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


class _Body:
    """A body that a hook waits for."""

    __slots__ = ("arrived", "data")

    def __init__(self) -> None:
        self.arrived = trio.Event()
        self.data: bytes | None = None

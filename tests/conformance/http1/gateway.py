"""A gateway inside the test: a real engine on loopback sockets, with time in the test's hand.

`running` starts an engine and the task that turns it. The engine takes time as an argument, and
here that is `Gateway.now`, which only `Gateway.pass_time` moves: a time-out of an hour costs
nothing, and none strikes by accident. What Python must decide arrives in `Gateway.held`.

Nothing waits for a number of seconds. A test waits for what it expects (a byte, an end, a held
exchange), and one generous limit turns a wait in vain into a failure.
"""

import fcntl
import json
import select
import socket
import struct
import termios
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio

from oto_trio._core import Engine, Exchange, Snapshot
from oto_trio.gateway.engine import BODY, GONE, PANIC, RESOLVE, RUN
from tests.conformance.http1.wire import Wire, connect

__all__ = ["PATIENCE_S", "Gateway", "python_step", "route", "running", "until"]

PATIENCE_S = 120.0
"""A test that takes longer waits in vain; none comes near it, on a slow machine either."""


class Gateway:
    """An engine, the port it listens on, and the time it believes in.

    Args:
        engine: The engine.
        port: Where it accepts.
    """

    def __init__(self, engine: Engine, port: int) -> None:
        self.engine = engine
        self.port = port
        self.now = 1000.0
        """The time, in seconds, as the engine is told it."""
        self._held, self.held = trio.open_memory_channel[Exchange](1000)
        self.gone: list[int] = []
        """Ids of exchanges whose client left while Python held them."""
        self.wanted_hosts: list[str] = []
        """Host names the engine wants resolved."""
        self.bodies: dict[int, bytes | None] = {}
        """Answers to `read_body` and `read_response`."""
        self.panics: list[str] = []

    async def client(self) -> Wire:
        """Connect to the gateway."""
        return await connect(self.port)

    async def pump(self) -> None:
        """Turn the engine until cancelled."""
        while True:
            await trio.lowlevel.wait_readable(self.engine.fileno())
            self.turn()
            await trio.lowlevel.checkpoint()

    def turn(self) -> None:
        """Have the engine do what is ready now."""
        self.note(self.engine.turn(self.now))
        self._turn_pending()

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and deadlines with it."""
        self.now += seconds
        self.note(self.engine.expire(self.now))
        self._turn_pending()

    def note(self, events: Sequence[tuple[int, Any]]) -> None:
        """Remember what the engine wants."""
        for kind, value in events:
            if kind == RUN:
                self._held.send_nowait(value)
            elif kind == GONE:
                self.gone.append(value)
            elif kind == RESOLVE:
                self.wanted_hosts.append(value)
            elif kind == BODY:
                self.bodies[value[0]] = value[1]
            elif kind == PANIC:
                self.panics.append(value)

    def resume(self, exchange: Exchange) -> None:
        """Give an exchange back: go on behind the hook."""
        self.note(self.engine.resume(exchange, self.now))
        self._turn_pending()

    def respond(self, exchange: Exchange, status: int, body: bytes) -> None:
        """Give an exchange back with an answer."""
        self.note(self.engine.respond(exchange, status, [], body, self.now))
        self._turn_pending()

    def refuse(self, exchange: Exchange, status: int, message: str) -> None:
        """Give an exchange back with an error."""
        self.note(self.engine.refuse(exchange, status, message, None, self.now))
        self._turn_pending()

    def read_body(self, exchange: Exchange, limit: int) -> bool:
        """Ask for the body of an exchange; it comes into `bodies`. Says whether it can."""
        is_held, events = self.engine.read_body(exchange, limit, self.now)
        self.note(events)
        self._turn_pending()
        return is_held

    def read_response(self, exchange: Exchange, limit: int) -> bool:
        """Ask for the response body of an exchange; it comes into `bodies`. Says whether it can."""
        is_held, events = self.engine.read_response(exchange, limit, self.now)
        self.note(events)
        self._turn_pending()
        return is_held

    def _turn_pending(self) -> None:
        """Turn while there is work that no socket will announce."""
        for _ in range(100_000):
            if not self.engine.pending:
                return
            self.note(self.engine.turn(self.now))
        raise AssertionError("the engine has work without end")

    async def caught_up(self, *senders: Wire) -> None:
        """Wait until the engine has acted on all that these connections sent so far."""
        poll = select.poll()
        poll.register(self.engine.fileno(), select.POLLIN)
        await until(
            lambda: (
                not any(_is_under_way(sender.stream.socket) for sender in senders)
                and not poll.poll(0)
                and not self.engine.pending
            )
        )

    async def settled(self) -> None:
        """Wait until nothing is in flight and no client is connected, those aside that only linger."""
        await until(lambda: self.busy == {})

    @property
    def busy(self) -> dict[str, int]:
        """What is in flight, unused backend connections aside; empty when nothing is."""
        counts = self.engine.in_flight()
        return {name: count for name, count in counts.items() if count and name != "pooled"}

    def count(self, counter: str) -> int:
        """One of the engine's counters."""
        number = self.engine.metrics()[counter]
        assert isinstance(number, int)
        return number


def listening() -> socket.socket:
    """A socket where clients on this machine can connect."""
    return socket.create_server(("127.0.0.1", 0), backlog=1000)


@asynccontextmanager
async def pumped(gateway: Gateway) -> AsyncIterator[None]:
    """Turn a gateway for the length of a block; its engine is closed behind it, and must not have panicked."""
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(gateway.pump)
            yield
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        # One failure is shown as itself: the nursery is no part of what failed.
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from None
        raise
    finally:
        gateway.engine.close()
    assert gateway.panics == []


@asynccontextmanager
async def running(*routes: bytes, **settings: float) -> AsyncIterator[Gateway]:
    """Run a gateway with these routes; everything is closed behind it.

    Args:
        routes: Lowered routes, as `route` makes them.
        settings: Bounds and time-outs of the engine.
    """
    engine = Engine(json.dumps(settings).encode())
    engine.install(Snapshot().apply(list(routes), []))
    with trio.fail_after(PATIENCE_S), listening() as listener:
        engine.adopt(listener.fileno(), "standard-listener", False)
        gateway = Gateway(engine, listener.getsockname()[1])
        async with pumped(gateway):
            yield gateway


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so, looking whenever other tasks had their turn."""
    while not is_so():
        await trio.lowlevel.checkpoint()


def route(
    *ports: int,
    identity: str = "r",
    path: str = "",
    steps: Sequence[dict[str, Any]] = (),
    client: Mapping[str, float] | None = None,
    targets: Sequence[dict[str, Any]] | None = None,
    **backend: Any,
) -> bytes:
    """A lowered route on every host to backends on these ports of this machine.

    Args:
        ports: The targets; none is a route without one.
        identity: The route's id.
        path: The path prefix it takes.
        steps: Its plan.
        client: Time-outs (milliseconds) and retries, by Otoroshi's names.
        targets: Targets in full, instead of ports.
        backend: Further keys of the backend.
    """
    plain = [{"hostname": "127.0.0.1", "port": port} for port in ports]
    return json.dumps(
        {
            "id": identity,
            "frontend": {"domains": [f"*{path}"]},
            "backend": {
                "targets": plain if targets is None else list(targets),
                "client": dict(client or {}),
                **backend,
            },
            "steps": list(steps),
        }
    ).encode()


def python_step(phase: str, slot: int = 0) -> dict[str, Any]:
    """A step that hands the exchange to the test."""
    return {"phase": phase, "plugin": "test", "kind": "python", "slot": slot, "inline": False}


def _is_under_way(sender: "trio.socket.SocketType") -> bool:
    """Whether the other side's kernel has not taken everything that was sent."""
    if sender.fileno() < 0:
        return False
    (unsent,) = struct.unpack("i", fcntl.ioctl(sender.fileno(), termios.TIOCOUTQ, b"\0" * 4))
    return bool(unsent)

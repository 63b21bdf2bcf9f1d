"""What it costs to leave the engine for a Python hook and to come back: `python -m benches.crossing`.

Everything is in one thread and one process: 32 client connections, the engine, the pipeline with
its hooks. Each request runs a plan of Python steps whose last one answers, so no upstream is
involved. Two plans that differ in one thing are compared, and what both pay (sockets, parsing,
routing, the answer) falls out:

* `surface`: an exchange surfaced to Python and given back by `Engine.resume`, no hook called;
* `inline`: the same through the pipeline, with a `def` hook that does nothing;
* `headers`: an inline hook that reads one request header and sets another;
* `async`: an `async def` hook that does nothing, in a Trio task of its own.

Times are wall time on one core, so run it on a quiet machine; the least of several repeats counts.
"""

import argparse
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Final, TypeAlias, cast

import trio

from oto_trio import _core
from oto_trio.gateway.engine import RUN, Event
from oto_trio.gateway.engine import Engine as EngineProtocol
from oto_trio.gateway.pipeline import AsyncCall, InlineCall, Pipeline
from oto_trio.plugin_api import Answer, Exchange, Response

CONNECTIONS: Final = 32
STEPS: Final = 10
"""Steps by which the longer plan is longer: the more, the less their difference is noise."""
REQUEST: Final = b"GET /some/path HTTP/1.1\r\nHost: bench.test\r\nUser-Agent: bench\r\n\r\n"
ANSWER: Final = Response(200, (("Content-Type", "text/plain"),), b"done")
TURNS_MAX: Final = 10_000

Give: TypeAlias = Callable[[list[Event], float], None]


@dataclass(slots=True)
class Table:
    """Hooks by slot, as the pipeline wants them."""

    inline: list[InlineCall | None] = field(default_factory=list)
    suspending: list[AsyncCall | None] = field(default_factory=list)
    phases: list[str] = field(default_factory=list)
    plugins: list[str] = field(default_factory=list)

    def add(
        self, phase: str, *, inline: InlineCall | None = None, suspending: AsyncCall | None = None
    ) -> None:
        """Bind the next slot."""
        self.inline.append(inline)
        self.suspending.append(suspending)
        self.phases.append(phase)
        self.plugins.append("cp:bench.Crossing")

    def route(self) -> bytes:
        """Return a lowered route whose plan is these slots in order."""
        steps = [
            {
                "phase": phase,
                "plugin": plugin,
                "include": [],
                "exclude": [],
                "kind": "python",
                "slot": slot,
                "inline": self.inline[slot] is not None,
            }
            for slot, (phase, plugin) in enumerate(zip(self.phases, self.plugins, strict=True))
        ]
        target = {"id": "t", "hostname": "127.0.0.1", "port": 9, "tls": False}
        return json.dumps(
            {
                "id": "crossing",
                "name": "crossing",
                "enabled": True,
                "frontend": {"domains": ["bench.test"], "strip_path": False},
                "bound_listeners": [],
                "backend": {"targets": [target], "root": "/"},
                "steps": steps,
            }
        ).encode()


def nothing(exchange: Exchange) -> Answer:
    """Go on."""
    del exchange
    return None


def mark(exchange: Exchange) -> Answer:
    """Set a request header from another."""
    headers = exchange.request.headers
    headers.set("x-bench-agent", headers.get("user-agent") or "none")
    return None


async def nothing_async(exchange: Exchange) -> Answer:
    """Go on, from a task."""
    del exchange
    return None


def answer(exchange: Exchange) -> Answer:
    """End the exchange."""
    del exchange
    return ANSWER


def plan(count: int, hook: InlineCall) -> Table:
    """Return `count` inline steps and the one that answers."""
    table = Table()
    for _ in range(count):
        table.add("transform_request", inline=hook)
    table.add("call_backend", inline=answer)
    return table


def plan_async() -> Table:
    """Return one async step and the one that answers."""
    table = Table()
    table.add("transform_request", suspending=nothing_async)
    table.add("call_backend", inline=answer)
    return table


@contextmanager
def gateway(table: Table) -> Iterator[tuple[_core.Engine, list[socket.socket]]]:
    """An engine with one route, and clients connected to it."""
    with ExitStack() as stack:
        engine = _core.Engine()
        stack.callback(engine.close)
        engine.install(_core.Snapshot().apply([table.route()], []))
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=CONNECTIONS))
        listener.setblocking(False)  # noqa: FBT003 (the socket module's own signature)
        engine.adopt(listener.fileno(), "standard-listener", False)  # noqa: FBT003 (positional only)
        clients = [
            stack.enter_context(socket.create_connection(listener.getsockname()))
            for _ in range(CONNECTIONS)
        ]
        yield engine, clients


async def batch(engine: _core.Engine, clients: Sequence[socket.socket], give: Give) -> None:
    """Send one request on every connection and turn the engine until all are answered.

    Raises:
        RuntimeError: an answer is missing after very many turns, or is not the hook's.
    """
    for client in clients:
        client.sendall(REQUEST)
    waiting = list(clients)
    for _ in range(TURNS_MAX):
        now = trio.current_time()
        events = engine.turn(now)
        if events:
            give(cast("list[Event]", events), now)
        # Every variant pays for one checkpoint a turn; tasks of async hooks run in it.
        await trio.lowlevel.checkpoint()
        while waiting:
            try:
                got = waiting[-1].recv(4096, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            if not got.startswith(b"HTTP/1.1 200 "):
                message = f"unexpected answer {got!r}"
                raise RuntimeError(message)
            waiting.pop()
        if not waiting:
            return
    message = f"{len(waiting)} of {len(clients)} requests unanswered after {TURNS_MAX} turns"
    raise RuntimeError(message)


async def cost_us(table: Table, *, batches: int, repeats: int, bare: bool) -> float:
    """Return the microseconds of one request through the plan of `table`, the least of `repeats`."""
    with gateway(table) as (engine, clients):
        async with trio.open_nursery() as nursery:
            pipeline = Pipeline(
                cast("EngineProtocol", engine),
                table,
                trio.current_time,
                nursery,
                wake_pump=lambda: None,
                resolve=lambda _: None,
                monitor=lambda _: None,
            )
            give = bare_loop(engine, len(table.phases) - 1) if bare else pipeline.run
            best = float("inf")
            for number in range(repeats + 1):
                start_s = time.perf_counter()
                for _ in range(batches):
                    await batch(engine, clients, give)
                elapsed_s = time.perf_counter() - start_s
                if number:  # the first is the warm-up
                    best = min(best, elapsed_s)
            # The tasks of async hooks wait for further work.
            nursery.cancel_scope.cancel()
    return best * 1e6 / (batches * CONNECTIONS)


def bare_loop(engine: _core.Engine, last: int) -> Give:
    """Return a loop that resumes every exchange and answers at slot `last`, without any hook."""
    fields, body = list(ANSWER.headers), ANSWER.body

    def give(events: list[Event], now: float) -> None:
        for kind, value in events:
            if kind == RUN:
                exchange = cast("_core.Exchange", value)
                if exchange.slot < last:
                    more = engine.resume(exchange, now)
                else:
                    more = engine.respond(exchange, 200, fields, body, now)
                events += cast("list[Event]", more)

    return give


async def measure(batches: int, repeats: int) -> dict[str, float]:
    """Return the cost of each crossing in microseconds, and that of a request with its answer."""

    async def cost(table: Table, *, bare: bool = False) -> float:
        return await cost_us(table, batches=batches, repeats=repeats, bare=bare)

    bare = await cost(plan(0, nothing), bare=True)
    bare_steps = await cost(plan(STEPS, nothing), bare=True)
    base = await cost(plan(0, nothing))
    inline = await cost(plan(STEPS, nothing))
    headers = await cost(plan(STEPS, mark))
    suspended = await cost(plan_async())
    return {
        "request answered in Python": base,
        "surface": (bare_steps - bare) / STEPS,
        "inline": (inline - base) / STEPS,
        "headers": (headers - base) / STEPS,
        "async": suspended - base,
    }


def main(argv: Sequence[str]) -> int:
    """Print the costs as a table; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benches.crossing", description=__doc__)
    parser.add_argument("--batches", type=int, default=200, help="batches of 32 requests a repeat")
    parser.add_argument("--repeats", type=int, default=7, help="repeats; the least counts")
    arguments = parser.parse_args(argv)
    if arguments.batches < 1 or arguments.repeats < 1:
        parser.error("--batches and --repeats must be at least 1")
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    for name, cost in trio.run(measure, arguments.batches, arguments.repeats).items():
        print(f"{name:28} {cost:7.2f} us")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Random lives of streams: whatever both sides of HTTP/2 do, and in whatever order, each exchange ends once.

A client's connection is carried, and so is each to the backend: the test opens streams, answers calls, breaks them
off, resets and hangs up as hypothesis likes. In the end everybody leaves, and nothing is left behind.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import Any, Final

import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oto_trio._core import FieldBlock
from oto_trio.gateway.engine import (
    ANSWER,
    BROKEN,
    CALL,
    CARRIED,
    CONSUMED,
    DATA,
    HEAD,
    LOST,
    REACHED,
    TRAILERS,
)
from tests.conformance.streams.caller import OK, Caller, calling
from tests.conformance.streams.turned import PREFACE

TOLD: Final = {CALL, REACHED, LOST, HEAD, DATA, TRAILERS, ANSWER, BROKEN, CONSUMED}
HEADS: Final = {
    "interim": FieldBlock([(":status", "103"), ("link", "</x>")]),
    "final": FieldBlock([(":status", "200"), ("x-a", "b")]),
    "length": FieldBlock([(":status", "200"), ("content-length", "5")]),
    "nothing": FieldBlock([(":status", "204")]),
    "malformed": FieldBlock([(":status", "200"), ("Bad", "x")]),
    "no head": FieldBlock([("x", "y")]),
}
TRAILER: Final = FieldBlock([("x-t", "9")])
MALFORMED_TRAILER: Final = OK
REQUEST: Final = [(":scheme", "http"), (":authority", "a.b"), (":path", "/")]

at = st.integers(0, 3)
"""Which of the streams, or calls, counted from the last one."""
sizes = st.sampled_from([0, 1, 5, 5000, 70_000])
OPEN: Final = st.tuples(st.just("open"), st.sampled_from(["GET", "POST", "HEAD"]), st.booleans())
ANSWERS: Final = st.tuples(
    st.just("answer"), at, st.sampled_from(["final", "final", "length", *sorted(HEADS)])
)
ENDS: Final = st.tuples(st.just("answer data"), at, sizes, st.just(value=True))
STEPS: Final = st.one_of(
    OPEN,
    ANSWERS,
    ANSWERS,
    ENDS,
    st.tuples(st.just("feed"), at, sizes, st.booleans()),
    st.tuples(st.just("feed trailers"), at, st.booleans()),
    st.tuples(st.just("reset"), at),
    st.tuples(st.just("taken"), at, sizes),
    st.tuples(st.just("answer data"), at, sizes, st.booleans()),
    st.tuples(st.just("answer trailers"), at, st.booleans()),
    st.tuples(st.just("break"), at, st.booleans()),
    st.tuples(st.just("taken of call"), at, sizes),
    st.tuples(st.just("room"), st.integers(0, 2)),
    st.tuples(st.just("hang up on backend")),
    st.tuples(st.just("backend leaves")),
    st.tuples(st.just("turn")),
    st.tuples(st.just("pass time"), st.sampled_from([0.1, 4.0, 40.0])),
)


class Life:
    """Plays steps, and notes what the engine tells."""

    def __init__(self, caller: Caller, carried: int) -> None:
        self.caller = caller
        self.engine = caller.engine
        self.carried = carried
        self.streams: list[int] = []
        self.calls: list[int] = []
        self.carriers: list[int] = []
        self.ends: Counter[int] = Counter()
        """How often each stream ended."""
        self.reset: set[int] = set()
        self.finished: set[int] = set()
        """Streams whose requests are whole, and calls whose answers are."""

    def note(self, kind: int, value: Any) -> None:
        """Take note of an event."""
        if kind not in TOLD:
            return
        stream: int = value if kind in {BROKEN, REACHED, LOST} else value[0]
        if kind == CALL:
            self.calls.append(value[1])
        elif kind == REACHED:
            self.carriers.append(stream)
        elif kind == LOST and stream in self.carriers:
            self.carriers.remove(stream)
        elif kind in {HEAD, DATA, TRAILERS, ANSWER, BROKEN} and stream in self.streams:
            assert stream not in self.reset, "nothing is told of a stream that was given up"
            assert self.ends[stream] == 0, "nothing is told behind the end"
            if kind in {TRAILERS, ANSWER, BROKEN} or (kind == DATA and value[2]):
                self.ends[stream] += 1
        elif kind == CONSUMED:
            assert value[1] > 0

    async def turn(self, rounds: int = 3) -> None:
        """Turn the engine some times; sockets may need a moment."""
        for _ in range(rounds):
            events = [*self.caller.events, *self.engine.turn(self.caller.now)]
            self.caller.events = []
            for kind, value in events:
                self.note(kind, value)
            await trio.lowlevel.checkpoint()
            if not self.engine.pending:
                with trio.move_on_after(0.001):
                    await trio.lowlevel.wait_readable(self.engine.fileno())

    def pick(self, from_: list[int], back: int) -> int | None:
        return from_[-1 - back] if back < len(from_) else None

    async def play(self, step: tuple[Any, ...]) -> None:
        """Do one thing."""
        name, *told = step
        now = self.caller.now
        if name == "open":
            fields = FieldBlock([(":method", told[0]), *REQUEST])
            self.streams.append(self.engine.open_stream(self.carried, fields, told[1], now))
            if told[1]:
                self.finished.add(self.streams[-1])
        elif name == "turn":
            await self.turn()
        elif name == "pass time":
            self.caller.now += told[0]
            for kind, value in self.engine.expire(self.caller.now):
                self.note(kind, value)
        elif name in {"room", "hang up on backend"}:
            self.of_carrier(name, told)
        elif name == "backend leaves":
            with trio.move_on_after(0.001):
                await (await self.caller.accept()).aclose()
        elif name in {"feed", "feed trailers", "reset", "taken"}:
            self.of_stream(name, self.pick(self.streams, told[0]), told[1:])
        elif name.startswith(("answer", "break", "taken of")):
            self.of_call(name, self.pick(self.calls, told[0]), told[1:])

    def of_carrier(self, name: str, told: list[Any]) -> None:
        """Do what the session of a backend's connection does."""
        now = self.caller.now
        if not self.carriers:
            return
        if name == "room":
            self.engine.set_room(self.carriers[-1], told[0], now)
            return
        # It breaks its streams off first.
        for call in self.calls:
            self.engine.break_stream(call, False, now)
        self.engine.hang_up(self.carriers.pop(), now)

    def of_stream(self, name: str, stream: int | None, told: list[Any]) -> None:
        """Do what a client does."""
        if stream is None:
            return
        now = self.caller.now
        is_open = stream not in self.finished and stream not in self.reset
        if name == "feed" and is_open:
            self.engine.feed(stream, b"x" * told[0], told[1], now)
            if told[1]:
                self.finished.add(stream)
        elif name == "feed trailers" and is_open:
            with suppress(ValueError):
                self.engine.feed_trailers(stream, TRAILER if told[0] else MALFORMED_TRAILER, now)
                self.finished.add(stream)
        elif name == "reset":
            self.engine.reset_stream(stream, now)
            self.reset.add(stream)
        elif name == "taken":
            self.engine.taken(stream, told[0])

    def of_call(self, name: str, call: int | None, told: list[Any]) -> None:
        """Do what a backend does."""
        if call is None:
            return
        now = self.caller.now
        if name == "answer":
            self.engine.answer_head(call, HEADS[told[0]], now)
        elif name == "answer data" and call not in self.finished:
            self.engine.feed(call, b"y" * told[0], told[1], now)
            if told[1]:
                self.finished.add(call)
        elif name == "answer trailers" and call not in self.finished:
            with suppress(ValueError):
                self.engine.feed_trailers(call, TRAILER if told[0] else MALFORMED_TRAILER, now)
                self.finished.add(call)
        elif name == "break":
            self.engine.break_stream(call, told[0], now)
            self.finished.add(call)
        elif name == "taken of call":
            self.engine.taken(call, told[0])

    async def end(self) -> None:
        """Have everybody leave: what lives yet is reset, and every connection hung up on."""
        now = self.caller.now
        for stream in self.streams:
            if self.ends[stream] == 0:
                self.engine.reset_stream(stream, now)
                self.reset.add(stream)
        await self.turn()
        for carrier in self.carriers:
            for call in self.calls:
                self.engine.break_stream(call, False, now)
            self.engine.hang_up(carrier, now)
        self.carriers = []
        self.engine.hang_up(self.carried, now)
        # Connections may linger for their clients to read what was said last.
        await self.turn()
        self.caller.now += 1000
        for kind, value in self.engine.expire(self.caller.now):
            self.note(kind, value)
        await self.turn()
        for carrier in self.carriers:
            self.engine.hang_up(carrier, self.caller.now)


@given(
    opened=st.lists(OPEN, min_size=1, max_size=4),
    steps=st.lists(STEPS, min_size=8, max_size=40),
)
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_whatever_happens_each_exchange_ends_once_and_nothing_is_left(
    opened: list[tuple[Any, ...]], steps: list[tuple[Any, ...]]
) -> None:
    trio.run(_live, opened, steps)


async def _live(opened: list[tuple[Any, ...]], steps: list[tuple[Any, ...]]) -> None:
    async with calling(retries=2, retry_initial_delay=0) as caller:
        client = await caller.client(PREFACE)
        carried, _, _ = await caller.told(CARRIED)
        life = Life(caller, carried)
        for step in opened:
            await life.play(step)
        while len(life.calls) < len(opened):
            await life.turn(1)
        for step in steps:
            await life.play(step)
            await life.turn(1)
        await life.turn()
        await life.end()
        assert all(life.ends[stream] == 1 for stream in life.streams if stream not in life.reset)
        counts = caller.engine.in_flight()
        assert counts == {"connections": 0, "exchanges": 0, "tunnels": 0, "pooled": 0}
        metrics = caller.engine.metrics()
        assert metrics["panics"] == 0
        assert metrics["requests"] == len(life.streams)
        await client.aclose()

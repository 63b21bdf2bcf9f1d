"""A gateway before a backend that writes down all it gets, and whole conversations with them."""

import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import trio

from tests.conformance.http1.gateway import Gateway, route, running, until
from tests.conformance.http1.messages import RequestSeen
from tests.conformance.http1.upstream import Recorder, Recording, Upstream

__all__ = ["Outcome", "Stage", "byte_by_byte", "fronting", "staged"]

STATUS_LINE = re.compile(rb"HTTP/1\.1 (\d{3}) [^\r\n]*\r\n")


@dataclass
class Outcome:
    """What came of a conversation."""

    reply: bytes
    """All that the client got, up to the end of its connection."""
    connections: list[Recording]
    """What went over each connection to the backend meanwhile."""
    authority: bytes = b""
    """Host and port of the backend."""

    @property
    def statuses(self) -> list[int]:
        """The statuses of the answers, in order."""
        return [int(status) for status in STATUS_LINE.findall(self.reply)]

    @property
    def is_refused(self) -> bool:
        """Whether the last answer is a refusal."""
        return bool(self.statuses) and self.statuses[-1] >= 400

    @property
    def raw(self) -> bytes:
        """All that the backend got."""
        return b"".join(bytes(connection.raw) for connection in self.connections)

    @property
    def requests(self) -> list[RequestSeen]:
        """The whole requests that the backend got."""
        return [request for connection in self.connections for request in connection.requests]

    @property
    def faults(self) -> list[str]:
        """What the backend got and could not read."""
        return [connection.fault for connection in self.connections if connection.fault]


@dataclass
class Stage:
    """A gateway and the backend behind it."""

    gateway: Gateway
    recorder: Recorder

    async def converse(self, pieces: Iterable[bytes], *, finishes: bool = True) -> Outcome:
        """Send these pieces, and wait until all is over.

        Args:
            pieces: The engine has its turn after each, so that it sees them one by one.
            finishes: Close the sending side behind them; else the gateway must end the connection.
        """
        gateway, recorder = self.gateway, self.recorder
        before = [(len(known.raw), len(known.requests)) for known in recorder.connections]
        client = await gateway.client()
        for piece in pieces:
            await client.send(piece)
            gateway.turn()
        if finishes:
            await client.finish()
        reply = await client.read_to_end()
        await client.close()
        await gateway.settled()
        await until(self._is_recorded)
        authority = b"127.0.0.1:%d" % recorder.upstream.port
        return Outcome(reply, list(_news(recorder.connections, before)), authority)

    def _is_recorded(self) -> bool:
        """Whether the backend has seen all that was sent to it: what is open waits in the pool."""
        connections = self.recorder.connections
        is_open = sum(not connection.is_over for connection in connections)
        return (
            len(connections) == self.gateway.count("connected")
            and is_open == self.gateway.engine.in_flight()["pooled"]
        )


def _news(connections: list[Recording], before: list[tuple[int, int]]) -> Iterator[Recording]:
    """What was recorded since the connections had so many bytes and requests."""
    for connection, (byte_count, count) in zip_longest(connections, before, fillvalue=(0, 0)):
        assert isinstance(connection, Recording)
        raw, requests = connection.raw[byte_count:], connection.requests[count:]
        if raw or not byte_count:
            yield Recording(raw, requests, connection.is_over, connection.fault)


@asynccontextmanager
async def staged(
    answer: Callable[[RequestSeen], bytes] | None = None,
    *,
    steps: Sequence[dict[str, Any]] = (),
    settings: Mapping[str, float] | None = None,
) -> AsyncIterator[Stage]:
    """Run a gateway with one route, for every request, to a recording backend.

    Args:
        answer: The backend's response to a request.
        steps: The route's plan.
        settings: Bounds and time-outs of the engine.
    """
    upstream = await Upstream.open()
    recorder = Recorder(upstream, answer)
    try:
        async with (
            running(route(upstream.port, steps=steps), **(settings or {})) as gateway,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(recorder.run)
            yield Stage(gateway, recorder)
            nursery.cancel_scope.cancel()
    finally:
        await upstream.close()


@asynccontextmanager
async def fronting(
    *,
    steps: Sequence[dict[str, Any]] = (),
    client: Mapping[str, float] | None = None,
    **settings: float,
) -> AsyncIterator[tuple[Gateway, Upstream]]:
    """Run a gateway before one backend that the test plays by hand.

    Args:
        steps: The route's plan.
        client: Time-outs (milliseconds) and retries of the route.
        settings: Bounds and time-outs of the engine.
    """
    upstream = await Upstream.open()
    try:
        plan = route(upstream.port, steps=steps, client=client)
        async with running(plan, **settings) as gateway:
            yield gateway, upstream
    finally:
        await upstream.close()


def byte_by_byte(data: bytes) -> list[bytes]:
    """The bytes one at a time."""
    return [data[at : at + 1] for at in range(len(data))]

"""Timeouts on a clock that stands still until it is told to jump: no test here waits for one.

The engine's sockets are real; its time is Trio's, and Trio's clock is a `MockClock`.
"""

import fcntl
import json
import select
import socket
import struct
import termios
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import trio
import trio.testing

from oto_trio import _core
from oto_trio.gateway.compile import Hooks
from oto_trio.gateway.pipeline import Pipeline
from oto_trio.gateway.pump import TICK_S, Pump

if TYPE_CHECKING:
    from oto_trio.gateway.engine import Engine

PATIENCE_S = 60
"""Real time after which what a test waits for is taken as not coming."""


@asynccontextmanager
async def gateway(backend: dict[str, Any]) -> AsyncGenerator[tuple[_core.Engine, int]]:
    """A pumped engine with one route to `backend`; yields it and its port."""
    engine = _core.Engine()
    route = {"id": "r", "frontend": {"domains": ["a.test"]}, "backend": backend}
    engine.install(_core.Snapshot().apply([json.dumps(route).encode()], []))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        engine.adopt(listener.fileno(), "standard-listener", False)
        async with trio.open_nursery() as nursery:
            # Its events are tagged unions in the stub, plain pairs in the protocol.
            turned = cast("Engine", engine)
            pump = Pump(turned, trio.current_time)
            pipeline = Pipeline(
                turned,
                Hooks(),
                trio.current_time,
                nursery,
                wake_pump=pump.wake,
                resolve=lambda _: None,
                monitor=lambda _: None,
            )
            nursery.start_soon(pump.run, pipeline)
            yield engine, listener.getsockname()[1]
            nursery.cancel_scope.cancel()
    engine.close()


@asynccontextmanager
async def client(port: int, data: bytes) -> AsyncGenerator[trio.SocketStream]:
    """A connection on which `data` was sent, and read by a gateway that turns."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(data)
        await until(lambda: not unacknowledged(stream))
        await go_round()
        yield stream


async def until(is_so: Callable[[], bool]) -> None:
    """Let the loop go round, on a clock that stands still, until something is so."""
    ends = time.perf_counter() + PATIENCE_S
    while not is_so():
        assert time.perf_counter() < ends, "what the test waits for did not come"
        await trio.lowlevel.checkpoint()


async def go_round() -> None:
    """Let the loop go round so often that the engine has done all that can be done at this time."""
    for _ in range(100):
        await trio.lowlevel.checkpoint()


def unacknowledged(stream: trio.SocketStream) -> int:
    """How many bytes are not with the other end yet. Source: tcp(7), SIOCOUTQ."""
    (count,) = struct.unpack("i", fcntl.ioctl(stream.socket.fileno(), termios.TIOCOUTQ, bytes(4)))
    return int(count)


def has_answer(stream: trio.SocketStream) -> bool:
    """Tell whether something can be read, without waiting for it."""
    return bool(select.select([stream.socket.fileno()], [], [], 0)[0])


async def read_all(stream: trio.SocketStream) -> bytes:
    """Read what the gateway sends until it closes."""
    received = bytearray()
    async for part in stream:
        received += part
    return bytes(received)


async def test_a_silent_backend_is_a_504_after_the_call_timeout_and_not_before(
    mock_clock: trio.testing.MockClock,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        target = {"hostname": "127.0.0.1", "port": silent.getsockname()[1]}
        backend = {"targets": [target], "client": {"call_timeout": 5000}}
        request = b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"
        async with gateway(backend) as (engine, port), client(port, request) as stream:
            await until(lambda: engine.metrics()["connected"] == 1)
            mock_clock.jump(4.9)
            await go_round()
            assert not has_answer(stream)
            mock_clock.jump(0.2 + TICK_S)
            answer = await read_all(stream)
    assert answer.startswith(b"HTTP/1.1 504 ")


async def test_half_a_head_is_a_408_after_the_head_timeout(
    mock_clock: trio.testing.MockClock,
) -> None:
    request = b"GET / HTTP/1.1\r\nHost:"
    async with gateway({"targets": []}) as (engine, port), client(port, request) as stream:
        await until(lambda: engine.metrics()["accepted"] == 1)
        mock_clock.jump(10.1 + TICK_S)
        answer = await read_all(stream)
    assert answer.startswith(b"HTTP/1.1 408 ")


async def test_an_idle_connection_is_closed_without_a_word(
    mock_clock: trio.testing.MockClock,
) -> None:
    request = b"GET / HTTP/1.1\r\nHost: none.test\r\n\r\n"
    async with gateway({"targets": []}) as (engine, port), client(port, request) as stream:
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 404 ")
        assert engine.metrics()["connections"] == 1
        mock_clock.jump(60.1 + TICK_S)
        assert await read_all(stream) == b""

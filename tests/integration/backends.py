"""Backends on loopback: what serves a connection, and applications behind hypercorn."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import trio
from hypercorn.config import Config
from hypercorn.trio import serve  # pyright: ignore[reportUnknownVariableType]

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

__all__ = ["hypercorn", "serving"]


@asynccontextmanager
async def serving(
    serve_one: Callable[[trio.SocketStream], Awaitable[object]],
) -> AsyncGenerator[int]:
    """Serve connections for the length of a block, which cancels those that are left.

    Args:
        serve_one: Called with each connection, in a task of its own. Where the gateway resets the connection meanwhile, that
            task is over, and nothing else: when it leaves it may have something unread still.

    Yields:
        The port.
    """

    async def serve_until_reset(stream: trio.SocketStream) -> None:
        try:
            await serve_one(stream)
        except* trio.BrokenResourceError:
            pass

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve_until_reset, [listener])
        yield listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def hypercorn(application: Callable[[Any, Any, Any], Awaitable[None]]) -> AsyncGenerator[int]:
    """Run an ASGI application over HTTP/1.1 and HTTP/2 on one port, without TLS; yields the port.

    Args:
        application: Called for requests and WebSockets; of the server's own start and end it hears nothing.
    """

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await application(scope, receive, send)
            return
        for moment in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{moment}.complete"})

    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.accesslog = config.errorlog = None
    # It closes no connection just when the gateway sends a request on it.
    config.keep_alive_timeout = 3600
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        start = partial(serve, cast("Any", app), config, shutdown_trigger=stop.wait)
        bound: list[str] = await nursery.start(start)
        yield int(bound[0].rpartition(":")[2])
        stop.set()

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
        serve_one: Called with each connection, in a task of its own.

    Yields:
        The port.
    """
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve_one, [listener])
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
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        start = partial(serve, cast("Any", app), config, shutdown_trigger=stop.wait)
        bound: list[str] = await nursery.start(start)
        yield int(bound[0].rpartition(":")[2])
        stop.set()

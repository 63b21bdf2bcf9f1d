"""Serving the admin API on hypercorn's trio worker, under the nursery of whoever starts it."""

from __future__ import annotations

import logging
import os
import socket
from functools import partial
from typing import TYPE_CHECKING, Final, cast

import msgspec
import trio
from hypercorn.config import Config
from hypercorn.trio import serve  # pyright: ignore[reportUnknownVariableType] - half untyped

from oto_trio.control.addresses import UNIX

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import ASGIApp

    from oto_trio.control.supervisor.listening import Listener

__all__ = ["AdminServer", "open_admin_socket", "serve_admin_api"]

GRACE_S: Final = 5.0
"""How long requests under way may take to end after the shutdown began."""

READ_WAIT_S: Final = 120
"""How long a client may be silent while its request is handled: longer than ``?wait=applied`` waits."""

KEEP_ALIVE_S: Final = 30
"""How long an idle connection is kept, and how long a request's head may take to arrive."""

LARGEST_HEAD_BYTES: Final = 32 * 1024
"""Longest request head."""

STUCK_CLIENT_S: Final = 15
"""How long a client may take nothing of an answer. Hypercorn shields its sends from cancellation, so
without this bound a client that stopped reading would hold up the shutdown for ever."""


class AdminServer(msgspec.Struct, frozen=True):
    """Where the admin API listens.

    Attributes:
        host: The address; `unix:` and a path when it is a Unix socket.
        port: The port, 0 for a Unix socket.
    """

    host: str
    port: int

    @property
    def url(self) -> str:
        """Its base URL, without a final slash; of a Unix socket its address."""
        if self.host.startswith(UNIX):
            return self.host
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


def open_admin_socket(host: str, port: int) -> socket.socket:
    """Open the listening socket.

    Args:
        host: Name or address to listen on.
        port: Port, or 0 for any free one.

    Raises:
        OSError: It cannot be opened; the message names address and port.
    """
    family, _, _, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _bound_stuck_clients(sock)
        sock.bind(address)
        sock.listen(128)
    except OSError as error:
        sock.close()
        raise OSError(
            error.errno,
            f"the admin API cannot listen on {host}:{port} ({error.strerror}); stop what uses the "
            "port, or choose another --admin-port",
        ) from error
    return sock


def _bound_stuck_clients(sock: socket.socket) -> None:
    """Let the kernel end accepted connections whose clients take nothing."""
    if sock.family != socket.AF_UNIX and hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STUCK_CLIENT_S * 1000)


def _config(*fds: int) -> Config:
    """Set hypercorn up: our log, our bounds, our sockets, which are its own from now on."""
    config = Config()
    config.bind = [f"fd://{fd}" for fd in fds]
    config.errorlog = logging.getLogger(f"{__name__}.hypercorn")
    config.errorlog.setLevel(logging.WARNING)
    config.accesslog = None
    config.include_server_header = False
    config.graceful_timeout = GRACE_S
    config.shutdown_timeout = GRACE_S
    config.read_timeout = READ_WAIT_S
    config.keep_alive_timeout = KEEP_ALIVE_S
    config.keep_alive_max_requests = 1_000_000
    config.h11_max_incomplete_size = LARGEST_HEAD_BYTES
    return config


# Starlette and hypercorn type the same protocol, ASGI, each in its own way.
_hypercorn = cast("Callable[..., Awaitable[None]]", serve)


async def serve_admin_api(
    app: ASGIApp,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    opened: Listener | None = None,
    shutdown: trio.Event,
    for_workers: socket.socket | None = None,
    task_status: trio.TaskStatus[AdminServer] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve the admin API until told to stop. Start it with ``nursery.start``.

    Args:
        app: What `build_app` gave.
        host: Name or address to listen on.
        port: Port, or 0 for any free one.
        opened: A listener to use instead of host and port; it stays its owner's.
        for_workers: A listening socket for what the gateway's workers pass on; it stays its owner's.
        shutdown: When set, no new connection is taken and requests under way get `GRACE_S` to end.
        task_status: Told where it listens, once it does.

    Raises:
        OSError: The socket cannot be opened; the message names address and port.

    Cancellation: closes the socket and drops requests under way.

    Closes: its own listening socket, and every connection.
    """
    if opened is None:
        sock = await trio.to_thread.run_sync(open_admin_socket, host, port)
        host, port = sock.getsockname()[:2]
    else:
        sock = opened.sockets[0].dup()
        _bound_stuck_clients(sock)
        host, port = opened.address
    async with trio.open_nursery() as nursery:
        fds = [sock.detach()]
        if for_workers is not None:
            # What comes in while nobody serves waits in the queue of the socket that stays open.
            fds.append(os.dup(for_workers.fileno()))
        run = partial(_hypercorn, app, _config(*fds), shutdown_trigger=shutdown.wait)
        await nursery.start(run)
        task_status.started(AdminServer(host, port))

"""The listening sockets of the data plane, owned by the supervisor for as long as it runs.

Each worker slot gets a socket of its own with `SO_REUSEPORT`, so that the kernel spreads connections
over the workers without a lock between them. The sockets outlive the workers: while a worker is being
replaced, its connections wait in the socket's queue instead of being refused.
"""

import errno
import ipaddress
import os
import socket
from collections.abc import Generator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Final

import msgspec

from oto_trio.control.addresses import UNIX
from oto_trio.control.supervisor.unix_sockets import UnixFile, UnixMode, listen_on_path
from oto_trio.gateway.frames import ListenerWays
from oto_trio.model.errors import GatewayError

__all__ = [
    "BACKLOG",
    "BindError",
    "Listener",
    "bind_listener",
    "bind_unix_listener",
    "listening",
    "shared",
]

BACKLOG: Final = 4096
"""Connections the kernel queues for each slot; it caps the number at `net.core.somaxconn`."""


class BindError(GatewayError):
    """A listening socket cannot be opened."""

    code = "cannot_listen"
    source = "config"


class Listener(msgspec.Struct, frozen=True):
    """One address the gateway listens on.

    Attributes:
        name: The listener's name, such as `standard-listener`.
        secured: Whether clients speak TLS on it.
        sockets: One listening socket a worker slot, all on the same address.
        is_tcp: Whether it is for TCP services; otherwise it takes HTTP.
        token: Names it towards workers; 0 for those that are there for as long as the gateway runs.
        file: The file of a Unix socket, which is removed with it; None for ports.
        ways: What clients may speak on it; None leaves that to the settings of the workers.
        is_lent: Whether a service manager owns it, which goes on listening when the gateway ends.
        is_datagrams: Whether its sockets are UDP's, for HTTP/3.
    """

    name: str
    secured: bool
    sockets: tuple[socket.socket, ...]
    is_tcp: bool = False
    token: int = 0
    file: UnixFile | None = None
    ways: ListenerWays | None = None
    is_lent: bool = False
    is_datagrams: bool = False

    @property
    def path(self) -> str | None:
        """The path of a Unix socket; None when it is a port."""
        sock = self.sockets[0]
        return str(sock.getsockname()) if sock.family == socket.AF_UNIX else None

    @property
    def address(self) -> tuple[str, int]:
        """The host and port that were bound; the port is the real one when 0 was asked for.

        A Unix socket is `unix:` and its path, and 0.
        """
        if self.path is not None:
            return f"{UNIX}{self.path}", 0
        host, port, *_ = self.sockets[0].getsockname()
        return host, port

    @property
    def url(self) -> str:
        """The listener's address as a URL, `0.0.0.0` and `::` as they are; a Unix socket as `unix:` and its path."""
        host, port = self.address
        if self.path is not None:
            return host
        shown = f"[{host}]" if ":" in host else host
        scheme = "tcp" if self.is_tcp else "https" if self.secured else "http"
        return f"{scheme}://{shown}:{port}"

    def close(self) -> None:
        """Stop listening, also in the workers that share the sockets, and close them. Idempotent.

        On UDP sockets workers have connections, which they drain: each closes its own behind the last one.
        """
        for sock in self.sockets:
            # Closing alone leaves the socket listening for as long as a worker has a duplicate of it.
            if not self.is_lent and not self.is_datagrams:
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        if self.file is not None:
            self.file.remove()


def bind_unix_listener(
    name: str, path: str, allowed: UnixMode, *, secured: bool, slots: int
) -> Listener:
    """Open the listening socket of a path, which all slots share: whichever worker is awake takes a connection.

    Args:
        name: The listener's name.
        path: The whole path.
        allowed: Who may open it.
        secured: Whether clients will speak TLS.
        slots: How many times it is handed out, at least 1.

    Raises:
        BindError: The folder is not there or not ours, or somebody listens there.
    """
    try:
        sock, file = listen_on_path(path, allowed)
    except OSError as error:
        raise BindError(
            f"cannot listen on {UNIX}{path}: {_path_reason(error, path)}", path=path
        ) from error
    return Listener(name, secured, shared(sock, slots), file=file)


def shared(sock: socket.socket, slots: int) -> tuple[socket.socket, ...]:
    """Return a socket once for each slot."""
    return (sock, *(sock.dup() for _ in range(slots - 1)))


def bind_listener(
    name: str,
    host: str,
    port: int,
    *,
    secured: bool,
    slots: int,
    is_v6_only: bool = False,
    datagrams: bool = False,
) -> Listener:
    """Open the listening sockets of one address.

    Args:
        name: The listener's name.
        host: An IPv4 or IPv6 address; `::` also takes IPv4 clients.
        port: The port; 0 picks a free one.
        secured: Whether clients will speak TLS.
        slots: How many sockets to open on the address, at least 1.
        is_v6_only: Whether `::` takes IPv6 clients only.
        datagrams: Whether they are UDP sockets, for HTTP/3; a port of TCP is another one.

    Raises:
        BindError: The address is malformed, not ours, taken or not allowed.
    """
    try:
        family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
    except ValueError:
        raise BindError(
            f"{host!r} is no address to listen on; give an IPv4 or IPv6 address such as 0.0.0.0"
        ) from None
    open_one = partial(_listen, family, host, v6_only=is_v6_only, datagrams=datagrams)
    sockets: list[socket.socket] = []
    try:
        if port and slots > 1:
            # SO_REUSEPORT would let a second gateway of this user share the port unnoticed; a
            # socket without it is refused while anybody listens there.
            _give_back(open_one(port, share=False), datagrams=datagrams)
        for _ in range(slots):
            sockets.append(open_one(port, share=slots > 1))
            port = sockets[0].getsockname()[1]
    except OSError as error:
        for sock in sockets:
            sock.close()
        kind = "UDP port" if datagrams else "port"
        raise BindError(
            f"cannot listen on {host} {kind} {port}: {_reason(error)}", host=host, port=port
        ) from error
    return Listener(name, secured, tuple(sockets), is_datagrams=datagrams)


def _listen(
    family: socket.AddressFamily,
    host: str,
    port: int,
    *,
    share: bool,
    v6_only: bool,
    datagrams: bool,
) -> socket.socket:
    """Open one non-blocking listening socket."""
    sock = socket.socket(family, socket.SOCK_DGRAM if datagrams else socket.SOCK_STREAM)
    try:
        sock.settimeout(0)  # non-blocking: the engine never waits in a call
        # Without it a restart is refused while connections of the last run are in TIME_WAIT.
        # For datagrams it would let anybody share the port.
        if not datagrams:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if share:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(v6_only or host != "::"))
        sock.bind((host, port))
        if not datagrams:
            sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def _give_back(sock: socket.socket, *, datagrams: bool) -> None:
    """Close a socket so that its port is free at once.

    A process that is being started meanwhile has a duplicate of the socket for a moment, until it runs its program:
    closing alone leaves the port taken for as long.
    """
    if datagrams:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    else:
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()


def _reason(error: OSError) -> str:
    """Say why a socket could not be opened, and what to do."""
    if error.errno == errno.EADDRINUSE:
        return "another process listens there; stop it, or choose another port (0 picks one)"
    if error.errno == errno.EACCES:
        return "it is not allowed; choose a port above 1023, or grant CAP_NET_BIND_SERVICE"
    if error.errno == errno.EADDRNOTAVAIL:
        return "this machine does not have that address"
    return os.strerror(error.errno) if error.errno else str(error)


def _path_reason(error: OSError, path: str) -> str:
    """Say why a Unix socket could not be opened, and what to do."""
    if error.errno == errno.ENOENT:
        return f"there is no folder {os.path.dirname(path)}; make it"  # noqa: PTH120
    if error.errno in (errno.EACCES, errno.EPERM):
        return (
            "it is not allowed; look at the owner and the mode of its folder, and at socket_owner"
        )
    if error.errno == errno.EAGAIN:
        return "another process is opening sockets in that folder; try again"
    return error.strerror or str(error)


@contextmanager
def listening(*listeners: Listener) -> Generator[tuple[Listener, ...]]:
    """Close listeners at the end of a block, whatever ended it."""
    try:
        yield listeners
    finally:
        for listener in listeners:
            listener.close()

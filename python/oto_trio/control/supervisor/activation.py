"""Listening sockets that a service manager opened for the gateway (systemd's socket activation).

The manager keeps them open while the gateway is restarted, so that connections wait meanwhile instead of being refused.
Source: sd_listen_fds(3).
"""

import os
import socket
import stat
from collections.abc import Iterable, Mapping, MutableMapping
from contextlib import ExitStack
from typing import Final

import msgspec

from oto_trio.control.addresses import UNIX, ListenAddress
from oto_trio.model.errors import GatewayError

__all__ = ["FIRST", "NAMES", "Activation", "ActivationError", "check_loopback", "take_activation"]

FIRST: Final = 3
"""The first descriptor that is handed over: behind standard input, output and error."""

NAMES: Final = ("http", "https", "admin")
"""What sockets are for, by their names; without these names, by their order."""

MOST: Final = 256
"""More descriptors than this are a slip of the pen."""

_VARIABLES: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
_FAMILIES: Final = {socket.AF_INET, socket.AF_INET6, socket.AF_UNIX}


class ActivationError(GatewayError):
    """A socket that was handed over cannot be used."""

    code = "wrong_sockets"
    source = "config"


class Activation(msgspec.Struct, frozen=True):
    """What was handed over.

    Attributes:
        sockets: Non-blocking listening sockets by what they are for, which is one of `NAMES`.
    """

    sockets: Mapping[str, tuple[socket.socket, ...]]

    def of(self, name: str) -> tuple[socket.socket, ...]:
        """Return the sockets for one purpose; none when there are none."""
        return self.sockets.get(name, ())

    def all(self) -> Iterable[tuple[str, socket.socket]]:
        """Walk all sockets, each with what it is for."""
        return ((name, sock) for name, found in self.sockets.items() for sock in found)


def take_activation(
    environ: MutableMapping[str, str], pid: int, *, first: int = FIRST
) -> Activation:
    """Take over what a service manager hands over, and take its variables out of the environment.

    Args:
        environ: The environment; children shall not think that the sockets are theirs.
        pid: This process: what is for another one is left alone.
        first: The first descriptor.

    Raises:
        ActivationError: One of them is no listening stream socket, or nothing says what it is for.
    """
    found = {name: environ.pop(name, "") for name in _VARIABLES}
    if found["LISTEN_PID"] != str(pid):
        return Activation({})
    count = _count(found["LISTEN_FDS"])
    given = found["LISTEN_FDNAMES"].split(":") if found["LISTEN_FDNAMES"] else []
    names = [given[place] if place < len(given) else "" for place in range(count)]
    sockets: dict[str, tuple[socket.socket, ...]] = {}
    with ExitStack() as taken:
        for descriptor, purpose, name in zip(
            range(first, first + count), _purposes(names), names, strict=True
        ):
            sock = taken.enter_context(_listening(descriptor, name))
            sockets[purpose] = (*sockets.get(purpose, ()), sock)
        taken.pop_all()
    return Activation(sockets)


def check_loopback(activation: Activation) -> None:
    """Refuse sockets that others than this machine can reach.

    Raises:
        ActivationError: One of them is not on loopback.
    """
    for name, sock in activation.all():
        address = _address(sock)
        if not address.is_loopback:
            raise ActivationError(
                f"the socket {name} that was handed over listens on {address.host}, where the well-known admin "
                "key of --dev must not be reachable; let it listen on 127.0.0.1, or leave --dev out"
            )


def _address(sock: socket.socket) -> ListenAddress:
    """Return where a socket listens."""
    bound = sock.getsockname()
    return (
        ListenAddress(path=str(bound)) if sock.family == socket.AF_UNIX else ListenAddress(bound[0])
    )


def _count(text: str) -> int:
    """Read how many descriptors there are."""
    if not text.isdecimal() or int(text) > MOST:
        raise ActivationError(
            f"LISTEN_FDS is {text!r}; it says how many sockets there are, {MOST} at most"
        )
    return int(text)


def _purposes(names: list[str]) -> list[str]:
    """Say what each socket is for: by its name, or all by their order."""
    if any(name in NAMES for name in names):
        for name in names:
            if name not in NAMES:
                raise ActivationError(
                    f"a socket that was handed over is named {name!r} beside others named http, https or admin; "
                    "set FileDescriptorName= of its unit to one of these"
                )
        return names
    if len(names) > len(NAMES):
        raise ActivationError(
            f"{len(names)} sockets were handed over without names; set FileDescriptorName= of their units to "
            "http, https or admin"
        )
    return list(NAMES[: len(names)])


def _listening(descriptor: int, name: str) -> socket.socket:
    """Make a socket of a descriptor, if it can be accepted on."""
    shown = f"descriptor {descriptor}{f' ({name})' if name else ''}, which was handed over,"
    try:
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            raise ActivationError(f"{shown} is no socket; use ListenStream= in its unit")
        os.set_inheritable(descriptor, False)  # noqa: FBT003 (its only parameter)
        sock = socket.socket(fileno=descriptor)
    except OSError as error:
        raise ActivationError(f"{shown} cannot be used: {error.strerror}") from error
    try:
        _check(sock, shown)
        sock.settimeout(0)  # non-blocking: the engine never waits in a call
    except BaseException:
        sock.close()
        raise
    return sock


def _check(sock: socket.socket, shown: str) -> None:
    """Refuse a socket that cannot be accepted on."""
    if sock.type != socket.SOCK_STREAM:
        raise ActivationError(f"{shown} is no stream socket; use ListenStream= in its unit")
    if sock.family not in _FAMILIES:
        raise ActivationError(
            f"{shown} is neither IP nor {UNIX}; use ListenStream= with an address or a path"
        )
    if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        raise ActivationError(f"{shown} does not listen; use Accept=no in its unit")

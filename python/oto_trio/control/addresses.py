"""Addresses that settings say a gateway listens on: IP addresses, and Unix sockets as `unix:PATH`."""

import ipaddress
import os
from collections.abc import Iterator
from typing import Final

import msgspec

from oto_trio.model.errors import Problem

__all__ = ["MOST_PATH_BYTES", "UNIX", "ListenAddress", "host_problem", "read_addresses"]

UNIX: Final = "unix:"
"""What the address of a Unix socket begins with, as nginx, gunicorn, uvicorn and hypercorn write it."""

MOST_PATH_BYTES: Final = 107
"""The longest path of a Unix socket: the kernel has 108 bytes for it, the last one is a NUL."""


class ListenAddress(msgspec.Struct, frozen=True):
    """One address to listen on.

    Attributes:
        host: An IP address without brackets, or a name where names are allowed; empty with a path.
        path: The whole path of a Unix socket; empty with a host.
        is_v6_only: Whether `::` leaves IPv4 clients to another address.
    """

    host: str = ""
    path: str = ""
    is_v6_only: bool = False

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.path or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def host_problem(path: str, host: str) -> Problem | None:
    """Say why no port of an entity can be opened on a host; None when it is an address.

    Args:
        path: Where the host stands in its entity.
        host: What stands there, without brackets.
    """
    try:
        ipaddress.ip_address(host)
    except ValueError:
        fix = "give an IPv4 or IPv6 address such as 0.0.0.0, without a port"
        return Problem(path, f"{host!r} is no address to listen on", fix)
    return None


def read_addresses(text: str, *, names: bool = False) -> tuple[ListenAddress, ...]:
    """Read a list of addresses, separated by commas: `127.0.0.1, [::1], unix:/run/oto-trio.sock`.

    A `::` takes IPv4 clients too, unless the list has an address of IPv4 for everybody.

    Args:
        text: The list.
        names: Whether host names may stand for addresses.

    Raises:
        ValueError: What is wrong with which of them, and what would be right.
    """
    found = tuple(dict.fromkeys(_read(part.strip(), names=names) for part in text.split(",")))
    if any(address.host == "0.0.0.0" for address in found):  # noqa: S104 (compared, not bound)
        return tuple(
            msgspec.structs.replace(address, is_v6_only=True) if address.host == "::" else address
            for address in found
        )
    return found


def _read(text: str, *, names: bool) -> ListenAddress:
    """Read one address."""
    if text.startswith(UNIX):
        path = text.removeprefix(UNIX)
        for problem in _path_problems(path):
            raise ValueError(f"{text!r}: {problem}")
        return ListenAddress(path=os.path.abspath(path))  # noqa: PTH100 (no link is followed)
    host = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        return ListenAddress(str(ipaddress.ip_address(host)))
    except ValueError:
        if names and host and not set(host) & set("/:[] "):
            return ListenAddress(host)
    raise ValueError(
        f"{text!r} is no address to listen on; give an IPv4 or IPv6 address such as 0.0.0.0 or [::1], "
        "without a port, or unix: and a path"
    )


def _path_problems(path: str) -> Iterator[str]:
    """Say what keeps a path from being that of a socket."""
    if not path or path.endswith("/"):
        yield "a path goes behind unix:, such as unix:/run/oto-trio.sock"
    if path.startswith("@") or "\0" in path:
        yield "give the path of a file; sockets without one are not supported"
    size = len(os.fsencode(os.path.abspath(path))) if "\0" not in path else 0  # noqa: PTH100
    if size > MOST_PATH_BYTES:
        yield f"the path has {size} bytes and a socket's may have {MOST_PATH_BYTES}; choose a shorter one"

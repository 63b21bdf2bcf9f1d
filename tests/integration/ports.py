"""Ports on loopback: free ones, and whether anybody listens."""

from __future__ import annotations

import random
import socket
from pathlib import Path
from typing import Final

import trio

__all__ = ["free_port", "free_ports", "is_open"]

_LOWEST: Final = 16_384
_EPHEMERAL: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")

_given: set[int] = set()
"""Ports that were given out: whoever was given one need not listen yet."""


def free_port() -> int:
    """Return a port that nobody listens on at present."""
    (port,) = free_ports(1)
    return port


def free_ports(count: int) -> list[int]:
    """Return so many ports that nobody listens on at present, no two of them the same.

    They lie below those that the kernel gives to sockets that ask for none: no client takes one before the listener
    that it is for. None is given twice.
    """
    above = int(_EPHEMERAL.read_text().split()[0])
    # Where the kernel gives out all of them, one of these has to do.
    choice = [it for it in range(_LOWEST, above) or range(_LOWEST, 65_536) if it not in _given]
    ports: list[int] = []
    for port in random.sample(choice, len(choice)):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        ports.append(port)
        if len(ports) == count:
            _given.update(ports)
            return ports
    msg = f"there are no {count} free ports from {choice[0]} to {choice[-1]}"
    raise OSError(msg)


async def is_open(port: int) -> bool:
    """Whether a connection to the port is taken."""
    try:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
    except OSError:
        return False
    await stream.aclose()
    return True

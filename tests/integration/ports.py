"""Ports on loopback: free ones, and whether anybody listens."""

from __future__ import annotations

import socket
from contextlib import ExitStack

import trio

__all__ = ["free_port", "free_ports", "is_open"]


def free_port() -> int:
    """Return a port that nobody listens on at present."""
    (port,) = free_ports(1)
    return port


def free_ports(count: int) -> list[int]:
    """Return so many ports that nobody listens on at present, no two of them the same."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


async def is_open(port: int) -> bool:
    """Whether a connection to the port is taken."""
    try:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
    except OSError:
        return False
    await stream.aclose()
    return True

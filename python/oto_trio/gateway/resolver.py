"""Looks up host names for the engine, which never blocks and so cannot do it itself.

The engine raises a `RESOLVE` event for a target whose addresses it does not know and lets the
exchanges for it wait. `Resolver.ask` queues the name; a few tasks look names up with the system's
resolver (in Trio's threads) and give the addresses back. No address means that the lookup failed,
and the engine fails over or answers 502.

Bounds: `LOOKUPS` at once, `WAITING` queued, `LOOKUP_TIMEOUT_S` each. A name that finds the queue full
fails at once: its exchanges would otherwise wait behind a resolver that is already overwhelmed.
"""

import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import trio

from oto_trio.plugin_api.names import LOOPBACK, is_local

__all__ = ["LOOKUPS", "LOOKUP_TIMEOUT_S", "WAITING", "Lookup", "Resolver", "system_lookup"]

logger = logging.getLogger(__name__)

LOOKUPS: Final = 8
"""Names looked up at once by one worker; well below the 40 threads Trio allows a run."""

WAITING: Final = 1024
"""Names that wait for a lookup."""

LOOKUP_TIMEOUT_S: Final = 5.0
"""What glibc's resolver waits for one server before it asks the next."""

Lookup: TypeAlias = Callable[[str], Awaitable[list[str]]]


async def system_lookup(hostname: str) -> list[str]:
    """Look a name up with the system's resolver.

    Names under `localhost` are loopback without asking anyone (RFC 6761 §6.3).

    Returns:
        Addresses in the system's order of preference, without duplicates.

    Raises:
        OSError: The name has no address, or the resolver failed.
        UnicodeError: The name cannot be a host name.

    Cancellation: the thread that waits for the resolver is left to end by itself.
    """
    if is_local(hostname):
        return list(LOOPBACK)
    found = await trio.socket.getaddrinfo(hostname, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class Resolver:
    """Looks up the names the engine asks for.

    Args:
        give: Called with the name and its addresses, from one of the resolver's tasks.
        lookup: How to look one name up.
    """

    def __init__(
        self, give: Callable[[str, list[str]], None], lookup: Lookup = system_lookup
    ) -> None:
        self._give = give
        self._lookup = lookup
        self._put, self._take = trio.open_memory_channel[str](WAITING)
        self._asked: set[str] = set()
        self.failures = 0
        """Lookups that failed since the start."""

    def ask(self, hostname: str) -> None:
        """Queue a name; one that is already being looked up is not queued again. Never blocks."""
        if hostname in self._asked:
            return
        try:
            self._put.send_nowait(hostname)
        except trio.WouldBlock:
            self.failures += 1
            logger.warning("%s is not looked up: %d names wait already", hostname, WAITING)
            self._give(hostname, [])
            return
        self._asked.add(hostname)

    async def run(self) -> None:
        """Look names up until cancelled."""
        async with trio.open_nursery() as nursery:
            for _ in range(LOOKUPS):
                nursery.start_soon(self._run_one)

    async def _run_one(self) -> None:
        """Look up one name after the other."""
        async for hostname in self._take:
            addresses: list[str] = []
            reason = f"no answer within {LOOKUP_TIMEOUT_S:g} s"
            try:
                with trio.move_on_after(LOOKUP_TIMEOUT_S):
                    addresses = await self._lookup(hostname)
                    reason = "it has no address"
            except (OSError, UnicodeError) as error:
                reason = str(error)
            if not addresses:
                self.failures += 1
                logger.warning("%s cannot be resolved: %s", hostname, reason)
            self._asked.discard(hostname)
            self._give(hostname, addresses)

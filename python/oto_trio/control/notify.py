"""Telling a service manager how the gateway is: ready, reloading, stopping, alive.

One datagram a message, to the socket that the manager names. Source: sd_notify(3).
"""

import logging
import socket
import time
from collections.abc import MutableMapping
from typing import Final

import trio

__all__ = ["Notifier"]

logger = logging.getLogger(__name__)

TRIES: Final = 20
"""How often a message is tried while the manager's queue is full, `TRY_S` each."""

TRY_S: Final = 0.05

_USEC: Final = 1_000_000


class Notifier:
    """Where a service manager wants to be told; tells nobody when there is none.

    Args:
        address: The manager's socket: a path, or `@` and the name of one without a file; empty for none.
        alive_s: How often it wants a sign of life; None for never.
    """

    def __init__(self, address: str = "", alive_s: float | None = None) -> None:
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._alive_s = alive_s
        self._has_failed = False

    @classmethod
    def taken_from(cls, environ: MutableMapping[str, str], pid: int) -> "Notifier":
        """Read and remove what a manager put into the environment: what workers say is not for it.

        Args:
            environ: The environment.
            pid: This process.
        """
        address = environ.pop("NOTIFY_SOCKET", "")
        usec, whose = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
        is_ours = usec.isdecimal() and int(usec) > 0 and whose in ("", str(pid))
        if address and not address.startswith(("/", "@")):
            logger.warning("NOTIFY_SOCKET is no path and no @name, and is not told anything")
            address = ""
        # Half of what it waits for, as the manual wants it.
        return cls(address, int(usec) / _USEC / 2 if is_ours else None)

    async def ready(self, status: str) -> None:
        """Tell that requests are taken; also after a reload."""
        await self._tell("READY=1", f"STATUS={status}")

    async def reloading(self) -> None:
        """Tell that the configuration is being read again; `ready` ends it."""
        now_usec = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        await self._tell("RELOADING=1", f"MONOTONIC_USEC={now_usec}")

    async def stopping(self, status: str) -> None:
        """Tell that the end has begun."""
        await self._tell("STOPPING=1", f"STATUS={status}")

    async def run(self) -> None:
        """Give signs of life until cancelled, if any are wanted. To be started after `ready`."""
        if self._alive_s is None or not self._address:
            return
        while True:
            self._send("WATCHDOG=1")
            await trio.sleep(self._alive_s)

    async def _tell(self, *lines: str) -> None:
        """Send one message. The gateway goes on when that fails, which is logged once."""
        for _ in range(TRIES):
            if self._send(*lines):
                return
            await trio.sleep(TRY_S)

    def _send(self, *lines: str) -> bool:
        """Send one message; tell whether it need not be tried again: the manager may have many to read."""
        if not self._address:
            return True
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.settimeout(0)
            try:
                sock.sendto("\n".join(lines).encode(), self._address)
            except BlockingIOError:
                return False
            except OSError as error:
                if not self._has_failed:
                    logger.warning("the service manager cannot be told of %s: %s", lines[0], error)
                self._has_failed = True
        return True

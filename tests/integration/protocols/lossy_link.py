"""A link between clients and a UDP port that loses datagrams, and lets some of them overtake others."""

from __future__ import annotations

import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

Address = tuple[str, int]
LATE_S = 0.005
"""How long a datagram may be late."""


class LossyLink:
    """Passes datagrams of clients on to a port, and its answers back, each client's from a socket of its own.

    Args:
        port: Where they are meant for.
        loss: The part that is lost, each way.
        late: The part that others may overtake, each way.
    """

    def __init__(self, port: int, loss: float, late: float) -> None:
        self.port = 0
        """Where clients send to."""
        self.passed = 0
        self.lost = 0
        self.overtaken = 0
        self._server = ("127.0.0.1", port)
        self._loss, self._late = loss, late
        self._luck = random.Random(5)
        self._sock = trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM)
        self._sides: dict[Address, trio.socket.SocketType] = {}

    async def run(self, task_status: trio.TaskStatus[None]) -> None:
        """Pass datagrams on until cancelled."""
        await self._sock.bind(("127.0.0.1", 0))
        self.port = self._sock.getsockname()[1]
        try:
            async with trio.open_nursery() as nursery:
                task_status.started()
                while True:
                    data, client = await self._sock.recvfrom(65536)
                    side = self._sides.get(client)
                    if side is None:
                        side = trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM)
                        await side.bind(("127.0.0.1", 0))
                        self._sides[client] = side
                        nursery.start_soon(self._bring_back, nursery, side, client)
                    self._carry(nursery, side, data, self._server)
        finally:
            for sock in (self._sock, *self._sides.values()):
                sock.close()

    async def _bring_back(
        self, nursery: trio.Nursery, side: trio.socket.SocketType, client: Address
    ) -> None:
        while True:
            data, _ = await side.recvfrom(65536)
            self._carry(nursery, self._sock, data, client)

    def _carry(self, nursery: trio.Nursery, sock: Any, data: bytes, to: Address) -> None:
        luck = self._luck.random()
        if luck < self._loss:
            self.lost += 1
            return
        is_late = luck < self._loss + self._late
        self.passed += 1
        self.overtaken += is_late
        nursery.start_soon(self._deliver, sock, data, to, LATE_S * is_late)

    async def _deliver(self, sock: Any, data: bytes, to: Address, late_s: float) -> None:
        if late_s:
            await trio.sleep(late_s)
        await sock.sendto(data, to)


@asynccontextmanager
async def lossy_link(
    port: int, *, loss: float = 0.03, late: float = 0.1
) -> AsyncGenerator[LossyLink]:
    """Run a link towards a UDP port of loopback."""
    link = LossyLink(port, loss, late)
    async with trio.open_nursery() as nursery:
        await nursery.start(link.run)
        yield link
        nursery.cancel_scope.cancel()

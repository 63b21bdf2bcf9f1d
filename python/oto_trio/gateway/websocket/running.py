"""Tasks for hooks that wait, on messages of WebSockets."""

import functools
from collections.abc import Awaitable, Callable

import trio

from oto_trio.gateway.faults import FaultLog
from oto_trio.plugin_api.websockets import Message, Reject, Watch

__all__ = ["Rejection", "SocketRunner"]


class Rejection:
    """A message that a plugin let go no further, for whoever keeps account of it.

    Args:
        watch: Whose messages they are.
        message: The message.
        answer: The plugin's word.
    """

    __slots__ = ("answer", "message", "watch")

    def __init__(self, watch: Watch, message: Message, answer: Reject) -> None:
        self.watch = watch
        self.message = message
        self.answer = answer


class SocketRunner:
    """Runs async hooks of WebSockets in a nursery.

    Args:
        nursery: Owns the tasks.
        clock: Reads the Trio clock.
        settle: Called when something was sent outside of a turn.
        faults: Logs what hooks raise.
    """

    def __init__(
        self,
        nursery: trio.Nursery,
        clock: Callable[[], float],
        settle: Callable[[], None],
        faults: FaultLog,
    ) -> None:
        self.clock = clock
        self.settle = settle
        self.failed = faults.log
        self.rejected: Callable[[Rejection], None] = _ignore
        """Called with each message that a plugin let go no further. Must not block."""
        self._nursery = nursery

    def start(self, run: Callable[[], Awaitable[None]]) -> trio.CancelScope:
        """Run something in a task; returns the scope it runs under."""
        scope = trio.CancelScope()
        self._nursery.start_soon(functools.partial(_within, scope, run))
        return scope


async def _within(scope: trio.CancelScope, run: Callable[[], Awaitable[None]]) -> None:
    with scope:
        await run()


def _ignore(_rejection: Rejection) -> None:
    """Do nothing: nobody keeps account of them."""

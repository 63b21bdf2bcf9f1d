"""The applications of a worker: found when they are first asked for, called for each request.

Place in the path
    A plugin names an application (`Exchange.mount`), and the engine treats it as a backend that speaks in streams:
    it tells of a connection for each application (`MOUNTED`) and of a call for each request. `MountSession` stands
    where the session of a connection would, and gives every call a task, cancelled when its client leaves.

What may be called
    Only what the static setting `mounts` names: a path to an application is code that is run.
"""

import importlib
import logging
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final

import trio

from oto_trio._core import FieldBlock
from oto_trio.gateway.faults import split_fault
from oto_trio.gateway.listeners.carried_engine import CallEngine
from oto_trio.gateway.mounts.asgi import AsgiApp
from oto_trio.gateway.mounts.call import Call, reason_of
from oto_trio.gateway.mounts.functions import FunctionApp
from oto_trio.gateway.mounts.wsgi import WsgiApp

__all__ = ["MountSession", "Mounts"]

logger = logging.getLogger(__name__)

THREADS: Final = 32
"""Requests of a worker that its WSGI applications and functions without `async` work on at once; more wait."""

IMPORT_S: Final = 60.0
"""How long the import of an application's module may take."""

SHUTDOWN_S: Final = 5.0
"""How long the applications of a worker that ends may take for their shutdown, all together."""

App = AsgiApp | WsgiApp | FunctionApp

_KINDS: Final[dict[str, Callable[[Any, trio.CapacityLimiter], App]]] = {
    "asgi": AsgiApp,
    "wsgi": WsgiApp,
    "function": FunctionApp,
}


class _CannotLoadError(Exception):
    """An application cannot be called; says why."""


def _names(pattern: str, place: str) -> bool:
    """Whether a pattern names an application.

    What a star stands for does not reach from a module's name into what that is: `shop.web:*` is not `shop.web:os.system`.
    """
    dots, most = (it.partition(":")[2].count(".") for it in (place, pattern))
    return fnmatchcase(place, pattern) and dots <= most


async def _imported(name: str) -> Any:
    """Import a module, in a thread of its own: one that hangs keeps no other waiting.

    Raises:
        TooSlowError: It takes longer than `IMPORT_S`; the thread goes on.

    Cancellation: likewise.
    """
    with trio.fail_after(IMPORT_S):
        return await trio.to_thread.run_sync(
            importlib.import_module, name, abandon_on_cancel=True, limiter=trio.CapacityLimiter(1)
        )


class Mounts:
    """What the sessions of a worker's applications share.

    Args:
        engine: Has the exchanges.
        nursery: Owns the tasks of calls.
        clock: Reads the Trio clock.
        wake: Has the engine turned soon. Must not block.
        allowed: Applications that may be called, as `package.module:name`; `*` stands for anything.
    """

    def __init__(
        self,
        engine: CallEngine,
        nursery: trio.Nursery,
        clock: Callable[[], float],
        wake: Callable[[], None],
        allowed: Sequence[str] = (),
    ) -> None:
        self.engine = engine
        self.nursery = nursery
        self.clock = clock
        self.wake = wake
        self.threads = trio.CapacityLimiter(THREADS)
        self._allowed = tuple(allowed)
        self._apps: dict[str, App | str] = {}
        self._loading: dict[str, trio.Event] = {}

    async def find(self, name: str) -> App:
        """Return an application, which is imported and started if nobody asked for it yet.

        Args:
            name: Its kind and its place, as in `asgi shop.web:app`.

        Raises:
            _CannotLoadError: It is not allowed, not there, or did not start; from then on.
        """
        await trio.lowlevel.checkpoint()
        if name not in self._apps:
            loading = self._loading.get(name)
            if loading is None:
                loading = self._loading[name] = trio.Event()
                # A task of its own: whoever asked first may leave, and the others wait for the same.
                self.nursery.start_soon(self._try, name, loading)
            await loading.wait()
        found = self._apps[name]
        if isinstance(found, str):
            raise _CannotLoadError(found)
        return found

    async def _try(self, name: str, loading: trio.Event) -> None:
        """Find an application, or why there is none."""
        try:
            self._apps[name] = await self._load(name)
        except _CannotLoadError as error:
            logger.error("the application %s cannot be called: %s", name, error)
            self._apps[name] = str(error)
        del self._loading[name]
        loading.set()

    async def _load(self, name: str) -> App:
        kind, _, place = name.partition(" ")
        if not any(_names(pattern, place) for pattern in self._allowed):
            raise _CannotLoadError(f"the setting mounts does not name {place}")
        module, _, attribute = place.partition(":")
        try:
            found: Any = await _imported(module)
            for step in attribute.split("."):
                found = getattr(found, step)
        except trio.TooSlowError:
            raise _CannotLoadError(
                f"{place}: importing {module} took longer than {IMPORT_S:g} s"
            ) from None
        except BaseException as error:  # whatever a module does when it is imported
            passing, fault = split_fault(error)
            if fault is None or passing is not None:
                raise
            raise _CannotLoadError(f"{place}: {reason_of(fault)}") from fault
        if not callable(found):
            raise _CannotLoadError(f"{place} is no application: it cannot be called")
        app = _KINDS[kind](found, self.threads)
        if isinstance(app, AsgiApp):
            problem = await app.start(self.nursery)
            if problem is not None:
                raise _CannotLoadError(f"{place} did not start: {problem}")
        return app

    async def close(self) -> None:
        """Let every application shut down, `SHUTDOWN_S` at most.

        Cancellation: the rest is not waited for.
        """
        with trio.move_on_after(SHUTDOWN_S):
            for app in list(self._apps.values()):
                if isinstance(app, AsgiApp):
                    await app.stop()


class MountSession:
    """The requests to one application, where a session of a connection would be.

    Args:
        mounts: What it shares with the others.
        conn: The engine's number of it.
        app: The application's kind and place.
        streams: Where it enters the engine's numbers of its calls.
    """

    is_over = False

    def __init__(self, mounts: Mounts, conn: int, app: str, streams: dict[int, Any]) -> None:
        self.conn = conn
        self._mounts = mounts
        self._app = app
        self._streams = streams
        self._calls: dict[int, Call] = {}

    def call(self, stream: int, fields: FieldBlock, ends: bool, _now: float) -> None:  # noqa: FBT001 (as the event has it)
        """Begin a task for a request."""
        mounts = self._mounts
        call = Call(mounts.engine, stream, fields, ends=ends, clock=mounts.clock, wake=mounts.wake)
        self._calls[stream] = call
        self._streams[stream] = self
        mounts.nursery.start_soon(self._run, call)

    async def _run(self, call: Call) -> None:
        """Call the application. Never raises but for the end of the worker."""
        try:
            with call.scope:
                try:
                    app = await self._mounts.find(self._app)
                except _CannotLoadError:
                    call.fail(502, "The application cannot be called; the gateway's log says why")
                    return
                try:
                    await app.answer(call)
                    if not call.is_begun:
                        raise RuntimeError("it returned without an answer")
                    call.end()
                except BaseException as error:
                    # One that is cancelled may fail besides, in tasks of its own: that is its fault too.
                    passing, fault = split_fault(error)
                    if fault is not None:
                        logger.error("the application %s failed", self._app, exc_info=fault)
                    if passing is not None:
                        raise passing from None
                    call.fail(500, "The application failed")
        finally:
            self._calls.pop(call.stream, None)
            self._streams.pop(call.stream, None)

    def data(self, stream: int, data: bytes, end: bool) -> None:  # noqa: FBT001 (as the event has it)
        """Hand on body of a request."""
        if (call := self._calls.get(stream)) is not None:
            call.push(data, ends=end)

    def trailers(self, stream: int, _fields: FieldBlock) -> None:
        """End a request; no kind of application can be told its trailers."""
        self.data(stream, b"", True)  # noqa: FBT003 (as the event has it)

    def broken(self, stream: int) -> None:
        """Nobody wants the answer any more: cancel the call."""
        if (call := self._calls.get(stream)) is not None:
            call.scope.cancel()

    def consumed(self, stream: int, count: int) -> None:
        """The client took so much of an answer."""
        if (call := self._calls.get(stream)) is not None:
            call.consumed(count)

    def lost(self, _now: float) -> None:
        """Cancel all calls: the engine ends."""
        for call in self._calls.values():
            call.scope.cancel()

    def fail(self, now: float) -> None:
        """Answer no more after a fault of the gateway: the engine makes another one for what comes. Idempotent."""
        mounts = self._mounts
        for call in list(self._calls.values()):
            call.scope.cancel()
            mounts.engine.break_stream(call.stream, False, now)  # noqa: FBT003 (positional only)
        mounts.engine.hang_up(self.conn, now)
        mounts.wake()

    def flush(self, now: float) -> None:
        """Do nothing: calls write when they have something."""

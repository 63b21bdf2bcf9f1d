"""Runs jq filters in processes of their own, a few at once.

Theory of operation
    libjq cannot be interrupted and has no bound on memory, and a filter may loop. So each run has a process to itself,
    one of a few that are started when they are first needed and kept. A run that takes too long, or whose caller is
    cancelled, costs its process, unless it answers within `LEAVE_S` of that: it is killed and waited for, and the next run
    has another one. Starting one takes a hundred times as long as most runs; if each caller that leaves cost one, those who come
    and go would make all others wait. A process that got too little memory ends by itself.

    Runs that wait take turns by what they are for, such as a route (`turns`).

    Whoever runs a filter does all the work for it in its own task; nothing runs beside. The processes belong to
    a `Filters`, and they are gone when it is closed.

Bounds
    Those of `JqBounds`, `turns.WAIT_S` and `child.MAX_FILTER_BYTES`. A process is replaced after `RUNS` runs.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, cast

import msgspec
import trio

from oto_trio.jq import child
from oto_trio.jq.bounds import JqBounds
from oto_trio.jq.errors import JqBoundError, JqError
from oto_trio.jq.process import NOT_STARTED, START_S, command, why_it_ended
from oto_trio.jq.turns import Turns

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

__all__ = [
    "LEAVE_S",
    "RUNS",
    "Filters",
    "bounds",
    "filter_bytes",
    "is_serving",
    "run",
    "serving",
]

LEAVE_S: Final = 0.05
"""How long a run goes on whose caller is cancelled, so that its process can be kept."""

RUNS: Final = 10_000
"""Runs of one process; what a filter leaves behind in it ends with it."""

_ALONE_S: Final = 1.0
"""How much longer than its run a process lives that nobody kills."""

_REAP_S: Final = 2.0
"""How long the kernel may take to end a process that was killed."""


class _Child:
    """One process."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process
        assert process.stdin is not None, "it was started with pipes"
        assert process.stdout is not None, "it was started with pipes"
        # Pipes; the types say no more than that they are streams.
        self._to = cast("trio.lowlevel.FdStream", process.stdin)
        self._from = process.stdout
        self._unsent = memoryview(b"")
        self._found = bytearray()
        self.runs = 0
        """How many it has done."""
        self.is_ending = False
        """Whether it said that it ends."""

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended by itself, or by somebody's hand."""
        return self._process.poll() is None

    async def is_ready(self) -> bool:
        """Wait until it can take requests; False when it ended, or says something else."""
        return await self._from.receive_some(1) == child.READY

    async def ask(self, most: int, *parts: bytes) -> tuple[int, bytes]:
        """Hand in a request and wait for what comes of it, of so many bytes at most.

        Raises:
            EOFError: The process ended, or does not keep to what was agreed.

        Cancellation: `go_on` goes on with it.
        """
        self.runs += 1
        self._unsent = memoryview(b"".join(parts))
        self._found = bytearray()
        return await self.go_on(most)

    async def go_on(self, most: int) -> tuple[int, bytes]:
        """Do what is left of `ask`; likewise."""
        await self._send()
        came, size = child.ANSWER.unpack(await self._have(child.ANSWER.size))
        if size > most:
            raise EOFError
        whole = await self._have(child.ANSWER.size + size)
        self.is_ending = bool(came & child.LAST)
        return came & ~child.LAST, bytes(memoryview(whole)[child.ANSWER.size :])

    async def _send(self) -> None:
        # The stream's own `send_all` does not tell how far it came when it is cancelled.
        await trio.lowlevel.checkpoint_if_cancelled()
        while self._unsent:
            try:
                sent = os.write(self._to.fileno(), self._unsent)
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self._to.fileno())
            except BrokenPipeError:
                raise EOFError from None
            else:
                self._unsent = self._unsent[sent:]

    async def _have(self, size: int) -> bytearray:
        """Read until there are so many bytes of the answer."""
        while len(self._found) < size:
            part = await self._from.receive_some(size - len(self._found))
            if not part:
                raise EOFError
            self._found += part
        return self._found

    async def end(self, *, may_finish: bool = False) -> int | None:
        """Kill the process and wait for its end; returns its exit status.

        Args:
            may_finish: Whether it ends by itself at this moment.
        """
        with trio.CancelScope(shield=True):
            if may_finish:
                with trio.move_on_after(_REAP_S):
                    await self._process.wait()
            self._process.kill()
            with trio.move_on_after(_REAP_S):
                await self._process.wait()
            await self._to.aclose()
            await self._from.aclose()
        return self._process.returncode


class Filters:
    """Runs filters.

    Args:
        bounds: What they may use.

    Used by any number of tasks of one Trio run; close it with `aclose` when none of them is left.
    """

    def __init__(self, bounds: JqBounds | None = None) -> None:
        self.bounds = JqBounds() if bounds is None else bounds
        """What filters may use."""
        self._turns = Turns(self.bounds.processes, self.bounds.waiting)
        self._idle: list[_Child] = []
        self._is_closed = False
        self._runs = self._failures = self._stopped = 0

    @property
    def idle(self) -> list[int]:
        """The numbers of the processes that wait for work."""
        return [one.pid for one in self._idle]

    @property
    def waiting(self) -> int:
        """How many runs wait for a process."""
        return self._turns.waiting

    def metrics(self) -> dict[str, int]:
        """Return how many filters were to be run, how many failed, and how many of these by a bound."""
        return {
            "filter_runs": self._runs,
            "filter_failures": self._failures,
            "filters_stopped": self._stopped,
        }

    async def run(
        self,
        filter_text: str,
        document: bytes,
        names: Mapping[str, bytes] | None = None,
        *,
        whose: str = "",
    ) -> list[bytes]:
        """Run a filter on a document.

        Args:
            filter_text: The filter.
            document: One JSON value.
            names: JSON values that the filter knows as ``$name``; the names are Python identifiers of ASCII.
            whose: What it is run for, such as the id of a route. While runs wait, each gets as much of the processes' time.

        Returns:
            The outputs, each a JSON text in one line.

        Raises:
            JqError: It is no filter, the document is no JSON, or the filter fails; with its own words.
            JqBoundError: It takes too long, too much memory, or makes too much; or the document is too long.
            JqBusyError: Too many filters run already, or wait of those that this one is of.

        Cancellation: what is left of the run may take `LEAVE_S`, then the filter's process is killed.

        Cost: some 0.1 ms beside the filter's own time; see ``docs/jq.md``.
        """
        self._runs += 1
        try:
            return await self._run(filter_text, document, names or {}, whose)
        except JqError as error:
            self._failures += 1
            self._stopped += isinstance(error, JqBoundError)
            raise

    async def aclose(self) -> None:
        """End the processes. No filter runs afterwards."""
        self._is_closed = True
        while self._idle:
            await self._idle.pop().end()

    # ------------------------------------------------------------------------- one run

    async def _run(
        self, filter_text: str, document: bytes, names: Mapping[str, bytes], whose: str
    ) -> list[bytes]:
        head, *parts = self._request(filter_text, document, names)
        await self._turns.begin(whose)
        try:
            one = await self._take()
            came, body = await self._ask(one, head, *parts)
        finally:
            self._turns.end(whose)
        if came == child.FAILED:
            raise JqError(body.decode(errors="replace"))
        if came == child.TOO_MUCH:
            raise JqBoundError(f"the filter makes more than {self.bounds.output_bytes} bytes")
        return body.split(b"\n") if body else []

    def _request(
        self, filter_text: str, document: bytes, names: Mapping[str, bytes]
    ) -> tuple[bytes, ...]:
        """Return what a process is told."""
        if self._is_closed:
            raise trio.ClosedResourceError
        if len(document) > self.bounds.document_bytes:
            most = self.bounds.document_bytes
            raise JqBoundError(f"the document is longer than the {most} bytes it may have")
        text = filter_bytes(filter_text)
        named = ",".join(names).encode()
        values = msgspec.json.encode({name: msgspec.Raw(value) for name, value in names.items()})
        head = child.REQUEST.pack(
            *(child.RUN, len(text), len(named), len(document), len(values)),
            *(self.bounds.output_bytes, self.bounds.timeout_s + _ALONE_S),
        )
        return head, text, named, document, values

    async def _take(self) -> _Child:
        """Return a process that waits for work."""
        while self._idle:
            one = self._idle.pop()
            if one.is_alive and one.runs < RUNS:
                return one
            await one.end()
        return await self._start()

    async def _start(self) -> _Child:
        try:
            process = await trio.lowlevel.open_process(
                command(self.bounds.memory_bytes),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={},
            )
        except OSError as error:
            raise JqError(NOT_STARTED) from error
        one = _Child(process)
        is_ready = False
        try:
            with trio.move_on_after(START_S):
                is_ready = await one.is_ready()
        finally:
            if not is_ready:
                await one.end()
        if not is_ready:
            raise JqError(NOT_STARTED)
        return one

    async def _ask(self, one: _Child, *parts: bytes) -> tuple[int, bytes]:
        """Have a process do a run; it is kept if it can be."""
        is_kept = has_ended = False
        status: int | None = None
        answer = (child.FAILED, b"")
        most = child.most_bytes(self.bounds.output_bytes)
        time = trio.CancelScope(deadline=trio.current_time() + self.bounds.timeout_s)
        try:
            with time:
                try:
                    answer = await one.ask(most, *parts)
                    is_kept = self._may_keep(one)
                except trio.Cancelled:
                    if not time.cancel_called:
                        is_kept = await self._leave(one, most, time.deadline)
                    raise
        except EOFError:
            has_ended = True
        finally:
            if is_kept:
                self._idle.append(one)
            else:
                status = await one.end(may_finish=has_ended or one.is_ending)
        if has_ended:
            raise JqBoundError(why_it_ended(status))
        if time.cancelled_caught:
            raise JqBoundError(f"the filter takes longer than {self.bounds.timeout_s:g} s")
        return answer

    def _may_keep(self, one: _Child) -> bool:
        return not self._is_closed and not one.is_ending

    async def _leave(self, one: _Child, most: int, deadline: float) -> bool:
        """Let a run end that nobody waits for; tells whether its process can be kept."""
        deadline = min(deadline, trio.current_time() + LEAVE_S)
        with suppress(EOFError), trio.CancelScope(shield=True, deadline=deadline):
            await one.go_on(most)
            return self._may_keep(one)
        return False


def filter_bytes(text: str) -> bytes:
    """Return a filter as a process reads it.

    Raises:
        JqError: It is too long, or holds what no filter does.
    """
    try:
        found = text.encode()
    except UnicodeEncodeError:
        raise JqError("the filter holds half a character") from None
    if len(found) > child.MAX_FILTER_BYTES:
        raise JqError(f"the filter is longer than {child.MAX_FILTER_BYTES} bytes")
    if b"\0" in found:
        raise JqError("the filter holds a NUL")
    return found


# ------------------------------------------------------------------------- those of a worker

_CURRENT: ContextVar[Filters | None] = ContextVar("oto_trio.jq", default=None)


@asynccontextmanager
async def serving(filters: Filters | JqBounds | None = None) -> AsyncGenerator[Filters]:
    """Let this task, and those it starts from now on, run filters.

    Args:
        filters: What runs them, or what they may use.

    Closes: the processes.
    """
    if not isinstance(filters, Filters):
        filters = Filters(filters)
    token = _CURRENT.set(filters)
    try:
        yield filters
    finally:
        _CURRENT.reset(token)
        await filters.aclose()


def is_serving() -> bool:
    """Tell whether this task can `run` filters."""
    return _CURRENT.get() is not None


async def run(
    filter_text: str,
    document: bytes,
    names: Mapping[str, bytes] | None = None,
    *,
    whose: str = "",
) -> list[bytes]:
    """Run a filter with the processes of this worker; see `Filters.run`.

    Raises:
        RuntimeError: This task is not within `serving`.
    """
    return await _current().run(filter_text, document, names, whose=whose)


def bounds() -> JqBounds:
    """Return what filters of this worker may use.

    Raises:
        RuntimeError: This task is not within `serving`.
    """
    return _current().bounds


def _current() -> Filters:
    filters = _CURRENT.get()
    if filters is None:
        raise RuntimeError("no filters run here; open oto_trio.jq.serving() around this task")
    return filters

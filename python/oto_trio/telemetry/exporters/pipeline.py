"""From events to batches that are sent: queue, filter, projection, groups, retries.

    offer ── bounded queue ── enrich ── filter ── project ── group ── send, again when it fails

The queue drops its oldest event when it is full, and counts it; nobody who offers events ever waits. A batch that
cannot be sent is tried again with growing pauses, `ATTEMPTS` times in all, and then lost and counted: while it waits
the queue fills and drops, so a sink that is gone costs a bounded amount of memory. So it does while jq filters of a
projection run, one after the other.
"""

from __future__ import annotations

import logging
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec
import trio

from oto_trio.jq import JqBoundError, projected
from oto_trio.model.matching import matches
from oto_trio.model.projection import has_filters, project
from oto_trio.telemetry.events.identity import enriched
from oto_trio.telemetry.exporters.base import ExportError

if TYPE_CHECKING:
    from oto_trio.jq import Filters, JqError
    from oto_trio.model.data_exporter import DataExporter
    from oto_trio.telemetry.events.identity import Event, Instance
    from oto_trio.telemetry.exporters.base import Exporter

__all__ = ["ATTEMPTS", "Pipeline"]

logger = logging.getLogger(__name__)

ATTEMPTS: Final = 6
"""How often a batch is tried."""

FIRST_PAUSE_S: Final = 0.5
"""Pause after the first failure; each next one is twice as long."""

MOST_PAUSE_S: Final = 10.0
"""The longest pause."""

SEND_TIMEOUT_S: Final = 60.0
"""How long one attempt may take."""


class Pipeline:
    """What stands in front of one exporter.

    Args:
        entity: Its settings.
        exporter: Sends the batches; closed when `run` ends.
        instance: Where this gateway stands.
        filters: Runs the jq filters of the projection; without it they give null.
    """

    def __init__(
        self,
        entity: DataExporter,
        exporter: Exporter[Any],
        instance: Instance,
        filters: Filters | None = None,
    ) -> None:
        self.entity = entity
        self._filters = filters if has_filters(entity.projection) else None
        self._exporter = exporter
        self._instance = instance
        self._queue: deque[Event] = deque()
        self._news = trio.Event()
        self._is_closing = False
        self._is_failing = False
        self._is_at_fault = False
        self._has_lost_one = False
        senders = entity.send_workers if exporter.is_concurrent else 1
        self._senders = trio.Semaphore(min(senders, 64))
        self.dropped = 0
        """Events lost because the queue was full."""
        self._lost = 0
        self._sent = 0
        self.ended = trio.Event()
        """Set once `run` is over and the exporter is closed."""

    @property
    def waiting(self) -> int:
        """Events in the queue."""
        return len(self._queue)

    @property
    def lost(self) -> int:
        """Events lost because they could not be sent, also at the end."""
        return self._lost + self._exporter.left_out

    @property
    def sent(self) -> int:
        """Events sent."""
        return self._sent - self._exporter.left_out

    def offer(self, event: Event) -> None:
        """Take an event; never blocks. The event must not be changed afterwards."""
        if self._is_closing:
            self.dropped += 1
            return
        if len(self._queue) >= self.entity.buffer_size:
            self._queue.popleft()
            self.dropped += 1
        self._queue.append(event)
        self._news.set()

    def close(self) -> None:
        """Take no more events; `run` sends what there is and ends."""
        self._is_closing = True
        self._news.set()

    async def run(self) -> None:
        """Send events until closed.

        Cancellation: what is not sent is lost, and counted.

        Closes: the exporter.
        """
        try:
            async with trio.open_nursery() as nursery:
                while await self._group():
                    size = self.entity.group_size
                    events = [self._queue.popleft() for _ in range(min(size, len(self._queue)))]
                    waiting = len(events)
                    try:
                        lines = await self._prepare(events)
                        if not lines:
                            continue
                        waiting = len(lines)
                        await self._senders.acquire()
                    except trio.Cancelled:
                        self._lost += waiting
                        raise
                    nursery.start_soon(self._send, lines)
        finally:
            self._lost += len(self._queue)
            self._queue.clear()
            with trio.CancelScope(shield=True), trio.move_on_after(1.0):
                await self._exporter.aclose()
            if self.lost:
                logger.warning(
                    "exporter %s ends with %d events lost: they could not be sent",
                    *(self.entity.id, self.lost),
                )
            self.ended.set()

    async def _group(self) -> bool:
        """Wait until a batch is full or has waited long enough; False when all is over."""
        while not self._queue:
            if self._is_closing:
                return False
            await self._wait()
        with trio.move_on_after(self.entity.group_duration / 1000):
            while len(self._queue) < self.entity.group_size and not self._is_closing:
                await self._wait()
        return True

    async def _wait(self) -> None:
        self._news = trio.Event()
        await self._news.wait()

    async def _prepare(self, events: list[Event]) -> list[bytes]:
        """Enrich, filter and project events, and write them as JSON. Waits only for jq filters."""
        lines: list[bytes] = []
        lost = 0
        for event in events:
            try:
                line = await self._line(event)
            except Exception:
                # A fault of ours; the event is lost, the exporter goes on, and the gateway with it.
                lost += 1
                if not self._has_lost_one:
                    self._has_lost_one = True
                    logger.exception("exporter %s cannot prepare an event", self.entity.id)
            else:
                if line is not None:
                    lines.append(line)
        # Not before: whoever is cancelled here counts them all.
        self._lost += lost
        return lines

    async def _line(self, event: Event) -> bytes | None:
        """Return an event as it is sent; None when it is not wanted."""
        full = enriched(dict(event), self._instance)
        if not self._takes(full):
            return None
        source, blueprint = cast("object", full), self.entity.projection
        if self._filters is None:
            shown = project(source, blueprint)
        else:
            run = partial(self._filters.run, whose=self.entity.id)
            shown = await projected(source, blueprint, run, self._note_fault)
        return msgspec.json.encode(shown)

    def _note_fault(self, error: JqError) -> None:
        """Log the first filter that fails; what jq says of it may hold parts of the event."""
        if not self._is_at_fault:
            self._is_at_fault = True
            what = error.message if isinstance(error, JqBoundError) else "it cannot take an event"
            logger.warning(
                "a filter in the projection of exporter %s gives null: %s", self.entity.id, what
            )

    def _takes(self, event: Event) -> bool:
        filtering = self.entity.filtering
        if filtering.include and not any(matches(event, wanted) for wanted in filtering.include):
            return False
        return not any(matches(event, unwanted) for unwanted in filtering.exclude)

    async def _send(self, lines: list[bytes]) -> None:
        """Send a batch, again and again if need be."""
        is_sent = False
        try:
            pause_s = FIRST_PAUSE_S
            for attempt in range(ATTEMPTS):
                is_sent = await self._try(lines)
                if is_sent:
                    return
                if attempt < ATTEMPTS - 1:
                    await trio.sleep(pause_s)
                    pause_s = min(pause_s * 2, MOST_PAUSE_S)
        finally:
            self._senders.release()
            if is_sent:
                self._sent += len(lines)
            else:
                self._lost += len(lines)

    async def _try(self, lines: list[bytes]) -> bool:
        """Send a batch once; tell whether that worked. A fault is logged once until it works again."""
        try:
            with trio.fail_after(SEND_TIMEOUT_S):
                await self._exporter.send(lines)
        except (ExportError, trio.TooSlowError) as error:
            if not self._is_failing:
                what = error.message if isinstance(error, ExportError) else "it took too long"
                logger.error("exporter %s cannot send: %s", self.entity.id, what)
            self._is_failing = True
            return False
        except Exception:
            # A fault of ours; the batch is lost, the exporter goes on.
            if not self._is_failing:
                logger.exception("exporter %s failed", self.entity.id)
            self._is_failing = True
            return False
        if self._is_failing:
            logger.info("exporter %s sends again", self.entity.id)
        self._is_failing = False
        return True

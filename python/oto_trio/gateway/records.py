"""Takes access records out of the engine's ring.

The engine writes one record for each exchange into a bounded ring and counts those it had to drop
because the ring was full; it never waits. This task empties the ring a few times a second. When
nobody wants records they are discarded here, so that the drop counter keeps meaning "lost".
"""

from collections.abc import Callable
from typing import Final

import msgspec
import trio

from oto_trio.gateway.access_log import write_access_log
from oto_trio.gateway.engine import Engine
from oto_trio.gateway.frames import Alerts, Records, TcpRecords, UpFrame, WebsocketRecords
from oto_trio.gateway.link import Outbox
from oto_trio.gateway.websocket.running import Rejection
from oto_trio.telemetry.events.websocket_event import WebsocketRecord
from oto_trio.telemetry.logs import lost_lines

__all__ = ["DRAIN_INTERVAL_S", "NO_RECORDS", "RECORDS_PER_BATCH", "RecordDrain"]

DRAIN_INTERVAL_S: Final = 0.1
"""At 50,000 requests a second 5,000 records gather between two drains."""

RECORDS_PER_BATCH: Final = 2048
"""About 1 MB of records at 500 bytes each: one frame."""

NO_RECORDS: Final = b"\x90"
"""An empty msgpack array: what the engine gives when its ring is empty."""

REJECTIONS: Final = 512
"""Refused messages of WebSockets that are kept between two drains; further ones are counted as a lost batch."""

SHOWN: Final = 1024
"""Characters of a refused message that its event shows."""


class RecordDrain:
    """Moves access records from the engine to the link.

    Args:
        engine: Whose ring is emptied.
        outbox: Where batches go; a batch that finds it full is dropped and counted.
        forward: Whether anybody wants the records.
        unix_offset_s: Tells how far Unix time is ahead of the engine's time, in seconds.
    """

    def __init__(
        self,
        engine: Engine,
        outbox: Outbox[UpFrame],
        *,
        forward: bool,
        unix_offset_s: Callable[[], float],
    ) -> None:
        self._engine = engine
        self._outbox = outbox
        self.forward = forward
        """Whether anybody wants the records; may change while it runs."""
        self._unix_offset_s = unix_offset_s
        self._rejections: list[WebsocketRecord] = []
        self.batches_dropped = 0
        """Batches lost because the supervisor did not take them fast enough; also of alerts."""

    def metrics(self) -> dict[str, int]:
        """Return what was lost on the way out of this process, its log included."""
        return {
            "record_batches_dropped": self.batches_dropped,
            "log_lines_dropped": lost_lines(),
        }

    def refused(self, rejection: Rejection) -> None:
        """Note a message of a WebSocket that a plugin refused. Never blocks."""
        if not self.forward:
            return
        if len(self._rejections) >= REJECTIONS:
            self.batches_dropped += 1
            return
        watch, message, answer = rejection.watch, rejection.message, rejection.answer
        data = message.data
        shown = data[:SHOWN] if isinstance(data, str) else data[: SHOWN // 2].hex()
        self._rejections.append(
            WebsocketRecord(
                trio.current_time(),
                watch.route_id,
                watch.route_name,
                watch.url,
                watch.target,
                shown,
                message.size,
                answer.code,
                answer.reason,
            )
        )

    def drain(self) -> None:
        """Empty the ring once; at most what it held at the start of the call."""
        while (batch := self._engine.drain_records(RECORDS_PER_BATCH)) != NO_RECORDS:
            if self.forward and not self._outbox.offer(Records(batch, self._unix_offset_s())):
                self.batches_dropped += 1
        while (batch := self._engine.drain_tcp_records(RECORDS_PER_BATCH)) != NO_RECORDS:
            if self.forward and not self._outbox.offer(TcpRecords(batch, self._unix_offset_s())):
                self.batches_dropped += 1
        if self._rejections:
            batch = msgspec.msgpack.encode(self._rejections)
            self._rejections.clear()
            if not self._outbox.offer(WebsocketRecords(batch, self._unix_offset_s())):
                self.batches_dropped += 1
        alerts = self._engine.drain_alerts()
        if alerts != NO_RECORDS and not self._outbox.offer(Alerts(alerts, self._unix_offset_s())):
            self.batches_dropped += 1

    async def run(self) -> None:
        """Empty the ring again and again until cancelled, and once more then; write the access log of listeners."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(write_access_log, self._engine)
            try:
                while True:
                    await trio.sleep(DRAIN_INTERVAL_S)
                    self.drain()
            finally:
                self.drain()

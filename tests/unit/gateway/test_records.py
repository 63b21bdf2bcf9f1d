"""Access records on their way from the engine to the link."""

import trio
import trio.testing

from oto_trio.gateway.frames import Alerts, Records, UpFrame, WebsocketRecords
from oto_trio.gateway.link import LinkClosedError, Outbox, supervisor_end, worker_end
from oto_trio.gateway.records import DRAIN_INTERVAL_S, REJECTIONS, SHOWN, RecordDrain
from oto_trio.gateway.websocket.running import Rejection
from oto_trio.plugin_api import Message, Reject
from oto_trio.plugin_api.websockets import Watch
from oto_trio.telemetry.events.websocket_event import read_websocket_records
from oto_trio.testing.exchange import FakeExchange
from oto_trio.testing.scripted_engine import ScriptedEngine


async def sent(outbox: Outbox[UpFrame]) -> list[UpFrame]:
    ours, theirs = trio.testing.memory_stream_pair()
    outbox.finish()
    await outbox.run(worker_end(theirs))
    await theirs.aclose()
    frames: list[UpFrame] = []
    link = supervisor_end(ours)
    try:
        while True:
            frames.append(await link.receive())
    except LinkClosedError:
        return frames


async def test_all_batches_in_the_ring_are_forwarded(engine: ScriptedEngine) -> None:
    outbox: Outbox[UpFrame] = Outbox(8)
    engine.records.extend([b"\x91\x01", b"\x91\x02"])
    RecordDrain(engine, outbox, forward=True, unix_offset_s=lambda: 5.0).drain()
    assert await sent(outbox) == [Records(b"\x91\x01", 5.0), Records(b"\x91\x02", 5.0)]


async def test_nobody_wants_them_they_are_discarded_and_not_counted_as_lost(
    engine: ScriptedEngine,
) -> None:
    outbox: Outbox[UpFrame] = Outbox(8)
    drain = RecordDrain(engine, outbox, forward=False, unix_offset_s=lambda: 5.0)
    engine.records.extend([b"\x91\x01", b"\x91\x02"])
    drain.drain()
    assert not engine.records
    assert drain.batches_dropped == 0
    assert await sent(outbox) == []


async def test_batches_the_supervisor_does_not_take_are_counted(engine: ScriptedEngine) -> None:
    drain = RecordDrain(engine, Outbox(1), forward=True, unix_offset_s=lambda: 5.0)
    engine.records.extend([b"\x91\x01", b"\x91\x02", b"\x91\x03"])
    drain.drain()
    assert drain.batches_dropped == 2


async def test_the_ring_is_emptied_again_and_again_and_once_more_at_the_end(
    engine: ScriptedEngine, autojump_clock: trio.testing.MockClock
) -> None:
    outbox: Outbox[UpFrame] = Outbox(8)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(RecordDrain(engine, outbox, forward=True, unix_offset_s=lambda: 5.0).run)
        engine.records.append(b"\x91\x01")
        await trio.sleep(2 * DRAIN_INTERVAL_S)
        assert not engine.records
        engine.records.append(b"\x91\x02")
        nursery.cancel_scope.cancel()
    assert await sent(outbox) == [Records(b"\x91\x01", 5.0), Records(b"\x91\x02", 5.0)]


async def test_alerts_are_sent_although_nobody_wants_records(engine: ScriptedEngine) -> None:
    outbox: Outbox[UpFrame] = Outbox(1)
    drain = RecordDrain(engine, outbox, forward=False, unix_offset_s=lambda: 5.0)
    engine.alerts.extend([b"\x91\x01", b"\x91\x02"])
    drain.drain()
    drain.drain()
    assert drain.batches_dropped == 1
    assert await sent(outbox) == [Alerts(b"\x91\x01", 5.0)]


def rejection(text: str | bytes) -> Rejection:
    return Rejection(Watch(FakeExchange()), Message(text), Reject(1008, "no"))


async def test_refused_messages_are_forwarded_shortened_and_bounded(engine: ScriptedEngine) -> None:
    outbox: Outbox[UpFrame] = Outbox(8)
    drain = RecordDrain(engine, outbox, forward=True, unix_offset_s=lambda: 5.0)
    drain.refused(rejection("x" * 2000))
    drain.refused(rejection(b"\xff" * 2000))
    drain.drain()
    drain.drain()
    (frame,) = await sent(outbox)
    assert isinstance(frame, WebsocketRecords)
    first, second = read_websocket_records(frame.batch)
    assert (first.frame, first.size) == ("x" * SHOWN, 2000)
    assert (second.frame, second.size) == ("ff" * (SHOWN // 2), 2000)
    for _ in range(REJECTIONS):
        drain.refused(rejection("a"))
    assert drain.batches_dropped == 0
    drain.refused(rejection("a"))
    assert drain.batches_dropped == 1


async def test_refused_messages_that_nobody_wants_are_not_kept(engine: ScriptedEngine) -> None:
    outbox: Outbox[UpFrame] = Outbox(8)
    drain = RecordDrain(engine, outbox, forward=False, unix_offset_s=lambda: 5.0)
    drain.refused(rejection("a"))
    drain.drain()
    assert await sent(outbox) == []

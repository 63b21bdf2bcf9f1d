"""The link: frames over a byte stream."""

import struct

import msgspec
import pytest
import trio
import trio.testing

from oto_trio.gateway import link as link_module
from oto_trio.gateway.frames import (
    Applied,
    DownFrame,
    Drain,
    Health,
    Hello,
    ProblemReport,
    Ready,
    UpFrame,
)
from oto_trio.gateway.link import (
    Link,
    LinkClosedError,
    LinkProtocolError,
    Outbox,
    supervisor_end,
    worker_end,
)

Ends = tuple[Link[UpFrame, DownFrame], Link[DownFrame, UpFrame]]


@pytest.fixture
def ends() -> Ends:
    ours, theirs = trio.testing.memory_stream_pair()
    return supervisor_end(ours), worker_end(theirs)


async def test_frames_arrive_in_order_in_both_directions(ends: Ends) -> None:
    supervisor, worker = ends
    await worker.send(Hello(1, 42))
    await worker.send(Applied(7, 3))
    await supervisor.send(Drain(2.5))
    assert await supervisor.receive() == Hello(1, 42)
    assert await supervisor.receive() == Applied(7, 3)
    assert await worker.receive() == Drain(2.5)


@pytest.mark.parametrize("size", [1, 3, 4, 5, 1000])
async def test_a_frame_is_put_together_from_any_pieces(size: int) -> None:
    body = msgspec.msgpack.encode(ProblemReport("route", "r1", "x" * 200))
    wire = 2 * (struct.pack(">I", len(body)) + body)
    send, receive = trio.testing.memory_stream_one_way_pair()
    link = supervisor_end(trio.StapledStream(send, receive))
    frames: list[UpFrame] = []

    async def take() -> None:
        frames.extend([await link.receive(), await link.receive()])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take)
        for start in range(0, len(wire), size):
            await send.send_all(wire[start : start + size])
            await trio.testing.wait_all_tasks_blocked()
    assert frames == 2 * [ProblemReport("route", "r1", "x" * 200)]


async def test_a_closed_link_is_told_to_both_sides(ends: Ends) -> None:
    supervisor, worker = ends
    await worker.aclose()
    with pytest.raises(LinkClosedError):
        await supervisor.receive()
    with pytest.raises(LinkClosedError):
        await supervisor.send(Drain(1))
    with pytest.raises(LinkClosedError):
        await worker.receive()
    with pytest.raises(LinkClosedError):
        await worker.send(Ready())


async def test_a_link_that_ends_in_the_middle_of_a_frame_is_closed() -> None:
    send, receive = trio.testing.memory_stream_one_way_pair()
    link = supervisor_end(trio.StapledStream(send, receive))
    await send.send_all(struct.pack(">I", 100) + b"half")
    await send.aclose()
    with pytest.raises(LinkClosedError):
        await link.receive()


async def test_a_frame_that_is_announced_too_large_is_refused_unread() -> None:
    send, receive = trio.testing.memory_stream_one_way_pair()
    link = supervisor_end(trio.StapledStream(send, receive))
    await send.send_all(struct.pack(">I", link_module.MAX_FRAME_BYTES + 1))
    with pytest.raises(LinkProtocolError, match="announced"):
        await link.receive()


async def test_a_frame_that_is_too_large_is_not_sent(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "MAX_FRAME_BYTES", 64)
    supervisor, worker = ends
    with pytest.raises(LinkProtocolError, match="ProblemReport frame of"):
        await worker.send(ProblemReport("route", "r1", "x" * 100))
    await worker.send(Ready())
    assert await supervisor.receive() == Ready()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        msgspec.msgpack.encode({"type": "unheard-of"}),
        msgspec.msgpack.encode({"type": "hello", "protocol": "one", "pid": 1}),
        msgspec.msgpack.encode(Drain(1)),
    ],
    ids=["empty", "no msgpack", "unknown", "wrong type", "other direction"],
)
async def test_what_is_no_frame_is_refused(body: bytes) -> None:
    send, receive = trio.testing.memory_stream_one_way_pair()
    link = supervisor_end(trio.StapledStream(send, receive))
    await send.send_all(struct.pack(">I", len(body)) + body)
    with pytest.raises(LinkProtocolError, match="not understood"):
        await link.receive()


async def test_a_cancelled_receive_loses_nothing(ends: Ends) -> None:
    supervisor, worker = ends
    with trio.move_on_after(0):
        await supervisor.receive()
    await worker.send(Ready())
    assert await supervisor.receive() == Ready()


async def test_an_outbox_sends_what_is_put_and_ends_when_finished(ends: Ends) -> None:
    supervisor, worker = ends
    outbox: Outbox[UpFrame] = Outbox(4)
    await outbox.put(Ready())
    assert outbox.offer(Health(1, 0.0))
    outbox.finish()
    await outbox.run(worker)
    assert outbox.finished.is_set()
    assert await supervisor.receive() == Ready()
    assert await supervisor.receive() == Health(1, 0.0)


async def test_an_offer_to_a_full_outbox_is_dropped_and_counted() -> None:
    outbox: Outbox[UpFrame] = Outbox(1)
    assert outbox.offer(Ready())
    assert not outbox.offer(Ready())
    assert outbox.dropped == 1


async def test_a_put_into_a_full_outbox_waits(ends: Ends) -> None:
    _, worker = ends
    outbox: Outbox[UpFrame] = Outbox(1)
    await outbox.put(Ready())
    with trio.move_on_after(0.01) as waited:
        await outbox.put(Ready())
    assert waited.cancelled_caught
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outbox.run, worker)
        await outbox.put(Ready())
        outbox.finish()


async def test_an_outbox_whose_writer_ended_takes_nothing(ends: Ends) -> None:
    supervisor, worker = ends
    outbox: Outbox[UpFrame] = Outbox(4)
    await supervisor.aclose()
    await outbox.put(Ready())
    with pytest.raises(LinkClosedError):
        await outbox.run(worker)
    assert outbox.finished.is_set()
    with pytest.raises(LinkClosedError):
        await outbox.put(Ready())
    assert not outbox.offer(Ready())


async def test_a_closed_outbox_takes_nothing() -> None:
    outbox: Outbox[UpFrame] = Outbox(4)
    outbox.close()
    outbox.close()
    with pytest.raises(LinkClosedError):
        await outbox.put(Ready())

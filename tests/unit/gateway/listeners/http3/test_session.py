"""Sessions over a network in memory, with aioquic's client and an engine that only remembers."""

from __future__ import annotations

import pytest
from aioquic.h3.connection import FrameType, encode_frame

from oto_trio._core import FieldBlock
from oto_trio.gateway.listeners.http3 import Http3Limits
from tests.unit.gateway.listeners.http3.played import HEAD, OK, World


@pytest.fixture
def world() -> World:
    return World()


def test_a_request_and_its_whole_answer(world: World) -> None:
    stream = world.ask()
    assert world.run(lambda: world.engine.opened)
    assert world.engine.opened[0] == FieldBlock(HEAD)
    world.session.answer(1, OK, b"hello")
    world.flush()
    assert world.run(lambda: stream in world.client.over)
    assert world.client.bodies[stream] == b"hello"
    assert world.session.open_streams == 0
    assert world.streams == {}


def test_a_request_whose_end_comes_behind_its_head_has_no_body(world: World) -> None:
    stream = world.ask(body=b"", end=False)
    world.net.run(most_s=1)
    assert not world.engine.opened
    world.client.link.state.send_stream_data(stream, b"", end_stream=True)
    world.client.link.transmit(world.net.now)
    assert world.run(lambda: world.engine.opened)
    assert world.engine.ended_at_once == [True]
    assert world.session.open_streams == 1


@pytest.mark.parametrize("what", ["time", "data", "trailers", "drain"])
def test_a_request_whose_end_does_not_come_is_begun_all_the_same(world: World, what: str) -> None:
    stream = world.ask(body=b"", end=False)
    world.net.run(most_s=1)
    assert not world.engine.opened
    assert world.engine.due <= world.net.now
    if what == "time":
        world.session.idle(world.net.now)
    elif what == "drain":
        world.session.drain(world.net.now)
    elif what == "data":
        world.client.h3.send_data(stream, b"body", end_stream=False)
    else:
        world.client.h3.send_headers(stream, [(b"x-late", b"1")], end_stream=True)
    world.client.link.transmit(world.net.now)
    assert world.run(lambda: world.engine.opened)
    assert world.engine.ended_at_once == [False]
    assert world.engine.fed == ({1: 4} if what == "data" else {})
    assert len(world.engine.trailers) == (what == "trailers")


def test_a_request_that_is_given_up_before_its_end_is_not_begun(world: World) -> None:
    stream = world.ask(body=b"", end=False)
    world.net.run(most_s=1)
    world.client.link.state.reset_stream(stream, 0x10C)
    world.client.link.transmit(world.net.now)
    net = world.net
    assert world.run(lambda: stream in world.client.resets)
    world.session.idle(net.now)
    assert not world.engine.opened
    assert not world.session._endless


def test_a_slow_backend_closes_the_window(world: World) -> None:
    stream = world.ask(body=bytes(900_000))
    world.run(lambda: False, 3)
    window = 256 * 1024
    assert window - 1200 <= world.engine.fed[1] <= window
    world.session.consumed(1, 200_000)
    world.flush()
    world.run(lambda: False, 3)
    assert window <= world.engine.fed[1] <= window + 200_000
    while 1 not in world.engine.ended:
        world.session.consumed(1, 100_000)
        world.flush()
        world.run(lambda: False, 1)
    assert world.engine.fed[1] == 900_000
    assert stream == 0


def test_a_slow_client_stops_the_engine_and_is_let_go_in_the_end(world: World) -> None:
    world.client.holds = True
    stream = world.ask()
    assert world.run(lambda: world.engine.opened)
    world.session.head(1, OK)
    given = 0
    for _ in range(20):  # as the engine does: never more than 64 KiB beyond what was taken
        if given - world.engine.taken_bytes.get(1, 0) <= 0:
            world.session.data(1, bytes(65_536), False)
            given += 65_536
        world.flush()
        world.run(lambda: False, 0.5)
    window = 256 * 1024
    assert world.engine.taken_bytes[1] <= window
    assert given <= window + 65_536
    while stream not in world.client.resets and world.engine.due < world.net.now + 100:
        world.run(lambda: False, max(world.engine.due - world.net.now, 0.1))
        world.session.idle(world.net.now)
    assert world.client.resets[stream] == 0x107
    assert world.engine.resets == [1]


def test_a_client_that_gives_a_request_up_cancels_its_work(world: World) -> None:
    reset, stopped, kept = world.ask(), world.ask(body=b"x", end=False), world.ask()
    assert world.run(lambda: len(world.engine.opened) == 3)
    state = world.client.link.state
    state.stop_stream(reset, 0x10C)
    state.reset_stream(stopped, 0x10C)
    world.client.link.transmit(world.net.now)
    assert world.run(lambda: len(world.engine.resets) == 2)
    assert world.session.open_streams == 1
    world.session.answer(3, OK, b"kept")
    world.flush()
    assert world.run(lambda: kept in world.client.over)
    assert world.client.code is None


def test_a_broken_response_does_not_look_whole(world: World) -> None:
    stream = world.ask()
    assert world.run(lambda: world.engine.opened)
    world.session.head(1, OK)
    world.session.data(1, b"half", False)
    world.flush()
    world.session.broken(1)
    world.flush()
    assert world.run(lambda: stream in world.client.resets)
    assert world.client.resets[stream] == 0x102
    assert stream not in world.client.over


def test_trailers_pass_both_ways(world: World) -> None:
    stream = world.ask(body=b"body", end=False)
    world.client.h3.send_headers(stream, [(b"x-sum", b"1")], end_stream=True)
    world.client.link.transmit(world.net.now)
    assert world.run(lambda: world.engine.trailers)
    assert list(world.engine.trailers[0]) == [(b"x-sum", b"1")]
    world.session.head(1, OK)
    world.session.data(1, b"answer", False)
    world.session.trailers(1, FieldBlock([(b"x-done", b"2")]))
    world.flush()
    assert world.run(lambda: stream in world.client.over)
    assert world.client.heads[stream] == [{b":status": b"200"}, {b"x-done": b"2"}]


def test_an_answer_before_the_body_ends_the_upload_alone(world: World) -> None:
    stream = world.ask(body=bytes(600_000))
    assert world.run(lambda: world.engine.opened)
    world.session.answer(1, OK, b"no")
    world.flush()
    assert world.run(lambda: stream in world.client.over and stream in world.client.stops)
    assert world.client.stops[stream] == 0x100
    after = world.ask()
    assert world.run(lambda: len(world.engine.opened) == 2)
    world.session.answer(2, OK, b"yes")
    world.flush()
    assert world.run(lambda: after in world.client.over)
    assert world.session._link.state._held_bytes == 0


@pytest.mark.parametrize("seed", range(8))
def test_an_early_answer_arrives_though_packets_are_lost(world: World, seed: int) -> None:
    """The client's word that it sends no more may come before the answer is through."""
    world.net.random.seed(seed)
    stream = world.ask(body=b"most of it", end=False)
    assert world.run(lambda: world.engine.opened)
    world.net.loss = 0.25
    world.session.answer(1, OK, bytes(20_000))
    world.flush()
    assert world.run(lambda: stream in world.client.over, 200)
    assert stream not in world.client.resets


def test_a_drain_answers_what_is_under_way_and_refuses_the_rest(world: World) -> None:
    first = world.ask()
    assert world.run(lambda: world.engine.opened)
    world.session.drain(world.net.now)
    world.flush()
    late = world.ask()
    assert world.run(lambda: late in world.client.resets)
    assert world.client.resets[late] == 0x10B
    world.net.loss = 0.3  # the last packets too have to arrive before it closes
    world.session.answer(1, OK, bytes(30_000))
    world.flush()
    assert world.run(lambda: first in world.client.over, 60)
    world.net.loss = 0
    assert world.run(lambda: world.client.is_lost, 10)
    assert world.run(lambda: world.client.code is not None)
    assert world.client.code == 0x100
    assert world.engine.hung_up
    assert world.engine.resets == []


def test_a_connection_that_is_lost_leaves_nothing(world: World) -> None:
    for _ in range(3):
        world.ask(body=b"x", end=False)
    assert world.run(lambda: len(world.engine.opened) == 3)
    world.client.link.close(0x100, "", world.net.now)
    world.client.link.transmit(world.net.now)
    assert world.run(lambda: world.engine.hung_up)
    assert sorted(world.engine.resets) == [1, 2, 3]
    assert world.streams == {}
    assert world.left == [7]
    assert world.run(lambda: not world.net.server.links)


def test_a_connection_without_requests_is_closed() -> None:
    world = World(Http3Limits(idle_s=20))
    for _ in range(5):
        world.run(lambda: False, max(world.engine.due - world.net.now, 0.1))
        if not world.session.is_over:
            # What the client sends keeps QUIC awake, and asks for nothing.
            world.session.idle(world.net.now)
    assert world.session.is_over
    assert world.run(lambda: world.client.code == 0x100)


@pytest.mark.parametrize(
    ("length", "body"), [(b"3", b"four"), (b"5", b"four"), (b"x", b""), (b"1" * 5000, b"")]
)
def test_a_length_that_disagrees_with_the_body(world: World, length: bytes, body: bytes) -> None:
    stream = world.ask((b"content-length", length), body=body)
    assert world.run(lambda: stream in world.client.resets)
    assert world.client.resets[stream] == 0x10E
    assert 1 not in world.engine.ended
    fine = world.ask((b"content-length", b"4"), body=b"four")
    assert world.run(lambda: world.engine.ended)
    assert fine not in world.client.resets


def raw(world: World, data: bytes, *, stream: int = 0, end: bool = False) -> None:
    world.client.link.state.send_stream_data(stream, data, end)
    world.client.link.transmit(world.net.now)


def test_an_answer_that_is_refused_beforehand_has_nothing_asked_for_it(world: World) -> None:
    state = world.client.link.state
    stream = state.get_next_available_stream_id()
    state.send_stream_data(stream, b"")
    state.stop_stream(stream, 0x10C)
    world.client.link.transmit(world.net.now)
    world.run(lambda: False, 1)
    world.client.h3.send_headers(stream, HEAD, end_stream=True)
    world.client.link.transmit(world.net.now)
    after = world.ask()
    assert world.run(lambda: world.engine.opened)
    world.run(lambda: False, 1)
    assert len(world.engine.opened) == 1
    world.session.answer(1, OK, b"yes")
    world.flush()
    assert world.run(lambda: after in world.client.over)
    assert world.session.open_streams == 0


def test_trailers_of_a_refused_request_are_no_request(world: World) -> None:
    _, head = world.client.h3._encoder.encode(0, HEAD)
    _, counted = world.client.h3._encoder.encode(0, [*HEAD, (b"content-length", b"1")])
    frames = [(FrameType.HEADERS, counted), (FrameType.DATA, b"two"), (FrameType.HEADERS, head)]
    raw(world, b"".join(encode_frame(kind, data) for kind, data in frames), end=True)
    assert world.run(lambda: 0 in world.client.resets)
    assert len(world.engine.opened) == 1
    assert world.engine.resets == [1]
    assert world.session.open_streams == 0
    assert world.client.code is None


def test_more_fields_than_are_taken_end_the_stream(world: World) -> None:
    many = world.ask(*[(b"x-%d" % number, b"y") for number in range(200)])
    large = world.ask(*[(b"x", b"y" * 700) for _ in range(90)])
    assert world.run(lambda: {many, large} <= set(world.client.resets), 5)
    assert set(world.client.resets.values()) == {0x107}
    assert world.engine.opened == []


@pytest.mark.parametrize(
    ("data", "code"),
    [
        # A head that is larger than any that is read.
        (bytes([FrameType.HEADERS]) + (0x8010_0000).to_bytes(4) + bytes(1000), 0x107),
        # A head that needs a dynamic table, which there is none of: what a QPACK bomb is made of.
        (encode_frame(FrameType.HEADERS, b"\x02\x00\x80" + b"\x80" * 500), 0x200),
        (encode_frame(FrameType.DATA, b"before a head"), 0x105),
        (encode_frame(0x41, b"web transport"), 0x105),
        (encode_frame(FrameType.SETTINGS, b""), 0x105),
        (encode_frame(FrameType.HEADERS, b"\x00\x00\xff\xff\xff"), 0x200),
    ],
)
def test_a_client_that_breaks_the_protocol(world: World, data: bytes, code: int) -> None:
    raw(world, data)
    assert world.run(lambda: world.client.code is not None, 5)
    assert world.client.code == code
    assert world.engine.opened == []


def test_a_control_frame_without_end_is_not_kept(world: World) -> None:
    # The library's own client has opened its control stream; MAX_PUSH_ID of a gigabyte follows on it.
    raw(world, b"\x0d" + (0xC000_0000_4000_0000).to_bytes(8) + bytes(50_000), stream=2)
    assert world.run(lambda: world.client.code is not None, 5)
    assert world.client.code == 0x107


def test_resets_without_end_cost_the_connection() -> None:
    world = World(Http3Limits(resets=10, resets_per_s=0.001))
    for _ in range(30):
        stream = world.ask(body=b"x", end=False)
        world.run(lambda: False, 0.05)
        if world.client.is_lost:
            break
        world.client.link.state.reset_stream(stream, 0x10C)
        world.client.link.transmit(world.net.now)
    assert world.run(lambda: world.client.code is not None, 5)
    assert world.client.code == 0x107
    assert len(world.engine.opened) <= 12


def test_malformed_requests_are_counted_too() -> None:
    world = World(Http3Limits(resets=10, resets_per_s=0.001))
    for _ in range(12):
        world.ask((b"x-bad", b"1"))
    assert world.run(lambda: world.client.code is not None, 5)
    assert world.client.code == 0x107


def test_streams_of_no_known_kind_and_empty_frames_are_counted() -> None:
    world = World(Http3Limits(frames=20, frames_per_s=0.001))
    for number in range(3, 40):
        raw(world, b"\x21x", stream=2 + 4 * number, end=True)
    assert world.run(lambda: world.client.code == 0x107, 5)

"""Which response goes first over HTTP/3 (RFC 9218), over a network in memory."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from aioquic.buffer import encode_uint_var
from aioquic.h3.connection import encode_frame

from oto_trio._core import FieldBlock
from oto_trio.gateway.listeners.http3.turns import read_update
from oto_trio.gateway.quic import QuicLimits
from tests.unit.gateway.listeners.http3.played import OK, World

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE = 400_000
AHEAD = 65_536
"""What the engine gives of a response beyond what was taken."""
PRIORITY_UPDATE = 0xF0700


def update(stream: int, priority: bytes) -> bytes:
    return encode_frame(PRIORITY_UPDATE, encode_uint_var(stream) + priority)


class Responses:
    """Responses of one size to requests with these priorities, which the engine gives as they are taken."""

    def __init__(self, *priorities: bytes) -> None:
        self.world = World()
        self.world.session._link.state._limits = replace(QuicLimits(), flight=20_000)
        self.streams = [self.world.ask(*([(b"priority", it)] if it else [])) for it in priorities]
        assert self.world.run(lambda: len(self.world.engine.opened) == len(priorities))
        self.given = dict.fromkeys(range(1, len(priorities) + 1), 0)
        for engine_id in self.given:
            self.world.session.head(engine_id, OK)

    def say(self, stream: int, priority: bytes) -> None:
        """Have the client say a priority anew."""
        client = self.world.client
        client.link.state.send_stream_data(
            client.h3._local_control_stream_id, update(stream, priority)
        )
        client.link.transmit(self.world.net.now)

    def until(self, done: Callable[[], object]) -> None:
        """Give, as the client takes, until something is so."""
        world = self.world
        for _ in range(3000):
            for engine_id, given in self.given.items():
                ahead = given - world.engine.taken_bytes.get(engine_id, 0)
                count = min(AHEAD - ahead, SIZE - given)
                if count > 0:
                    self.given[engine_id] += count
                    world.session.data(engine_id, bytes(count), given + count == SIZE)
            world.flush()
            if world.run(done, 0.02):
                return
        raise AssertionError("it never was so")

    def over(self) -> list[int]:
        """Return which of the responses are whole, by their place."""
        return [at for at, stream in enumerate(self.streams) if stream in self.world.client.over]

    def order(self) -> list[int]:
        """Return in which order they became whole."""
        order: list[int] = []

        def is_more() -> bool:
            return len(self.over()) > len(order)

        while len(order) < len(self.streams):
            self.until(is_more)
            order += [at for at in self.over() if at not in order]
        assert all(len(self.world.client.bodies[it]) == SIZE for it in self.streams)
        assert not self.world.session._turns
        assert self.world.session.open_streams == 0
        return order


def test_the_most_urgent_go_first() -> None:
    assert Responses(b"u=6", b"u=1", b"", b"u=0").order() == [3, 1, 2, 0]


def test_equals_that_want_the_line_for_themselves_go_one_by_one() -> None:
    assert Responses(b"u=3", b"u=3", b"u=3").order() == [0, 1, 2]


@pytest.mark.parametrize("priority", [b"", b"i", b"u=2, i"])
def test_equals_that_share_go_together(priority: bytes) -> None:
    responses = Responses(priority, priority, priority)
    responses.until(lambda: len(responses.world.client.bodies) == 3)
    assert responses.over() == []
    responses.order()


def test_a_priority_may_be_said_anew() -> None:
    responses = Responses(b"u=5", b"u=4", b"u=3")
    responses.say(responses.streams[0], b"u=0")
    assert responses.world.run(lambda: responses.world.session._by_id[0].urgency == 0)
    assert responses.order() == [0, 2, 1]


def test_a_priority_may_come_before_its_request() -> None:
    world = World()
    client = world.client
    control = client.h3._local_control_stream_id
    client.link.state.send_stream_data(control, update(4, b"u=1") + update(8, b"u=7, i"))
    client.link.transmit(world.net.now)
    assert world.run(lambda: len(world.session._priorities._early) == 2)
    for _ in range(3):
        world.ask((b"priority", b"u=5"))
    assert world.run(lambda: len(world.engine.opened) == 3)
    told = {it.id: (it.urgency, it.incremental) for it in world.session._by_id.values()}
    assert told == {0: (5, False), 4: (1, False), 8: (7, True)}
    assert world.session._priorities._early == {}


@pytest.mark.parametrize("stream", [1, 2, 3])
def test_a_priority_of_no_request_ends_the_connection(stream: int) -> None:
    responses = Responses(b"")
    responses.say(stream, b"u=0")
    assert responses.world.run(lambda: responses.world.client.code is not None)
    assert responses.world.client.code == 0x108


def test_an_urgent_one_that_its_client_does_not_take_stops_nobody() -> None:
    responses = Responses(b"u=0", b"u=5")
    urgent, other = responses.streams
    responses.world.client.link.state.hold(urgent, 1 << 30)
    responses.until(lambda: other in responses.world.client.over)
    assert responses.over() == [1]
    assert len(responses.world.client.bodies[urgent]) > 200_000


def shut(*priorities: bytes) -> World:
    """A client that takes nothing more on its connection, and would on each stream, with what it asked for."""
    responses = Responses(*priorities)
    world = responses.world
    state = world.session._link.state
    world.flush()
    world.net.run(most_s=1)
    world.client.link.state.hold(world.client.h3._local_control_stream_id, 1 << 30)
    state._remote_max_data = state._remote_max_data_used
    for engine_id in responses.given:
        for _ in range(4):
            world.session.data(engine_id, bytes(AHEAD // 4), False)
    world.flush()
    assert state.stream_bytes_sent == state._remote_max_data
    return world


def test_what_waits_for_a_connection_that_is_shut_is_let_go_in_the_end() -> None:
    world = shut(b"u=3", b"u=3", b"u=3")
    assert world.session._turns
    assert sum(it.unsent for it in world.session._by_id.values()) >= 3 * AHEAD
    world.session.drain(world.net.now)
    end = world.net.now + 1.3 * world.limits.stall_s
    while world.net.now < end:
        world.net.run(most_s=max(world.engine.due - world.net.now, 0.1))
        world.session.idle(world.net.now)
    assert world.session.open_streams == 0
    assert world.run(lambda: world.client.code == 0x100), "the drain ended"
    assert world.client.resets == dict.fromkeys((0, 4, 8), 0x107)


def test_what_waits_behind_one_that_moves_is_kept() -> None:
    world = shut(b"u=1", b"u=5")
    state = world.session._link.state
    end = world.net.now + 2 * world.limits.stall_s
    while world.net.now < end:
        state._remote_max_data += 500
        world.flush()
        world.net.run(most_s=max(world.engine.due - world.net.now, 0.1))
        world.session.idle(world.net.now)
    assert world.session.open_streams == 2
    behind = world.session._by_id[4]
    assert behind.kept == behind.unsent == AHEAD
    assert state.unsent(0)


def test_what_waits_is_dropped_with_its_stream() -> None:
    responses = Responses(b"u=0", b"u=5")
    world = responses.world
    for engine_id in (1, 2):
        world.session.data(engine_id, bytes(AHEAD), False)
    world.session.trailers(2, FieldBlock([(b"x-sum", b"1")]))
    assert world.session._turns
    world.client.link.state.stop_stream(responses.streams[1], 0x10C)
    world.client.link.transmit(world.net.now)
    world.flush()
    assert world.run(lambda: world.session.open_streams == 1)
    assert not world.session._turns


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"\0u=1", (0, (1, False))),
        (b"\x08", (8, (3, False))),
        (encode_uint_var(400) + b"i", (400, (3, True))),
        (b"", (-1, None)),
        (b"\x40", (-1, None)),
    ],
)
def test_what_an_update_says(body: bytes, says: tuple[int, tuple[int, bool] | None]) -> None:
    assert read_update(body) == says


def test_an_update_of_no_stream_ends_the_connection() -> None:
    world = World()
    client = world.client
    control = client.h3._local_control_stream_id
    client.link.state.send_stream_data(control, encode_frame(PRIORITY_UPDATE, b"\x40"))
    client.link.transmit(world.net.now)
    assert world.run(lambda: client.code == 0x108)

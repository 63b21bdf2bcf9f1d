"""Datagrams as large as the path carries, over links that drop larger ones."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from typing_extensions import override

from oto_trio.gateway.quic.path_mtu import (
    AGAIN_S,
    BACK_S,
    BASE_BYTES,
    DOUBTS,
    SIZES,
    TRIES,
    PathMtu,
)
from tests.attacks.http3_raw import packet_of
from tests.unit.gateway.quic.network import SERVER, Net
from tests.unit.gateway.quic.test_endpoint import open_connection, send

if TYPE_CHECKING:
    from oto_trio.gateway.quic.sockets import Address
    from tests.unit.gateway.quic.network import Owner


class NarrowNet(Net):
    """A link that carries datagrams of so many bytes, and drops larger ones without a word."""

    def __init__(self, most: float = math.inf) -> None:
        super().__init__()
        self.most = most
        self.dropped = 0

    @override
    def carry(self, data: bytes, source: Address, to: Address) -> None:
        if len(data) > self.most:
            self.dropped += 1
        else:
            super().carry(data, source, to)


def download(net: Net, client: Owner, server: Owner, stream: int, size: int = 400_000) -> None:
    send(net, client, b"x", stream=stream)
    assert net.run(lambda: stream in server.ended, 60)
    send(net, server, bytes(size), stream=stream)
    assert net.run(lambda: stream in client.ended, 120)
    assert len(client.received[stream]) == size


@pytest.mark.parametrize(
    ("most", "found"), [(math.inf, 8952), (1472, 1472), (1452, 1452), (1420, 1400), (1200, 1200)]
)
def test_datagrams_grow_to_what_the_path_carries(most: float, found: int) -> None:
    net = NarrowNet(most)
    client, server = open_connection(net)
    download(net, client, server, 0)
    download(net, client, server, 4)
    state: Any = server.link.state
    assert state._max_datagram_size == found
    assert max(len(it) for it in net.wires["server"].sent if len(it) <= most) == found
    assert net.dropped <= TRIES * len(SIZES)
    assert state._loss._cc.ssthresh is None or not net.dropped, "lost probes are no congestion"
    # The other side sends little: it tries nothing.
    assert client.link.state._max_datagram_size == BASE_BYTES


def test_a_path_that_carries_less_than_it_did_is_not_lost() -> None:
    net = NarrowNet()
    client, server = open_connection(net)
    download(net, client, server, 0)
    assert server.link.state._max_datagram_size == 8952
    net.most = 1300
    download(net, client, server, 4)
    assert server.link.state._max_datagram_size in {1200, 1280}
    assert not server.link.state.is_closing


def test_a_path_that_carries_less_is_noticed_while_small_packets_arrive() -> None:
    net = NarrowNet()
    client, server = open_connection(net)
    download(net, client, server, 0)
    assert server.link.state._max_datagram_size == 8952
    net.most = 1300
    for stream in (4, 8):
        send(net, client, b"x", stream=stream)
    assert net.run(lambda: server.ended == {0, 4, 8})
    send(net, server, bytes(3000), stream=4)
    for _ in range(200):
        send(net, server, b"a piece", stream=8, end=False)
        if net.run(lambda: 4 in client.ended, 0.05):
            break
    assert 4 in client.ended
    assert server.link.state._max_datagram_size in {1200, 1280}


def test_large_datagrams_that_congestion_drops_are_not_doubted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[bool] = []
    judge = PathMtu.is_doubted

    def note(mtu: PathMtu, patience_s: float) -> bool:
        said.append(judge(mtu, patience_s))
        return said[-1]

    monkeypatch.setattr(PathMtu, "is_doubted", note)
    net = NarrowNet(1472)
    client, server = open_connection(net)
    download(net, client, server, 0)
    net.loss = 0.1
    for stream in range(4, 24, 4):
        download(net, client, server, stream)
    assert said
    assert not any(said)


def test_outages_cost_large_datagrams_for_a_moment_only() -> None:
    net = NarrowNet()
    client, server = open_connection(net)
    download(net, client, server, 0)
    state: Any = server.link.state
    for stream in range(4, 36, 8):
        assert state._max_datagram_size == 8952
        send(net, client, b"x", stream=stream)
        assert net.run(partial(server.ended.__contains__, stream))
        send(net, server, bytes(400_000), stream=stream)
        net.loss = 1.0
        assert net.run(lambda: state._max_datagram_size == BASE_BYTES, 10), "it is doubted"
        net.loss = 0.0
        assert net.run(partial(client.ended.__contains__, stream), 60)
        net.run(most_s=BACK_S)
        download(net, client, server, stream + 4)
    assert state._max_datagram_size == 8952


def test_a_path_that_carries_less_for_good_is_asked_ever_less_often() -> None:
    net = NarrowNet()
    client, server = open_connection(net)
    download(net, client, server, 0)
    net.most = 1300
    download(net, client, server, 4)
    dropped = []
    for stream in range(8, 8 + 4 * 30, 4):
        net.dropped = 0
        net.run(most_s=60)
        download(net, client, server, stream, 200_000)
        dropped.append(net.dropped)
    assert server.link.state._max_datagram_size == 1280
    a_round = 2 * TRIES  # of 1350 and 1452
    assert sum(dropped[:10]) > a_round
    assert 0 < sum(dropped[-10:]) <= a_round, "of ten minutes"


def test_another_path_is_tried_anew() -> None:
    net = NarrowNet()
    client, server = open_connection(net)
    download(net, client, server, 0)
    assert server.link.state._max_datagram_size == 8952
    net.most = 1250
    net.wires["client"].address = ("198.51.100.7", 6000)
    download(net, client, server, 4)
    assert server.link.state._max_datagram_size == 1200


def test_a_client_may_move_to_a_path_that_carries_less() -> None:
    net = NarrowNet()
    client, server = open_connection(net)
    download(net, client, server, 0)
    assert server.link.state._max_datagram_size == 8952
    net.most, net.dropped = 1250, 0
    net.wires["client"].address = moved = ("198.51.100.7", 6000)
    # As clients do that go nowhere before they had an answer from there (RFC 9000 section 8.2.1).
    asked = packet_of(client.link.state, (b"\x1a" + bytes(8)).ljust(1150, b"\0"))
    net.carry(asked, moved, SERVER)
    net.run(most_s=1)
    assert net.dropped == 0
    assert [it.is_validated for it in server.link.state._network_paths] == [True, True]
    download(net, client, server, 4)
    assert server.link.peer == moved
    assert server.link.state._max_datagram_size == 1200


def test_no_more_is_tried_than_the_peer_takes() -> None:
    mtu = PathMtu(0.0)
    tried = []
    while (size := mtu.next_probe(1452, 1.0)) is not None:
        tried.append(size)
        mtu.arrived(size)
    assert tried == [1452]
    assert mtu.size == 1452
    assert PathMtu(0.0).next_probe(1279, 1.0) is None


def test_a_size_is_given_up_after_some_tries_and_tried_again_much_later() -> None:
    mtu = PathMtu(0.0)
    tried = []
    while (size := mtu.next_probe(2000, 1.0)) is not None:
        assert mtu.next_probe(2000, 1.0) is None, "one at a time"
        tried.append(size)
        if size > 1300:
            mtu.lost(size)
        else:
            mtu.arrived(size)
    assert tried == [1452] * TRIES + [1280] + [1350] * TRIES
    assert mtu.size == 1280
    assert mtu.next_probe(2000, AGAIN_S) == 1452
    mtu.shrink(AGAIN_S)
    assert mtu.size == BASE_BYTES


def grown(mtu: PathMtu, most: int, now: float) -> list[int]:
    """Try all there is to try now, over a path that carries so much; return what was tried."""
    tried = []
    while (size := mtu.next_probe(SIZES[-1], now)) is not None:
        tried.append(size)
        if size > most:
            mtu.lost(size)
        else:
            mtu.arrived(size)
    return tried


def test_what_the_path_carried_is_tried_again_soon_and_what_it_never_did_is_not() -> None:
    mtu = PathMtu(0.0)
    assert grown(mtu, 1472, 1.0) == [1452, 1472, *[4052] * TRIES]
    mtu.shrink(10.0)
    assert mtu.size == BASE_BYTES
    assert grown(mtu, 1200, 10.0) == [*[1452] * TRIES, *[1280] * TRIES]
    assert grown(mtu, 1472, 10.0 + BACK_S - 0.01) == []
    assert grown(mtu, 1472, 10.0 + BACK_S) == [1452, 1472]
    assert mtu.size == 1472
    # It is back: sizes that were never carried have their old turn.
    assert grown(mtu, 1472, AGAIN_S - 1) == []
    assert grown(mtu, 1472, AGAIN_S) == [4052] * TRIES


def test_the_time_to_the_next_attempt_doubles_until_data_is_carried() -> None:
    mtu = PathMtu(0.0)
    grown(mtu, 1452, 0.0)
    mtu.shrink(0.0)
    grown(mtu, 1200, 0.0)
    now, waits = 0.0, []
    for _ in range(12):
        wait = BACK_S
        while not grown(mtu, 1200, now + wait):
            wait += BACK_S
        now += wait
        waits.append(wait)
    assert waits == [*(BACK_S * 2**doubled for doubled in range(10)), AGAIN_S, AGAIN_S]
    # A probe gets through, data does not: that is no success yet.
    now += AGAIN_S
    assert grown(mtu, 1452, now)
    assert mtu.size == 1452
    mtu.shrink(now)
    grown(mtu, 1200, now)
    assert grown(mtu, 1452, now + AGAIN_S / 2) == []
    now += AGAIN_S
    assert grown(mtu, 1452, now)
    mtu.carried(1452)
    mtu.shrink(now)
    grown(mtu, 1200, now)
    assert grown(mtu, 1452, now + BACK_S)
    assert mtu.size == 1452


def test_a_second_fall_does_not_forget_what_was_carried_before_the_first() -> None:
    mtu = PathMtu(0.0)
    grown(mtu, 8952, 0.0)
    mtu.shrink(0.0)
    grown(mtu, 1472, 0.0)
    assert mtu.size == 1472
    mtu.shrink(0.5)
    grown(mtu, 1472, 0.5)
    assert mtu.size == 1452
    assert grown(mtu, 8952, 0.5 + 2 * BACK_S) == [1472, 4052, 8952]


def test_what_is_lost_is_doubted_until_something_as_large_arrives() -> None:
    mtu = PathMtu(0.0)
    mtu.arrived(1452)
    for count in range(DOUBTS):
        assert not mtu.is_doubted(1.0)
        mtu.dropped(1452, 0.2 * count)
        mtu.carried(1400)
    assert mtu.is_doubted(1.0)
    assert not mtu.is_doubted(2.0)
    mtu.carried(1452)
    assert not mtu.is_doubted(0.0)
    for count in range(DOUBTS):
        mtu.dropped(BASE_BYTES, float(count))
        mtu.dropped(1453, float(count))
    assert not mtu.is_doubted(0.0), (
        "small ones are lost to congestion, larger ones are not sent any more"
    )

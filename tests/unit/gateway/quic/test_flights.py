"""The pace of flights: as much as the rate allows, in few and large ones."""

from __future__ import annotations

import pytest

from oto_trio.gateway.quic.flights import BURST_S, GATHER_S, MOST_PACKETS, FlightPacer

PACKET = 1250


def pacer_of(bytes_per_s: float) -> FlightPacer:
    """A pacer that has sent all that it may."""
    pacer = FlightPacer(max_datagram_size=PACKET)
    pacer.update_rate(int(bytes_per_s / 10), 0.1)
    pacer.update_bucket(1.0)
    pacer.spend(pacer.allowance(1.0))
    return pacer


@pytest.mark.parametrize("bytes_per_s", [10_000, 10**6, 2 * 10**7, 10**9])
@pytest.mark.parametrize("asked_every_s", [0.00002, 0.0003, 0.01])
def test_no_more_is_sent_than_the_rate_allows(bytes_per_s: int, asked_every_s: float) -> None:
    pacer = pacer_of(bytes_per_s)
    now, sent = 1.0, 0
    end = now + max(0.2, 40 * PACKET / bytes_per_s)
    while now < end:
        now += asked_every_s
        count = pacer.allowance(now)
        pacer.spend(count)
        sent += count
    allowed = bytes_per_s * (end - 1.0) / PACKET
    burst = max(BURST_S * bytes_per_s / PACKET, 16)
    assert sent <= allowed + burst + 1 + (end - 1.0) / asked_every_s  # each time a part of a packet
    if asked_every_s < BURST_S and bytes_per_s <= 2 * 10**7:
        assert sent >= 0.9 * allowed - burst


def test_a_fast_connection_that_sent_all_it_may_waits_for_a_flight() -> None:
    pacer = pacer_of(2.5 * 10**7)
    assert pacer.allowance(1.0) == 0
    due = pacer.next_flight_at(1.0)
    assert due == pytest.approx(1.0 + GATHER_S)
    assert pacer.allowance(1.0 + 0.9 * GATHER_S) == 0
    assert pacer.allowance(due) == pytest.approx(20, abs=1)
    pacer.spend(3)
    assert pacer.allowance(due) == pytest.approx(17, abs=1), (
        "what is left of it needs no other wait"
    )
    assert pacer.next_flight_at(due) == due


def test_no_more_is_waited_for_than_half_of_a_burst() -> None:
    pacer = pacer_of(10**9)
    due = pacer.next_flight_at(1.0)
    assert due == pytest.approx(1.0 + MOST_PACKETS / 2 * PACKET / 10**9, abs=1e-9)


def test_a_slow_connection_sends_each_packet_when_its_time_comes() -> None:
    pacer = pacer_of(10_000)
    assert pacer.next_flight_at(1.0) == pytest.approx(1.0 + PACKET / 10_000)
    assert pacer.allowance(1.0 + PACKET / 10_000) == 1

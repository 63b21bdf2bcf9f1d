"""What a session does with a client that does not behave: each bound, and what passing it means."""

from __future__ import annotations

from typing import TYPE_CHECKING

import h2.events
import h2.settings
import pytest

from oto_trio._core import FieldBlock, HpackEncoder
from oto_trio.gateway.listeners.http2 import Http2Limits
from oto_trio.gateway.listeners.http2.limits import Budget
from tests.unit.gateway.listeners.http2.conversation import GET, OK, POST, Conversation

if TYPE_CHECKING:
    from collections.abc import Callable

HEADERS, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE, CONTINUATION = 1, 3, 4, 6, 8, 9
PRIORITY_UPDATE = 16


def frame(kind: int, stream: int = 0, body: bytes = b"", flags: int = 0) -> bytes:
    return len(body).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + body


FLOODS = {
    "ping": frame(PING, 0, b"12345678"),
    "settings": frame(SETTINGS, 0, b"\x00\x03\x00\x00\x00\x64"),
    "empty settings": frame(SETTINGS),
    "priority": frame(2, 9, b"\0\0\0\0\x10"),
    "priority update": frame(PRIORITY_UPDATE, 0, b"\0\0\0\x01u=1"),
    "window of the connection": frame(WINDOW_UPDATE, 0, b"\0\0\0\x01"),
    "window of a stream": frame(WINDOW_UPDATE, 1, b"\0\0\0\x01"),
    "empty data": frame(0, 1),
    "padded nothing": frame(0, 1, b"\xff" + bytes(255), 8),
    "unknown": frame(0x42, 0, b"?"),
    "ping acknowledged": frame(PING, 0, b"12345678", 1),
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_is_calmed_and_its_work_cancelled(name: str) -> None:
    talk = Conversation()
    _, stream = talk.ask(POST, end=False)
    sent = 0
    while not talk.is_closed() and sent < 3000:
        talk.raw(FLOODS[name] * 50)
        sent += 50
    assert talk.is_calmed()
    assert 400 < sent <= 1100
    assert talk.engine.streams[stream].cancelled


@pytest.mark.parametrize("name", FLOODS)
def test_the_same_frames_now_and_then_are_no_flood(name: str) -> None:
    talk = Conversation()
    talk.ask(POST, end=False)
    for _ in range(100):
        talk.now += 1
        talk.raw(FLOODS[name] * 40)
    assert not talk.is_closed()


def test_windows_that_a_download_needs_are_no_flood() -> None:
    talk = Conversation()
    identity, stream = talk.ask()
    talk.session.head(stream, OK)
    for _ in range(2000):
        talk.session.data(stream, b"x" * 1000, False)
        talk.client.increment_flow_control_window(1000)
        talk.client.increment_flow_control_window(1000, identity)
        talk.exchange()
    assert not talk.is_closed()
    assert len(talk.body(identity)) == 2_000_000


def test_rapid_resets_are_calmed() -> None:
    talk = Conversation()
    count = 0
    while not talk.is_closed() and count < 1000:
        identity = talk.client.get_next_available_stream_id()
        talk.client.send_headers(identity, GET, end_stream=True)
        talk.client.reset_stream(identity)
        talk.exchange()
        count += 1
    assert talk.is_calmed()
    assert count == 201
    assert all(told.cancelled for told in talk.engine.streams.values())


def test_a_page_that_is_left_again_and_again_is_no_attack() -> None:
    talk = Conversation()
    for _ in range(20):
        talk.now += 20
        for _ in range(100):
            identity = talk.client.get_next_available_stream_id()
            talk.client.send_headers(identity, GET, end_stream=True)
            talk.client.reset_stream(identity)
        talk.exchange()
    assert not talk.is_closed()


def test_a_goodbye_that_is_said_again_and_again_is_a_flood() -> None:
    talk = Conversation()
    talk.ask(POST, end=False)
    for _ in range(600):
        if not talk.is_closed():
            talk.raw(frame(7, 0, bytes(8)))
    assert talk.is_calmed()


def test_settings_are_counted_one_by_one() -> None:
    talk = Conversation()
    count = 0
    while not talk.is_closed() and count < 100:
        talk.raw(frame(SETTINGS, 0, b"\0\3\0\0\0\x64" * 2700))
        count += 1
    assert talk.is_calmed()
    assert count < 10


def test_an_answer_that_is_wanted_drop_by_drop_is_calmed() -> None:
    talk = Conversation(initial_window_size=0)
    identity, stream = talk.ask()
    talk.session.head(stream, OK)
    talk.session.data(stream, b"x" * 10_000, False)
    count = 0
    while not talk.is_closed() and count < 2000:
        talk.client.increment_flow_control_window(1, identity)
        talk.exchange()
        count += 1
    assert talk.is_calmed()
    assert 400 < count < 600
    assert talk.engine.streams[stream].cancelled


def test_a_window_that_ends_between_two_frames_now_and_then_is_no_flood() -> None:
    talk = Conversation(initial_window_size=2**14 * 3 + 10)
    identity, stream = talk.ask()
    talk.session.head(stream, OK)
    for _ in range(1000):
        talk.session.data(stream, b"x" * 60_000, False)
        talk.exchange()
        talk.acknowledge()
    assert not talk.is_closed()
    assert identity == 1


@pytest.mark.parametrize(("size", "most"), [(1, 8 * 1024), (2000, 128 * 1024)])
def test_less_is_read_at_once_of_small_frames(size: int, most: int) -> None:
    talk = Conversation()
    talk.ask(POST, end=False)
    talk.raw(b"")
    assert talk.engine.appetite is None, "of little, nothing can be told"
    talk.raw(frame(0, 1, bytes(size)) * (100_000 // (size + 9)))
    assert talk.engine.appetite == most


MADE: dict[str, Callable[[int], bytes]] = {
    "window overflow": lambda stream: frame(WINDOW_UPDATE, stream, b"\x7f\xff\xff\xff"),
    "data on a closed half": lambda stream: frame(0, stream, b"data"),
    "a malformed head": lambda _: b"",
}


@pytest.mark.parametrize("name", MADE)
def test_resets_that_a_client_provokes_are_calmed(name: str) -> None:
    # MadeYouReset: the streams end by the server's hand, and their work must not outlive them.
    talk = Conversation()
    more = [("connection", "x")] if name == "a malformed head" else []
    count = 0
    while not talk.is_closed() and count < 1000:
        identity = talk.client.get_next_available_stream_id()
        talk.client.send_headers(identity, GET + more, end_stream=True)
        talk.raw(MADE[name](identity))
        count += 1
    assert talk.is_closed()
    assert count <= 201
    assert all(told.cancelled for told in talk.engine.streams.values())


def test_streams_beyond_the_limit_are_calmed() -> None:
    talk = Conversation(Http2Limits(max_streams=3))
    talk.client.remote_settings[h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS] = 10_000
    talk.client.remote_settings.acknowledge()
    count = 0
    while not talk.is_closed() and count < 1000:
        identity = talk.client.get_next_available_stream_id()
        talk.client.send_headers(identity, GET, end_stream=True)
        talk.exchange()
        count += 1
    assert talk.is_calmed()
    assert count == 204
    assert len(talk.engine.streams) == 3


def test_early_priorities_are_bounded() -> None:
    talk = Conversation()
    for number in range(300):
        talk.now += 1
        talk.raw(frame(PRIORITY_UPDATE, 0, (2 * number + 1).to_bytes(4) + b"u=1"))
    assert len(talk.session._early_priorities) <= 100  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize(
    ("octets", "code"),
    [
        (frame(PRIORITY_UPDATE, 1, b"\0\0\0\x01u=1"), 1),
        (frame(PRIORITY_UPDATE, 0, b"\0\0\0"), 6),
        (frame(PRIORITY_UPDATE, 0, b"\0\0\0\x02u=1"), 1),
        (frame(PING, 0, b"short"), 6),
        (frame(SETTINGS, 1), 1),
        (b"\xff\xff\xff\x00\x00\x00\x00\x00\x01" + bytes(20_000), None),
        (frame(WINDOW_UPDATE, 0, b"\x7f\xff\xff\xff"), 3),
        (frame(CONTINUATION, 1, b"\x82", 4), 1),
        (frame(HEADERS, 2, b"\x82", 5), 1),
        (frame(HEADERS, 1, b"\x82", 1) + frame(PING, 0, b"12345678"), 1),
        (frame(5, 1, b"\0\0\0\x02\x82", 4), 1),
    ],
)
def test_broken_frames_close_the_connection(octets: bytes, code: int | None) -> None:
    talk = Conversation()
    _, stream = talk.ask() if octets[3] == 0 else (0, 0)
    talk.raw(octets)
    if code is None:
        # A frame that cannot fit is refused when it is whole, or when its time is over.
        talk.now += 60
        talk.session.idle(talk.now)
    else:
        (goaway,) = talk.of(h2.events.ConnectionTerminated)
        assert isinstance(goaway, h2.events.ConnectionTerminated)
        assert goaway.error_code == code
    assert talk.is_closed()
    assert not stream or talk.engine.streams[stream].cancelled


def test_a_preface_that_is_none_closes() -> None:
    talk = Conversation()
    fresh = type(talk.session)(talk.engine, 8, {}, 0.0, Http2Limits())
    fresh.receive(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 0.0)
    assert talk.is_closed()
    assert fresh.is_over


@pytest.mark.parametrize(
    "first",
    [
        frame(PING, 0, b"12345678"),
        frame(WINDOW_UPDATE, 0, b"\0\0\0\x01"),
        frame(HEADERS, 1, b"\x82\x86\x84\x41\x01a", 5),
        frame(0x42, 0, b"?"),
        frame(SETTINGS, 0, b"", 1),
    ],
    ids=["ping", "window", "request", "unknown", "acknowledgement"],
)
def test_a_client_that_does_not_begin_with_its_settings_broke_the_protocol(first: bytes) -> None:
    talk = Conversation()
    fresh = type(talk.session)(talk.engine, 8, {}, 0.0, Http2Limits())
    fresh.receive(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + first + frame(SETTINGS), 0.0)
    (goaway,) = [it for it in talk.exchange() if isinstance(it, h2.events.ConnectionTerminated)]
    assert goaway.error_code == 1
    assert talk.is_closed()
    assert fresh.is_over
    assert not talk.engine.streams


def test_a_head_without_end_is_calmed_by_its_frames() -> None:
    talk = Conversation()
    talk.raw(frame(HEADERS, 1, b"\x82", 1))
    count = 0
    while not talk.is_closed() and count < 100:
        talk.raw(frame(CONTINUATION, 1, b""))
        count += 1
    assert talk.is_calmed()
    assert count == 15
    assert not talk.engine.streams


def test_a_head_without_end_is_calmed_by_its_bytes() -> None:
    talk = Conversation(Http2Limits(header_block_bytes=40_000))
    talk.raw(frame(HEADERS, 1, b"\x82" * 10, 1))
    talk.raw(frame(CONTINUATION, 1, b"\x82" * 16_000))
    talk.raw(frame(CONTINUATION, 1, b"\x82" * 16_000))
    assert not talk.is_closed()
    talk.raw(frame(CONTINUATION, 1, b"\x82" * 16_000))
    assert talk.is_calmed()


def test_a_head_that_grows_in_decoding_is_calmed() -> None:
    encoder = HpackEncoder()
    field = [(b"x", b"v" * 3000)]
    first = b"".join(encoder.encode(field, huffman=False) for _ in range(2))
    talk = Conversation()
    talk.raw(frame(HEADERS, 1, first + b"\xbe" * 8000, 5))
    assert talk.is_calmed()
    assert not talk.engine.streams


def test_too_many_fields_are_calmed() -> None:
    talk = Conversation()
    talk.raw(frame(HEADERS, 1, b"\x82" * 513, 5))
    assert talk.is_calmed()


def test_heads_beyond_their_bound_are_left_to_the_engine_and_calmed_in_the_end() -> None:
    # The engine answers 431; a head that was dropped undecoded would spoil those behind it.
    talk = Conversation()
    count = 0
    while not talk.is_closed() and count < 1000:
        _, stream = talk.ask(more=[(f"x{count}", "y")] * 200)
        if stream:
            assert len(talk.engine.streams[stream].fields) == 204
            talk.session.answer(stream, FieldBlock([(b":status", b"431")]), b"")
            talk.exchange()
        count += 1
    assert talk.is_calmed()
    assert count == 201, "each costs as much as a stream that is reset"


def test_trailers_beyond_their_bound_end_their_stream() -> None:
    talk = Conversation()
    identity, stream = talk.ask(POST, end=False)
    talk.client.send_headers(identity, [("x", "y")] * 200, end_stream=True)
    talk.exchange()
    assert talk.engine.streams[stream].cancelled
    assert not talk.is_closed()


def test_interim_answers_do_not_wait_for_a_client_that_reads_nothing() -> None:
    talk = Conversation()
    _, stream = talk.ask()
    early = FieldBlock([(b":status", b"103"), (b"link", b"</x>" * 100)])
    talk.session.head(stream, early)
    talk.engine.full = True
    talk.session.flush(talk.now)
    before = len(talk.engine.sent)
    for _ in range(1000):
        talk.session.head(stream, early)
        talk.session.flush(talk.now)
    assert len(talk.engine.sent) == before
    talk.engine.full = False
    talk.session.writable(talk.now)
    talk.session.answer(stream, OK, b"done")
    talk.exchange()
    assert talk.body(1) == b"done"


def test_a_client_that_opens_no_window_is_not_waited_for() -> None:
    talk = Conversation(initial_window_size=0)
    identity, stream = talk.ask()
    talk.session.head(stream, OK)
    talk.session.data(stream, b"never", False)
    talk.exchange()
    talk.now += 29
    talk.session.idle(talk.now)
    talk.exchange()
    assert not talk.engine.streams[stream].cancelled
    talk.now += 1
    talk.session.idle(talk.now)
    talk.exchange()
    assert talk.engine.streams[stream].cancelled
    (reset,) = talk.of(h2.events.StreamReset)
    assert isinstance(reset, h2.events.StreamReset)
    assert (reset.stream_id, reset.error_code) == (identity, 0xB)


def test_how_long_a_request_may_take_is_left_to_the_engine() -> None:
    talk = Conversation()
    identity, stream = talk.ask(POST, end=False)
    talk.client.send_data(identity, b"some")
    talk.exchange()
    talk.now += 300
    talk.session.idle(talk.now)
    assert not talk.engine.streams[stream].cancelled


def test_a_client_that_reads_nothing_is_not_waited_for() -> None:
    talk = Conversation()
    _, stream = talk.ask()
    talk.engine.full = True
    talk.session.head(stream, OK)
    talk.session.flush(talk.now)
    talk.now += 30
    talk.session.idle(talk.now)
    assert talk.is_closed()
    assert talk.engine.streams[stream].cancelled


def test_half_a_frame_is_not_waited_for() -> None:
    talk = Conversation()
    talk.session.receive(frame(PING, 0, b"12345678")[:12], talk.now)
    talk.now += 29
    talk.session.idle(talk.now)
    assert not talk.is_closed()
    talk.now += 1
    talk.session.idle(talk.now)
    talk.exchange()
    assert talk.is_calmed()


def test_a_body_is_let_in_though_no_read_ends_where_a_frame_does() -> None:
    """As with large uploads over TLS, whose records are cut without a look at the frames."""
    talk = Conversation()
    identity, stream = talk.ask(POST, end=False)
    whole = frame(0, identity, bytes(1000))
    talk.session.receive(whole[:500], talk.now)
    for _ in range(40):
        talk.now += 2
        talk.session.receive(whole[500:] + whole[:500], talk.now)
        talk.session.idle(talk.now)
        assert not talk.is_closed()
    assert len(talk.engine.streams[stream].body) == 40_000


def test_a_head_whose_frames_come_one_by_one_is_not_waited_for() -> None:
    talk = Conversation()
    talk.session.receive(frame(HEADERS, 1, b"\x82"), talk.now)
    talk.now += 29
    talk.session.receive(frame(CONTINUATION, 1, b"\x86"), talk.now)
    talk.session.idle(talk.now)
    assert not talk.is_closed()
    talk.now += 1
    talk.session.idle(talk.now)
    talk.exchange()
    assert talk.is_calmed()


def test_an_idle_connection_is_closed_with_a_goodbye() -> None:
    talk = Conversation()
    _, stream = talk.ask()
    talk.now += 100
    talk.session.answer(stream, OK, b"")
    talk.exchange()
    talk.now += 59
    talk.session.idle(talk.now)
    assert not talk.is_closed()
    assert talk.engine.due == pytest.approx(talk.now + 1)
    talk.now += 1
    talk.session.idle(talk.now)
    talk.exchange()
    assert talk.is_closed()
    (goaway,) = talk.of(h2.events.ConnectionTerminated)
    assert isinstance(goaway, h2.events.ConnectionTerminated)
    assert goaway.error_code == 0


def test_a_defect_of_the_codec_closes_only_this_connection(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    talk = Conversation()
    _, stream = talk.ask()

    def fail(_: bytes) -> None:
        raise KeyError("defect")

    monkeypatch.setattr(talk.session._h2, "receive_data", fail)  # pyright: ignore[reportPrivateUsage]
    talk.raw(b"x")
    assert talk.is_closed()
    assert talk.engine.streams[stream].cancelled
    assert "HTTP/2 connection 7 failed" in caplog.text


def test_a_budget_comes_back_with_time() -> None:
    budget = Budget(3, 1, 0.0)
    assert [budget.spend(1, 0.0) for _ in range(4)] == [True, True, True, False]
    assert not budget.spend(1, 0.5)
    assert budget.spend(1, 2.0)
    budget.earn(100)
    assert [budget.spend(1, 2.0) for _ in range(4)] == [True, True, True, False]


def test_fields_of_a_head_are_one_block() -> None:
    talk = Conversation()
    _, stream = talk.ask()
    assert isinstance(talk.engine.streams[stream].fields, FieldBlock)


def test_a_length_of_thousands_of_digits_ends_its_stream_and_no_other() -> None:
    talk = Conversation()
    _, other = talk.ask(POST, end=False)
    identity, _ = talk.ask([*POST, ("content-length", "1" * 5000)], end=False)
    resets = [event for event in talk.events if isinstance(event, h2.events.StreamReset)]
    assert [event.stream_id for event in resets] == [identity]
    assert not talk.is_closed()
    assert not talk.engine.streams[other].cancelled


def test_requests_that_come_with_a_priority_of_the_older_kind_are_no_flood() -> None:
    talk = Conversation()
    nothing = FieldBlock([(b":status", b"204")])
    for _ in range(2000):
        identity = talk.client.get_next_available_stream_id()
        talk.client.send_headers(identity, GET, end_stream=True, priority_weight=16)
        talk.exchange()
        talk.session.answer(max(talk.engine.streams), nothing, b"")
        talk.exchange()
        assert not talk.is_closed()


def test_a_frame_that_is_too_large_is_refused_at_its_head() -> None:
    # The rest of its 16 MiB would have to be kept until the frame is whole.
    talk = Conversation()
    talk.ask(POST, end=False)
    talk.raw((16_385).to_bytes(3) + bytes([0, 0, 0, 0, 0, 1]))
    assert talk.is_closed()
    assert [
        getattr(event, "error_code", None) for event in talk.of(h2.events.ConnectionTerminated)
    ] == [6]


def test_trailers_without_fields_end_a_request() -> None:
    talk = Conversation()
    identity, stream = talk.ask(POST, end=False)
    talk.raw(frame(1, identity, b"", 5))
    trailers = talk.engine.streams[stream].trailers
    assert trailers is not None
    assert len(trailers) == 0
    assert not talk.is_closed()

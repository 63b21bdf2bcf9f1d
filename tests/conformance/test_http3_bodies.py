"""Bodies over HTTP/3 as the gateway reads them, many frames at once, against aioquic, which reads each frame."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

from aioquic.buffer import encode_uint_var
from aioquic.h3.connection import H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.events import StreamDataReceived
from hypothesis import example, given, settings
from hypothesis import strategies as st

from oto_trio.gateway.listeners.http3.connection import Http3Connection
from oto_trio.gateway.listeners.http3.limits import Http3Limits

HEAD = b"\x01\x03\x00\x00\xd1"
"""HEADERS with `:method: GET`."""


class Quic:
    """What a connection of HTTP/3 asks of the one below."""

    def __init__(self) -> None:
        self.configuration = SimpleNamespace(is_client=False)
        self._quic_logger = None
        self.written: dict[int, bytes] = {}
        self.error: int | None = None
        self._next = itertools.count(3, 4)

    def get_next_available_stream_id(self, *, is_unidirectional: bool) -> int:
        assert is_unidirectional
        return next(self._next)

    def send_stream_data(self, stream: int, data: bytes, end_stream: bool = False) -> None:
        self.written[stream] = self.written.get(stream, b"") + data + b"|" * end_stream

    def close(self, error_code: int, reason_phrase: str) -> None:
        del reason_phrase
        self.error = error_code


def frame(kind: int, payload: bytes) -> bytes:
    return encode_uint_var(kind) + encode_uint_var(len(payload)) + payload


data = st.binary(max_size=90).map(lambda it: frame(0, it))
long_header = st.binary(max_size=30).map(
    lambda it: b"\0" + (len(it) | 0x80000000).to_bytes(4, "big") + it
)
other = st.tuples(st.sampled_from([0x21, 0x40, 4]), st.binary(max_size=9)).map(
    lambda it: frame(*it)
)
frames = st.lists(st.one_of(data, data, data, long_header, other, st.just(HEAD)), max_size=9)


def heard(connection: Http3Connection, events: list[Any]) -> tuple[Any, ...]:
    """The body, where heads are in it, its end, what counts as idle, and why the connection ended."""
    body, heads, ended = b"", [], 0
    for event in events:
        if isinstance(event, HeadersReceived):
            heads.append(len(body))
        else:
            assert isinstance(event, DataReceived)
            body += event.data
        ended += event.stream_ended
    quic: Any = connection._quic
    stream = connection._stream.get(0)
    length = stream.content_length if stream is not None else None
    return body, heads, ended, connection.idle_frames, length, quic.error


@given(frames, st.sets(st.integers(1, 400)), st.booleans(), st.integers(0, 3))
@example([frame(0, b"a" * 70), frame(0, b"b")], {20}, True, 0)
@settings(max_examples=400)
def test_bodies_are_read_as_the_library_reads_them(
    what: list[bytes], cuts: set[int], ends: bool, cut_off: int
) -> None:
    ours, theirs = (Http3Connection(Quic(), Http3Limits()) for _ in range(2))  # type: ignore[arg-type]
    sent = HEAD + b"".join(what)
    sent = sent[: len(sent) - cut_off]
    places = [0, *sorted(it for it in cuts if it < len(sent)), len(sent)]
    read: list[Any] = []
    expected: list[Any] = []
    for start, stop in itertools.pairwise(places):
        is_last = ends and stop == len(sent)
        read += ours.handle_event(StreamDataReceived(sent[start:stop], is_last, 0))
        expected += H3Connection.handle_event(
            theirs, StreamDataReceived(sent[start:stop], is_last, 0)
        )
        if theirs.is_done:
            break
    found, wanted = heard(ours, read), heard(theirs, expected)
    if theirs.is_done:
        # What stood before the fault, in the same piece, the library does not tell.
        assert found[0].startswith(wanted[0])
        assert found[-1] == wanted[-1]
    else:
        assert found == wanted


@given(st.binary(max_size=70_000))
@settings(max_examples=60)
def test_bodies_are_written_as_the_library_writes_them(body: bytes) -> None:
    ours, theirs = Quic(), Quic()
    for quic, connection in ((ours, Http3Connection), (theirs, H3Connection)):
        speaker = Http3Connection(quic, Http3Limits())  # type: ignore[arg-type]
        speaker.handle_event(StreamDataReceived(HEAD, True, 0))
        speaker.send_headers(0, [(b":status", b"200")])
        connection.send_data(speaker, 0, body, end_stream=False)
        connection.send_data(speaker, 0, body, end_stream=True)
    assert ours.written == theirs.written

"""Frames are found on control streams however they are cut, and no more is kept than of one of them."""

from __future__ import annotations

import pytest
from aioquic.buffer import encode_uint_var
from aioquic.h3.connection import encode_frame

from oto_trio.gateway.listeners.http3.control_frames import ControlFrames

WANTED, OTHER, MOST = 0xF0700, 0x21, 264


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_frames_are_found_in_any_pieces(size: int) -> None:
    frames = encode_uint_var(0) + b"".join(
        [
            encode_frame(0x4, b""),
            encode_frame(WANTED, b"first"),
            encode_frame(OTHER, bytes(300)),
            encode_frame(WANTED, b""),
            encode_frame(WANTED, bytes(MOST + 1)),
            encode_frame(WANTED, b"x" * MOST),
            encode_frame(WANTED, b"not whole")[:-1],
        ]
    )
    finder = ControlFrames(WANTED, MOST)
    found: list[bytes] = []
    for start in range(0, len(frames), size):
        found += finder.feed(frames[start : start + size])
        assert len(finder._rest) <= MOST + 16
    assert found == [b"first", b"", b"x" * MOST]
    assert finder.feed(b"!") == [b"not whol!"]


def test_other_streams_are_not_looked_at() -> None:
    finder = ControlFrames(WANTED, MOST)
    assert finder.feed(encode_uint_var(2) + encode_frame(WANTED, b"a")) == []
    assert finder.feed(encode_frame(WANTED, b"a") * 1000) == []
    assert finder._rest == b""

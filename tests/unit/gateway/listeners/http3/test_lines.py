"""The count of an encoded head's fields is that of the decoder, whatever they are and wherever it is cut."""

from __future__ import annotations

import pylsqpack
from hypothesis import given
from hypothesis import strategies as st

from oto_trio.gateway.listeners.http3.lines import count_lines
from tests.attacks.http3_raw import block

NAMES = st.one_of(
    st.sampled_from([b":method", b":path", b"accept", b"cookie", b"x-custom", b"age", b"server"]),
    st.binary(min_size=1, max_size=300).map(lambda name: name.hex().encode()),
)
VALUES = st.one_of(st.sampled_from([b"GET", b"/", b"*/*", b"0", b""]), st.binary(max_size=400))
HEADS = st.lists(st.tuples(NAMES, VALUES), min_size=1, max_size=40)


@given(HEADS)
def test_lines_are_counted_as_they_are_decoded(fields: list[tuple[bytes, bytes]]) -> None:
    _, coded = pylsqpack.Encoder().encode(0, fields)
    for data in (coded, block(fields)):
        _, decoded = pylsqpack.Decoder(0, 0).feed_header(0, data)
        assert count_lines(data, 1000) == len(decoded) == len(fields)
        assert count_lines(data, 3) == min(len(fields), 3)


@given(st.binary(max_size=300))
def test_whatever_it_is_counting_ends(data: bytes) -> None:
    assert 0 <= count_lines(data, 50) <= min(len(data), 50)


def test_an_octet_a_field() -> None:
    assert count_lines(b"\0\0" + b"\xc1" * 60_000, 129) == 129

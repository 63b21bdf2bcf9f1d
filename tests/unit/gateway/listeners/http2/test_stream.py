"""What waits of a response comes out as it was put in, however it is cut."""

from hypothesis import given
from hypothesis import strategies as st

from oto_trio.gateway.listeners.http2.stream import SPENT_MOST, Stream


@given(
    st.lists(st.binary(max_size=5), max_size=3 * SPENT_MOST),
    st.lists(st.integers(1, 7), min_size=1, max_size=20),
    st.integers(0, 3),
)
def test_pieces_of_a_body_come_out_in_order(
    pieces: list[bytes], counts: list[int], ahead: int
) -> None:
    stream = Stream(1, 1, 0.0)
    taken = bytearray()
    turn = 0
    for index, piece in enumerate(pieces):
        stream.push(piece)
        while stream.chunks and index % (ahead + 1) == ahead:
            count = counts[turn % len(counts)]
            part = stream.take(count)
            assert 0 < len(part) <= count
            taken += part
            turn += 1
    while stream.chunks:
        assert stream.waits
        taken += stream.take(counts[turn % len(counts)])
        assert len(stream.chunks) <= len(pieces)
        turn += 1
    assert bytes(taken) == b"".join(pieces)
    assert not stream.waits


def test_pieces_that_have_gone_are_not_kept() -> None:
    stream = Stream(1, 1, 0.0)
    stream.push(b"first")
    for _ in range(10 * SPENT_MOST):
        stream.push(b"next")
        stream.take(100)
        assert sum(map(len, stream.chunks)) <= len(b"next")
        assert len(stream.chunks) <= SPENT_MOST + 1

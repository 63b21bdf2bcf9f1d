"""`QuicKeys` against aioquic: what the engine seals aioquic opens to the same frames, and the other way round."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from aioquic._buffer import Buffer
from aioquic._crypto import CryptoError
from aioquic.quic.crypto import CryptoContext, derive_key_iv_hp
from aioquic.quic.packet import QuicProtocolVersion, pull_ack_frame
from aioquic.tls import CipherSuite
from hypothesis import given, settings
from hypothesis import strategies as st

from oto_trio._core import QuicKeys

CID = b"0123456789ab"
HEADER = 3 + len(CID)
FIRST = 5000
SUITES = {
    CipherSuite.AES_128_GCM_SHA256: 32,
    CipherSuite.AES_256_GCM_SHA384: 48,
    CipherSuite.CHACHA20_POLY1305_SHA256: 32,
}
VERSIONS = (QuicProtocolVersion.VERSION_1, QuicProtocolVersion.VERSION_2)

suites = st.sampled_from(list(SUITES))
versions = st.sampled_from(VERSIONS)
numbers = st.one_of(st.integers(0, 70), st.integers(0, 2**62 - 3000))
pieces = st.lists(st.tuples(numbers, numbers, st.binary(max_size=3000), st.booleans()), max_size=6)


def both(suite: CipherSuite, version: int, phase: int = 0) -> tuple[QuicKeys, CryptoContext]:
    """The same keys for the engine and for aioquic."""
    secret = bytes(range(SUITES[suite]))
    theirs = CryptoContext(key_phase=phase)
    theirs.setup(cipher_suite=suite, secret=secret, version=version)
    parts = derive_key_iv_hp(cipher_suite=suite, secret=secret, version=version)
    return QuicKeys(int(suite), *parts), theirs


def stream_frames(plain: bytes) -> list[tuple[int, int, bytes, bool]]:
    buf = Buffer(data=plain)
    found = []
    while not buf.eof():
        kind = buf.pull_uint_var()
        if kind == 0:
            continue
        assert kind & ~5 == 0x0A
        stream = buf.pull_uint_var()
        offset = buf.pull_uint_var() if kind & 4 else 0
        found.append((stream, offset, buf.pull_bytes(buf.pull_uint_var()), bool(kind & 1)))
    return found


@given(suites, versions, pieces, st.integers(100, 1500), st.booleans(), st.booleans())
@settings(max_examples=150)
def test_what_is_sealed_opens_to_the_same(
    suite: CipherSuite,
    version: int,
    wanted: list[tuple[int, int, bytes, bool]],
    size: int,
    spin: bool,
    phase: bool,
) -> None:
    ours, theirs = both(suite, version, int(phase))
    sealed = ours.seal_flight(CID, spin, phase, FIRST, b"", wanted, size, 2**40, 1000)
    got: list[tuple[int, int, bytes, bool]] = []
    for index, (datagram, carried) in enumerate(sealed):
        assert len(datagram) <= size
        header, plain, number, is_updated = theirs.decrypt_packet(datagram, 1 + len(CID), FIRST)
        assert (number, is_updated, header[0] >> 5 & 1) == (FIRST + index, False, spin)
        assert theirs.encrypt_packet(header, plain, number) == datagram
        frames = stream_frames(plain)
        assert [(start, stop, fin) for _, start, stop, fin in carried] == [
            (offset, offset + len(data), fin) for _, offset, data, fin in frames
        ]
        assert [wanted[piece][0] for piece, *_ in carried] == [it[0] for it in frames]
        got += [(piece, *frame[1:]) for (piece, *_), frame in zip(carried, frames, strict=True)]
    for index, (_, offset, data, fin) in enumerate(wanted):
        parts = [it[1:] for it in got if it[0] == index]
        assert b"".join(it[1] for it in parts) == data
        assert parts[0][0] == offset
        assert [it[2] for it in parts] == [False] * (len(parts) - 1) + [fin]
    full = [len(datagram) for datagram, _ in sealed[:-1]]
    assert all(it > size - 20 for it in full), "the next frame's header had no space"


varint = st.one_of(st.integers(0, 63), st.integers(0, 2**20))


@st.composite
def frame(draw: Any) -> tuple[bool, bytes]:
    """One frame, and whether the engine reads it."""
    buf = Buffer(2000)
    kind = draw(
        st.sampled_from(
            [0, 0, 1, 2, 3, 8, 9, 0xA, 0xC, 0xE, 0xF, 0x10, 0x11, 0x14, 0x15, 0x1E, 0x12]
        )
    )
    buf.push_uint_var(kind)
    if kind in {2, 3}:
        largest = draw(st.integers(0, 40))
        low = largest - draw(st.integers(0, largest))
        ranges = []
        while low > 2 and draw(st.booleans()):
            gap = draw(st.integers(0, low - 2))
            high = low - gap - 2
            length = draw(st.integers(0, high))
            ranges.append((gap, length))
            low = high - length
        first = largest - (low if not ranges else low + sum(sum(it) + 2 for it in ranges))
        for value in (largest, draw(varint), len(ranges), first, *(x for it in ranges for x in it)):
            buf.push_uint_var(value)
        for _ in range(3 if kind == 3 else 0):
            buf.push_uint_var(draw(varint))
    elif 8 <= kind <= 0xF:
        buf.push_uint_var(draw(st.integers(0, 9)))
        if kind & 4:
            buf.push_uint_var(draw(varint))
        data = draw(st.binary(max_size=40))
        if kind & 2:
            buf.push_uint_var(len(data))
        buf.push_bytes(data)
    elif kind >= 0x10 and kind != 0x1E:
        buf.push_uint_var(draw(varint))
        if kind in {0x11, 0x15}:
            buf.push_uint_var(draw(varint))
    return kind not in {0x1E, 0x12}, bytes(buf.data)


@st.composite
def packet(draw: Any) -> tuple[int, int, bytes]:
    """How much further its number is, what is wrong with it, and its payload."""
    frames = draw(st.lists(frame(), min_size=1, max_size=4))
    payload = b"".join(it for _, it in frames)
    if draw(st.integers(0, 9)) == 0:
        payload = draw(st.binary(min_size=1, max_size=30))
    return draw(st.sampled_from([1] * 8 + [2, 7, 0])), draw(st.integers(0, 30)), payload


def heard(plain: bytes) -> list[tuple[Any, ...]] | None:
    """What aioquic's readers find in a payload; None when there is more than the engine reads."""
    buf = Buffer(data=plain)
    found: list[tuple[Any, ...]] = []
    try:
        while not buf.eof():
            first = buf.tell()
            kind = buf.pull_uint_var()
            if buf.tell() > first + 1:
                return None
            if kind in {2, 3}:
                start = buf.tell()
                ranges, _ = pull_ack_frame(buf)
                for _ in range(3 if kind == 3 else 0):
                    buf.pull_uint_var()
                found.append(("ack", list(ranges), bytes(buf.data_slice(start, buf.tell()))))
            elif 8 <= kind <= 0xF:
                stream = buf.pull_uint_var()
                offset = buf.pull_uint_var() if kind & 4 else 0
                length = buf.pull_uint_var() if kind & 2 else buf.capacity - buf.tell()
                found.append(("data", stream, offset, buf.pull_bytes(length), bool(kind & 1)))
            elif kind in {0x10, 0x11, 0x14, 0x15}:
                values = [buf.pull_uint_var() for _ in range(1 + kind % 2)]
                found.append(("limit", kind, values))
            elif kind == 1:
                found.append(("ping",))
            elif kind != 0:
                return None
    except ValueError:
        return None
    return found if is_honest(found) else None


def is_honest(found: list[tuple[Any, ...]]) -> bool:
    """Whether a packet of a transfer may hold these."""
    kinds = [it[0] for it in found]
    streams = [it[1] for it in found if it[0] == "data"]
    return (
        kinds.count("ack") <= 1
        and kinds.count("ping") <= 1
        and len(set(streams)) == len(streams)
        and all(it[3] or it[4] for it in found if it[0] == "data")
        and len(kinds) - kinds.count("ping") <= 32
    )


def simple(told: list[tuple[int, bytes, int, int]]) -> dict[Any, Any]:
    """What the engine told, without how it joined it."""
    sums: dict[Any, Any] = {"acked": set(), "octets": {}, "ends": set(), "limits": []}
    for kind, body, stream, offset in told:
        buf = Buffer(data=body)
        if kind in {0x0E, 0x0F}:
            for at, octet in enumerate(body):
                sums["octets"].setdefault((stream, offset + at), set()).add(octet)
            if kind & 1:
                sums["ends"].add((stream, offset + len(body)))
        elif kind in {2, 3}:
            ranges, _ = pull_ack_frame(buf)
            sums["acked"] |= {number for it in ranges for number in it}
        else:
            sums["limits"].append((kind, [buf.pull_uint_var() for _ in range(1 + kind % 2)]))
    return sums


def as_told(found: tuple[Any, ...]) -> tuple[int, bytes, int, int]:
    """Say what aioquic found as the engine does."""
    if found[0] == "ack":
        return 2, found[2], 0, 0
    if found[0] == "data":
        return 0x0E | found[4], found[3], found[1], found[2]
    buf = Buffer(20)
    for value in found[2]:
        buf.push_uint_var(value)
    return found[1], buf.data, 0, 0


@given(
    suites,
    versions,
    st.lists(packet(), min_size=1, max_size=8),
    st.integers(0, 1),
    st.sets(st.integers(1, 7)),
)
@settings(max_examples=300)
def test_what_is_opened_is_what_the_library_reads(
    suite: CipherSuite,
    version: int,
    packets: list[tuple[int, int, bytes]],
    phase: int,
    cuts: set[int],
) -> None:
    ours, theirs = both(suite, version, phase)
    size = max(len(it) for *_, it in packets) + 2
    run, number, expected, is_read = b"", FIRST, [], True
    told: list[tuple[int, bytes, int, int]] = []
    seen: list[int] = []
    for step, wrong, payload in packets:
        number += step
        plain = payload.ljust(size, b"\0")
        first = 0x41 | phase << 2
        if wrong == 1:
            first ^= 4
        elif wrong == 2:
            first |= 0x10
        header = bytes([first]) + CID + (number & 0xFFFF).to_bytes(2, "big")
        datagram = theirs.encrypt_packet(header, plain, number)
        if wrong == 3:
            datagram = datagram[:-1] + bytes([datagram[-1] ^ 1])
        run += datagram
        frames = heard(plain)
        is_read = is_read and wrong not in {1, 2, 3} and frames is not None
        is_read = is_read and (not seen or number > seen[-1]) and (bool(seen) or number >= FIRST)
        if is_read and frames is not None:
            seen.append(number)
            expected += frames
    length = HEADER + size + 16
    ends = [0, *(it * length for it in sorted(cuts) if it < len(packets)), len(run)]
    runs = [(run[start:end], length) for start, end in itertools.pairwise(ends)]
    used, ranges, is_eliciting, _, told = ours.open_runs(runs, CID, bool(phase), FIRST, FIRST)
    assert used == len(seen) * length
    assert [it for start, stop in ranges for it in range(start, stop)] == seen
    assert all(start < stop for start, stop in ranges)
    assert is_eliciting == any(it[0] != "ack" for it in expected)
    assert simple(told) == simple([as_told(it) for it in expected if it[0] != "ping"])


def test_another_key_opens_nothing() -> None:
    ours, theirs = both(CipherSuite.AES_128_GCM_SHA256, QuicProtocolVersion.VERSION_1)
    other, _ = both(CipherSuite.AES_256_GCM_SHA384, QuicProtocolVersion.VERSION_1)
    ((datagram, _),) = ours.seal_flight(CID, False, False, FIRST, b"\x01", [], 1200, 1200, 1)
    assert other.open_runs([(datagram, 1200)], CID, False, FIRST, 0)[0] == 0
    assert ours.open_runs([(datagram, 1200)], CID, False, FIRST, 0)[0] == len(datagram)
    with pytest.raises(CryptoError):
        theirs.decrypt_packet(datagram[:-1], 1 + len(CID), FIRST)


@pytest.mark.parametrize(
    "parts", [(0x1304, 16, 12, 16), (0x1301, 15, 12, 16), (0x1301, 16, 11, 16), (0x1302, 32, 12, 9)]
)
def test_wrong_keys_are_refused(parts: tuple[int, int, int, int]) -> None:
    suite, *lengths = parts
    with pytest.raises(ValueError, match="no cipher of QUIC"):
        QuicKeys(suite, *(bytes(it) for it in lengths))

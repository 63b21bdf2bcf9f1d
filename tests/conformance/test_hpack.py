"""RFC 7541: the examples of its appendix C, twins against the `hpack` library, and what attacks."""

from __future__ import annotations

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oto_trio._core import FieldBlock, HpackDecoder, HpackEncoder

Fields = list[tuple[bytes, bytes]]

GET = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/")]
HOST = (b":authority", b"www.example.com")
SECURE = [
    (b":method", b"GET"),
    (b":scheme", b"https"),
    (b":path", b"/index.html"),
    HOST,
    (b"custom-key", b"custom-value"),
]
REQUESTS = [[*GET, HOST], [*GET, HOST, (b"cache-control", b"no-cache")], SECURE]
MOMENTS = [b"Mon, 21 Oct 2013 20:13:21 GMT", b"Mon, 21 Oct 2013 20:13:22 GMT"]
PLACE = (b"location", b"https://www.example.com")
PRIVATE = (b"cache-control", b"private")
COOKIE = b"foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"
RESPONSES = [
    [(b":status", b"302"), PRIVATE, (b"date", MOMENTS[0]), PLACE],
    [(b":status", b"307"), PRIVATE, (b"date", MOMENTS[0]), PLACE],
    [
        (b":status", b"200"),
        PRIVATE,
        (b"date", MOMENTS[1]),
        PLACE,
        (b"content-encoding", b"gzip"),
        (b"set-cookie", COOKIE),
    ],
]
# By section of appendix C: the size of the table, and the blocks of one connection in order.
VECTORS: dict[str, tuple[int, list[tuple[str, Fields]]]] = {
    "C.2.1": (
        4096,
        [
            (
                "400a637573746f6d2d6b65790d637573746f6d2d686561646572",
                [(b"custom-key", b"custom-header")],
            )
        ],
    ),
    "C.2.2": (4096, [("040c2f73616d706c652f70617468", [(b":path", b"/sample/path")])]),
    "C.2.3": (4096, [("100870617373776f726406736563726574", [(b"password", b"secret")])]),
    "C.2.4": (4096, [("82", [(b":method", b"GET")])]),
    "C.3": (
        4096,
        [
            ("828684410f7777772e6578616d706c652e636f6d", REQUESTS[0]),
            ("828684be58086e6f2d6361636865", REQUESTS[1]),
            ("828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565", REQUESTS[2]),
        ],
    ),
    "C.4": (
        4096,
        [
            ("828684418cf1e3c2e5f23a6ba0ab90f4ff", REQUESTS[0]),
            ("828684be5886a8eb10649cbf", REQUESTS[1]),
            ("828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf", REQUESTS[2]),
        ],
    ),
    "C.5": (
        256,
        [
            (
                (
                    "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a"
                    "323120474d546e1768747470733a2f2f7777772e6578616d706c652e636f6d"
                ),
                RESPONSES[0],
            ),
            ("4803333037c1c0bf", RESPONSES[1]),
            (
                (
                    "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69"
                    "707738666f6f3d4153444a4b48514b425a584f5157454f50495541585157454f49553b206d6178"
                    "2d6167653d333630303b2076657273696f6e3d31"
                ),
                RESPONSES[2],
            ),
        ],
    ),
    "C.6": (
        256,
        [
            (
                (
                    "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29"
                    "ad171863c78f0b97c8e9ae82ae43d3"
                ),
                RESPONSES[0],
            ),
            ("4883640effc1c0bf", RESPONSES[1]),
            (
                (
                    "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7"
                    "f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d50"
                    "07"
                ),
                RESPONSES[2],
            ),
        ],
    ),
}


@pytest.mark.parametrize("section", VECTORS)
def test_the_examples_of_the_rfc_are_decoded(section: str) -> None:
    size, blocks = VECTORS[section]
    decoder = HpackDecoder()
    decoder.header_table_size = size
    for octets, fields in blocks:
        assert list(decoder.decode(bytes.fromhex(octets), raw=True)) == fields


@pytest.mark.parametrize("section", ["C.4", "C.6"])
def test_what_repeats_is_one_octet_the_third_time(section: str) -> None:
    _, blocks = VECTORS[section]
    encoder, decoder = HpackEncoder(), HpackDecoder()
    for _, fields in blocks:
        blocks_of_it = [encoder.encode(fields) for _ in range(3)]
        assert all(list(decoder.decode(block)) == fields for block in blocks_of_it)
        secret = [field for field in fields if field[0] == b"set-cookie"]
        # A secret is a literal each time: an octet or two, its length, and its text.
        alone = len(HpackEncoder().encode(secret))
        assert len(blocks_of_it[-1]) == len(fields) - len(secret) + alone


def test_secrets_are_never_indexed_however_often_they_are_sent() -> None:
    secrets = [
        b"authorization",
        b"proxy-authorization",
        b"cookie",
        b"set-cookie",
        b"x-api-key",
        b"otoroshi-client-secret",
    ]
    encoder, decoder = HpackEncoder(), hpack.Decoder()
    for name in secrets:
        for _ in range(4):
            (field,) = decoder.decode(encoder.encode([(name, b"hush")]), raw=True)
            assert isinstance(field, hpack.NeverIndexedHeaderTuple)
    forms: list[list[tuple[bytes, bytes] | tuple[bytes, bytes, bool]]] = [
        [(b"x-mine", b"hush", True)],
        [hpack.NeverIndexedHeaderTuple(b"x-mine", b"hush")],
    ]
    for marked in forms:
        for _ in range(4):
            (field,) = decoder.decode(encoder.encode(FieldBlock(marked)), raw=True)
            assert isinstance(field, hpack.NeverIndexedHeaderTuple)
    assert not decoder.header_table.dynamic_entries


def test_a_flag_of_the_peer_stays_on_the_field() -> None:
    block = HpackDecoder().decode(bytes.fromhex("100870617373776f726406736563726574"))
    encoder = HpackEncoder()
    for _ in range(3):
        assert encoder.encode(block)[0] & 0xF0 == 0x10


def test_a_value_that_differs_each_time_does_not_push_out_what_repeats() -> None:
    encoder, decoder = HpackEncoder(), hpack.Decoder()
    for number in range(500):
        fields = [(b"server", b"gate"), (b"x-request-id", b"%040d" % number)]
        decoder.decode(encoder.encode(fields), raw=True)
    assert list(decoder.header_table.dynamic_entries) == [(b"server", b"gate")]


NAMES = st.sampled_from(
    [
        *(b":status", b":path", b"date", b"server", b"content-length", b"x-request-id", b"a", b""),
        *(b"accept-encoding", b"cookie", b"x-" + b"long" * 30),
    ]
)
VALUES = st.one_of(
    st.sampled_from([b"", b"200", b"gzip, deflate", b"/", b"x" * 200, b"\xff\x00"]),
    st.binary(max_size=12),
)
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=8)
SIZES = st.sampled_from([0, 31, 64, 200, 1000, 4095, 4096, 4097, 100_000])
CONNECTION = st.lists(st.one_of(FIELDS, SIZES), max_size=12)


@given(CONNECTION, st.booleans())
def test_the_library_reads_what_is_written(steps: list[Fields | int], huffman: bool) -> None:
    encoder, decoder = HpackEncoder(), hpack.Decoder()
    allowed = 4096
    for step in steps:
        if isinstance(step, int):
            encoder.header_table_size = step
            allowed = step
            assert encoder.header_table_size == min(step, 4096)
            continue
        decoder.max_allowed_table_size = allowed
        headers = decoder.decode(encoder.encode(step, huffman=huffman), raw=True)
        assert [tuple(header) for header in headers] == step


@given(CONNECTION, st.booleans())
def test_what_the_library_writes_is_read(steps: list[Fields | int], huffman: bool) -> None:
    encoder, decoder = hpack.Encoder(), HpackDecoder()
    for step in steps:
        if isinstance(step, int):
            # The library forgets to tell of a size that is set twice.
            if step != encoder.header_table_size:
                encoder.header_table_size = step
            decoder.max_allowed_table_size = max(step, decoder.max_allowed_table_size)
            continue
        block = decoder.decode(encoder.encode(step, huffman=huffman), raw=True)
        assert list(block) == step
        assert len(block) == len(step)
        assert decoder.header_table_size == encoder.header_table_size


# Octets that begin something, so that garbage goes deeper than its first octet.
GARBAGE = st.lists(
    st.one_of(
        st.sampled_from(
            [b"\x82", b"\xbe", b"\x40", b"\x00", b"\x10", b"\x20", b"\x3f\xe1\x1f", b"\x7f\x00"]
        ),
        st.sampled_from([b"\x01a", b"\x03abc", b"\x82\x1c\x64", b"\xff\x80\x80", b"\x00"]),
        st.binary(max_size=4),
    ),
    max_size=10,
).map(b"".join)


@given(st.lists(GARBAGE, min_size=1, max_size=4))
def test_garbage_is_judged_as_the_library_judges_it(blocks: list[bytes]) -> None:
    ours, theirs = HpackDecoder(), hpack.Decoder()
    for block in blocks:
        try:
            expected = [tuple(header) for header in theirs.decode(block, raw=True)]
        except hpack.HPACKError:
            with pytest.raises(hpack.HPACKError):
                ours.decode(block, raw=True)
            return
        assert list(ours.decode(block, raw=True)) == expected


@pytest.mark.parametrize("section", ["C.3", "C.4", "C.6"])
def test_a_block_cut_anywhere_is_refused_or_shorter(section: str) -> None:
    size, blocks = VECTORS[section]
    octets, fields = bytes.fromhex(blocks[0][0]), blocks[0][1]
    for cut in range(len(octets)):
        decoder = HpackDecoder()
        decoder.header_table_size = size
        try:
            got = list(decoder.decode(octets[:cut]))
        except hpack.HPACKDecodingError:
            continue
        assert got == fields[: len(got)]
        assert len(got) < len(fields)


@pytest.mark.parametrize(
    ("block", "error", "text"),
    [
        ("80", hpack.exceptions.InvalidTableIndexError, "index 0"),
        ("be", hpack.exceptions.InvalidTableIndexError, "index 62"),
        ("7e0161", hpack.exceptions.InvalidTableIndexError, "index 62"),
        ("ff8080808080808001", hpack.HPACKDecodingError, "too many octets"),
        ("823fe11f", hpack.HPACKDecodingError, "behind the first field"),
        ("3fe21f", hpack.exceptions.InvalidTableSizeError, "allows 4096"),
        ("4001", hpack.HPACKDecodingError, "ends within a field"),
        ("400161", hpack.HPACKDecodingError, "ends within a field"),
        ("40016184ffffffff", hpack.HPACKDecodingError, "Huffman"),
        ("40016182ffff", hpack.HPACKDecodingError, "Huffman"),
    ],
)
def test_what_breaks_a_rule_is_named(block: str, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        HpackDecoder().decode(bytes.fromhex(block))


def test_a_table_that_was_not_made_smaller_is_refused() -> None:
    decoder = HpackDecoder()
    decoder.max_allowed_table_size = 100
    with pytest.raises(hpack.exceptions.InvalidTableSizeError, match="allows 100"):
        decoder.decode(b"\x82")
    decoder = HpackDecoder()
    decoder.max_allowed_table_size = 100
    assert len(decoder.decode(b"\x20\x3f\x45\x82")) == 1
    assert decoder.header_table_size == 100


def test_a_bomb_stops_at_the_bound() -> None:
    # One large field, kept in the table, and then an octet for each time it comes again.
    seed = HpackEncoder()
    field = [(b"x", b"v" * 3000)]
    seed.encode(field, huffman=False)
    first = seed.encode(field, huffman=False)
    decoder = HpackDecoder(max_header_list_size=64 * 1024)
    decoder.decode(first)
    with pytest.raises(hpack.OversizedHeaderListError, match="LIST_SIZE, 65536 bytes"):
        decoder.decode(b"\xbe" * 4_000_000)
    # The bound counts 32 bytes a field: this many fit, and not one more.
    decoder = HpackDecoder(max_header_list_size=10 * (3000 + 1 + 32))
    decoder.decode(first)
    assert len(decoder.decode(b"\xbe" * 10)) == 10
    with pytest.raises(hpack.OversizedHeaderListError):
        decoder.decode(b"\xbe" * 11)


def test_fields_are_counted() -> None:
    decoder = HpackDecoder(max_header_list_size=1 << 30, max_fields=100)
    assert len(decoder.decode(b"\x82" * 100)) == 100
    with pytest.raises(hpack.OversizedHeaderListError, match=r"more fields .*, 100"):
        decoder.decode(b"\x82" * 1_000_000)


@pytest.mark.parametrize("huffman", [True, False])
def test_a_value_just_within_the_bound_is_read(huffman: bool) -> None:
    block = HpackEncoder().encode([(b"x", b"a" * 1000)], huffman=huffman)
    assert len(HpackDecoder(max_header_list_size=1033).decode(block)) == 1
    with pytest.raises(hpack.OversizedHeaderListError, match="1032 bytes"):
        HpackDecoder(max_header_list_size=1032).decode(block)


def test_a_length_beyond_the_bound_is_refused_before_its_bytes_are_there() -> None:
    with pytest.raises(hpack.OversizedHeaderListError):
        HpackDecoder(max_header_list_size=1000).decode(b"\x00\x01x\x7f\xff\xff\xff\x00")


def test_a_block_is_a_sequence_of_pairs() -> None:
    block = FieldBlock([(":status", "204"), (b"a", b"1"), (b"a", b"2")])
    assert block.status == 204
    assert list(block) == [(b":status", b"204"), (b"a", b"1"), (b"a", b"2")]
    assert (block[0], block[-1]) == ((b":status", b"204"), (b"a", b"2"))
    assert (block.get(b"a"), block.get(b"b")) == (b"1", None)
    assert block == FieldBlock(list(block))
    assert block != FieldBlock([(b":status", b"204")])
    for position in (3, -4):
        with pytest.raises(IndexError):
            block[position]
    assert FieldBlock().status is None
    assert "204" not in repr(block)


@pytest.mark.parametrize("fields", [[b"ab"], [(b"a",)], [(b"a", 1)], 3, [(b"a", b"b", b"c", b"d")]])
def test_what_is_no_pair_is_refused(fields: object) -> None:
    with pytest.raises(TypeError):
        FieldBlock(fields)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError):
        HpackEncoder().encode(fields)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


def test_fields_are_bytes_only() -> None:
    with pytest.raises(ValueError, match="raw=True"):
        HpackDecoder().decode(b"\x82", raw=False)

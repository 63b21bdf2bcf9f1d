"""The bounds that the pages about protocols state are those of the code."""

import re
from pathlib import Path
from typing import Any, Final

import msgspec

from oto_trio.gateway.listeners.http2 import Http2Limits
from oto_trio.gateway.listeners.http2.limits import CHEAP_SETTINGS, FEW_BYTES, MANY_BYTES
from oto_trio.gateway.listeners.http3 import Http3Limits
from oto_trio.gateway.quic import QuicLimits
from oto_trio.gateway.quic.endpoint import TURN_S
from oto_trio.gateway.quic.guarded import IDENTIFIER_COST
from oto_trio.gateway.websocket.limits import SocketLimits
from oto_trio.model.stream_bounds import StreamBounds
from tests.attacks.test_smuggling import CASES

DOCS: Final = Path(__file__).parents[4] / "docs"
HTTP2, HTTP3, QUIC, SOCKET = Http2Limits(), Http3Limits(), QuicLimits(), SocketLimits()


def count(number: float) -> str:
    return f"{number:,.0f}"


def size(number: int) -> str:
    for unit, of in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if number % of == 0:
            return f"{count(number // of)} {unit}"
    return count(number)


def seconds(number: float) -> str:
    for unit, of in (("h", 3600), ("min", 60)):
        if number > 60 and number % of == 0:
            return f"{number / of:.0f} {unit}"
    return f"{number:g} s"


def page(name: str) -> str:
    """A page of docs, whose lines are one."""
    return " ".join((DOCS / f"{name}.md").read_text(encoding="utf-8").split())


def rows(text: str) -> dict[str, list[str]]:
    """The rows of all tables, by their first cell."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("| "):
            first, *others = (cell.strip() for cell in line.strip("|").split("|"))
            found.setdefault(first, others)
    return found


def test_what_attacks_end_with() -> None:
    found = rows((DOCS / "attacks.md").read_text(encoding="utf-8"))
    calm, load, wrong = "ENHANCE_YOUR_CALM", "H3_EXCESSIVE_LOAD", "PROTOCOL_VIOLATION"
    settings_of_a_frame = 2700 // CHEAP_SETTINGS
    # Frames that are answered cost two; a bomb of so many bytes or fields costs as often as it is beyond the bound.
    stated = {
        "rapid reset (CVE-2023-44487)": f"{calm} after {count(HTTP2.resets)}",
        "malformed heads, lengths that are none": f"{calm} after {count(HTTP2.resets)}",
        "CONTINUATION without end": f"{calm} after {HTTP2.header_frames} frames or {size(HTTP2.header_block_bytes)}",
        "SETTINGS, and": f"{calm} after {count(HTTP2.frames / 2)}; after {HTTP2.frames // (2 + settings_of_a_frame)}",
        "PING, PRIORITY, PRIORITY_UPDATE": f"{calm} after {count(HTTP2.frames / 2)} or {count(HTTP2.frames)}",
        "HPACK bombs of 240 KiB": f"{calm} after {HTTP2.resets // (240 * 1024 // HTTP2.header_list_bytes)}",
        "heads of 300 fields": f"{calm} after {HTTP2.resets // (300 // HTTP2.header_fields)}",
        "400 answers of 4 MB": f"after {seconds(HTTP2.stall_s)}",
        "answers taken octet by octet": f"{calm} after {count(HTTP2.frames / 2)}",
        "a body of 120,000 octets": f"{size(FEW_BYTES)} are read at once",
        "PING, windows and numbers": f"{wrong} after {count(QUIC.idle_frames)} that brought nothing",
        "NEW_CONNECTION_ID": f"{wrong} after {count(QUIC.idle_frames / IDENTIFIER_COST)}",
        "a stream in pieces": f"{wrong} after {QUIC.pieces} pieces; CRYPTO_BUFFER_EXCEEDED after "
        f"{QUIC.crypto_pieces}, or {size(QUIC.crypto_bytes)}",
        "rapid reset, rapid STOP_SENDING": f"{load} after {count(HTTP3.resets)}",
        f"streams of no kind, of nothing, or reset; more than {QUIC.streams} at once": f"{load} after {count(HTTP3.frames)}",
        "PRIORITY_UPDATE, unknown frames, empty DATA": f"{load} after {count(HTTP3.frames)}",
        "heads and a body octet by octet": f"after {TURN_S * 1000:g} ms others",
        "400 first messages": f"{QUIC.trusted_handshakes} handshakes are begun",
        "first messages that cannot be read": f"after {count(QUIC.unread)}, and {count(QUIC.unread_per_s)} more a second",
        "100,000 pings or pongs": f"1008 after {count(SOCKET.controls)}, and {count(SOCKET.controls_per_s)} more a second",
        "100,000 fragments": f"1008 after {count(SOCKET.fragments)}",
        "a message without end": f"1009 after {size(SOCKET.message_bytes)}",
        "the same where it was": f"1009 after {size(SOCKET.message_bytes)}",
        "compressed blocks of nothing": f"1009 after {size(2 * SOCKET.message_bytes)}",
    }
    for begins, bound in stated.items():
        (row,) = [cells for name, cells in found.items() if name.startswith(begins)]
        assert bound in row[0], begins
    assert f"{len(CASES)} cases, over both versions" in page("attacks")


def test_the_bounds_that_have_a_key() -> None:
    found = rows((DOCS / "http2.md").read_text(encoding="utf-8"))
    schema: dict[str, Any] = msgspec.json.schema(StreamBounds)
    for name, field in schema["$defs"]["StreamBounds"]["properties"].items():
        show = seconds if name.endswith("_s") else size if name.endswith("_bytes") else count
        _, default, least_and_most = found[f"`{name}`"]
        assert default == show(field["default"]), name
        assert least_and_most == f"{show(field['minimum'])}, {show(field['maximum'])}", name


def test_the_bounds_of_connections() -> None:
    assert HTTP2.resets_per_s * 30 == HTTP2.resets
    for sentence in (
        f"| requests at once | {HTTP2.max_streams} |",
        (
            f"| body of a request that the backend has not taken | {size(HTTP2.stream_window)}, "
            f"{size(HTTP2.connection_window)} for all of them |"
        ),
        f"| decoded head | {size(HTTP2.decoded_bytes)} with 32 bytes for each field, {HTTP2.decoded_fields} fields;",
        f"What is beyond {size(HTTP2.header_list_bytes)} or {HTTP2.header_fields} fields, as clients are told",
        f"| trailer | {size(HTTP2.header_list_bytes)} and {HTTP2.header_fields} fields:",
        f"| encoded head | {size(HTTP2.header_block_bytes)} in {HTTP2.header_frames} frames |",
        (
            f"| {count(HTTP2.frames)}, and {count(HTTP2.frames_per_s)} more a second; PING, GOAWAY and SETTINGS "
            f"count twice, and SETTINGS once more for each {CHEAP_SETTINGS} in it |"
        ),
        f"| {size(MANY_BYTES)}; {size(FEW_BYTES)} of a client whose frames are small |",
        f"| without a request | {seconds(HTTP2.idle_s)}, then GOAWAY |",
    ):
        assert sentence in page("http2")
    for sentence in (
        f"| requests at once | {QUIC.streams} |",
        (
            f"| body of a request that the backend has not taken | {size(QUIC.stream_window)}, "
            f"{size(QUIC.connection_window)} for all of them |"
        ),
        f"| streams of one direction | {QUIC.streams} at once, {size(QUIC.control_window)} each |",
        f"| decoded head or trailer | {size(HTTP3.header_list_bytes)} with 32 bytes for each field, {HTTP3.header_fields} fields |",
        f"| encoded head | {size(HTTP3.header_block_bytes)} |",
        f"| handshake messages that are kept | {size(QUIC.crypto_bytes)}, in {QUIC.crypto_pieces} pieces |",
        f"| pieces of a stream that wait for what is in front of them | {QUIC.pieces} |",
        f"| {count(QUIC.idle_frames)}, and {count(QUIC.idle_frames_per_s)} more a second |",
        f"| what is in flight towards the client | {size(QUIC.flight)} |",
        f"| streams that the client gives up or gets wrong | {count(HTTP3.resets)}, and {count(HTTP3.resets)} more every 30 s |",
        f"| {count(HTTP3.frames)}, and {count(HTTP3.frames_per_s)} more a second |",
        f"| what waits for a client that opens no window | {seconds(HTTP3.stall_s)} |",
        f"| the handshake | {seconds(QUIC.handshake_s)} |",
        f"| without a request, or without a datagram | {seconds(HTTP3.idle_s)} |",
        (
            f"Of each worker: {count(QUIC.connections)} connections, {count(QUIC.handshakes)} handshakes under way. "
            f"From {QUIC.trusted_handshakes} of these on"
        ),
        f"{count(QUIC.resets)} of them at once and {count(QUIC.resets_per_s)} a second in the long run",
    ):
        assert sentence in page("http3")
    assert QUIC.idle_s == HTTP3.idle_s


def test_the_bounds_of_websockets() -> None:
    for sentence in (
        f"| a message, of either side, inflated | {size(SOCKET.message_bytes)} (",
        f"| fragments of a message | {SOCKET.fragments} (",
        f"| {count(SOCKET.controls)}, and {count(SOCKET.controls_per_s)} more a second, then 1008 |",
        f"| {size(SOCKET.waiting_bytes)} or {SOCKET.waiting_frames} frames, then their sender is not read |",
        f"| the answer to a close frame | {seconds(SOCKET.close_s)}, then",
    ):
        assert sentence in page("websocket")
    assert SOCKET.idle_s == 3600
    assert re.search(r"\| silence of both sides \| an hour, then 1001 \|", page("websocket"))

"""Responses to try: right ones, and right ones with damage."""

from hypothesis import strategies as st

from tests.conformance.http1.body_strategies import chunked_bodies, damaged, lengths

__all__ = ["mutated_responses", "plain_responses"]

STATUSES = [b"200 OK", b"200", b"204 No Content", b"304 Not Modified", b"404 Gone?", b"599 x"]
INTERIM = [b"100 Continue", b"102 x", b"103 Early Hints"]
FIELDS = [
    b"Content-Type: text/plain", b"Set-Cookie: a=1", b"set-cookie:b=2", b"X-A: 1", b"X-Empty:",
    b"X-Obs: \xe9", b"Connection: close", b"Connection: keep-alive", b"Connection: X-A",
    b"Keep-Alive: 1", b"Trailer: X-T", b"Upgrade: h2c", b"Connection: Upgrade",
    b"Proxy-Authenticate: x", b"Otoroshi-State-Resp: x", b"Remote-Address: x", b"Server: s",
]  # fmt: skip


@st.composite
def plain_responses(draw: st.DrawFn) -> bytes:
    """A response that keeps to the grammar, perhaps behind interim ones."""
    raw = bytearray()
    for status in draw(st.lists(st.sampled_from(INTERIM), max_size=2)):
        raw += b"HTTP/1.1 " + status + b"\r\nLink: </a>\r\n\r\n"
    version = draw(st.sampled_from([b"1.1", b"1.1", b"1.0"]))
    status = draw(st.sampled_from(STATUSES))
    has_body = not status.startswith((b"204", b"304"))
    until_close = st.tuples(st.just(list[bytes]()), st.binary(max_size=20))
    kinds = [until_close, lengths(), *([chunked_bodies()] if version == b"1.1" else [])]
    framing, body = draw(st.one_of(kinds)) if has_body else ([], b"")
    lines = [*framing, *draw(st.lists(st.sampled_from(FIELDS), max_size=4))]
    shuffled = draw(st.permutations(lines))
    raw += b"\r\n".join([b"HTTP/" + version + b" " + status, *shuffled, b"", body])
    return bytes(raw)


@st.composite
def mutated_responses(draw: st.DrawFn) -> bytes:
    """A response with damage in a few places."""
    return draw(damaged(draw(plain_responses())))

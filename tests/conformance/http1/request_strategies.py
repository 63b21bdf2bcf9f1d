"""Requests to try: right ones, and right ones with damage."""

from hypothesis import strategies as st

from tests.conformance.http1.body_strategies import chunked_bodies, damaged, lengths

__all__ = ["mutated_requests", "plain_requests"]

METHODS = [b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"get", b"X-Y"]
PATH_PIECES = [
    b"/", b"//", b"a", b"b.c", b".", b"..", b"/.", b"/..", b"%2e", b"%2F", b"%5c", b"%41", b"%7e",
    b"%25", b"%C3%a9", b";p=1", b"@", b":", b"~", b"%20", b"|", b"{x}", b"$<d>",
]  # fmt: skip
QUERIES = [b"", b"?", b"?a=1", b"?a=b&c=%2F%zz", b"?//../", b"?^`<>", b"??"]
HOSTS = [b"a.test", b"A.Test:8080", b"[::1]", b"[::1]:1", b"127.0.0.1", b"a_b", b"a:"]
FIELDS = [
    b"Accept: text/html", b"Cookie: a=1; b=2", b"X-A: 1", b"x-a:2", b"X-Empty:", b"X-B: \t a b \t",
    b"X-Obs: \xe9\xff", b"TE: trailers", b"Trailer: X-T", b"Connection: close",
    b"Connection: keep-alive", b"Connection: X-A", b"Connection: , ,close", b"Keep-Alive: 1",
    b"Proxy-Connection: x", b"Upgrade: websocket", b"Connection: Upgrade", b"Upgrade: h2c",
    b"HTTP2-Settings: AAMAAABkAAQAAP", b"Otoroshi-Claim: a", b"X-Forwarded-For: 1.2.3.4",
    b"X-Forwarded-Host: a.test", b"Raw-Request-Uri: /x", b"Authorization: Bearer a.b.c",
]  # fmt: skip


@st.composite
def plain_requests(draw: st.DrawFn) -> bytes:
    """A request that keeps to the grammar; its target may still have no canonical form."""
    method = draw(st.sampled_from(METHODS))
    path = b"/" + b"".join(draw(st.lists(st.sampled_from(PATH_PIECES), max_size=6)))
    host = draw(st.sampled_from(HOSTS))
    if draw(st.integers(0, 9)) == 0:
        path = b"http://" + host + path
    version = draw(st.sampled_from([b"1.1", b"1.1", b"1.1", b"1.0"]))
    lines = [b"Host: " + host, *draw(st.lists(st.sampled_from(FIELDS), max_size=4))]
    kinds = [st.just(([], b"")), lengths(), *([chunked_bodies()] if version == b"1.1" else [])]
    framing, body = draw(st.one_of(kinds))
    lines += framing
    target = path + draw(st.sampled_from(QUERIES))
    shuffled = draw(st.permutations(lines))
    return b"\r\n".join([method + b" " + target + b" HTTP/" + version, *shuffled, b"", body])


@st.composite
def mutated_requests(draw: st.DrawFn) -> bytes:
    """One or two requests with damage in a few places."""
    raw = b"".join(draw(st.lists(plain_requests(), min_size=1, max_size=2)))
    return draw(damaged(raw))

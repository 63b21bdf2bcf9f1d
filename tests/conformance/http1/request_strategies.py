"""Requests to try: right ones, and right ones with damage."""

from hypothesis import strategies as st

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
TRAILERS = [b"", b"X-T: 1\r\n", b"Content-Length: 3\r\n", b"Authorization: x\r\nx-u: y\r\n"]
EXTENSIONS = [b"", b";", b";a", b';a="b;c"', b"; a = b"]

# What turns one message into another one for a parser that is not careful.
SPLICES = [
    b"\r", b"\n", b"\r\n", b"\0", b" ", b"\t", b":", b",", b";", b"\x0b", b"\x7f", b"\xff", b"0",
    b"-", b"+", b"0x", b"_", b"%", b"#", b"\\", b"HTTP/1.1", b"HTTP/1.0", b"\r\n\r\n", b"\r\n ",
    b"Content-Length: 4\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: b\r\n", b"Expect: x\r\n",
    b"Transfer-Encoding: identity\r\n", b"Connection: host\r\n", b"Content_Length: 1\r\n", b"chunked",
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
    framing, body = draw(bodies(chunks=version == b"1.1"))
    lines += framing
    target = path + draw(st.sampled_from(QUERIES))
    shuffled = draw(st.permutations(lines))
    return b"\r\n".join([method + b" " + target + b" HTTP/" + version, *shuffled, b"", body])


@st.composite
def bodies(draw: st.DrawFn, *, chunks: bool) -> tuple[list[bytes], bytes]:
    """The field that frames a body, and the body as it is sent."""
    kind = draw(st.sampled_from(["none", "none", "length", "chunked" if chunks else "none"]))
    if kind == "none":
        return [], b""
    if kind == "length":
        body = draw(st.binary(max_size=20))
        zeros = b"0" * draw(st.integers(0, 2))
        return [b"Content-Length: " + zeros + str(len(body)).encode()], body
    sent = bytearray()
    for chunk in draw(st.lists(st.binary(min_size=1, max_size=20), max_size=3)):
        size = draw(st.sampled_from([b"%x", b"%X", b"00%x"])) % len(chunk)
        sent += size + draw(st.sampled_from(EXTENSIONS)) + b"\r\n" + chunk + b"\r\n"
    sent += b"0" + draw(st.sampled_from(EXTENSIONS)) + b"\r\n"
    sent += draw(st.sampled_from(TRAILERS)) + b"\r\n"
    return [b"Transfer-Encoding: chunked"], bytes(sent)


@st.composite
def mutated_requests(draw: st.DrawFn) -> bytes:
    """Requests with bytes put in, taken out or said twice in a few places."""
    raw = bytearray(b"".join(draw(st.lists(plain_requests(), min_size=1, max_size=2))))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(raw)))
        match draw(st.sampled_from(["insert", "replace", "remove", "repeat", "cut"])):
            case "insert":
                raw[at:at] = draw(st.sampled_from(SPLICES))
            case "replace":
                raw[at : at + 1] = draw(st.sampled_from(SPLICES))
            case "remove":
                del raw[at : at + draw(st.integers(1, 4))]
            case "repeat":
                line = bytes(raw[at:]).partition(b"\r\n")[0] + b"\r\n"
                raw[at:at] = line
            case _:
                del raw[at:]
    return bytes(raw)

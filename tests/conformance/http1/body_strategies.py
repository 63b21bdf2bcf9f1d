"""Framed bodies to try, and damage to do to any message."""

from hypothesis import strategies as st

__all__ = ["chunked_bodies", "damaged", "lengths"]

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
def lengths(draw: st.DrawFn) -> tuple[list[bytes], bytes]:
    """A body of a known length: the field that frames it, and its bytes."""
    body = draw(st.binary(max_size=20))
    zeros = b"0" * draw(st.integers(0, 2))
    return [b"Content-Length: " + zeros + str(len(body)).encode()], body


@st.composite
def chunked_bodies(draw: st.DrawFn) -> tuple[list[bytes], bytes]:
    """A chunked body: the field that frames it, and its chunks as they are sent."""
    sent = bytearray()
    for chunk in draw(st.lists(st.binary(min_size=1, max_size=20), max_size=3)):
        size = draw(st.sampled_from([b"%x", b"%X", b"00%x"])) % len(chunk)
        sent += size + draw(st.sampled_from(EXTENSIONS)) + b"\r\n" + chunk + b"\r\n"
    sent += b"0" + draw(st.sampled_from(EXTENSIONS)) + b"\r\n"
    sent += draw(st.sampled_from(TRAILERS)) + b"\r\n"
    return [b"Transfer-Encoding: chunked"], bytes(sent)


@st.composite
def damaged(draw: st.DrawFn, message: bytes) -> bytes:
    """A message with bytes put in, replaced, taken out or said twice in a few places."""
    raw = bytearray(message)
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

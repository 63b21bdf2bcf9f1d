"""Heads: line ends, names, values, hosts, versions, connection options, expectations, upgrades."""

from typing import Final

from tests.conformance.http1.corpus.case import accepted, got, refused

__all__ = ["HEADS"]

LINE: Final = b"GET / HTTP/1.1\r\n"
HOST: Final = b"Host: a\r\n"
END: Final = b"\r\n"
HIDDEN: Final = b"GET /admin HTTP/1.1\r\nHost: a\r\n\r\n"


def fields(lines: bytes) -> bytes:
    """A request for host `a` with these lines."""
    return LINE + HOST + lines + END


def host(value: bytes) -> bytes:
    """A request with this `Host`."""
    return LINE + b"Host: " + value + b"\r\n\r\n"


HEADS: Final = [
    # ----------------------------------------------------------------------------------- line ends
    refused("every line ended by LF", b"GET / HTTP/1.1\nHost: a\n\n"),
    refused("the request line ended by LF", b"GET / HTTP/1.1\nHost: a\r\n\r\n"),
    refused("a field ended by LF", LINE + b"Host: a\n\r\n"),
    refused("the head ended by LF LF", LINE + b"Host: a\n\n"),
    refused("the head ended by CR LF LF", LINE + b"Host: a\r\n\n"),
    refused("every line ended by CR", b"GET / HTTP/1.1\rHost: a\r\r"),
    refused("a field ended by CR", LINE + b"Host: a\rX: y\r\n\r\n"),
    refused("a field ended by CR CR LF", LINE + b"Host: a\r\r\n\r\n"),
    refused("two empty lines before", b"\r\n\r\n" + fields(b"")),
    refused("an LF before", b"\n" + fields(b"")),
    refused("a CR before", b"\r" + fields(b"")),
    refused("a blank before", b" " + fields(b"")),
    refused("a NUL before", b"\0" + fields(b"")),
    refused("a byte order mark before", b"\xef\xbb\xbf" + fields(b"")),
    accepted("one empty line before is skipped", b"\r\n" + fields(b""), got()),
    # ---------------------------------------------------------------------------- names and values
    refused("a folded field", fields(b"X: y\r\n z\r\n")),
    refused("a field folded by a tab", fields(b"X: y\r\n\tz\r\n")),
    refused("a blank before the first field", LINE + b" " + HOST + END),
    refused("a blank before the colon", fields(b"X : y\r\n")),
    refused("a tab before the colon", fields(b"X\t: y\r\n")),
    refused("a blank in a name", fields(b"X Y: z\r\n")),
    refused("no name", fields(b": y\r\n")),
    refused("no colon", fields(b"X\r\n")),
    refused("a NUL in a name", fields(b"X\0Y: z\r\n")),
    refused("a byte beyond ASCII in a name", fields(b"X\xff: z\r\n")),
    refused("a bracket in a name", fields(b"X(: z\r\n")),
    refused("a quote in a name", fields(b'"X": z\r\n')),
    refused("a NUL in a value", fields(b"X: \0\r\n")),
    refused("an escape character in a value", fields(b"X: \x1b[2J\r\n")),
    refused("a DEL in a value", fields(b"X: \x7f\r\n")),
    refused("a vertical tab in a value", fields(b"X: \x0b\r\n")),
    refused("a CR in a value", fields(b"X: a\rb\r\n")),
    refused("an identity by underscores", fields(b"X_Forwarded_For: 1.2.3.4\r\n")),
    refused("a gateway's field by underscores", fields(b"otoroshi_claim: x\r\n")),
    refused("too many fields", fields(b"X: y\r\n" * 100), 431),
    refused("too long a field", fields(b"X: " + b"y" * 40_000 + b"\r\n"), 431),
    refused("too long a name", fields(b"X" * 40_000 + b": y\r\n"), 431),
    accepted(
        "blanks around a value go, bytes inside it stay",
        fields(b"X: \t y \xff \tz\t \r\nEmpty:\r\n"),
        got(fields=b"X: y \xff \tz\r\nEmpty: \r\n"),
    ),
    accepted(
        "names keep their spelling and fields their order",
        fields(b"x-b: 1\r\nX-A: 2\r\nX-B: 3\r\napi_key: 4\r\n"),
        got(fields=b"x-b: 1\r\nX-A: 2\r\nX-B: 3\r\napi_key: 4\r\n"),
    ),
    accepted(
        "what only the gateway may say is dropped",
        fields(
            b"Otoroshi-Claim: x\r\nOtoroshi-State: x\r\nOtoroshi-Request-Id: x\r\n"
            b"Otoroshi-Client-Id: x\r\nOtoroshi-Client-Secret: x\r\nOtoroshi-Authorization: x\r\n"
            b"X-Forwarded-For: x\r\nX-FORWARDED-PROTO: https\r\nX-Forwarded-Protocol: https\r\n"
            b"Remote-Address: x\r\nRaw-Request-Uri: /x\r\nTimeout-Access: x\r\n"
            b"Tls-Session-Info: x\r\n"
        ),
        got(),
    ),
    # --------------------------------------------------------------------------------------- hosts
    refused("no Host", LINE + END),
    refused("two Hosts", fields(b"Host: b\r\n")),
    refused("two equal Hosts", fields(HOST)),
    refused("two Hosts in two cases", fields(b"HOST: a\r\n")),
    refused("an empty Host", host(b"")),
    refused("a Host with a blank", host(b"a b")),
    refused("a Host with a comma", host(b"a, b")),
    refused("a Host with user information", host(b"a@b")),
    refused("a Host with a path", host(b"a/b")),
    refused("a Host with a backslash", host(b"a\\b")),
    refused("a Host with a query", host(b"a?b")),
    refused("a Host with a fragment", host(b"a#b")),
    refused("a Host with an escape", host(b"a%00b")),
    refused("a Host with a scheme", host(b"http://a")),
    refused("a Host with a port of letters", host(b"a:b")),
    refused("a Host with a port beyond 65535", host(b"a:65536")),
    refused("a Host with two ports", host(b"a:1:2")),
    refused("a Host with a signed port", host(b"a:+1")),
    refused("a Host beyond ASCII", host("é".encode())),
    refused("a Host that is only a port", host(b":80")),
    refused("a Host with an open bracket", host(b"[::1")),
    refused("a Host with no address in brackets", host(b"[a]")),
    refused("a Host with a zone", host(b"[fe80::1%25eth0]")),
    refused("a Host with text behind the bracket", host(b"[::1]a")),
    refused("a Host of 254 characters", host(b"a" * 254)),
    accepted(
        "a Host keeps its spelling",
        host(b"A.b_C-d:"),
        b"GET / HTTP/1.1\r\nHost: A.b_C-d:\r\n\r\n",
    ),
    # ----------------------------------------------------------------------- request line, version
    refused("HTTP/0.9", b"GET /\r\n\r\n"),
    refused("HTTP/1.2", b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505),
    refused("HTTP/2.0", b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    refused("HTTP/1.10", b"GET / HTTP/1.10\r\nHost: a\r\n\r\n"),
    refused("http/1.1 in lower case", b"GET / http/1.1\r\nHost: a\r\n\r\n", 505),
    refused("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    refused("a TLS ClientHello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 40),
    refused("two blanks before the version", b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n", 505),
    refused("two blanks before the target", b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
    refused("a tab for a blank", b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    refused("a blank behind the version", b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n"),
    refused("a request line inside the target", b"GET / HTTP/1.1 x HTTP/1.1\r\nHost: a\r\n\r\n"),
    refused("no method", b" / HTTP/1.1\r\nHost: a\r\n\r\n"),
    refused("a method that is no token", b"G(T / HTTP/1.1\r\nHost: a\r\n\r\n"),
    refused("a method beyond ASCII", b"G\xc9T / HTTP/1.1\r\nHost: a\r\n\r\n"),
    refused("CONNECT", b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 405),
    refused("CONNECT with a path", b"CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
    accepted(
        "a method in lower case is another method",
        b"get / HTTP/1.1\r\nHost: a\r\n\r\n",
        got(method=b"get"),
    ),
    accepted(
        "an HTTP/1.0 request ends its connection",
        b"GET / HTTP/1.0\r\nHost: a\r\n\r\n" + HIDDEN,
        got(),
    ),
    # -------------------------------------------------------------------------- connection options
    refused("Host nominated", fields(b"Connection: host\r\n")),
    refused("Cookie nominated", fields(b"Connection: close, Cookie\r\nCookie: a\r\n")),
    refused("X-Forwarded-For nominated", fields(b"Connection: x-forwarded-for\r\n")),
    refused("Host nominated in a second field", fields(b"Connection: a\r\nConnection: Host\r\n")),
    accepted(
        "nominated fields go, for routes and backend alike",
        fields(b"Connection: X-A ,,x-b\r\nX-A: 1\r\nX-B: 2\r\nX-C: 3\r\n"),
        got(fields=b"X-C: 3\r\n"),
    ),
    accepted(
        "what concerns one connection only goes",
        fields(
            b"Keep-Alive: 1\r\nProxy-Connection: x\r\nProxy-Authorization: x\r\nTE: trailers\r\n"
            b"Trailer: x\r\nHTTP2-Settings: x\r\nProxy-Authenticate: x\r\nConnection: keep-alive\r\n"
        ),
        got(),
    ),
    accepted("close ends the connection", fields(b"Connection: close\r\n") + HIDDEN, got()),
    # -------------------------------------------------------------------------------- expectations
    refused("an unknown expectation", fields(b"Expect: 200-ok\r\n"), 417),
    refused("an expectation in a list", fields(b"Expect: 100-continue, x\r\n"), 417),
    refused("an empty expectation", fields(b"Expect:\r\n"), 417),
    accepted(
        "an expectation without a body is dropped", fields(b"Expect: 100-continue\r\n"), got()
    ),
    # ------------------------------------------------------------------------------------ upgrades
    accepted(
        "no change to h2c",
        fields(b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAM\r\n"),
        got(),
    ),
    accepted(
        "no change to one of several",
        fields(b"Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n"),
        got(),
    ),
    accepted(
        "no change in two fields",
        fields(b"Connection: Upgrade\r\nUpgrade: h2c\r\nUpgrade: websocket\r\n"),
        got(),
    ),
    accepted("no change to TLS", fields(b"Connection: Upgrade\r\nUpgrade: TLS/1.2\r\n"), got()),
    accepted("no change that is not nominated", fields(b"Upgrade: websocket\r\n"), got()),
    accepted(
        "no change with a body",
        fields(b"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n") + b"ab",
        got(fields=b"Content-Length: 2\r\n") + b"ab",
    ),
    accepted(
        "no tunnel before the backend agrees: what follows is a request",
        fields(b"Connection: Upgrade\r\nUpgrade: websocket\r\n") + HIDDEN,
        got(fields=b"Connection: Upgrade\r\nUpgrade: websocket\r\n") + got(b"/admin"),
    ),
]

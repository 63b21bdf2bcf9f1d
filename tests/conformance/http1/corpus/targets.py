"""Request targets: forms, dot segments, escapes, slashes, fragments, lengths."""

from typing import Final

from tests.conformance.http1.corpus.case import Case, accepted, got, refused

__all__ = ["TARGETS"]


def asked(target: bytes, host: bytes = b"a", method: bytes = b"GET") -> bytes:
    """A request for this target."""
    return method + b" " + target + b" HTTP/1.1\r\nHost: " + host + b"\r\n\r\n"


def bad(name: str, target: bytes, status: int = 400) -> Case:
    """A target that is refused."""
    return refused(name, asked(target), status)


def read(name: str, target: bytes, canonical: bytes) -> Case:
    """A target that the backend gets in this spelling."""
    return accepted(name, asked(target), got(canonical))


TARGETS: Final = [
    # --------------------------------------------------------------------------------------- forms
    bad("no slash", b"admin"),
    bad("only a query", b"?a"),
    bad("another scheme", b"ftp://a/"),
    bad("a scheme without slashes", b"http:a"),
    bad("a scheme with one slash", b"http:/a"),
    bad("no authority", b"http:///admin"),
    bad("an authority with user information", b"http://x@a/"),
    bad("an authority with a password", b"http://a:80@b/"),
    bad("an asterisk but not for OPTIONS", b"*"),
    bad("an asterisk and a path", b"*/admin"),
    refused("an authority that is not the Host", asked(b"http://b/", host=b"a")),
    refused("an authority whose port is not the Host's", asked(b"http://a:81/", host=b"a")),
    refused("an authority and an empty Host", asked(b"http://a/", host=b"")),
    refused("an authority that is no host", asked(b"http://a,b/", host=b"a,b")),
    accepted("absolute form loses scheme and authority", asked(b"HTTP://a/x?y"), got(b"/x?y")),
    accepted("absolute form without a path", asked(b"https://a?y"), got(b"/?y")),
    accepted(
        "an asterisk for OPTIONS", asked(b"*", method=b"OPTIONS"), got(b"*", method=b"OPTIONS")
    ),
    # -------------------------------------------------------------------------------- dot segments
    bad("above the root", b"/.."),
    bad("above the root by a detour", b"/a/../../etc/passwd"),
    bad("above the root, escaped", b"/%2e%2e/etc/passwd"),
    bad("above the root, half escaped", b"/.%2E/"),
    bad("above the root behind empty segments", b"//..//"),
    bad("above the root in absolute form", b"http://a/../x"),
    read("dot segments are resolved", b"/public/../admin/./x/..", b"/admin/"),
    read("escaped dot segments are resolved", b"/public/%2e%2E/admin", b"/admin"),
    read("a segment of dots only by its look", b"/a/..;/b", b"/a/..;/b"),
    read("three dots are a name", b"/a/.../b", b"/a/.../b"),
    read("dots in a query are a query", b"/a?/../b", b"/a?/../b"),
    # ------------------------------------------------------------------------------------- slashes
    read("repeated slashes are one", b"//a///b//", b"/a/b/"),
    read("no network path", b"//evil.test/x", b"/evil.test/x"),
    read("an escaped slash separates nothing", b"/public%2f..%2Fadmin", b"/public%2F..%2Fadmin"),
    read("an escaped backslash separates nothing", b"/a%5c..%5Cb", b"/a%5C..%5Cb"),
    bad("a backslash", b"/a\\..\\b"),
    bad("a backslash for the first slash", b"\\admin"),
    # ------------------------------------------------------------------------------------- escapes
    bad("an escaped NUL", b"/a%00.png"),
    bad("an escaped CR LF", b"/a%0d%0aX:%20y"),
    bad("an escaped DEL", b"/%7f"),
    bad("an escape without digits", b"/%"),
    bad("an escape with one digit", b"/%2"),
    bad("an escape with other letters", b"/%zz"),
    bad("an escape by code point", b"/%u002e"),
    read("unreserved characters are decoded", b"/%61%2D%7e%5F%2e", b"/a-~_."),
    read("reserved characters stay escaped, in upper case", b"/%3b%3F%23%25", b"/%3B%3F%23%25"),
    read("nothing is decoded twice", b"/%252e%252e/%2561", b"/%252e%252e/%2561"),
    read("an overlong dot is no dot", b"/%c0%ae%c0%ae/x", b"/%C0%AE%C0%AE/x"),
    read("what no URI may hold is escaped", b'/a"<>^`{|}', b"/a%22%3C%3E%5E%60%7B%7C%7D"),
    read("UTF-8 is escaped", "/é".encode(), b"/%C3%A9"),
    read("UTF-8 in a query is escaped", "/?é".encode(), b"/?%C3%A9"),
    read("a query is not decoded", b"/?a=%2e%00%zz&b=//", b"/?a=%2e%00%zz&b=//"),
    read("a query may have more question marks", b"/a??b?c", b"/a??b?c"),
    read("an empty query stays", b"/a?", b"/a?"),
    bad("bytes that are no UTF-8", b"/\xff"),
    # ----------------------------------------------------------------- fragments, controls, lengths
    bad("a fragment", b"/a#b"),
    bad("a fragment in a query", b"/a?b#c"),
    bad("a NUL", b"/a\0b"),
    bad("a tab", b"/a\tb"),
    bad("a DEL", b"/a\x7fb"),
    bad("a CR", b"/a\rb"),
    bad("too long a path", b"/" + b"a" * 16_384, 414),
    bad("too long a query", b"/?" + b"a" * 16_384, 414),
    bad("a target longer than a head", b"/" + b"a" * 70_000, 414),
]

"""The canonical request, spelt out slowly: the readable twin of the engine's rules.

It starts from what h11 read, and says what the backend must get, or why the gateway refuses. Each
reason has a name; together with `differences` they are the complete list of what h11 takes and
this gateway does not.
"""

import ipaddress
import re
from typing import Final

from tests.conformance.http1.messages import Fields, RequestSeen

__all__ = ["RefusedError", "canonical_path", "canonical_query", "canonical_request", "keeps_alive"]


class RefusedError(Exception):
    """The gateway refuses a request that h11 takes; the message is the reason's name."""


HOP_BY_HOP: Final = {
    b"connection",
    b"http2-settings",
    b"keep-alive",
    b"proxy-authenticate",
    b"proxy-authorization",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
}
GATEWAY_OWNED: Final = {
    b"otoroshi-authorization",
    b"otoroshi-claim",
    b"otoroshi-client-id",
    b"otoroshi-client-secret",
    b"otoroshi-request-id",
    b"otoroshi-state",
    b"otoroshi-try-it-request-id",
    b"raw-request-uri",
    b"remote-address",
    b"timeout-access",
    b"tls-session-info",
    b"x-forwarded-for",
    b"x-forwarded-proto",
    b"x-forwarded-protocol",
}
REWRITTEN: Final = {b"content-length", b"expect", b"host"}
PROTECTED: Final = {
    b"content-length",
    b"cookie",
    b"host",
    b"transfer-encoding",
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-proto",
}
TRAILERS_DROPPED: Final = (
    HOP_BY_HOP
    | GATEWAY_OWNED
    | REWRITTEN
    | PROTECTED
    | {
        b"accept",
        b"authorization",
        b"content-encoding",
        b"content-range",
        b"content-type",
        b"otoroshi-state-resp",
        b"set-cookie",
    }
)

UNRESERVED: Final = re.compile(rb"[A-Za-z0-9\-._~]")
PATH_CHARACTER: Final = re.compile(rb"[A-Za-z0-9\-._~!$&'()*+,;=:@/]")
HOST: Final = re.compile(rb"([A-Za-z0-9\-._]{1,253}|\[[0-9A-Fa-f:.]+\])(:[0-9]{0,5})?")


def canonical_request(seen: RequestSeen, backend: bytes) -> RequestSeen:
    """What the backend gets for a request that h11 read; `backend` is its own host and port.

    Raises:
        RefusedError: Nothing, for this reason.
    """
    is_old = seen.version == b"1.0"
    if seen.version not in {b"1.0", b"1.1"}:
        raise RefusedError("version")
    if seen.method == b"CONNECT":
        raise RefusedError("connect")
    options = connection_options(seen.headers)
    framing = body_framing(seen, is_old=is_old)
    authority, target = canonical_target(seen)
    host = canonical_host(seen, authority, is_old=is_old)
    dropped = options - {b"close", b"keep-alive", b"upgrade"}
    if dropped & PROTECTED:
        raise RefusedError("connection names a protected field")
    if any(value.lower() != b"100-continue" for value in seen.values(b"expect")):
        raise RefusedError("expectation")
    headers: Fields = [(b"host", host or backend)]
    headers += [
        (name, value)
        for name, value in seen.headers
        if name not in HOP_BY_HOP | GATEWAY_OWNED | REWRITTEN | dropped
    ]
    headers += upgrade(seen, options, is_old=is_old)
    headers += framing
    chunked = framing == [(b"transfer-encoding", b"chunked")]
    kept = [field for field in seen.trailers if field[0] not in TRAILERS_DROPPED]
    return RequestSeen(seen.method, target, b"1.1", headers, seen.body, kept if chunked else [])


def keeps_alive(seen: RequestSeen) -> bool:
    """Whether the client may send another request on its connection."""
    options = connection_options(seen.headers)
    return b"close" not in options and (seen.version == b"1.1" or b"keep-alive" in options)


def connection_options(headers: Fields) -> set[bytes]:
    """The options of all `Connection` fields, in lower case."""
    return {
        option.strip().lower()
        for name, value in headers
        if name == b"connection"
        for option in value.split(b",")
        if option.strip()
    }


def body_framing(seen: RequestSeen, *, is_old: bool) -> Fields:
    """The one field that frames the body, or none."""
    codings, lengths = seen.values(b"transfer-encoding"), seen.values(b"content-length")
    if codings and (lengths or is_old):
        raise RefusedError("two framings" if lengths else "chunked in HTTP/1.0")
    if codings:
        return [(b"transfer-encoding", b"chunked")]
    if lengths:
        if int(lengths[0]) >= 1 << 63 or len(lengths[0]) > 19:
            raise RefusedError("length beyond 63 bits")
        return [(b"content-length", str(int(lengths[0])).encode())]
    return []


def upgrade(seen: RequestSeen, options: set[bytes], *, is_old: bool) -> Fields:
    """The wish to change to another protocol, where it is passed on.

    Not with a body, not to several, and not to what would be HTTP again: behind such a change the
    backend reads requests that no route has seen.
    """
    wishes = seen.values(b"upgrade")
    has_body = seen.values(b"transfer-encoding") or set(seen.values(b"content-length")) - {b"0"}
    if is_old or b"upgrade" not in options or has_body or len(wishes) != 1:
        return []
    if not re.fullmatch(
        rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+(/[!#$%&'*+\-.^_`|~0-9A-Za-z]+)?", wishes[0]
    ):
        return []
    if re.match(rb"(h2c?|h3|http|tls)(/|$)", wishes[0].lower()):
        return []
    return [(b"connection", b"Upgrade"), (b"upgrade", wishes[0])]


def canonical_target(seen: RequestSeen) -> tuple[bytes | None, bytes]:
    """The authority of an absolute target, and path with query."""
    target = seen.target
    if target == b"*" and seen.method == b"OPTIONS":
        return None, b"*"
    authority = None
    absolute = re.fullmatch(rb"(?i:https?)://([^/?#]*)(.*)", target)
    if absolute:
        authority, target = absolute.groups()
        target = target if target.startswith(b"/") else b"/" + target
    if not target.startswith(b"/"):
        raise RefusedError("target is no path")
    if b"#" in target:
        raise RefusedError("fragment")
    path, mark, query = target.partition(b"?")
    return authority, canonical_path(path) + mark + canonical_query(query)


def canonical_path(path: bytes) -> bytes:
    """The one spelling of an absolute path."""
    if re.search(rb"%(?![0-9A-Fa-f]{2})", path):
        raise RefusedError("broken escape")
    if b"\\" in path:
        raise RefusedError("backslash")
    if re.search(rb"%([01][0-9A-Fa-f]|7[Ff])|[\x00-\x20\x7f]", path):
        raise RefusedError("control character")
    plain = re.sub(rb"%(..)", lambda found: _respell(int(found[1], 16)), path)
    segments: list[bytes] = []
    is_open = False
    for segment in plain.split(b"/")[1:]:
        is_open = segment in {b"", b".", b".."}
        if segment == b"..":
            if not segments:
                raise RefusedError("above the root")
            segments.pop()
        elif not is_open:
            segments.append(segment)
    end = b"/" if is_open and segments else b""
    joined = b"/" + b"/".join(segments) + end
    return b"".join(
        bytes([byte]) if PATH_CHARACTER.match(bytes([byte])) or byte == 0x25 else _escape(byte)
        for byte in joined
    )


def canonical_query(query: bytes) -> bytes:
    """The one spelling of a query: only what no URI may hold is escaped."""
    return re.sub(rb"[\"<>\\^`\x80-\xff]", lambda found: _escape(found[0][0]), query)


def canonical_host(seen: RequestSeen, authority: bytes | None, *, is_old: bool) -> bytes:
    """The one host; the target's where `Host` agrees with it."""
    fields = seen.values(b"host")
    field = fields[0] if fields else b""
    if authority is not None and fields and authority.lower() != field.lower():
        raise RefusedError("two hosts")
    host = field or authority or b""
    if not host:
        if is_old and authority is None:
            return b""
        raise RefusedError("no host")
    shape = HOST.fullmatch(host)
    if not shape or (shape[2] and shape[2] != b":" and int(shape[2][1:]) > 65535):
        raise RefusedError("host")
    if host.startswith(b"["):
        try:
            ipaddress.IPv6Address(host[1 : host.index(b"]")].decode())
        except ValueError:
            raise RefusedError("host") from None
    return host


def _respell(byte: int) -> bytes:
    """An escaped byte: decoded where that changes nothing, else escaped in upper case."""
    character = bytes([byte])
    return character if UNRESERVED.match(character) else _escape(byte)


def _escape(byte: int) -> bytes:
    return b"%%%02X" % byte

"""The form in which the plugins' behaviour is written down: what is asked of a route, and what is seen.

Every plugin has one `Case`: a configuration, and requests in the order in which they are sent. A request
says what the plugin makes of it (`acts`), or that the plugin leaves it alone (`left`). All of them are
also sent to a route without the plugin, where the first kind must fail, and the second must not: so a
case that would hold without its plugin is no case.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypedDict, Unpack

if TYPE_CHECKING:
    from tests.conformance.http1.messages import RequestSeen

__all__ = ["BACKEND", "NG", "OK", "Ask", "Case", "Wanted", "acts", "answer", "left", "slot"]

NG: Final = "cp:otoroshi.next.plugins."

BACKEND: Final = "http://backend.invalid"
"""Stands for the backend's address in configurations, entities and answers."""

Wanted: TypeAlias = list[str] | Callable[[list[str]], object]
"""The values of a field, or what judges them; no values: it is absent."""

Show: TypeAlias = Literal["plain", "tls", "certificate"]
"""How a client comes: without TLS, with it, or with it and a certificate."""


def answer(*fields: str, status: str = "200 OK", body: bytes = b"ok") -> bytes:
    """Write an answer of the backend.

    Args:
        fields: Lines of the head.
        status: Status and reason.
        body: Its body.
    """
    lines = (f"HTTP/1.1 {status}", *fields, f"Content-Length: {len(body)}", "", "")
    return "\r\n".join(lines).encode("latin-1") + body


OK: Final = answer()


@dataclass(frozen=True, kw_only=True)
class Ask:
    """A request, what the backend answers to it, and what is to be seen on both sides.

    Attributes:
        request: Method and target.
        sent: Lines of the head besides Host.
        body: Its body.
        version: Its version of HTTP.
        show: How the client comes.
        answered: What the backend answers, as bytes or made of its request.
        is_acted_on: Whether the plugin shows here; without it all of this must not be so then.
        status: The answer's status.
        words: Text in the answer's body.
        exactly: The answer's whole body.
        to_client: Fields of the answer.
        to_backend: Fields of what the backend gets; None when it gets nothing.
        target: The target that the backend gets.
        got: The body that the backend gets.
        least_s: Seconds that it takes at least.
    """

    request: str = "GET /p?q=1"
    sent: tuple[str, ...] = ()
    body: bytes = b""
    version: str = "1.1"
    show: Show = "plain"
    answered: bytes | Callable[[RequestSeen], bytes] = OK
    is_acted_on: bool
    status: int = 200
    words: bytes = b""
    exactly: bytes | None = None
    to_client: dict[str, Wanted] = field(default_factory=dict[str, Wanted])
    to_backend: dict[str, Wanted] | None = field(default_factory=dict[str, Wanted])
    target: str | None = None
    got: bytes | None = None
    least_s: float = 0.0


class Seen(TypedDict, total=False):
    """The attributes of `Ask` that a case may give."""

    body: bytes
    version: str
    show: Show
    answered: bytes | Callable[[RequestSeen], bytes]
    status: int
    words: bytes
    exactly: bytes
    to_client: dict[str, Wanted]
    to_backend: dict[str, Wanted] | None
    target: str
    got: bytes
    least_s: float


def acts(request: str = "GET /p?q=1", *sent: str, **seen: Unpack[Seen]) -> Ask:
    """Describe a request that the plugin makes something of.

    Args:
        request: Method and target.
        sent: Lines of its head.
        seen: The other attributes of `Ask`. A status other than 200 means that the backend got
            nothing, unless `to_backend` says otherwise.
    """
    if seen.get("status", 200) != 200:
        seen.setdefault("to_backend", None)
    return Ask(request=request, sent=sent, is_acted_on=True, **seen)


def left(request: str = "GET /p?q=1", *sent: str, **seen: Unpack[Seen]) -> Ask:
    """Describe a request that the plugin leaves alone: the backend gets it and the client its answer."""
    return Ask(request=request, sent=sent, is_acted_on=False, **seen)


def slot(plugin: str, **config: Any) -> dict[str, Any]:
    """Write another plugin's slot in a route."""
    return {"plugin": NG + plugin, "config": config}


@dataclass(frozen=True)
class Case:
    """What a plugin does.

    Attributes:
        config: Its configuration.
        asks: What is asked, in this order.
        before: Slots in front of it, which the route without the plugin has, too.
        after: Slots behind it, likewise.
        more: More keys of its slot.
        route: More keys of the route.
        services: Answers to requests of the gateway's own, by path below ``/service``.
        globally: What the global configuration says while the case is played.
    """

    config: dict[str, Any]
    asks: tuple[Ask, ...]
    before: tuple[dict[str, Any], ...] = ()
    after: tuple[dict[str, Any], ...] = ()
    more: dict[str, Any] = field(default_factory=dict[str, Any])
    route: dict[str, Any] = field(default_factory=dict[str, Any])
    services: dict[str, bytes] = field(default_factory=dict[str, bytes])
    globally: dict[str, Any] = field(default_factory=dict[str, Any])

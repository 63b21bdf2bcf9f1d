"""Which declarations of routes never win: each is asked of the router with requests made to suit it.

The router itself answers, so its order counts and no copy of it. A request is made from a declaration by
filling its wildcards and names with several texts; only when every one of them goes elsewhere is the
declaration lost. What cannot be filled (a regular expression that none of the texts matches) is not
judged.
"""

from __future__ import annotations

import re
from itertools import product
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote

from oto_trio import _core

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from oto_trio.model.route import Route

__all__ = ["FILLINGS", "Lost", "Probe", "lost_declarations", "probes", "split_domain"]

FILLINGS: Final = ("lint-probe", "90713502", "x", "2031-01-31", "V1", "00000000-0000-4000-8000-0")
"""What stands for a name or a wildcard, and is tried on regular expressions."""

FEW: Final = FILLINGS[:3]
"""Those that stand for a name or a star: a word, a number, a letter."""

METHODS: Final = ("GET", "POST", "LINT-PROBE")
"""Asked for a route that takes all; no list names the last one, so only a route that takes all gets it."""

MOST_PROBES: Final = 60
"""Requests made for one declaration at most."""

_NAMED: Final = re.compile(r"\$[^<]*<(.*)>")


class Probe(NamedTuple):
    """A request, as the router wants it."""

    method: str
    host: str
    path: str
    query: str
    headers: list[tuple[str, str]]
    listener: str


class Lost(NamedTuple):
    """A declaration that no probe reached.

    Attributes:
        place: Its place among the route's domains.
        domain: The declaration.
        winner: Id of the route that takes its requests; None when none does.
        why: What the router says about it.
    """

    place: int
    domain: str
    winner: str | None
    why: str

    @property
    def told(self) -> str:
        """Where its requests go, and why."""
        whose = "goes to no route" if self.winner is None else f"goes to route {self.winner}"
        return f"{whose} ({self.why})"


def lost_declarations(router: _core.Router, route_id: str, route: Route) -> list[Lost]:
    """Return the declarations of an enabled route that never win.

    Cost: one question to the router for a declaration that wins, `MOST_PROBES` for one that does not.
    """
    lost: list[Lost] = []
    for index, domain in enumerate(route.frontend.domains):
        first: Probe | None = None
        for probe in probes(route, domain):
            first = first or probe
            found = router.find(*probe)
            if found is not None and found[0] == route_id:
                break
        else:
            if first is not None:
                lost.append(_explained(router, route_id, index, domain, first))
    return lost


def _explained(router: _core.Router, route_id: str, index: int, domain: str, probe: Probe) -> Lost:
    """Ask the router why a request goes elsewhere."""
    answer = router.explain(*probe)
    winner = answer["winner"]
    why = "a more specific declaration is searched instead"
    for candidate in answer["candidates"]:
        if candidate["id"] == route_id and candidate["loss"] is not None:
            why = candidate["loss"]["detail"]
    return Lost(index, domain, None if winner is None else winner["id"], why)


def split_domain(domain: str) -> tuple[str, str]:
    """Take a declaration apart: its host in lower case, and its path from `/` on."""
    host, slash, path = domain.partition("/")
    return host.lower(), slash + path


def probes(route: Route, domain: str, host: str | None = None) -> Iterator[Probe]:
    """Make requests that suit a declaration, `MOST_PROBES` at most; none when one cannot be made.

    Args:
        route: The route.
        domain: One of its domains.
        host: Ask for this host, which its domain matches, instead of for made ones.
    """
    declared, path = split_domain(domain)
    frontend = route.frontend
    paths = _paths(path, is_exact=frontend.exact)
    headers = _expected(frontend.headers)
    cookies = _expected(frontend.cookies)
    query = _expected(frontend.query)
    if paths is None or headers is None or cookies is None or query is None:
        return
    fields = list(headers)
    if cookies:
        fields.append(("Cookie", "; ".join(f"{name}={value}" for name, value in cookies)))
    asked = "&".join(f"{quote(name)}={quote(value)}" for name, value in query)
    hosts = [host] if host is not None else _filled(declared)
    listeners = route.bound_listeners[:1] or ("standard-listener",)
    methods = route.frontend.methods or METHODS
    combinations = product(hosts, paths, methods, listeners)
    for count, (name, way, method, listener) in enumerate(combinations):
        if count == MOST_PROBES:
            return
        yield Probe(method, name, way, asked, fields, listener)


def _filled(text: str) -> list[str]:
    """Fill the stars of a text."""
    if "*" not in text:
        return [text]
    return [text.replace("*", filling.lower()) for filling in FEW]


def _paths(declared: str, *, is_exact: bool) -> list[str] | None:
    """Return paths that a declared one takes: itself and, unless it is exact, one below it."""
    filled: list[str] = []
    segments = [segment for segment in declared.split("/") if segment]
    for filling in FEW:
        parts = [_segment(segment, filling) for segment in segments]
        if any(part is None for part in parts):
            return None
        filled.append("/" + "/".join(part for part in parts if part is not None))
    paths = list(dict.fromkeys(filled))
    if declared.endswith("/") and segments:
        paths = [f"{path}/" for path in paths]
    below = [] if is_exact else [f"{path.rstrip('/')}/lint-probe" for path in paths]
    return paths + below


def _segment(segment: str, filling: str) -> str | None:
    """Fill one segment of a declared path; None when nothing fits."""
    if segment.startswith(":"):
        return filling
    named = _NAMED.fullmatch(segment)
    if named is not None:
        return _matching(named[1], filling)
    return segment.replace("*", filling)


def _matching(expression: str, preferred: str = FILLINGS[0]) -> str | None:
    """Return a text that an expression matches whole; None when none of ours does."""
    try:
        pattern = _core.Pattern(expression)
    except ValueError:
        return None
    tried = (preferred, *FILLINGS, expression)
    return next((text for text in tried if pattern.matches(text)), None)


def _expected(wanted: Mapping[str, str]) -> Sequence[tuple[str, str]] | None:
    """Return values that suit what a route expects, by name; None when one cannot be made."""
    return _all_or_none(_value(name, text) for name, text in wanted.items())


def _all_or_none(
    pairs: Iterable[tuple[str, str | None] | None],
) -> Sequence[tuple[str, str]] | None:
    """Return the pairs without those that are not to be sent; None when a value is missing."""
    found: list[tuple[str, str]] = []
    for pair in pairs:
        if pair is None:
            continue
        name, value = pair
        if value is None:
            return None
        found.append((name, value))
    return found


def _value(name: str, text: str) -> tuple[str, str | None] | None:
    """Return a name with a value that suits; None when the name must be absent."""
    if text == "NotDefined()":
        return None
    if text in {"Exists()", "IsDefined()"}:
        return name, FILLINGS[0]
    if text.startswith("Regex(") and text.endswith(")"):
        return name, _matching(text[6:-1])
    if text.startswith("Wildcard(") and text.endswith(")"):
        return name, text[9:-1].replace("*", FILLINGS[0])
    return name, text

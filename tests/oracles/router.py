"""The router's readable twin: the rules of `docs/routing.md`, one list walked from the start each time.

There is no tree here. All declarations of the chosen domain are candidates, and each segment of the
request leaves fewer. What the native router keeps in nodes is here the list that is left.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

STANDARD_LISTENERS = {"standard-listener", "experimental-listener"}


@dataclass(frozen=True)
class Request:
    method: str = "GET"
    host: str = "a.com"
    path: str = "/"
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    listener: str = "standard-listener"
    exclusive: bool = False

    @property
    def segments(self) -> list[str]:
        return [segment for segment in self.path.split("/") if segment]


@dataclass(frozen=True)
class Route:
    id: str
    frontend: Mapping[str, Any]
    enabled: bool = True
    bound_listeners: tuple[str, ...] = ()


@dataclass(frozen=True)
class Declaration:
    """One item of a route's domains."""

    route: Route
    seq: int
    host: str
    segments: tuple[str, ...]
    whole_segments: bool

    @property
    def shape(self) -> tuple[str, ...]:
        return (self.host, *(re.sub(r"^(:|\$(?=.*<)).*?(?=<|$)", r"\1", s) for s in self.segments))

    def params(self, segments: list[str]) -> list[tuple[str, str]]:
        return [
            (declared.split("<")[0][1:], segment)
            for declared, segment in zip(self.segments, segments, strict=False)
            if is_param(declared)
        ]


@dataclass(frozen=True)
class Place:
    """Where a request's path ended, and the declarations that end there."""

    declarations: list[Declaration]
    matched_len: int
    no_more_segments: bool = False


@dataclass
class Router:
    routes: dict[str, tuple[int, Route]] = field(default_factory=dict)
    inserted: int = 0

    def insert(self, route: Route) -> None:
        seq, _ = self.routes.get(route.id, (self.inserted, route))
        self.routes[route.id] = (seq, route)
        self.inserted += 1

    def remove(self, route_id: str) -> bool:
        return self.routes.pop(route_id, None) is not None

    def copy(self) -> "Router":
        return Router(dict(self.routes), self.inserted)

    def find(self, request: Request) -> tuple[str, int, list[tuple[str, str]], bool] | None:
        enabled = [pair for pair in self.routes.values() if pair[1].enabled]
        place = walk(of_domain(declarations(enabled), request.host), request)
        if place is None:
            return None
        for declaration in sorted(place.declarations, key=lambda d: (-rank(d.route), d.seq)):
            if accepts(declaration.route, request, place.no_more_segments):
                bound = declaration.params(request.segments)
                return (declaration.route.id, place.matched_len, bound, place.no_more_segments)
        return None

    def reachable(self, request: Request) -> set[str]:
        """Ids of the routes whose domain and path match when no other route is there."""
        return {
            declaration.route.id
            for declaration in declarations(self.routes.values())
            if walk(of_domain([declaration], request.host), request)
        }


# ------------------------------------------------------------------------------- domains and paths


def declarations(routes: Iterable[tuple[int, Route]]) -> list[Declaration]:
    found: list[Declaration] = []
    for seq, route in routes:
        by_shape: dict[tuple[str, ...], Declaration] = {}
        for text in route.frontend["domains"]:
            host, _, path = text.partition("/")
            segments = tuple(segment for segment in path.split("/") if segment)
            whole = bool(segments) and path.endswith("/")
            new = Declaration(route, seq, host.lower(), segments, whole)
            # Two spellings of one shape are one declaration with the names of the first; it
            # matches inside a segment as soon as one of them does.
            old = by_shape.get(new.shape)
            if old is not None:
                both = old.whole_segments and whole
                new = Declaration(route, seq, old.host, old.segments, both)
            by_shape[new.shape] = new
        found += by_shape.values()
    return found


def of_domain(candidates: list[Declaration], host: str) -> list[Declaration]:
    hosts = {declaration.host for declaration in candidates}
    if host not in hosts:
        host = most_specific(hosts, host) or host
    return [declaration for declaration in candidates if declaration.host == host]


def walk(left: list[Declaration], request: Request) -> Place | None:
    deepest: Place | None = None
    matched_len = 0
    for depth, segment in enumerate(request.segments):
        if ended := [d for d in left if len(d.segments) == depth]:
            deepest = Place(ended, matched_len)
        further = [d for d in left if len(d.segments) > depth]
        left = step(further, depth, segment)
        if not left:
            if request.path.endswith("/"):
                return deepest
            return start_of_segment(further, depth, segment, matched_len) or deepest
        matched_len += 1 + len(segment)
    if ended := [d for d in left if len(d.segments) == len(request.segments)]:
        return Place(ended, matched_len, no_more_segments=True)
    return deepest


def step(left: list[Declaration], depth: int, segment: str) -> list[Declaration]:
    """Those that go on by this segment: the most specific kind alone."""
    names = {d.segments[depth] for d in left}
    literals = {name for name in names if not is_param(name) and "*" not in name}
    params = {name for name in names if is_param(name) and binds(name, segment)}
    chosen = {segment} & literals or params
    if not chosen:
        globs = {name for name in names if not is_param(name) and "*" in name}
        best = most_specific(globs, segment)
        chosen = {best} if best is not None else set()
    return [d for d in left if d.segments[depth] in chosen]


def start_of_segment(
    left: list[Declaration], depth: int, segment: str, matched_len: int
) -> Place | None:
    """The longest last literal that starts this segment and was not declared with a final slash."""
    starts = [
        d
        for d in left
        if len(d.segments) == depth + 1
        and not d.whole_segments
        and not is_param(d.segments[depth])
        and "*" not in d.segments[depth]
        and segment.startswith(d.segments[depth])
    ]
    longest = max((len(d.segments[depth]) for d in starts), default=0)
    found = [d for d in starts if len(d.segments[depth]) == longest]
    return Place(found, matched_len + 1 + longest) if found else None


def is_param(segment: str) -> bool:
    return segment.startswith(":") or (segment.startswith("$") and "<" in segment)


def binds(param: str, segment: str) -> bool:
    if param.startswith(":"):
        return True
    return re.fullmatch(param.partition("<")[2].removesuffix(">"), segment, re.ASCII) is not None


def most_specific(patterns: Iterable[str], text: str) -> str | None:
    matching = [pattern for pattern in patterns if "*" in pattern and matches_glob(pattern, text)]
    stars = {pattern: pattern.count("*") for pattern in matching}
    return min(matching, key=lambda p: (stars[p] - len(p), stars[p], p), default=None)


def matches_glob(pattern: str, text: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text, re.DOTALL) is not None


# ------------------------------------------------------------------------------ what a route wants


def rank(route: Route) -> int:
    return sum(len(route.frontend.get(key, {})) for key in ("headers", "query", "cookies"))


def accepts(route: Route, request: Request, no_more_segments: bool) -> bool:
    frontend = route.frontend
    methods = frontend.get("methods", [])
    return (
        is_served(route, request)
        and (not methods or request.method in methods)
        and (no_more_segments or not frontend.get("exact", False))
        and passes(frontend.get("headers", {}), lambda name: header_values(request, name))
        and passes(frontend.get("query", {}), lambda name: query_values(request, name))
        and passes(frontend.get("cookies", {}), lambda name: cookie_values(request, name))
    )


def is_served(route: Route, request: Request) -> bool:
    if not route.bound_listeners:
        return not request.exclusive
    names = {request.listener}
    if request.listener in STANDARD_LISTENERS:
        names = STANDARD_LISTENERS
    return not names.isdisjoint(route.bound_listeners)


def passes(wanted: Mapping[str, str], values_of: Callable[[str], list[str]]) -> bool:
    return all(value_passes(text, values_of(name)) for name, text in wanted.items())


def value_passes(wanted: str, values: list[str]) -> bool:
    if wanted in {"Exists()", "IsDefined()"}:
        return bool(values)
    if wanted == "NotDefined()":
        return not values
    if wanted.startswith("Regex("):
        regex = wanted.removeprefix("Regex(").removesuffix(")")
        return any(re.fullmatch(regex, value, re.ASCII) for value in values)
    if wanted.startswith("Wildcard("):
        pattern = wanted.removeprefix("Wildcard(").removesuffix(")")
        return any(matches_glob(pattern, value) for value in values)
    return wanted in values


def header_values(request: Request, name: str) -> list[str]:
    return [value for key, value in request.headers if key.lower() == name.lower()]


def query_values(request: Request, name: str) -> list[str]:
    pairs = parse_qsl(request.query, keep_blank_values=True)
    return [value for key, value in pairs if key == name]


def cookie_values(request: Request, name: str) -> list[str]:
    pairs = [
        pair.partition("=")
        for line in header_values(request, "cookie")
        for pair in line.split(";")
        if "=" in pair
    ]
    named = [value.strip() for key, _, value in pairs if key.strip().lower() == name.lower()]
    return [
        value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value for value in named
    ]

"""The native router against its readable twin, on tables and requests made to collide."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oto_trio._core import Router as NativeRouter
from tests.oracles import router as twin

# Few and similar, so that prefixes, patterns and names meet.
HOSTS = ["a.com", "A.com", "b.a.com", "*.com", "*.a.com", "b.*", "*", "b*.com", "*a.com", "*.*.com"]
SEGMENTS = [
    *("a", "ab", "abc", "a-", "b", "1", "12", "$a", "%20"),
    *(":x", ":y", "$n<[0-9]+>", "$m<[0-9]+>", "$m<a.*>", "$n<b|ab>"),
    *("*", "a*", "*b", "a*c", "ab*", "1*", "**"),
]
VALUES = ["1", "", "a b", "Exists()", "IsDefined()", "NotDefined()", "Regex([0-9]+)", "Regex(a|1)"]
VALUES += ["Wildcard(*)", "Wildcard(a*)", "Wildcard(*1*)"]
LISTENERS = ["standard-listener", "experimental-listener", "special"]

domains = st.builds(
    lambda host, segments, end: "/".join([host, *segments]) + end,
    # Mostly one domain, or most routes would never meet a request.
    st.just("a.com") | st.just("a.com") | st.sampled_from(HOSTS),
    st.lists(st.sampled_from(SEGMENTS), max_size=3),
    st.sampled_from(["", "", "/"]),
)
expectations = st.dictionaries(
    st.sampled_from(["p", "q", "R"]), st.sampled_from(VALUES), max_size=2
)
plain_frontends = st.fixed_dictionaries({"domains": st.lists(domains, min_size=1, max_size=3)})
picky_frontends = st.fixed_dictionaries(
    {"domains": st.lists(domains, min_size=1, max_size=3)},
    optional={
        "exact": st.booleans(),
        "methods": st.lists(st.sampled_from(["GET", "PUT"]), max_size=2),
        "headers": expectations,
        "query": expectations,
        "cookies": expectations,
    },
)
routes = st.builds(
    twin.Route,
    id=st.sampled_from([f"r{number}" for number in range(12)]),
    frontend=plain_frontends | picky_frontends,
    enabled=st.sampled_from([True] * 5 + [False]),
    bound_listeners=st.sampled_from([(), (), (), *((name,) for name in LISTENERS)]),
)
free_routes = st.builds(
    twin.Route,
    id=st.sampled_from([f"r{number}" for number in range(12)]),
    frontend=plain_frontends,
)

pairs = st.tuples(
    st.sampled_from(["p", "q", "R", "r", "%70"]),
    st.sampled_from(["", "1", "77", "a%20b", "a+b", "a", "x1"]),
)
queries = st.lists(pairs, max_size=3).map(lambda found: "&".join("=".join(pair) for pair in found))
header_names = st.sampled_from(["p", "P", "q", "r"])
header_values = st.sampled_from(["", "1", "77", "a b", "a"])
headers = st.lists(
    st.tuples(header_names, header_values)
    | st.tuples(
        st.just("Cookie"),
        st.lists(st.tuples(header_names, header_values), max_size=2).map(
            lambda found: "; ".join("=".join(pair) for pair in found)
        ),
    ),
    max_size=3,
)
requests = st.builds(
    lambda segments, end, **rest: twin.Request(
        path="/" + "/".join(segments) + (end if segments else ""), **rest
    ),
    segments=st.lists(
        st.sampled_from(["a", "ab", "abc", "a-x", "b", "1", "12", "123", "$ab", "%20", "c"]),
        max_size=4,
    ),
    end=st.sampled_from(["", "", "/"]),
    host=st.just("a.com")
    | st.sampled_from(["a.com", "b.a.com", "c.b.a.com", "ba.com", "b.org", "com", "x"]),
    method=st.sampled_from(["GET", "PUT"]),
    query=queries,
    headers=headers.map(tuple),
    listener=st.just("standard-listener") | st.sampled_from(LISTENERS),
    exclusive=st.sampled_from([False] * 9 + [True]),
)


def put(router: NativeRouter, route: twin.Route) -> None:
    router.insert(
        route.id,
        json.dumps(route.frontend).encode(),
        enabled=route.enabled,
        bound_listeners=route.bound_listeners,
    )


def ask(router: NativeRouter, request: twin.Request) -> object:
    return router.find(
        request.method,
        request.host,
        request.path,
        request.query,
        request.headers,
        request.listener,
        exclusive=request.exclusive,
    )


def built(routes: list[twin.Route]) -> tuple[NativeRouter, twin.Router]:
    native, readable = NativeRouter(), twin.Router()
    for route in routes:
        put(native, route)
        readable.insert(route)
    return native, readable


@given(
    st.lists(free_routes | routes, min_size=4, max_size=16),
    st.lists(requests, min_size=1, max_size=12),
)
def test_the_router_chooses_what_its_twin_chooses(
    table: list[twin.Route], asked: list[twin.Request]
) -> None:
    native, readable = built(table)
    for request in asked:
        assert ask(native, request) == readable.find(request), request


@given(
    st.lists(
        st.tuples(st.sampled_from(["put", "put", "drop", "copy"]), free_routes | routes),
        max_size=24,
    ),
    st.lists(requests, min_size=1, max_size=8),
)
def test_a_router_after_edits_equals_one_built_afresh(
    edits: list[tuple[str, twin.Route]], asked: list[twin.Request]
) -> None:
    native, readable = NativeRouter(), twin.Router()
    kept = [(native.snapshot(), readable.copy())]
    for verb, route in edits:
        if verb == "put":
            put(native, route)
            readable.insert(route)
        elif verb == "drop":
            assert native.remove(route.id) == readable.remove(route.id)
        else:
            kept.append((native.snapshot(), readable.copy()))
    kept.append((native, readable))
    for edited, remembered in kept:
        routes_in_order = [route for _, route in sorted(remembered.routes.values(), key=by_seq)]
        fresh, _ = built(routes_in_order)
        assert len(edited) == len(fresh) == len(remembered.routes)
        for request in asked:
            assert ask(edited, request) == ask(fresh, request) == remembered.find(request), request


def by_seq(entry: tuple[int, twin.Route]) -> int:
    return entry[0]


@given(
    st.lists(free_routes | routes, min_size=2, max_size=12),
    st.lists(requests, min_size=1, max_size=6),
)
def test_an_explanation_lists_every_route_that_could_match_and_one_winner(
    table: list[twin.Route], asked: list[twin.Request]
) -> None:
    native, readable = built(table)
    for request in asked:
        explained = native.explain(
            request.method,
            request.host,
            request.path,
            request.query,
            request.headers,
            request.listener,
            exclusive=request.exclusive,
        )
        candidates = explained["candidates"]
        assert {candidate["id"] for candidate in candidates} == readable.reachable(request)
        won = [candidate["id"] for candidate in candidates if candidate["loss"] is None]
        found = readable.find(request)
        assert won == ([found[0]] if found else [])
        assert (explained["winner"] or {}).get("id") == (found[0] if found else None)


def test_errors_name_the_field_and_change_nothing() -> None:
    router = NativeRouter()
    router.insert("r", b'{"domains": ["a.com"]}')
    for frontend, message in [
        (b"{", "frontend: not JSON"),
        (b'{"domains": ["a.com", "b/$x<(>"]}', r"frontend\.domains\[1\].*regular expression"),
        (b'{"domains": ["a"], "query": {"q": "Regex((a)\\\\1)"}}', r"frontend\.query\.q.*back-ref"),
        (b'{"domains": [""]}', r"frontend\.domains\[0\].*host"),
    ]:
        with pytest.raises(ValueError, match=message):
            router.insert("r", frontend)
    assert router.find("GET", "a.com", "/x") == ("r", 0, [], False)
    assert "r" in router
    assert len(router) == 1

"""Native steps do what the Python hooks of their plugin do.

Every plugin that lowers itself is compiled twice: natively, and with its hooks as Python steps. The same
request goes through both plans, and what reaches the backend and the client must be equal.
"""

import base64
import hmac
import sys
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from oto_trio._core import ApiKey, Snapshot
from oto_trio.gateway.compile import Hooks, RouteCompiler
from oto_trio.model.route import read_route
from oto_trio.plugin_api import BodyTooLarge, Exchange, Refusal, Response, undecided
from oto_trio.plugin_api.inspection import is_native
from oto_trio.plugin_api.registry import PluginClass, Registry, builtin_plugins
from tests.conformance import (
    access_cases,
    apikey_cases,
    grpc_web_cases,
    header_cases,
    signature_cases,
    tracing_cases,
)
from tests.conformance.challenge_backend import BEHAVIOURS, STATE, answer_to, masked

if TYPE_CHECKING:
    from collections.abc import Callable

Fields = list[tuple[bytes, bytes]]

BUILTIN = builtin_plugins()
NATIVE = [plugin.id for plugin in BUILTIN if is_native(plugin)]
NG = "cp:otoroshi.next.plugins."
SOCKET_ADDRESS = "192.0.2.7"


class Case(msgspec.Struct, frozen=True):
    """A request, and what the backend answers if it is asked."""

    method: str = "GET"
    target: str = "/users/1?a=b"
    headers: tuple[tuple[str, str], ...] = ()
    secured: bool = False
    strip_path: bool = True
    trust: bool = True
    response_headers: tuple[tuple[str, str], ...] = ()
    status: int = 203
    unix_time: float = 1_700_000_000.123
    now: float = 0.0
    behaviour: str = "right"
    version: str = "1.1"
    socket_address: str = SOCKET_ADDRESS
    body: bytes = b""
    response_body: bytes = b""
    plugins_config: dict[str, Any] = {}
    limits: dict[str, Any] = {}
    user: dict[str, Any] | None = None
    apikey: dict[str, Any] | None = None
    client_chain: tuple[bytes, ...] = ()


# ------------------------------------------------------------------------------------ generators

NAMES = st.sampled_from(["X-One", "x-one", "X-Two", "Accept", "Via", "Otoroshi-State", ""])
VALUES = st.text(st.sampled_from("ab*(), ="), max_size=6).map(str.strip)
TEMPLATES = st.sampled_from(
    ["${req.method}-${req.headers.x-one:d}", "a${req.query.x} ${nothing}", "${ctx.a||req.path}"]
)
FIELDS = st.dictionaries(NAMES, VALUES | TEMPLATES, max_size=4)
ARRIVING = st.lists(st.tuples(NAMES.filter(bool), VALUES), max_size=5).map(tuple)
# Not "/users?": a hook cannot tell an empty query from none, the engine can.
TARGETS = ["/users", "/users/", "/users/1", "/users/a%20b?x=1&y"]
METHODS = st.sampled_from(["GET", "HEAD", "POST", "OPTIONS", "PURGE"])
TEXT = st.text(st.sampled_from("ab"), max_size=3)
EXPECTATIONS = st.one_of(
    TEXT,
    st.builds(
        "{}({})".format,
        st.sampled_from(
            [
                "Not",
                "Contains",
                "ContainsNot",
                "ContainedIn",
                "NotContainedIn",
                "Regex",
                "RegexNot",
                "Wildcard",
                "WildcardNot",
                "Unknown",
            ]
        ),
        st.one_of(TEXT, st.builds("{}, {}".format, TEXT, TEXT)),
    ),
    st.builds("Wildcard({}*{})".format, TEXT, TEXT),
    st.builds("Regex({}.+)".format, TEXT),
    st.sampled_from(
        [
            "${req.headers.x-two}",
            "Not(${req.headers.x-two:a})",
            "Regex(${req.query.x:[ab]}.*)",
            "WildcardNot(*${req.query.a}*)",
            "ContainedIn(${req.headers.x-two},a)",
        ]
    ),
)
FORWARDED = st.sampled_from(
    [
        (),
        (("X-Forwarded-For", "203.0.113.9"),),
        (("X-Forwarded-For", "203.0.113.9, 198.51.100.1"),),
        (("X-Forwarded-Proto", "https"),),
        (("X-Forwarded-Host", "b.localhost:81"),),
    ]
)


def cases(
    arriving: st.SearchStrategy[Any] = ARRIVING, **extra: st.SearchStrategy[Any]
) -> st.SearchStrategy[Case]:
    fields: dict[str, st.SearchStrategy[Any]] = {
        "method": METHODS,
        "target": st.sampled_from(TARGETS),
        "headers": arriving,
        "secured": st.booleans(),
        "strip_path": st.booleans(),
        "trust": st.booleans(),
        "response_headers": ARRIVING,
        "behaviour": st.sampled_from(sorted(BEHAVIOURS)),
    }
    return st.builds(Case, **(fields | extra))


SECRET = "a shared secret"


def signed(listed: str, algorithm: str, text: str) -> str:
    """Return credentials of Otoroshi's scheme, made without the engine."""
    digest = hmac.digest(SECRET.encode(), text.encode(), algorithm.lower().removeprefix("hmac-"))
    signature = base64.b64encode(digest).decode()
    return f'hmac algorithm="{algorithm}",headers="{listed}",signature="{signature}"'


SIGNED = st.builds(
    lambda date, name, credentials: (("Date", date), ("X-One", "b"), (name, credentials)),
    st.sampled_from(["1", "2"]),
    st.sampled_from(["Authorization", "Proxy-Authorization", "X-Mac", "x-mac"]),
    st.builds(
        signed,
        st.sampled_from(["Date", "x-one date", "Date X-One", "", "Date Absent"]),
        st.sampled_from(["HMAC-SHA1", "hmac-sha256", "HMAC-SHA384", "HMAC-SHA512"]),
        st.sampled_from(["1", "1 b", ""]),
    ),
)

ARRIVALS: dict[str, st.SearchStrategy[Any]] = {
    **access_cases.ARRIVALS,
    **grpc_web_cases.ARRIVALS,
    **tracing_cases.ARRIVALS,
    **dict.fromkeys(apikey_cases.CONFIGS, apikey_cases.ARRIVING),
    "HMACValidator": SIGNED,
    "RemoveHeadersIn": st.just((("X-One", "a"), ("x-two", "b"), ("Via", "c"), ("Accept", "d"))),
}
"""What a plugin's requests carry, where the usual fields would not tell much."""

LIMIT = st.sampled_from([0, 1, 10000000])
KEY = st.sampled_from([None, "", "k", "${req.ip}", "${req.headers.x-one}"])
CALLER = {
    "per_route": st.booleans(),
    "group": st.sampled_from([None, "", "${req.method}"]),
    "expression": st.sampled_from(["${req.ip}", "everybody"]),
}
QUOTA = st.fixed_dictionaries({"window": LIMIT, "daily": LIMIT, "monthly": LIMIT})
ENTRIES = st.lists(
    st.sampled_from(["Ip(192.0.2.*)", "Ip(192.0.2.7)", "Cidr(203.0.113.0/24)", "r1-*", "", "x"]),
    max_size=2,
)

METHOD_LIST = st.lists(
    st.sampled_from(["GET", "get", "POST", "post", "Purge"]), min_size=1, max_size=3
)
REMOVED = st.lists(st.sampled_from(["X-One", "x-two", "Via", ""]), max_size=2)
NO_CONFIG = st.just(cast("dict[str, Any]", {}))

CONFIGS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "DistributedRedisThrottling": st.fixed_dictionaries({"quota": QUOTA, "bucketKey": KEY}),
    "LuaDistributedRedisThrottling": st.fixed_dictionaries({"quota": QUOTA, "bucketKey": KEY}),
    "FixedWindow": st.fixed_dictionaries({"quota": QUOTA, "bucketKey": KEY}),
    "LocalTokenBucket": st.fixed_dictionaries(
        {"quota": QUOTA, "bucketKey": KEY, "capacity": st.sampled_from([1, 3])}
    ),
    "NgServiceQuotas": st.fixed_dictionaries(
        {"throttling_quota": LIMIT, "daily_quota": LIMIT, "monthly_quota": LIMIT}
    ),
    "NgCustomQuotas": st.fixed_dictionaries(
        {**CALLER, "daily_quota": LIMIT, "monthly_quota": LIMIT}
    ),
    "NgCustomThrottling": st.fixed_dictionaries({**CALLER, "throttling_quota": LIMIT}),
    "GlobalThrottling": NO_CONFIG,
    "GlobalPerIpAddressThrottling": NO_CONFIG,
    "Fail2BanPlugin": st.fixed_dictionaries(
        {
            "url_regex": st.lists(
                st.fixed_dictionaries(
                    {
                        "pattern": st.sampled_from(["/users", "/.*", "x"]),
                        "mode": st.sampled_from(["allow", "block"]),
                    }
                ),
                max_size=2,
            ),
            "ignored": ENTRIES,
            "blocked": ENTRIES,
        }
    ),
    "AdditionalHeadersIn": st.fixed_dictionaries({"headers": FIELDS}),
    "AdditionalHeadersOut": st.fixed_dictionaries({"headers": FIELDS}),
    "AllowHttpMethods": st.fixed_dictionaries(
        {"allowed": METHOD_LIST, "forbidden": METHOD_LIST | st.just(cast("list[str]", []))}
    ),
    "BasicAuthCaller": st.fixed_dictionaries(
        {
            "username": st.none() | TEXT,
            "password": st.none() | TEXT,
            "headerName": NAMES,
            "headerValueFormat": st.sampled_from(["Basic %s", "%s%s", ""]),
        }
    ),
    "BuildMode": NO_CONFIG,
    "ForceHttpsTraffic": NO_CONFIG,
    "HMACCaller": st.fixed_dictionaries(
        {
            "secret": st.none() | TEXT,
            "algo": st.sampled_from(["HMAC-SHA1", "hmac-sha256", "HMAC-SHA384", "HMAC-SHA512"]),
            "authorizationHeader": st.none() | NAMES,
        }
    ),
    "HMACValidator": st.fixed_dictionaries(
        {
            "secret": st.sampled_from([None, "", "a", SECRET]),
            "authorizationHeader": st.sampled_from([None, "", "x-mac"]),
        }
    ),
    "HeadersValidation": st.fixed_dictionaries(
        {"headers": st.dictionaries(NAMES, EXPECTATIONS, max_size=2)}
    ),
    "MaintenanceMode": NO_CONFIG,
    "MissingHeadersIn": st.fixed_dictionaries({"headers": FIELDS}),
    "MissingHeadersOut": st.fixed_dictionaries({"headers": FIELDS}),
    "OtoroshiChallenge": st.fixed_dictionaries(
        {"version": st.sampled_from(["V1", "V2", 2]), "ttl": st.sampled_from([30, 31])}
    ),
    "OverrideHost": NO_CONFIG,
    "ReadOnlyCalls": NO_CONFIG,
    "Redirection": st.fixed_dictionaries(
        {"code": st.sampled_from([200, 301, 302, 303, 307, 308]), "to": VALUES | TEMPLATES}
    ),
    "RemoveHeadersIn": st.fixed_dictionaries({"header_names": REMOVED}),
    "RemoveHeadersOut": st.fixed_dictionaries({"header_names": REMOVED}),
    "XForwardedHeaders": NO_CONFIG,
}
CONFIGS.update(access_cases.CONFIGS)
CONFIGS.update(signature_cases.CONFIGS)
EXTRAS: dict[str, Any] = {
    **access_cases.EXTRAS,
    **grpc_web_cases.EXTRAS,
    **header_cases.EXTRAS,
    **signature_cases.EXTRAS,
    **apikey_cases.EXTRAS,
}
CONFIGS.update(header_cases.CONFIGS)
CONFIGS.update(grpc_web_cases.CONFIGS)
CONFIGS.update(tracing_cases.CONFIGS)
CONFIGS.update(apikey_cases.CONFIGS)


def with_every_method(case: Case) -> tuple[Case, ...]:
    """Return the case with each of the methods that the lists of `AllowHttpMethods` have."""
    methods = ("GET", "POST", "PURGE", "HEAD")
    return tuple(msgspec.structs.replace(case, method=method) for method in methods)


VARIED: "dict[str, Callable[[Case], tuple[Case, ...]]]" = {"AllowHttpMethods": with_every_method}
"""Plugins of which one request tells little: those that are sent for a drawn one, one after another."""

# ------------------------------------------------------------------------------------ two plans


def hooked(plugin: PluginClass) -> PluginClass:
    """Return the plugin as it is when it does not lower itself."""
    return type(plugin.__name__, (plugin,), {"lower": lambda _: None})


TWINS = Registry().extended((hooked(BUILTIN.plugins[plugin_id]), "twin") for plugin_id in NATIVE)


def run(registry: Registry, plugin: str, config: dict[str, Any], *cases: Case) -> list[Any]:
    """Send requests through a plan of one plugin; return what the backend and the client get.

    They meet the same counters, one after another. Settings and the route are those of the first.
    """
    snapshot, hooks = plan_of(registry, plugin, config, cases[0])
    return [answer_of(snapshot, hooks, plugin, case) for case in cases]


def plan_of(
    registry: Registry, plugin: str, config: dict[str, Any], case: Case
) -> tuple[Snapshot, Hooks]:
    """Compile a route with one plugin."""
    route = read_route(
        {
            "id": "r1",
            "name": "a route",
            # The route's own checks would refuse what the plugins for the same limits are to refuse.
            "metadata": {"otoroshi-core-apply-legacy-checks": "false"} if case.limits else {},
            "frontend": {
                "domains": [
                    "a.localhost/users",
                    "b.localhost/users",
                    "a.localhost/robots.txt",
                    "a.localhost/.well-known/security.txt",
                ],
                "strip_path": case.strip_path,
            },
            "backend": {"targets": [{"hostname": "backend.internal", "port": 9000}]},
            "plugins": [
                *apikey_cases.BEFORE.get(plugin.removeprefix(NG), []),
                {"plugin": plugin, "config": config},
                *apikey_cases.AFTER.get(plugin.removeprefix(NG), []),
            ],
        }
    )
    hooks = Hooks()
    lowered = RouteCompiler(registry, hooks).compile(route, {})
    assert lowered.problems == ()
    settings = {"trust_x_forwarded": case.trust, "plugins_config": case.plugins_config}
    text = msgspec.json.encode({**settings, **case.limits})
    return Snapshot().apply([lowered.document], [], text, apikey_cases.ENTITIES), hooks


def answer_of(snapshot: Snapshot, hooks: Hooks, plugin: str, case: Case) -> list[Any]:
    """Send one request."""
    exchange = snapshot.begin(
        case.method.encode(),
        case.target.encode(),
        [(b"Host", b"a.localhost:8080"), *map(latin1, case.headers)],
        version=case.version,
        remote_address=case.socket_address,
        secured=case.secured,
        now=case.now,
        unix_time=case.unix_time,
        client_chain=case.client_chain,
    )
    exchange.user = case.user
    if case.apikey is not None:
        exchange.apikey = ApiKey.read(msgspec.json.encode(case.apikey))
    exchange.bind_reader(reader_of(case))
    seen: list[Any] = []
    decision: tuple[Any, ...] = exchange.advance()
    while decision[0] in ("python", "forward"):
        if decision[0] == "python":
            held = cast("Exchange", Forwarding(exchange, case))
            decision = give(exchange, call_hook(hooks, decision[1], held))
            continue
        _, target, path, host, fields = decision
        answer = list(case.response_headers)
        if plugin == NG + "OtoroshiChallenge":
            asked = next(text.decode() for name, text in fields if name == STATE.encode())
            answer += answer_to(asked, int(case.unix_time), case.behaviour)
            fields = [(n, masked(v.decode()) if n == STATE.encode() else v) for n, v in fields]
        elif plugin == NG + "OtoroshiInfos":
            fields = [(n, masked(v.decode()) if v.startswith(b"ey") else v) for n, v in fields]
        if plugin == NG + "W3CTracing":
            fields = [(n, tracing_cases.without_random_ids(n, v)) for n, v in fields]
        seen.append(("forward", target, path, host, without_host(fields)))
        decision = exchange.receive(case.status, list(map(latin1, answer)))
    return [*seen, header_cases.without_error_ids(decision)]


def reader_of(case: Case) -> Any:
    """Return what reads the bodies of a request and of its response."""

    async def read(_exchange: object, limit: int, is_response: bool) -> bytes:
        await trio.lowlevel.checkpoint()
        body = case.response_body if is_response else case.body
        if len(body) > limit:
            raise BodyTooLarge(limit)
        return body

    return read


def call_hook(hooks: Hooks, slot: int, exchange: Exchange) -> object:
    """Call a hook of either kind."""
    inline = hooks.inline[slot]
    if inline is not None:
        return inline(exchange)
    return trio.run(cast("Callable[[Exchange], Any]", hooks.suspending[slot]), exchange)


class Forwarding:
    """A native exchange that also tells the chain of addresses, which the engine keeps to itself."""

    def __init__(self, exchange: Any, case: Case) -> None:
        self._exchange = exchange
        claimed = [value for name, value in case.headers if name.lower() == "x-forwarded-for"]
        chain = [*(claimed[:1] if case.trust else []), case.socket_address]
        self.forwarded_for = ", ".join(chain)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._exchange, name)

    @override
    def __setattr__(self, name: str, value: object) -> None:
        if name in ("_exchange", "forwarded_for"):
            super().__setattr__(name, value)
        else:
            setattr(self._exchange, name, value)


def give(exchange: Any, answer: object) -> tuple[Any, ...]:
    """Tell a native exchange what a hook answered."""
    if isinstance(answer, Response):
        return cast(
            "tuple[Any, ...]", exchange.respond(answer.status, list(answer.headers), answer.body)
        )
    if isinstance(answer, Refusal):
        return cast("tuple[Any, ...]", exchange.refuse(answer.status, answer.message, answer.cause))
    if answer is False:
        exchange.reject()
    else:
        assert answer in (None, True)
    return cast("tuple[Any, ...]", exchange.advance())


def latin1(field: tuple[str, str]) -> tuple[bytes, bytes]:
    name, value = field
    return name.encode("latin-1"), value.encode("latin-1")


def without_host(fields: Fields) -> Fields:
    """Drop ``Host``, which the engine sends on its own (the third item of a forward)."""
    return [field for field in fields if field[0].lower() != b"host"]


# ------------------------------------------------------------------------------------ the test


def asks_the_step(plugin: PluginClass) -> bool:
    """Whether the hooks of a plugin ask its native step, through `plugin_api.undecided`."""
    askers = (undecided.decide_with_key_sets, undecided.settle)
    return any(value in askers for value in vars(sys.modules[plugin.__module__]).values())


DECIDING_AGAIN = frozenset(
    plugin.id.removeprefix(NG) for plugin in BUILTIN if is_native(plugin) and asks_the_step(plugin)
)
"""Plugins whose hooks ask the native step itself (`plugin_api.undecided`); what they do is compared
with PyJWT and jwcrypto in `test_tokens` and `test_encrypted_tokens`."""


def test_every_native_plugin_has_its_cases() -> None:
    covered = {*CONFIGS, *DECIDING_AGAIN}
    assert {plugin_id.removeprefix(NG) for plugin_id in NATIVE} == covered


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(CONFIGS))
@given(data=st.data())
def test_a_native_plugin_does_what_its_hooks_do(name: str, data: st.DataObject) -> None:
    config = data.draw(CONFIGS[name], "config")
    special = ARRIVALS.get(name, FORWARDED)
    extra = EXTRAS.get(name, {})
    case = data.draw(st.one_of(cases(**extra), cases(special, **extra)), "case")
    sent = VARIED[name](case) if name in VARIED else (case,)
    native = run(BUILTIN, NG + name, config, *sent)
    hooked_ = run(TWINS, NG + name, config, *sent)
    assert native == hooked_


def test_http3_is_told_where_it_is_spoken_only() -> None:
    plugin = NG + "Http3Switch"
    before = (("Alt-Svc", "clear"),)
    off, on = (
        str(run(BUILTIN, plugin, {}, Case(response_headers=before, limits=limits)))
        for limits in ({}, {"http3_ports": {"standard-listener": 8443}})
    )
    assert "clear" in off
    assert "h3=" not in off
    assert 'h3=":8443"; ma=3600' in on
    assert "clear" not in on

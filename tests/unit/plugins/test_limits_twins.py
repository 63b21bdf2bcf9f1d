"""Plugins that count: the native step and the hooks, call after call on counters of their own."""

from typing import TYPE_CHECKING, Any, TypeAlias, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oto_trio._core import Snapshot
from oto_trio.gateway.compile import Hooks, RouteCompiler
from oto_trio.model.route import read_route
from oto_trio.plugin_api import Refusal, Response
from oto_trio.plugin_api.registry import Registry, builtin_plugins

if TYPE_CHECKING:
    from collections.abc import Callable

    from oto_trio.plugin_api import Exchange

NG = "cp:otoroshi.next.plugins."
BUILTIN = builtin_plugins()
Told: TypeAlias = tuple[int, list[tuple[bytes, bytes]], bytes]

START_UNIX = 1_709_208_000.0
"""Noon of the last day of a February, UTC."""


class Call(msgspec.Struct, frozen=True):
    """One request: how long after the one before, whose, and what the backend says."""

    after_s: float = 0.0
    address: str = "192.0.2.7"
    status: int = 200


def hooked(name: str) -> Registry:
    plugin = BUILTIN.plugins[NG + name]
    twin = type(plugin.__name__, (plugin,), {"lower": _no_lowering})
    return Registry().extended([(twin, "twin")])


def _no_lowering(plugin: object) -> None:
    return None


def run(
    registry: Registry,
    name: str,
    config: dict[str, Any],
    calls: list[Call],
    settings: dict[str, Any] | None = None,
) -> list[Told]:
    """Send calls through one route with one plugin; return each answer."""
    route = {
        "id": "r1",
        "name": "a route",
        "frontend": {"domains": ["a.localhost"]},
        "backend": {"targets": [{"hostname": "backend.internal", "port": 9000}]},
        "plugins": [{"plugin": NG + name, "config": config}],
    }
    hooks = Hooks()
    lowered = RouteCompiler(registry, hooks).compile(read_route(route), {})
    assert lowered.problems == ()
    encoded = None if settings is None else msgspec.json.encode(settings)
    snapshot = Snapshot().apply([lowered.document], [], encoded)
    now = 5.0
    answers: list[Told] = []
    for call in calls:
        now += call.after_s
        exchange = snapshot.begin(
            b"GET",
            b"/users",
            [(b"Host", b"a.localhost"), (b"Accept", b"*/*")],
            remote_address=call.address,
            now=now,
            unix_time=START_UNIX + now - 5.0,
        )
        decision: tuple[Any, ...] = exchange.advance()
        while decision[0] in ("python", "forward"):
            if decision[0] == "forward":
                decision = exchange.receive(call.status, [])
                continue
            hook = cast("Callable[[Exchange], Any]", hooks.inline[decision[1]])
            answer = hook(cast("Exchange", exchange))
            if isinstance(answer, Response):
                decision = exchange.respond(answer.status, list(answer.headers), answer.body)
            elif isinstance(answer, Refusal):
                decision = exchange.refuse(answer.status, answer.message, answer.cause)
            else:
                decision = exchange.advance()
        answers.append((decision[1], decision[2], decision[3] if len(decision) > 3 else b""))
        while (decision := exchange.finish())[0] == "python":
            cast("Callable[[Exchange], Any]", hooks.inline[decision[1]])(cast("Exchange", exchange))
    return answers


AFTER = st.sampled_from([0.0, 0.0, 0.05, 1.0, 9.999, 10.0, 10.001, 86_400.0])
CALLS = st.lists(
    st.builds(
        Call,
        after_s=AFTER,
        address=st.sampled_from(["192.0.2.7", "2001:db8::1"]),
        status=st.sampled_from([200, 401, 500]),
    ),
    max_size=30,
)
LIMIT = st.sampled_from([0, 1, 3, 10_000_000])
QUOTA = st.fixed_dictionaries({"window": LIMIT, "daily": LIMIT, "monthly": LIMIT})
KEY = st.sampled_from([None, "k", "${req.ip}"])
CONFIGS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "LocalTokenBucket": st.fixed_dictionaries(
        {
            "bucketKey": KEY,
            "capacity": st.integers(1, 5),
            "refillRequestIntervalMs": st.sampled_from([1, 50, 1000]),
            "refillRequestedTokens": st.integers(1, 3),
            "quota": QUOTA,
        }
    ),
    "FixedWindow": st.fixed_dictionaries(
        {"bucketKey": KEY, "windowDurationMs": st.sampled_from([1, 1000, 10_000]), "quota": QUOTA}
    ),
    "DistributedRedisThrottling": st.fixed_dictionaries({"bucketKey": KEY, "quota": QUOTA}),
    "LuaDistributedRedisThrottling": st.fixed_dictionaries({"bucketKey": KEY, "quota": QUOTA}),
    "NgServiceQuotas": st.fixed_dictionaries(
        {"throttling_quota": LIMIT, "daily_quota": LIMIT, "monthly_quota": LIMIT}
    ),
    "NgCustomQuotas": st.fixed_dictionaries({"daily_quota": LIMIT, "monthly_quota": LIMIT}),
    "NgCustomThrottling": st.fixed_dictionaries({"throttling_quota": LIMIT}),
    "Fail2BanPlugin": st.fixed_dictionaries(
        {
            "max_retry": st.integers(1, 3),
            "detect_time": st.sampled_from([50, "10s"]),
            "ban_time": st.sampled_from(["1s", "10s", "3h"]),
            "ignored": st.sampled_from([[], ["Cidr(2001:db8::/32)"]]),
        }
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(CONFIGS))
@given(data=st.data())
def test_the_native_step_counts_as_the_hooks_do(name: str, data: st.DataObject) -> None:
    config = data.draw(CONFIGS[name], "config")
    calls = data.draw(CALLS, "calls")
    assert run(BUILTIN, name, config, calls) == run(hooked(name), name, config, calls)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["GlobalThrottling", "GlobalPerIpAddressThrottling"])
@given(calls=CALLS, address=LIMIT, everybody=LIMIT)
def test_the_global_limits_hold_natively_as_in_the_hooks(
    name: str, calls: list[Call], address: int, everybody: int
) -> None:
    settings = {"address_quota": address, "global_quota": everybody}
    assert run(BUILTIN, name, {}, calls, settings) == run(hooked(name), name, {}, calls, settings)

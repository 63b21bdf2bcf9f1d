"""Plugins that count do what their hooks do, call by call: limits are reached, windows end, callers differ."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conformance.test_plugin_twins import BUILTIN, NG, TWINS, Case, run

Drawn = st.SearchStrategy[dict[str, Any]]

LIMIT = st.sampled_from([1, 2, 3])
LIMITS = st.one_of(LIMIT, LIMIT, st.just(10_000_000))
QUOTA: Drawn = st.fixed_dictionaries({"window": LIMIT, "daily": LIMITS, "monthly": LIMITS})
BY = st.sampled_from(["${req.ip}", "${req.ip}", "k", "${req.headers.x-one}"])
STRATEGY: dict[str, st.SearchStrategy[Any]] = {"quota": QUOTA, "bucketKey": BY}
CALLER: dict[str, st.SearchStrategy[Any]] = {
    "per_route": st.booleans(),
    "group": st.sampled_from([None, "${req.method}", "${req.method}"]),
    "expression": st.sampled_from(["${req.ip}", "${req.ip}", "everybody"]),
}

CONFIGS: dict[str, Drawn] = {
    "DistributedRedisThrottling": st.fixed_dictionaries(STRATEGY),
    "Fail2BanPlugin": st.fixed_dictionaries(
        {
            "identifier": st.sampled_from(["${route.id}-${req.ip}", "${req.headers.x-one}"]),
            "max_retry": st.sampled_from([1, 2]),
            "ban_time": st.sampled_from(["3s", "1h"]),
            "detect_time": st.sampled_from(["1s", "1h"]),
            "ignored": st.sampled_from([[], [], ["*2001:db8::1"], ["Ip(192.0.2.8)"]]),
        }
    ),
    "FixedWindow": st.fixed_dictionaries(
        {**STRATEGY, "windowDurationMs": st.sampled_from([1500, 10_000])}
    ),
    "GlobalPerIpAddressThrottling": st.just({}),
    "GlobalThrottling": st.just({}),
    "LocalTokenBucket": st.fixed_dictionaries(
        {
            **STRATEGY,
            "capacity": st.sampled_from([1, 2]),
            "refillRequestIntervalMs": st.just(1000),
            "refillRequestedTokens": st.just(1),
        }
    ),
    "LuaDistributedRedisThrottling": st.fixed_dictionaries(STRATEGY),
    "NgCustomQuotas": st.fixed_dictionaries(
        {**CALLER, "daily_quota": LIMIT, "monthly_quota": LIMITS}
    ),
    "NgCustomThrottling": st.fixed_dictionaries({**CALLER, "throttling_quota": LIMIT}),
    "NgServiceQuotas": st.fixed_dictionaries(
        {"throttling_quota": LIMIT, "daily_quota": LIMITS, "monthly_quota": LIMITS}
    ),
}
"""Limits low enough that a few calls break them."""

ADDRESSES = st.sampled_from(["192.0.2.7", "192.0.2.7", "192.0.2.8", "2001:db8::1", "2001:db8::2"])
PAUSES_S = st.sampled_from([0.0, 0.0, 0.0, 0.5, 1.0, 10.0, 3600.0, 86_400.0])
CALL: st.SearchStrategy[tuple[float, dict[str, Any]]] = st.tuples(
    PAUSES_S,
    st.fixed_dictionaries(
        {
            "socket_address": ADDRESSES,
            "headers": st.sampled_from([(("X-One", "a"),), (("X-One", "b"),)]),
            "method": st.sampled_from(["GET", "GET", "POST"]),
            "status": st.sampled_from([200, 401, 401, 503]),
        }
    ),
)
FIRST: list[tuple[float, dict[str, Any]]] = [
    (
        0.0,
        {"socket_address": address, "headers": (("X-One", name),), "method": method, "status": 401},
    )
    for address, name, method in (
        ("2001:db8::1", "a", "GET"),
        ("2001:db8::2", "a", "POST"),
        ("192.0.2.7", "b", "GET"),
    )
]
"""Calls that every sequence begins with: by whom they are counted shows in the next ones."""

GLOBAL: st.SearchStrategy[dict[str, int]] = st.fixed_dictionaries(
    {"address_quota": LIMIT, "global_quota": LIMIT}
)


def calls(drawn: list[tuple[float, dict[str, Any]]], limits: dict[str, int]) -> list[Case]:
    """Return requests at times of their own: one call, again with its caller, and so on."""
    now, found = 0.0, list[Case]()
    for pause_s, fields in FIRST + drawn:
        now += pause_s
        call = Case(
            **fields,
            limits=limits,
            now=now,
            unix_time=1_700_000_000.0 + now,
        )
        found += [call, msgspec.structs.replace(call, now=now + 0.1)]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(CONFIGS))
@given(data=st.data())
def test_a_plugin_that_counts_does_what_its_hooks_do_call_by_call(
    name: str, data: st.DataObject
) -> None:
    config = data.draw(CONFIGS[name], "config")
    limits = data.draw(GLOBAL, "limits") if name.startswith("Global") else {}
    sent = calls(data.draw(st.lists(CALL, min_size=1, max_size=4), "calls"), limits)
    native = run(BUILTIN, NG + name, config, *sent)
    assert native == run(TWINS, NG + name, config, *sent)

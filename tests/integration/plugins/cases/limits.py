"""What the plugins do that count calls."""

from __future__ import annotations

from typing import Any, Final

from tests.integration.plugins.cases.case import Case, Wanted, acts, answer, left

__all__ = ["CASES"]

ANY: Final = "Accept: */*"
HOUR_MS: Final = 3_600_000


def are_seconds(values: list[str]) -> bool:
    """Want one number of seconds that makes sense."""
    return len(values) == 1 and int(values[0]) >= 1


AGAIN: Final[dict[str, Wanted]] = {"Retry-After": are_seconds}


def two_calls(config: dict[str, Any], status: int, words: bytes, **more: Any) -> Case:
    """A plugin that lets two calls in, and tells the third when to come back."""
    third = acts("GET /", ANY, status=status, words=words, to_client=AGAIN)
    return Case(
        config,
        (left(), left(), third, third, left("GET /left")),
        more={"exclude": ["/left"]},
        **more,
    )


TOO_MUCH: Final = b"Too much requests"
UNCHECKED: Final = {"metadata": {"otoroshi-core-apply-legacy-checks": "false"}}

CASES: Final[dict[str, Case]] = {
    "FixedWindow": two_calls(
        {"windowDurationMs": HOUR_MS, "quota": {"window": 2}, "bucketKey": "fixed"}, 429, TOO_MUCH
    ),
    "LocalTokenBucket": two_calls(
        {
            "capacity": 2,
            "refillRequestIntervalMs": HOUR_MS,
            "refillRequestedTokens": 1,
            "bucketKey": "bucket",
        },
        429,
        TOO_MUCH,
    ),
    "DistributedRedisThrottling": two_calls(
        {"quota": {"window": 1000, "daily": 2, "monthly": 1000}, "bucketKey": "redis"},
        429,
        TOO_MUCH,
    ),
    "LuaDistributedRedisThrottling": two_calls(
        {"quota": {"window": 1000, "daily": 1000, "monthly": 2}, "bucketKey": "lua"},
        429,
        TOO_MUCH,
    ),
    "NgServiceQuotas": two_calls({"daily_quota": 2}, 403, b"forbidden"),
    "NgCustomQuotas": Case(
        {"expression": "${req.headers.X-Who}", "daily_quota": 1},
        (
            left("GET /", "X-Who: a"),
            acts("GET /", "X-Who: a", ANY, status=403, words=b"forbidden", to_client=AGAIN),
            left("GET /", "X-Who: b"),
        ),
    ),
    "NgCustomThrottling": Case(
        {"expression": "${req.headers.X-Who}", "throttling_quota": 1},
        (
            left("GET /", "X-Who: a"),
            acts("GET /", "X-Who: a", ANY, status=403, words=b"forbidden", to_client=AGAIN),
            left("GET /", "X-Who: b"),
        ),
    ),
    "GlobalPerIpAddressThrottling": Case(
        {},
        (
            left("GET /", "X-Forwarded-For: 192.0.2.1"),
            left("GET /", "X-Forwarded-For: 192.0.2.1"),
            acts(
                "GET /",
                "X-Forwarded-For: 192.0.2.1",
                ANY,
                status=429,
                words=b"[IP] You performed too much requests",
                to_client=AGAIN,
            ),
            left("GET /", "X-Forwarded-For: 192.0.2.2"),
        ),
        route=UNCHECKED,
        globally={"perIpThrottlingQuota": 2},
    ),
    "GlobalThrottling": two_calls(
        {},
        429,
        b"[GLOBAL] You performed too much requests",
        route=UNCHECKED,
        globally={"throttlingQuota": 2},
    ),
    "Fail2BanPlugin": Case(
        {"max_retry": 2, "ban_time": "1h", "status_codes": ["404"], "identifier": "me"},
        (
            left(answered=answer(status="500 Broken"), status=500, to_backend={}),
            left(answered=answer(status="404 Missing"), status=404, to_backend={}),
            left(answered=answer(status="404 Missing"), status=404, to_backend={}),
            acts(status=403, words=b'"error":"temporary_ban"'),
        ),
    ),
}
"""The cases, by plugin."""

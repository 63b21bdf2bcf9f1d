"""What the global configuration bounds, as the engine reads it in a snapshot's settings."""

from typing import Any, Final

from oto_trio.model.errors import Problem
from oto_trio.model.global_config import GlobalConfig

__all__ = ["FIELDS_SWITCH", "IPV6_PREFIX", "limit_settings"]

FIELDS_SWITCH: Final = "otoroshi-core-rate-limit-headers"
"""Key of the global configuration's metadata; ``false`` keeps ``RateLimit`` and ``RateLimit-Policy`` from
clients."""

IPV6_PREFIX: Final = "otoroshi-core-limits-ipv6-prefix"
"""Key of the global configuration's metadata: how many leading bits IPv6 addresses share that are counted
as one client, 1 to 128."""

DEFAULT_IPV6_PREFIX: Final = 64
"""What one customer gets at the least. Source: RFC 6177 section 2 (BCP 157), RFC 4291 section 2.5.1."""


def limit_settings(config: GlobalConfig, problems: list[Problem]) -> dict[str, Any]:
    """Return the settings; note what is wrong with them."""
    return {
        "address_quota": max(config.per_ip_throttling_quota, 0),
        "global_quota": max(config.throttling_quota, 0),
        "most_at_once": (
            max(config.max_concurrent_requests, 0) if config.limit_concurrent_requests else None
        ),
        "quota_alerts": {
            "enabled": config.quotas_settings.enabled,
            "daily_threshold": config.quotas_settings.daily_quotas_threshold,
            "monthly_threshold": config.quotas_settings.monthly_quotas_threshold,
        },
        "ipv6_prefix": _ipv6_prefix(config, problems),
        "rate_limit_fields": config.metadata.get(FIELDS_SWITCH, "true").lower() != "false",
    }


def _ipv6_prefix(config: GlobalConfig, problems: list[Problem]) -> int:
    """Return the prefix that is asked for, or the default where that is none."""
    text = config.metadata.get(IPV6_PREFIX, str(DEFAULT_IPV6_PREFIX)).strip()
    if text.isascii() and text.isdigit() and len(text) < 4 and 1 <= int(text) <= 128:
        return int(text)
    where = f"$.metadata['{IPV6_PREFIX}']"
    problems.append(
        Problem(
            where,
            f"{text[:20]!r} is no number from 1 to 128",
            "write 64, or remove the entry",
            "warning",
        )
    )
    return DEFAULT_IPV6_PREFIX

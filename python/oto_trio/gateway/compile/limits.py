"""What the global configuration bounds, as the engine reads it in a snapshot's settings."""

from typing import Any, Final

from oto_trio.model.global_config import GlobalConfig

__all__ = ["FIELDS_SWITCH", "limit_settings"]

FIELDS_SWITCH: Final = "otoroshi-core-rate-limit-headers"
"""Key of the global configuration's metadata; ``false`` keeps ``RateLimit`` and ``RateLimit-Policy`` from
clients."""


def limit_settings(config: GlobalConfig | None) -> dict[str, Any]:
    """Return the settings; none without a configuration, which bounds nothing."""
    if config is None:
        return {}
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
        "rate_limit_fields": config.metadata.get(FIELDS_SWITCH, "true").lower() != "false",
    }

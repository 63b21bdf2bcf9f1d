"""The rules: one file each, and the table of them.

To add one, write a file with a `RULE`, put it into the table, and give `tests/unit/control/test_lint.py`
examples that it finds and examples that it must not.
"""

from typing import Final

from oto_trio.control.lint.finding import Rule
from oto_trio.control.lint.rules import (
    api_key_never_expires,
    api_key_weak_secret,
    api_key_without_quota,
    certificate_expired,
    certificate_expires_soon,
    document_invalid,
    domain_catch_all,
    domain_overlap,
    listener_missing,
    order_change_before_check,
    order_check_before_caller,
    order_cors_after_authentication,
    order_limit_before_caller,
    plugin_disabled,
    plugin_unknown,
    route_disabled,
    route_shadowed,
    route_takes_admin_host,
    route_unreachable,
    route_without_authentication,
    secret_in_clear,
    service_without_equivalent,
    target_without_verification,
    verifier_weak_secret,
)

__all__ = ["RULES"]

RULES: Final[tuple[Rule, ...]] = (
    document_invalid.RULE,
    route_unreachable.RULE,
    route_shadowed.RULE,
    route_disabled.RULE,
    route_without_authentication.RULE,
    domain_overlap.RULE,
    domain_catch_all.RULE,
    route_takes_admin_host.RULE,
    listener_missing.RULE,
    plugin_unknown.RULE,
    plugin_disabled.RULE,
    service_without_equivalent.RULE,
    order_cors_after_authentication.RULE,
    order_check_before_caller.RULE,
    order_limit_before_caller.RULE,
    order_change_before_check.RULE,
    secret_in_clear.RULE,
    api_key_weak_secret.RULE,
    api_key_without_quota.RULE,
    api_key_never_expires.RULE,
    verifier_weak_secret.RULE,
    certificate_expired.RULE,
    certificate_expires_soon.RULE,
    target_without_verification.RULE,
)
"""Every rule, in the order of the docs."""

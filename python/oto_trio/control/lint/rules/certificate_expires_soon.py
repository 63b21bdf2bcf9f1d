"""Certificates whose time is nearly over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from oto_trio.control.lint.finding import Hit, Rule
from oto_trio.control.lint.validity import DAY_MS, valid_to
from oto_trio.model.certificate import Certificate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oto_trio.control.lint.ground import Ground

__all__ = ["RULE", "SOON_DAYS"]

SOON_DAYS: Final = 30
"""Days before its end from which on a certificate is told of."""


def _find(ground: Ground) -> Iterator[Hit]:
    for item, certificate in ground.of(Certificate):
        end = valid_to(certificate)
        if certificate.revoked or end is None:
            continue
        if ground.now_ms < end <= ground.now_ms + SOON_DAYS * DAY_MS:
            days = (end - ground.now_ms) // DAY_MS
            renews = certificate.auto_renew
            yield Hit(
                item,
                "$.chain",
                f"{certificate.domain} expires in {days} days"
                + (" and is renewed by the gateway before" if renews else ""),
                "see that the renewal works" if renews else "renew it, or set autoRenew",
                "info" if renews else None,
            )


RULE = Rule(
    "certificate-expires-soon",
    "warning",
    "A certificate expires within 30 days; for information when the gateway renews it.",
    _find,
)

"""Certificates whose time is over."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from oto_trio.control.lint.finding import Hit, Rule
from oto_trio.control.lint.validity import valid_to
from oto_trio.model.certificate import Certificate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oto_trio.control.lint.ground import Ground

__all__ = ["RULE"]


def _find(ground: Ground) -> Iterator[Hit]:
    for item, certificate in ground.of(Certificate):
        end = valid_to(certificate)
        if not certificate.revoked and end is not None and end <= ground.now_ms:
            day = datetime.fromtimestamp(end / 1000, UTC).date()
            yield Hit(
                item,
                "$.chain",
                f"{certificate.domain} expired on {day}: clients that verify it refuse to connect",
                "renew it, or remove it",
            )


RULE = Rule("certificate-expired", "error", "A certificate's validity is over.", _find)

"""Targets whose certificate is not looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oto_trio.control.lint.finding import Hit, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oto_trio.control.lint.ground import Ground

__all__ = ["RULE"]


def _find(ground: Ground) -> Iterator[Hit]:
    for item, settings in ground.backend_settings():
        for index, target in enumerate(settings.targets):
            tls = target.tls_config
            if not target.tls or not tls.enabled or not (tls.loose or tls.trust_all):
                continue
            name = "trust_all" if tls.trust_all else "loose"
            what = "any certificate" if tls.trust_all else "a certificate of any host"
            yield Hit(
                item,
                f"$.backend.targets[{index}].tls_config.{name}",
                f"{what} passes for {target.hostname}: whoever is on the way reads and changes "
                "what is sent",
                f"set {name} to false, and name the authority of the target in trusted_certs",
            )


RULE = Rule(
    "target-without-verification",
    "warning",
    "A target is called by TLS and its certificate not verified (loose, trust_all).",
    _find,
)

"""Asks every rule, and puts what they find in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from oto_trio.control.lint.finding import SEVERITIES, Finding
from oto_trio.control.lint.rules import RULES

if TYPE_CHECKING:
    from collections.abc import Collection

    from oto_trio.control.documents import Item
    from oto_trio.control.lint.ground import Ground

__all__ = ["IGNORE_KEY", "run_rules"]

IGNORE_KEY: Final = "oto-trio-lint-ignore"
"""The metadata key of an entity that names the codes it is not to be told of, with commas between."""


def run_rules(ground: Ground, ignored: Collection[str] = ()) -> list[Finding]:
    """Look for everything there is a rule for.

    Args:
        ground: The entities.
        ignored: Codes of rules that are not asked.

    Returns:
        The findings, the worst first, then by kind, id and field.

    Cost: milliseconds for a hundred routes; each declared path is routed once or a few times.
    """
    findings: list[Finding] = []
    for rule in RULES:
        if rule.code in ignored:
            continue
        for hit in rule.find(ground):
            source = ground.source(hit.item)
            item, field, why = hit.item, hit.field, hit.why
            if source is not None:
                item, field = source.owner, source.field(field)
                why = f"as route {hit.item.id}: {why}"
            if rule.code in _ignored_by(item):
                continue
            findings.append(
                Finding(
                    hit.severity or rule.severity,
                    rule.code,
                    item.resource.plural,
                    item.id,
                    field,
                    why,
                    hit.fix,
                    item.where,
                )
            )
    # A slot of the global configuration is found again in each route.
    return sorted(
        dict.fromkeys(findings),
        key=lambda f: (SEVERITIES.index(f.severity), f.kind, f.id, f.field, f.code),
    )


def _ignored_by(item: Item) -> set[str]:
    """Return the codes that an entity does not want to be told of."""
    metadata: object = item.document.get("metadata")
    if not isinstance(metadata, dict):
        return set()
    listed = cast("dict[str, object]", metadata).get(IGNORE_KEY)
    return {code.strip() for code in listed.split(",")} if isinstance(listed, str) else set()

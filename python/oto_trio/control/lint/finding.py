"""What a rule is, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Literal

import msgspec

from oto_trio.control.documents import Item
from oto_trio.control.lint.ground import Ground

__all__ = ["SEVERITIES", "Finding", "Hit", "Rule", "Severity"]

Severity = Literal["error", "warning", "info"]

SEVERITIES: Final[tuple[Severity, ...]] = ("error", "warning", "info")
"""Every severity, the worst first."""


class Hit(msgspec.Struct, frozen=True):
    """What a rule finds in an entity. Never holds a secret.

    Attributes:
        item: The entity.
        field: The path in its document, such as `$.plugins[0]`.
        why: What is wrong and what comes of it, one sentence without a full stop.
        fix: What to do.
        severity: Where it differs from the rule's.
    """

    item: Item
    field: str
    why: str
    fix: str
    severity: Severity | None = None


class Rule(msgspec.Struct, frozen=True):
    """One thing that is looked for.

    Attributes:
        code: Its stable name, by which it is ignored.
        severity: How bad what it finds is, mostly.
        summary: What it finds, in one sentence for the docs.
        find: Looks for it.
    """

    code: str
    severity: Severity
    summary: str
    find: Callable[[Ground], Iterator[Hit]]


class Finding(msgspec.Struct, frozen=True):
    """A hit with the name of its rule: what is shown, and the JSON of `--format json`.

    Attributes:
        severity: How bad it is.
        code: Name of the rule.
        kind: Kind of the entity, such as `routes`.
        id: Id of the entity.
        field: The path in its document.
        why: What is wrong.
        fix: What to do.
        where: Where the entity stands.
    """

    severity: Severity
    code: str
    kind: str
    id: str
    field: str
    why: str
    fix: str
    where: str

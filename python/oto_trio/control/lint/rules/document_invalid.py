"""Entities that a gateway would refuse, or read differently than they are written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oto_trio.control.checking import check_entity
from oto_trio.control.lint.finding import Hit, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oto_trio.control.lint.ground import Ground
    from oto_trio.model.errors import Problem

__all__ = ["RULE"]


def _find(ground: Ground) -> Iterator[Hit]:
    for item in ground.items:
        problems = list(item.problems)
        if item.entity is not None:
            problems += check_entity(item.entity, ground.registry, ground.backends)
        for problem in problems:
            if not _is_told_elsewhere(problem):
                yield Hit(item, problem.path, problem.message, problem.fix, problem.severity)


def _is_told_elsewhere(problem: Problem) -> bool:
    """Tell whether a rule of its own finds this: `plugin-unknown`, `target-without-verification`."""
    is_unverified = problem.path.endswith((".tls_config.loose", ".tls_config.trust_all"))
    return problem.message.startswith("there is no plugin ") or is_unverified


RULE = Rule(
    "document-invalid",
    "error",
    "An entity cannot be read or served; what is read differently than written is a warning.",
    _find,
)

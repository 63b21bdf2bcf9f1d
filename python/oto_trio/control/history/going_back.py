"""The way back to a revision: which documents are to be written, and why it may be barred."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import msgspec
import trio

from oto_trio.control.admin_api.reading import inspect_entity
from oto_trio.control.admin_api.resources import GLOBAL_CONFIGS
from oto_trio.control.history.comparing import is_configuration, resource_of_kind
from oto_trio.control.store.base import Delete, Put, Write
from oto_trio.control.store.history import Changed
from oto_trio.model.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from oto_trio.control.store.base import Expectation
    from oto_trio.control.store.history import Difference
    from oto_trio.model.document import Document

__all__ = ["MOST_PROBLEMS", "RollbackPlan", "plan_rollback"]

MOST_PROBLEMS: Final = 100
"""Problems that are told of one rollback."""

CHECKED_AT_ONCE: Final = 20
"""Documents checked between two checkpoints: a few milliseconds' work."""


class RollbackPlan(msgspec.Struct, frozen=True):
    """What goes back."""

    writes: tuple[Write, ...]
    """Each expects what it was made from, so that nothing newer is overwritten."""
    changes: tuple[Changed, ...]
    """The same, from now to then."""
    problems: tuple[Problem, ...]
    """Why it cannot be done; paths start with kind and id. Empty when it can."""


async def plan_rollback(
    difference: Difference,
    check: Callable[[Document], list[Problem]],
    *,
    kinds: Collection[str] = (),
) -> RollbackPlan:
    """Find out what a rollback writes.

    Documents that are no configuration, such as sessions and tags, stay as they are.

    Args:
        difference: What changed since the revision to go back to, up to now.
        check: Says why an entity could not be served (`GatewayControl.check`).
        kinds: Only entities of these kinds, by their plurals such as ``routes``; empty = all.

    Cancellation: a checkpoint each `CHECKED_AT_ONCE` documents.
    """
    going = [
        changed
        for changed in difference.changed
        if changed.before != changed.after
        and is_configuration(changed.kind)
        and (not kinds or _plural(changed.kind) in kinds)
    ]
    backends = {changed.id for changed in going if changed.kind == "backends" and changed.before}
    problems: list[Problem] = []
    for place, changed in enumerate(going):
        if place % CHECKED_AT_ONCE == 0:
            await trio.lowlevel.checkpoint()
        problems += await _problems_of(changed, check, backends)
        if len(problems) >= MOST_PROBLEMS:
            break
    return RollbackPlan(
        tuple(_write_of(changed) for changed in going),
        tuple(
            msgspec.structs.replace(changed, before=changed.after, after=changed.before)
            for changed in going
        ),
        tuple(problems[:MOST_PROBLEMS]),
    )


def _plural(kind: str) -> str:
    resource = resource_of_kind(kind)
    return kind if resource is None else resource.plural


def _write_of(changed: Changed) -> Write:
    """Return the write that brings a document back."""
    expect: Expectation = "absent" if changed.after is None else changed.revision
    if changed.before is None:
        return Delete(changed.kind, changed.id, expect)
    return Put(changed.kind, changed.id, changed.before, expect)


async def _problems_of(
    changed: Changed, check: Callable[[Document], list[Problem]], backends: Collection[str]
) -> list[Problem]:
    """Say why a document cannot come back, or cannot go."""
    where = f"{_plural(changed.kind)} {changed.id}"
    if changed.before is None:
        if changed.kind == GLOBAL_CONFIGS.store_kind:
            return [
                Problem(
                    where,
                    "there was no global configuration at that revision",
                    "go back to a later revision, from after the first start",
                )
            ]
        return []
    resource = resource_of_kind(changed.kind)
    if resource is None:  # only kept: nothing here reads it
        return []
    document: Any = msgspec.json.decode(changed.before)
    if not isinstance(document, dict):
        return [Problem(where, "what was stored then is no object", "leave this kind out")]
    members = cast("dict[str, Any]", document)
    _, problems = await inspect_entity(resource, members, check, enriched=False, old=members)
    return [
        msgspec.structs.replace(problem, path=f"{where} {problem.path}")
        for problem in problems
        if problem.severity == "error"
        # The check knows the backends that are stored now, not those that come back.
        and not (problem.path == "$.backend_ref" and members.get("backend_ref") in backends)
    ]

"""Reading an entity that is to be stored: the one place where every write is checked."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from oto_trio import jq
from oto_trio.control.admin_api.resources import RESERVED_IDS
from oto_trio.model.document import inspect_document
from oto_trio.model.errors import Problem
from oto_trio.model.ids import id_problem
from oto_trio.pki import PkiError

if TYPE_CHECKING:
    from collections.abc import Callable

    from oto_trio.control.admin_api.resources import Resource
    from oto_trio.model.document import Document, JsonObject

__all__ = ["inspect_entity"]


async def inspect_entity(
    resource: Resource,
    document: JsonObject,
    check: Callable[[Document], list[Problem]],
    *,
    enriched: bool,
    strict: bool = False,
    old: JsonObject | None = None,
) -> tuple[Document | None, list[Problem]]:
    """Read and check a document. Its jq filters are compiled in a thread; without one this is no checkpoint.

    Args:
        resource: Its row.
        document: The document.
        check: Says why an entity could not be served (`GatewayControl.check`).
        enriched: Whether what can be read from other keys is computed (`Resource.enriched`).
        strict: Whether warnings refuse it too.
        old: The stored document that it replaces.

    Returns:
        The entity, None when it is refused, and every problem, warnings included.
    """
    inspect = partial(
        _inspect, resource, document, check, enriched=enriched, strict=strict, old=old
    )
    return await jq.judge_aside(inspect)


def _inspect(
    resource: Resource,
    document: JsonObject,
    check: Callable[[Document], list[Problem]],
    *,
    enriched: bool,
    strict: bool,
    old: JsonObject | None,
) -> tuple[Document | None, list[Problem]]:
    cleaned = _without_answered_kind(resource, document, old)
    if resource.only_id is not None:
        cleaned.pop("id", None)
    entity, problems = inspect_document(resource.cls, cleaned)
    entity_id = cleaned.get(resource.id_key)
    if isinstance(entity_id, str):
        problem = id_problem(entity_id)
        if entity_id in RESERVED_IDS:
            problem = (f"the id {entity_id!r} is a word of the API", "choose another id")
        if problem is not None:
            problems.append(Problem(f"$.{resource.id_key}", *problem))
    if entity is None or _refuse(problems, strict=strict):
        return None, problems
    problems += check(entity)
    if _refuse(problems, strict=strict):
        return None, problems
    if enriched and resource.enriched is not None:
        try:
            entity = resource.enriched(entity)
        except PkiError as error:
            return None, [*problems, error.problem]
    return entity, problems


def _refuse(problems: list[Problem], *, strict: bool) -> bool:
    """Tell whether an entity with these problems is refused."""
    return any(strict or p.severity == "error" for p in problems)


def _without_answered_kind(
    resource: Resource, document: JsonObject, old: JsonObject | None
) -> JsonObject:
    """Take out the ``kind`` that answers add.

    Where documents have a key of that name themselves, only the added value goes, and the old document's
    own one stays: a client that sends back what it read would lose it.
    """
    added: tuple[object, ...] = (None, resource.kind, resource.full_kind)
    if resource.has_own_kind and document.get("kind") not in added:
        return document
    cleaned = {k: v for k, v in document.items() if k != "kind"}
    if resource.has_own_kind and old is not None and "kind" in old:
        cleaned["kind"] = old["kind"]
    return cleaned

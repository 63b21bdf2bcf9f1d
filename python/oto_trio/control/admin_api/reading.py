"""Reading an entity that is to be stored: the one place where every write is checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

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


def inspect_entity(
    resource: Resource,
    document: JsonObject,
    check: Callable[[Document], list[Problem]],
    *,
    enriched: bool,
    strict: bool = False,
) -> tuple[Document | None, list[Problem]]:
    """Read and check a document.

    Args:
        resource: Its row.
        document: The document.
        check: Says why an entity could not be served (`GatewayControl.check`).
        enriched: Whether what can be read from other keys is computed (`Resource.enriched`).
        strict: Whether warnings refuse it too.

    Returns:
        The entity, None when it is refused, and every problem, warnings included.
    """
    cleaned = {k: v for k, v in document.items() if k != "kind"}
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

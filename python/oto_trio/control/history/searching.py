"""Which revisions somebody looks for: by entity, by actor, by time, as the parameters of a request say it."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Final

from oto_trio.control.admin_api.refusals import bad_request
from oto_trio.control.admin_api.resources import LEGACY_RESOURCES
from oto_trio.control.store.history import Sought

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["read_search"]

MOST_DIGITS: Final = 18
"""Digits of a revision."""


@cache
def _kinds() -> Mapping[str, str]:
    """Return the kinds of the store by the plurals that are shown, such as ``routes``."""
    return {resource.plural: resource.store_kind for resource in LEGACY_RESOURCES}


def read_search(query: Mapping[str, str]) -> tuple[Sought, int | None] | None:
    """Read which revisions are looked for.

    Args:
        query: The parameters: ``entity`` (a kind, or a kind and an id with a slash between), ``actor``,
            ``since`` and ``until`` (ISO 8601), ``before`` (a revision).

    Returns:
        What they must have, and the revision that they must be smaller than; None when nothing is asked for.

    Raises:
        ApiError: A parameter cannot be read; the message names it.
    """
    if not any(query.get(name) for name in ("entity", "actor", "since", "until", "before")):
        return None
    for name in ("entity", "actor"):
        if "\0" in query.get(name, ""):
            # A database that cannot hold one would refuse the question.
            raise bad_request(f"{name}: there is a NUL in it, which no name has; leave it out")
    kind, slash, entity_id = query.get("entity", "").partition("/")
    if slash and not (kind and entity_id):
        raise bad_request(
            f"entity={query['entity'][:100]!r}: write a kind, or kind/id: routes/users"
        )
    before = query.get("before")
    if before is not None and not (
        before.isascii() and before.isdigit() and len(before) <= MOST_DIGITS
    ):
        raise bad_request(f"before={before[:100]!r} is no revision; write its number")
    sought = Sought(
        kind=_kinds().get(kind, kind) or None,
        id=entity_id or None,
        actor=query.get("actor") or None,
        since=_time(query, "since"),
        until=_time(query, "until"),
    )
    return sought, None if before is None else int(before)


def _time(query: Mapping[str, str], name: str) -> float | None:
    """Read a time as Unix time; one without a zone is UTC."""
    text = query.get(name)
    if not text:
        return None
    try:
        # A plus that was not escaped has become a blank.
        at = datetime.fromisoformat(text.strip().replace(" ", "+") if "T" in text else text)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise bad_request(
            f"{name}={text[:100]!r} is no time; write it like 2026-03-01 or 2026-03-01T09:12:44Z"
        ) from None

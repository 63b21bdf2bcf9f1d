"""What a user of the console or of the admin API may read and write.

A right names one organization and some of its teams, each as ``id:flags``: ``r`` may read, ``rw`` may read
and write, nothing after the colon may do neither, and no colon means ``rw``. An id may be ``*`` or a pattern.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from oto_trio.model.document import EVERY_KEY, Document

__all__ = ["SUPER_ADMIN", "UserRight", "Validators", "canonical_access"]

Validators = dict[str, tuple[dict[str, Any], ...]]
"""Checks of what a user writes, by the singular name of a kind, or ``all``; each a free object."""


def canonical_access(access: str) -> str:
    """Bring ``id:flags`` to the form in which it is written: ``id:rw``, ``id:r`` or ``id:``.

    The right to write counts only beside the right to read. Source: Otoroshi, which takes ``id:`` without
    flags for the flags ``id``, so that ``ruler:`` could read; here it can do nothing, as it was written.
    """
    text = access.strip().lower()
    if ":" not in text:
        return f"{text}:rw"
    parts = text.split(":")
    flags = parts[-1]
    if "r" not in flags:
        return f"{parts[0].strip()}:"
    return f"{parts[0].strip()}:{'rw' if 'w' in flags else 'r'}"


class UserRight(Document, frozen=True, kw_only=True):
    """What may be done in one organization (an element of ``rights``)."""

    strict_keys = EVERY_KEY

    tenant: Annotated[str, Meta(description="organization, as id:rw, id:r or id:")]
    teams: Annotated[tuple[str, ...], Meta(description="teams, each as id:rw, id:r or id:")]

    def __post_init__(self) -> None:
        """Bring the flags to the form in which they are written."""
        msgspec.structs.force_setattr(self, "tenant", canonical_access(self.tenant))
        teams = tuple(canonical_access(team) for team in self.teams)
        msgspec.structs.force_setattr(self, "teams", teams)


SUPER_ADMIN: tuple[UserRight, ...] = (UserRight(tenant="*:rw", teams=("*:rw",)),)
"""Everything, everywhere: what a user without ``rights`` has."""

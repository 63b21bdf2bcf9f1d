"""Where an entity belongs: its tenant and teams, the JSON key ``_loc``."""

from __future__ import annotations

from typing import Annotated, Any, cast

import msgspec
from msgspec import Meta
from typing_extensions import override

from oto_trio.model.document import Document, JsonObject

__all__ = ["Location"]


class Location(Document, frozen=True, kw_only=True):
    """Tenant and teams of an entity. Ids are trimmed and lower-cased, as Otoroshi does."""

    tenant: Annotated[str, Meta(description="id of the tenant that owns the entity")] = "default"
    teams: Annotated[tuple[str, ...], Meta(description="ids of the teams that may see it")] = (
        "default",
    )

    def __post_init__(self) -> None:
        """Bring the ids to their canonical form."""
        tenant = self.tenant.strip().lower()
        if tenant != self.tenant:
            msgspec.structs.force_setattr(self, "tenant", tenant)
        teams = tuple(team.strip().lower() for team in self.teams)
        if teams != self.teams:
            msgspec.structs.force_setattr(self, "teams", teams)

    @classmethod
    @override
    def expand(cls, raw: JsonObject) -> JsonObject:
        """Accept teams written as objects with a ``value`` beside plain ids."""
        teams = raw.get("teams")
        if not isinstance(teams, list):
            return raw
        plain = [
            cast("dict[str, Any]", team).get("value", team) if isinstance(team, dict) else team
            for team in cast("list[object]", teams)
        ]
        return {**raw, "teams": plain}

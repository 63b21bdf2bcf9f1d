"""The team: some of the users of an organization."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from oto_trio.model.document import Document
from oto_trio.model.ids import named_id
from oto_trio.model.organization import canonical_org_id

__all__ = ["TEAMS", "Team", "first_team", "team_template"]

TEAMS = "teams"
"""Kind under which the store keeps them."""


class Team(Document, frozen=True, kw_only=True):
    """A team (``organize.otoroshi.io/Team``). It has no ``_loc``; both its ids are lower-cased."""

    id: Annotated[str, Meta(description="id of the team, in lower case")]
    tenant: Annotated[str, Meta(description="id of its organization")]
    name: Annotated[str, Meta(description="name of the team; its id when left out")] = ""
    description: Annotated[str, Meta(description="what it is for")] = ""
    metadata: Annotated[dict[str, str], Meta(description="free texts by name")] = msgspec.field(
        default_factory=dict[str, str]
    )
    tags: Annotated[tuple[str, ...], Meta(description="free labels")] = ()

    def __post_init__(self) -> None:
        """Lower-case the ids, as ``_loc`` has them, and name it by its id when it has no name."""
        for key in ("id", "tenant"):
            given: str = getattr(self, key)
            canonical = canonical_org_id(given)
            if canonical != given:
                msgspec.structs.force_setattr(self, key, canonical)
        if not self.name:
            msgspec.structs.force_setattr(self, "name", self.id)


def team_template(*, env: str = "prod") -> Team:
    """Make the team that ``_template`` answers with, under a new id."""
    return Team(
        id=named_id("team", env=env), tenant="default", name="New Team", description="A new team"
    )


def first_team() -> Team:
    """Make the team of a new installation."""
    return Team(id="default", tenant="default", name="Default Team", description="The default Team")

"""The draft: another version of an entity, kept beside it until it is taken over."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from oto_trio.model.document import Document
from oto_trio.model.ids import named_id
from oto_trio.model.location import Location

__all__ = ["DRAFTS", "Draft", "draft_template"]

DRAFTS = "drafts"
"""Kind under which the store keeps them."""


class Draft(Document, frozen=True, kw_only=True):
    """A draft (``proxy.otoroshi.io/Draft``). As a rule it has the id of the entity that it changes."""

    loc: Annotated[Location, Meta(description="tenant and teams")] = msgspec.field(
        default=Location(), name="_loc"
    )
    id: Annotated[str, Meta(description="id of the draft, as a rule that of the entity")]
    name: Annotated[str, Meta(description="name of the draft")]
    description: Annotated[str, Meta(description="what it is for")]
    content: Annotated[Any, Meta(description="the drafted document, any JSON")] = msgspec.field(
        default_factory=dict[str, Any]
    )
    kind: Annotated[str, Meta(description="kind of the entity that is drafted")] = ""
    metadata: Annotated[dict[str, str], Meta(description="free texts by name")] = msgspec.field(
        default_factory=dict[str, str]
    )
    tags: Annotated[tuple[str, ...], Meta(description="free labels")] = ()


def draft_template(*, env: str = "prod") -> Draft:
    """Make the draft that ``_template`` answers with, under a new id."""
    return Draft(
        id=named_id("draft", env=env), name="New draft", description="New draft", kind="kind"
    )

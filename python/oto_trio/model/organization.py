"""The organization, or tenant: what entities belong to, and users have rights in.

Otoroshi serves it as two resources over one store, ``organizations`` and ``tenants``.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from oto_trio.model.document import Document
from oto_trio.model.ids import named_id

__all__ = [
    "TENANTS",
    "Organization",
    "canonical_org_id",
    "first_organization",
    "organization_template",
]

TENANTS = "tenants"
"""Kind under which the store keeps them."""


def canonical_org_id(org_id: str) -> str:
    """Bring the id of an organization or a team to the form in which entities refer to it."""
    return org_id.strip().lower()


class Organization(Document, frozen=True, kw_only=True):
    """An organization (``organize.otoroshi.io/Organization`` and ``…/Tenant``).

    It has no ``_loc``: it is a place itself. Its id is lower-cased.
    """

    id: Annotated[str, Meta(description="id of the organization, in lower case")]
    name: Annotated[str, Meta(description="name of the organization; its id when left out")] = ""
    description: Annotated[str, Meta(description="what it is for")] = ""
    metadata: Annotated[dict[str, str], Meta(description="free texts by name")] = msgspec.field(
        default_factory=dict[str, str]
    )
    tags: Annotated[tuple[str, ...], Meta(description="free labels")] = ()

    def __post_init__(self) -> None:
        """Lower-case the id, and name it by its id when it has no name."""
        entity_id = canonical_org_id(self.id)
        if entity_id != self.id:
            msgspec.structs.force_setattr(self, "id", entity_id)
        if not self.name:
            msgspec.structs.force_setattr(self, "name", entity_id)


def organization_template(prefix: str, *, env: str = "prod") -> Organization:
    """Make the organization that ``_template`` answers with, under a new id.

    Args:
        prefix: Start of the id: ``organization`` or ``tenant``.
        env: Name of the environment, part of the id unless it is ``prod``.
    """
    return Organization(
        id=named_id(prefix, env=env),
        name="New Organization",
        description="A new organization",
    )


def first_organization() -> Organization:
    """Make the organization of a new installation."""
    return Organization(
        id="default", name="Default organization", description="The default organization"
    )

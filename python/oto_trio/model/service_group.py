"""The service group: a name under which routes are put together, for API keys and statistics."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from oto_trio.model.document import Document
from oto_trio.model.ids import named_id
from oto_trio.model.location import Location

__all__ = ["SERVICE_GROUPS", "ServiceGroup", "first_service_groups", "service_group_template"]

SERVICE_GROUPS = "service-groups"
"""Kind under which the store keeps them."""


class ServiceGroup(Document, frozen=True, kw_only=True):
    """A service group (``organize.otoroshi.io/ServiceGroup``)."""

    loc: Annotated[Location, Meta(description="tenant and teams")] = msgspec.field(
        default=Location(), name="_loc"
    )
    id: Annotated[str, Meta(description="id of the group")]
    name: Annotated[str, Meta(description="name of the group")]
    description: Annotated[str, Meta(description="what it is for")] = ""
    tags: Annotated[tuple[str, ...], Meta(description="free labels")] = ()
    metadata: Annotated[dict[str, str], Meta(description="free texts by name")] = msgspec.field(
        default_factory=dict[str, str]
    )


def service_group_template(*, env: str = "prod") -> ServiceGroup:
    """Make the group that ``_template`` answers with, under a new id."""
    return ServiceGroup(
        id=named_id("group", env=env), name="product-group", description="group for product"
    )


def first_service_groups() -> tuple[ServiceGroup, ...]:
    """Make the groups of a new installation: that of the admin API, and the default one."""
    return (
        ServiceGroup(
            id="admin-api-group",
            name="Otoroshi Admin Api group",
            description="Otoroshi Admin Api group",
        ),
        ServiceGroup(id="default", name="default-group", description="The default service group"),
    )

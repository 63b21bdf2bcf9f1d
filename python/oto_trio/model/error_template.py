"""The error template: what clients read when a route, or the whole gateway, answers an error."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from oto_trio.model.document import Document
from oto_trio.model.location import Location

__all__ = ["ERROR_TEMPLATES", "ErrorTemplate", "error_template_template"]

ERROR_TEMPLATES = "error-templates"
"""Kind under which the store keeps them."""

Page = Annotated[str, Meta(description="HTML with ${message}, ${cause}, ${errorId}, ${status}")]
Texts = Annotated[dict[str, str], Meta(description="texts by name")]


class ErrorTemplate(Document, frozen=True, kw_only=True):
    """An error template (``proxy.otoroshi.io/ErrorTemplate``). Its id is that of the route, or ``global``."""

    loc: Annotated[Location, Meta(description="tenant and teams")] = msgspec.field(
        default=Location(), name="_loc"
    )
    service_id: Annotated[
        str, Meta(description="id of the route it is for; global = every route without one")
    ] = msgspec.field(name="serviceId")
    name: Annotated[str, Meta(description="name of the template; serviceId when left out")] = ""
    description: Annotated[
        str | UnsetType, Meta(description="what it is for; serviceId when left out")
    ] = UNSET
    metadata: Annotated[dict[str, str], Meta(description="free texts by name")] = msgspec.field(
        default_factory=dict[str, str]
    )
    tags: Annotated[tuple[str, ...], Meta(description="free labels")] = ()
    template40x: Annotated[Page, Meta(description="page for the statuses 400 to 499")]
    template50x: Annotated[Page, Meta(description="page for every other status")]
    template_build: Annotated[Page, Meta(description="page of a route under construction")] = (
        msgspec.field(name="templateBuild")
    )
    template_maintenance: Annotated[Page, Meta(description="page of a route in maintenance")] = (
        msgspec.field(name="templateMaintenance")
    )
    generic_templates: Annotated[Texts, Meta(description="pages by cause; * stands for any")] = (
        msgspec.field(name="genericTemplates", default_factory=dict[str, str])
    )
    messages: Annotated[
        Texts, Meta(description="messages by message-<status>, causes by their id")
    ] = msgspec.field(default_factory=dict[str, str])

    @property
    def id(self) -> str:
        """The id of the route it is for is the entity's."""
        return self.service_id

    def __post_init__(self) -> None:
        """Name and describe it by what it is for, when nothing else does."""
        if not self.name:
            msgspec.structs.force_setattr(self, "name", self.service_id)
        if self.description is UNSET:
            msgspec.structs.force_setattr(self, "description", self.service_id)


_PAGE = "<html><body><h1>${status}</h1><p>${message}</p><p>error id: ${errorId}</p></body></html>"


def error_template_template() -> ErrorTemplate:
    """Make the error template that ``_template`` answers with."""
    return ErrorTemplate(
        service_id="route_id",
        name="New error template",
        description="A new error template",
        template40x=_PAGE,
        template50x=_PAGE,
        template_build=_PAGE,
        template_maintenance=_PAGE,
    )

"""The dashboard that a user made: widgets, each of which shows the answer to a query of the analytics."""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from oto_trio.model.client_settings import Whole
from oto_trio.model.document import Document
from oto_trio.model.ids import named_id
from oto_trio.model.location import Location

__all__ = ["USER_DASHBOARDS", "UserDashboard", "Widget", "user_dashboard_template"]

USER_DASHBOARDS: Final = "user-dashboards"
"""Kind under which the store keeps them."""


class Widget(Document, frozen=True, kw_only=True):
    """One figure of a dashboard."""

    id: Annotated[str, Meta(description="id of the widget, unique in its dashboard")] = ""
    title: Annotated[str, Meta(description="title shown above it")] = ""
    query: Annotated[str, Meta(description="name of the query whose answer it shows")]
    params: Annotated[dict[str, Any], Meta(description="parameters of the query")] = msgspec.field(
        default_factory=dict[str, Any]
    )
    type: Annotated[
        Literal["line", "area", "bar", "pie", "donut", "scalar", "metric", "table", "heatmap"],
        Meta(description="how the answer is drawn"),
    ] = "line"
    width: Annotated[Whole, Meta(description="columns it takes")] = 4
    height: Annotated[Whole, Meta(description="rows it takes")] = 2
    options: Annotated[dict[str, Any], Meta(description="options of the drawing")] = msgspec.field(
        default_factory=dict[str, Any]
    )


class UserDashboard(Document, frozen=True, kw_only=True):
    """A dashboard (``analytics.otoroshi.io/UserDashboard``)."""

    loc: Annotated[Location, Meta(description="tenant and teams")] = msgspec.field(
        default=Location(), name="_loc"
    )
    id: Annotated[str, Meta(description="id of the dashboard")]
    name: Annotated[str, Meta(description="name of the dashboard")] = ""
    description: Annotated[str, Meta(description="what it is for")] = ""
    tags: Annotated[tuple[str, ...], Meta(description="free labels")] = ()
    metadata: Annotated[dict[str, str], Meta(description="free texts by name")] = msgspec.field(
        default_factory=dict[str, str]
    )
    enabled: Annotated[bool, Meta(description="show it")] = True
    widgets: Annotated[tuple[Widget, ...], Meta(description="its figures")] = ()
    defaults: Annotated[dict[str, Any], Meta(description="period and filters it opens with")] = (
        msgspec.field(default_factory=dict[str, Any])
    )


def user_dashboard_template(*, env: str = "prod") -> UserDashboard:
    """Make the dashboard that ``_template`` answers with, under a new id.

    Args:
        env: Environment name of this gateway.
    """
    return UserDashboard(
        id=named_id("user-dashboard", env=env),
        name="New user dashboard",
        description="New user dashboard description",
    )

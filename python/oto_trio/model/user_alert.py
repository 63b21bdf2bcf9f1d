"""The alert that a user made: conditions on what queries of the analytics answer."""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from oto_trio.model.client_settings import Whole
from oto_trio.model.document import Document
from oto_trio.model.ids import named_id
from oto_trio.model.location import Location

__all__ = ["USER_ALERTS", "Condition", "UserAlert", "user_alert_template"]

USER_ALERTS: Final = "user-alerts"
"""Kind under which the store keeps them."""


class Condition(Document, frozen=True, kw_only=True):
    """One condition of an alert: the reduced answer of a query, compared with a number."""

    query: Annotated[str, Meta(description="name of the query that is asked")]
    params: Annotated[dict[str, Any], Meta(description="parameters of the query")] = msgspec.field(
        default_factory=dict[str, Any]
    )
    filters: Annotated[dict[str, Any], Meta(description="which exchanges count")] = msgspec.field(
        default_factory=dict[str, Any]
    )
    reducer: Annotated[
        Literal["avg", "max", "min", "sum", "last"],
        Meta(description="how the answer becomes one number"),
    ] = "avg"
    operator: Annotated[
        Literal[">", ">=", "<", "<=", "==", "!="],
        Meta(description="how that number is compared with the threshold"),
    ] = ">"
    threshold: Annotated[int | float, Meta(description="what it is compared with")] = 0

    def __post_init__(self) -> None:
        """Hold a whole threshold as such, so that 5.0 is written as 5."""
        if isinstance(self.threshold, float) and self.threshold.is_integer():
            msgspec.structs.force_setattr(self, "threshold", int(self.threshold))


class UserAlert(Document, frozen=True, kw_only=True, rename="camel"):
    """An alert (``analytics.otoroshi.io/UserAlert``)."""

    loc: Annotated[Location, Meta(description="tenant and teams")] = msgspec.field(
        default=Location(), name="_loc"
    )
    id: Annotated[str, Meta(description="id of the alert")]
    name: Annotated[str, Meta(description="name of the alert")] = ""
    description: Annotated[str, Meta(description="what it is for")] = ""
    tags: Annotated[tuple[str, ...], Meta(description="free labels")] = ()
    metadata: Annotated[dict[str, str], Meta(description="free texts by name")] = msgspec.field(
        default_factory=dict[str, str]
    )
    enabled: Annotated[bool, Meta(description="look at the conditions")] = True
    window_seconds: Annotated[Whole, Meta(description="time that is looked back, s")] = 300
    evaluation_interval_seconds: Annotated[Whole, Meta(description="time between looks, s")] = 60
    cooldown_seconds: Annotated[Whole, Meta(description="silence after an alert, s")] = 600
    severity: Annotated[
        Literal["info", "warning", "critical"], Meta(description="how bad it is")
    ] = "warning"
    message: Annotated[str, Meta(description="text of the alert")] = ""
    combine: Annotated[
        Literal["AND", "OR"], Meta(description="whether all conditions must hold, or one")
    ] = "AND"
    conditions: Annotated[tuple[Condition, ...], Meta(description="when it is raised")] = ()


def user_alert_template(*, env: str = "prod") -> UserAlert:
    """Make the alert that ``_template`` answers with, under a new id.

    Args:
        env: Environment name of this gateway.
    """
    return UserAlert(
        id=named_id("user-alert", env=env),
        name="New user alert",
        message="Alert triggered",
        conditions=(Condition(query="error_rate_ts", reducer="max", operator=">", threshold=0.05),),
    )

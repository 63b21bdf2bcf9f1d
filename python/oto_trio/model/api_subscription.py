"""The subscription of somebody to a plan of an API."""

from __future__ import annotations

import time
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from oto_trio.model.document import Document
from oto_trio.model.ids import named_id
from oto_trio.model.location import Location

__all__ = [
    "API_SUBSCRIPTIONS",
    "ApiSubscription",
    "SubscriptionDates",
    "api_subscription_template",
]

API_SUBSCRIPTIONS: Final = "apisubscriptions"
"""Kind under which the store keeps them."""


def _now_ms() -> int:
    """Tell the time, ms since 1970."""
    return time.time_ns() // 1_000_000


class SubscriptionDates(Document, frozen=True, kw_only=True):
    """When things happened, or will, ms since 1970. What is left out is now, as in Otoroshi."""

    created_at: Annotated[int, Meta(description="when it was made")] = msgspec.field(
        default_factory=_now_ms
    )
    processed_at: Annotated[int, Meta(description="when it was looked at")] = msgspec.field(
        default_factory=_now_ms
    )
    started_at: Annotated[int, Meta(description="when it began")] = msgspec.field(
        default_factory=_now_ms
    )
    paused_at: Annotated[int, Meta(description="when it was paused")] = msgspec.field(
        default_factory=_now_ms
    )
    ending_at: Annotated[int, Meta(description="when it ends")] = msgspec.field(
        default_factory=_now_ms
    )
    closed_at: Annotated[int, Meta(description="when it was closed")] = msgspec.field(
        default_factory=_now_ms
    )


class ApiSubscription(Document, frozen=True, kw_only=True):
    """A subscription (``apis.otoroshi.io/ApiSubscription``).

    Otoroshi writes its tenant and teams under ``location``, and nowhere else so.
    """

    loc: Annotated[Location, Meta(description="tenant and teams")] = msgspec.field(name="location")
    id: Annotated[str, Meta(description="id of the subscription")]
    name: Annotated[str, Meta(description="name of the subscription")]
    description: Annotated[str, Meta(description="what it is for")]
    tags: Annotated[tuple[str, ...], Meta(description="free labels")] = ()
    metadata: Annotated[dict[str, str], Meta(description="free texts by name")] = msgspec.field(
        default_factory=dict[str, str]
    )
    status: Annotated[
        str, Meta(description="enabled, disabled, deprecated, pending or a word of one's own")
    ] = "disabled"
    dates: Annotated[SubscriptionDates, Meta(description="when things happened")]
    owner_ref: Annotated[str, Meta(description="who subscribed")]
    plan_ref: Annotated[str, Meta(description="id of the plan, in its API")]
    payment_ref: Annotated[dict[str, Any], Meta(description="how it is paid")] = msgspec.field(
        default_factory=dict[str, Any]
    )
    api_ref: Annotated[str, Meta(description="id of the API")]
    subscription_kind: Annotated[
        Literal["apikey", "mtls", "keyless", "oauth2-local", "oauth2-remote", "jwt"],
        Meta(description="how its caller proves who it is"),
    ]
    token_refs: Annotated[
        tuple[Any, ...], Meta(description="what it was given, such as the id of an API key")
    ] = ()


def api_subscription_template(*, env: str = "prod") -> ApiSubscription:
    """Make the subscription that ``_template`` answers with, under a new id.

    Args:
        env: Environment name of this gateway.
    """
    return ApiSubscription(
        loc=Location(),
        id=named_id("api-subscription", env=env),
        name="New API Subscription",
        description="New API Subscription description",
        dates=SubscriptionDates(),
        owner_ref="",
        plan_ref="",
        api_ref="",
        subscription_kind="apikey",
    )

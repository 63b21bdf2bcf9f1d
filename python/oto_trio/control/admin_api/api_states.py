"""What may become of an API and of a subscription, from what they are now.

An API is made in state ``staging``. What callers rely on changes only while it is there; beyond, it goes
through its states:

    staging      published ⇄ deprecated
       ▲             │            │
       └─ removed ◄──┴────────────┘

From ``staging`` it is published by a deployment, and by nothing else.

A subscription needs an API that is staging or published, and one of its plans. They are looked at when the
subscription is written: one that is written at the same moment as its API is judged by what it found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from oto_trio.control.admin_api.refusals import ApiError
from oto_trio.model.api import APIS, Api
from oto_trio.model.document import inspect_document
from oto_trio.model.ids import id_problem

if TYPE_CHECKING:
    from oto_trio.control.store import Store
    from oto_trio.model.api_subscription import ApiSubscription
    from oto_trio.model.document import Document

__all__ = ["admit_api", "admit_subscription"]

_NEXT: Final = {
    "staging": ("staging",),
    "published": ("published", "deprecated", "removed"),
    "deprecated": ("published", "deprecated", "removed"),
    "removed": ("staging", "removed"),
}
"""States that a write may leave an API in, by the state it was in."""

_FIXED: Final = {
    "domain": "domain",
    "contextPath": "context_path",
    "routes": "routes",
    "backends": "backends",
    "flows": "flows",
    "documentation": "documentation",
    "testing": "testing",
}
"""Keys that change only while the API is staging, and their attributes."""

_OPEN: Final = ("staging", "published")
"""States of an API, and of a plan, that can be subscribed to."""


async def admit_api(_store: Store, old: Document | None, new: Document) -> None:
    """Decide whether an API may be made, or become another.

    Args:
        _store: Not looked at.
        old: The API as it is; None when it is made.
        new: The API as it is to be.

    Raises:
        ApiError: It may not; the answer says why in Otoroshi's words.
    """
    api = cast("Api", new)
    if old is None:
        if api.state != "staging":
            raise ApiError(
                400,
                "cannot_create_in_state",
                f"an API is made in state staging, not {api.state}; leave state out",
                state=api.state,
            )
        return
    was = cast("Api", old)
    if api.state not in _NEXT[was.state]:
        ways: dict[str, Any] = {"from": was.state, "to": api.state}
        raise ApiError(
            400,
            "invalid_state_transition",
            f"an API in state {was.state} can be left in {' or '.join(_NEXT[was.state])} by a write",
            **ways,
        )
    changed = [key for key, name in _FIXED.items() if getattr(was, name) != getattr(api, name)]
    if was.state != "staging" and changed:
        raise ApiError(
            400,
            "production_readonly",
            f"{', '.join(changed)} can be changed in state staging only; this API is {was.state}",
            fields=changed,
        )


async def admit_subscription(store: Store, old: Document | None, new: Document) -> None:
    """Decide whether somebody may subscribe, or a subscription may become another.

    Args:
        store: Where its API is.
        old: The subscription as it is; None when it is made.
        new: The subscription as it is to be.

    Raises:
        ApiError: It may not; the answer says why in Otoroshi's words.

    Cancellation: a checkpoint when the store is read; nothing is changed.
    """
    subscription = cast("ApiSubscription", new)
    ref = subscription.api_ref
    record = None if id_problem(ref) else await store.get(APIS, ref)
    api = None if record is None else inspect_document(Api, msgspec.json.decode(record.document))[0]
    if api is None:
        raise ApiError(400, "api not found", f"there is no API {ref!r}; set api_ref to one")
    if api.state not in _OPEN:
        raise ApiError(400, "wrong status api", f"the API {ref!r} is {api.state}")
    plans = [plan for plan in api.plans if plan.get("id") == subscription.plan_ref]
    if not plans:
        raise ApiError(
            400,
            "plan not found",
            f"the API {ref!r} has no plan {subscription.plan_ref!r}; set plan_ref to one of its plans",
        )
    status = plans[0].get("status", "published")
    if old is None and status not in _OPEN:
        raise ApiError(400, "wrong status plan", f"the plan {subscription.plan_ref!r} is {status}")

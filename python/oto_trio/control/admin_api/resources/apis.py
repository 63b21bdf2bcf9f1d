"""Rows of APIs and of the subscriptions to them: ``apis.otoroshi.io``."""

from __future__ import annotations

from typing import Final

from oto_trio.control.admin_api.api_states import admit_api, admit_subscription
from oto_trio.control.admin_api.resources.resource import Resource
from oto_trio.model.api import APIS as API_KIND
from oto_trio.model.api import Api, api_template
from oto_trio.model.api_subscription import API_SUBSCRIPTIONS as API_SUBSCRIPTION_KIND
from oto_trio.model.api_subscription import ApiSubscription, api_subscription_template

__all__ = ["APIS", "API_SUBSCRIPTIONS"]

APIS: Final = Resource(
    kind="Api",
    plural="apis",
    singular="api",
    group="apis.otoroshi.io",
    legacy_path=None,
    store_kind=API_KIND,
    cls=Api,
    template=lambda env: api_template(env=env),
    template_key="api",
    has_own_kind=True,
    admitted=admit_api,
)

API_SUBSCRIPTIONS: Final = Resource(
    kind="ApiSubscription",
    plural="apisubscriptions",
    singular="apisubscription",
    group="apis.otoroshi.io",
    legacy_path=None,
    store_kind=API_SUBSCRIPTION_KIND,
    cls=ApiSubscription,
    template=lambda env: api_subscription_template(env=env),
    template_key="apiSubscription",
    admitted=admit_subscription,
)

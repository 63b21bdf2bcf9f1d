"""Rows of what people make of the analytics: ``analytics.otoroshi.io``."""

from __future__ import annotations

from typing import Final

from oto_trio.control.admin_api.resources.resource import Resource
from oto_trio.model.user_alert import USER_ALERTS as USER_ALERT_KIND
from oto_trio.model.user_alert import UserAlert, user_alert_template
from oto_trio.model.user_dashboard import USER_DASHBOARDS as USER_DASHBOARD_KIND
from oto_trio.model.user_dashboard import UserDashboard, user_dashboard_template

__all__ = ["USER_ALERTS", "USER_DASHBOARDS"]

USER_DASHBOARDS: Final = Resource(
    kind="UserDashboard",
    plural="user-dashboards",
    singular="user-dashboard",
    group="analytics.otoroshi.io",
    legacy_path=None,
    store_kind=USER_DASHBOARD_KIND,
    cls=UserDashboard,
    template=lambda env: user_dashboard_template(env=env),
    template_key="userDashboardTemplate",
)

USER_ALERTS: Final = Resource(
    kind="UserAlert",
    plural="user-alerts",
    singular="user-alert",
    group="analytics.otoroshi.io",
    legacy_path=None,
    store_kind=USER_ALERT_KIND,
    cls=UserAlert,
    template=lambda env: user_alert_template(env=env),
    template_key="userAlertTemplate",
)

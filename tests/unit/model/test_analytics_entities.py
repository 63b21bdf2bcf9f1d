"""Dashboards and alerts of users in Otoroshi's JSON."""

from __future__ import annotations

from typing import Any

import pytest

from oto_trio.model.document import inspect_document, read_document, write_document
from oto_trio.model.user_alert import Condition, UserAlert, user_alert_template
from oto_trio.model.user_dashboard import UserDashboard, user_dashboard_template

HEAD: list[tuple[str, Any]] = [
    ("_loc", {"tenant": "default", "teams": ["default"]}),
    ("id", "x"),
    ("name", ""),
    ("description", ""),
    ("tags", []),
    ("metadata", {}),
    ("enabled", True),
]


def test_a_bare_dashboard() -> None:
    written = write_document(read_document(UserDashboard, {"id": "x"}))
    assert list(written.items()) == [*HEAD, ("widgets", []), ("defaults", {})]


def test_a_bare_widget() -> None:
    written = write_document(read_document(UserDashboard, {"id": "x", "widgets": [{"query": "q"}]}))
    assert list(written["widgets"][0].items()) == [
        ("id", ""),
        ("title", ""),
        ("query", "q"),
        ("params", {}),
        ("type", "line"),
        ("width", 4),
        ("height", 2),
        ("options", {}),
    ]


def test_a_widget_needs_a_query() -> None:
    entity, problems = inspect_document(UserDashboard, {"id": "x", "widgets": [{}]})
    assert entity is None
    assert [p.path for p in problems] == ["$.widgets[0].query"]


def test_a_drawing_that_nobody_knows_is_a_line_and_is_told() -> None:
    raw = {"id": "x", "widgets": [{"query": "q", "type": "hologram"}]}
    entity, problems = inspect_document(UserDashboard, raw)
    assert entity is not None
    assert entity.widgets[0].type == "line"
    assert [(p.path, p.severity) for p in problems] == [("$.widgets[0].type", "warning")]


def test_a_bare_alert() -> None:
    written = write_document(read_document(UserAlert, {"id": "x"}))
    assert list(written.items()) == [
        *HEAD,
        ("windowSeconds", 300),
        ("evaluationIntervalSeconds", 60),
        ("cooldownSeconds", 600),
        ("severity", "warning"),
        ("message", ""),
        ("combine", "AND"),
        ("conditions", []),
    ]


@pytest.mark.parametrize(
    ("given", "shown"), [(None, "0"), (5.0, "5"), (0.05, "0.05"), (-3, "-3"), ("many", "0")]
)
def test_a_condition(given: Any, shown: str) -> None:
    raw = {"query": "q"} if given is None else {"query": "q", "threshold": given}
    written = write_document(read_document(Condition, raw))
    assert repr(written.pop("threshold")) == shown
    assert list(written.items()) == [
        ("query", "q"),
        ("params", {}),
        ("filters", {}),
        ("reducer", "avg"),
        ("operator", ">"),
    ]


def test_the_templates() -> None:
    dashboard, alert = user_dashboard_template(env="dev"), user_alert_template(env="dev")
    assert dashboard.id.startswith("user-dashboard_dev_")
    assert (dashboard.name, dashboard.widgets) == ("New user dashboard", ())
    assert alert.id.startswith("user-alert_dev_")
    assert (alert.name, alert.message) == ("New user alert", "Alert triggered")
    assert alert.conditions == (
        Condition(query="error_rate_ts", reducer="max", operator=">", threshold=0.05),
    )

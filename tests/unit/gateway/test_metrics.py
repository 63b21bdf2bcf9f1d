"""Counters of several workers, added up and shown."""

import json
from typing import Any

import pytest

from oto_trio import _core
from oto_trio.gateway.metrics import merge_metrics, metrics_page, named_metrics, without_gauges

ONE: dict[str, Any] = {
    "requests": 10,
    "by_class": [0, 0, 7, 0, 2, 1],
    "latency": [5, 3, 2],
    "latency_bounds_s": [0.001, 0.01],
    "latency_sum_s": 0.5,
    "connections": 4,
    "routes": 3,
    "nested": {"a": 1},
}
TWO: dict[str, Any] = {
    "requests": 1,
    "by_class": [0, 0, 1, 0, 0, 0],
    "latency": [0, 1, 0],
    "latency_bounds_s": [0.001, 0.01],
    "latency_sum_s": 0.25,
    "connections": 2,
    "routes": 2,
    "nested": {"a": 2, "b": 5},
}


def test_counters_are_added_name_by_name_and_item_by_item() -> None:
    assert merge_metrics([ONE, TWO]) == {
        "requests": 11,
        "by_class": [0, 0, 8, 0, 2, 1],
        "latency": [5, 4, 2],
        "latency_bounds_s": [0.001, 0.01],
        "latency_sum_s": 0.75,
        "connections": 6,
        "routes": 3,
        "nested": {"a": 3, "b": 5},
    }
    assert merge_metrics([]) == {}


def test_merging_changes_nothing_it_was_given() -> None:
    before = json.dumps([ONE, TWO])
    merge_metrics([ONE, TWO])
    assert json.dumps([ONE, TWO]) == before


def test_a_worker_that_ended_leaves_its_counts_and_nothing_open() -> None:
    left = without_gauges(ONE)
    assert "connections" not in left
    assert "routes" not in left
    assert left["requests"] == 10
    assert left["latency"] == [5, 3, 2]


def test_every_counter_of_the_engine_has_a_name_of_its_own() -> None:
    engine = _core.Engine()
    counters = engine.metrics()
    engine.close()
    named = named_metrics(merge_metrics([counters]))
    assert [metric.name for metric in named if metric.name.startswith("otoroshi.engine.")] == []
    keys = [(metric.name, tuple(metric.labels.items())) for metric in named]
    assert len(set(keys)) == len(keys)


def page(query: str = "", accept: str = "") -> tuple[int, str, str]:
    shown = metrics_page(merge_metrics([ONE, TWO]), query=query, accept=accept)
    return shown.status, shown.content_type, shown.body.decode()


@pytest.mark.parametrize(
    ("query", "accept"),
    [("", ""), ("", "application/json"), ("format=json", "text/plain"), ("", "text/html")],
)
def test_json_is_the_form_that_is_shown_without_another_wish(query: str, accept: str) -> None:
    status, content_type, body = page(query, accept)
    assert (status, content_type) == (200, "application/json")
    metrics = {item["name"]: item for item in json.loads(body) if "labels" not in item}
    assert metrics["otoroshi.requests.total"] == {
        "name": "otoroshi.requests.total", "type": "counter", "count": 11,
    }  # fmt: skip
    assert metrics["otoroshi.connections"]["value"] == 6
    assert metrics["otoroshi.errors.client"]["count"] == 2
    assert metrics["otoroshi.errors.server"]["count"] == 1
    duration = metrics["otoroshi.requests.duration.seconds"]
    assert duration["count"] == 11
    assert duration["sum"] == 0.75
    assert duration["buckets"] == [{"le": 0.001, "count": 5}, {"le": 0.01, "count": 9}]


@pytest.mark.parametrize(
    ("query", "accept"),
    [
        ("format=prometheus", ""),
        ("format=prom", "application/json"),
        ("", "application/prometheus"),
    ],
)
def test_prometheus_gets_its_text(query: str, accept: str) -> None:
    _, content_type, body = page(query, accept)
    assert content_type.startswith("text/plain; version=0.0.4")
    lines = body.splitlines()
    assert "otoroshi_requests_total 11" in lines
    assert "# TYPE otoroshi_requests_total counter" in lines
    assert 'otoroshi_responses_total{class="2xx"} 8' in lines
    assert 'otoroshi_requests_duration_seconds_bucket{le="0.001"} 5' in lines
    assert 'otoroshi_requests_duration_seconds_bucket{le="0.01"} 9' in lines
    assert 'otoroshi_requests_duration_seconds_bucket{le="+Inf"} 11' in lines
    assert "otoroshi_requests_duration_seconds_sum 0.75" in lines
    assert "otoroshi_requests_duration_seconds_count 11" in lines
    assert sum(line.startswith("# TYPE otoroshi_responses_total ") for line in lines) == 1
    assert body.endswith("\n")


def test_a_filter_keeps_the_names_that_match() -> None:
    _, _, body = page("filter=*requests.total")
    assert [item["name"] for item in json.loads(body)] == ["otoroshi.requests.total"]
    _, _, body = page("format=prom&filter=otoroshi.requests.total")
    assert body.splitlines()[-1] == "otoroshi_requests_total 11"
    assert page("format=prom&filter=nothing")[2] == "\n"


def test_the_older_form_is_grouped_by_type() -> None:
    _, _, body = page("format=old_json")
    shown = json.loads(body)
    assert shown["counters"]["otoroshi.requests.total"] == {"count": 11}
    assert shown["counters"]["otoroshi.responses.total.2xx"] == {"count": 8}
    assert shown["gauges"]["otoroshi.connections"] == {"value": 6}
    assert shown["histograms"]["otoroshi.requests.duration.seconds"]["count"] == 11
    assert set(shown) == {"version", "gauges", "counters", "histograms", "meters", "timers"}


def test_a_counter_without_a_name_is_shown_all_the_same() -> None:
    body = metrics_page({"new_thing": 3}).body
    assert json.loads(body) == [
        {"name": "otoroshi.engine.new.thing", "type": "counter", "count": 3}
    ]

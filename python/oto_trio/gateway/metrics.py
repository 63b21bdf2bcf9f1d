"""Counters: adding up those of several workers, and the pages that show them.

An engine's counters are plain numbers, lists of numbers and dicts of them. The supervisor adds up what
its workers report (`merge_metrics`); `metrics_page` shows the sum in the formats Otoroshi's `/metrics`
knows: a JSON array of metric objects, the older nested object, and Prometheus' text.
"""

import math
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from itertools import zip_longest
from typing import Any, Final, Literal, TypeAlias, cast
from urllib.parse import parse_qs

import msgspec

__all__ = [
    "Metric",
    "Page",
    "merge_metrics",
    "metrics_page",
    "named_metrics",
    "without_gauges",
]

MetricKind: TypeAlias = Literal["counter", "gauge", "histogram"]

_JSON: Final = "application/json"
_TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"

# Names as Otoroshi has them where it has one; dots become underscores for Prometheus.
_NAMES: Final[Mapping[str, tuple[str, MetricKind, str]]] = {
    "requests": ("otoroshi.requests.total", "counter", "Exchanges finished"),
    "refused_heads": (
        "otoroshi.requests.refused.heads",
        "counter",
        "Requests refused before routing because their head was malformed or too large",
    ),
    "client_left": (
        "otoroshi.requests.client.left",
        "counter",
        "Exchanges whose downstream left before the end",
    ),
    "bytes_in": ("otoroshi.requests.data.in.bytes", "counter", "Body bytes from downstreams"),
    "bytes_out": ("otoroshi.requests.data.out.bytes", "counter", "Bytes sent to downstreams"),
    "accepted": ("otoroshi.connections.accepted", "counter", "Connections accepted"),
    "handshakes": ("otoroshi.tls.handshakes", "counter", "TLS handshakes that ended well"),
    "handshakes_resumed": (
        "otoroshi.tls.handshakes.resumed",
        "counter",
        "Of those, by resuming an earlier session",
    ),
    "handshake_failures": (
        "otoroshi.tls.handshakes.failed",
        "counter",
        "TLS handshakes with clients that failed",
    ),
    "accept_errors": ("otoroshi.connections.accept.errors", "counter", "Accepts that failed"),
    "connected": ("otoroshi.upstream.connected", "counter", "Connections made to targets"),
    "reused": ("otoroshi.upstream.reused", "counter", "Kept connections to targets used again"),
    "upstream_failures": ("otoroshi.upstream.failures", "counter", "Attempts that failed"),
    "retries": ("otoroshi.upstream.retries", "counter", "Attempts after the first"),
    "records_dropped": ("otoroshi.records.dropped", "counter", "Access records lost"),
    "panics": ("otoroshi.panics", "counter", "Panics caught, each at the cost of one connection"),
    "hook_failures": ("otoroshi.plugins.failures", "counter", "Plugin hooks that failed"),
    "resolve_failures": ("otoroshi.resolver.failures", "counter", "Host names not resolved"),
    "hook_tasks": ("otoroshi.plugins.tasks", "gauge", "Exchanges whose async hook is running"),
    "filter_runs": ("otoroshi.jq.runs", "counter", "Runs of jq filters"),
    "filter_failures": ("otoroshi.jq.failures", "counter", "Runs of jq filters that failed"),
    "filters_stopped": (
        "otoroshi.jq.stopped",
        "counter",
        "Of those, the ones that were over a bound or found too many others",
    ),
    "turn_failures": ("otoroshi.pump.failures", "counter", "Turns of the engine that failed"),
    "record_batches_dropped": (
        "otoroshi.records.batches.dropped",
        "counter",
        "Batches of access records lost between a worker and the supervisor",
    ),
    "access_log_batches_dropped": (
        "otoroshi.access.log.batches.dropped",
        "counter",
        "Batches of lines that the access log lost: they came too fast, or could not be written",
    ),
    "log_lines_dropped": (
        "otoroshi.log.lines.dropped",
        "counter",
        "Lines of the log lost, as standard error was not read",
    ),
    "alerts_dropped": (
        "otoroshi.alerts.dropped",
        "counter",
        "Exchanges whose alerts were lost while no exporter runs",
    ),
    "requests_without_tally": (
        "otoroshi.requests.without.tally",
        "counter",
        "Exchanges counted for no route, as more routes had traffic than are told apart",
    ),
    "overhead_sum_s": (
        "otoroshi.requests.overhead.seconds",
        "counter",
        "Time of all exchanges that was not spent waiting for a backend",
    ),
    "event_details_dropped": (
        "otoroshi.records.details.dropped",
        "counter",
        "Access records that lost what events need, for want of memory",
    ),
    "events_taken": ("otoroshi.events.taken", "counter", "Events made for exporters"),
    "event_batches_dropped": (
        "otoroshi.events.batches.dropped",
        "counter",
        "Batches of records that came faster than events are made of them",
    ),
    "events_dropped": (
        "otoroshi.exporters.dropped",
        "counter",
        "Events lost because an exporter's queue was full",
    ),
    "events_lost": ("otoroshi.exporters.lost", "counter", "Events that could not be sent"),
    "events_sent": ("otoroshi.exporters.sent", "counter", "Events sent by exporters"),
    "events_waiting": ("otoroshi.exporters.waiting", "gauge", "Events in exporters' queues"),
    "exporters": ("otoroshi.exporters.running", "gauge", "Exporters that run"),
    "turns": ("otoroshi.pump.turns", "counter", "Turns of the engine"),
    "worker_restarts": ("otoroshi.workers.restarts", "counter", "Workers that were replaced"),
    "workers": ("otoroshi.workers", "gauge", "Workers that accept connections"),
    "connections": ("otoroshi.connections", "gauge", "Open downstream connections"),
    "exchanges": ("otoroshi.internals.concurrent-requests", "gauge", "Exchanges in flight"),
    "tunnels": ("otoroshi.tunnels", "gauge", "Upgraded connections"),
    "pooled": ("otoroshi.upstream.pooled", "gauge", "Unused connections kept to targets"),
    "tcp_accepted": ("otoroshi.tcp.accepted", "counter", "Connections of TCP services accepted"),
    "tcp_refused": ("otoroshi.tcp.refused", "counter", "Connections of TCP services refused"),
    "tcp_failed": ("otoroshi.tcp.failed", "counter", "Connections of TCP services cut off"),
    "tcp_bytes_in": ("otoroshi.tcp.bytes.in", "counter", "Bytes from clients of TCP services"),
    "tcp_bytes_out": ("otoroshi.tcp.bytes.out", "counter", "Bytes to clients of TCP services"),
    "tcp_connections": ("otoroshi.tcp.connections", "gauge", "Open connections of TCP services"),
    "tcp_records_dropped": (
        "otoroshi.tcp.records.dropped",
        "counter",
        "Records of connections of TCP services lost",
    ),
    "listeners_failed": (
        "otoroshi.listeners.failed",
        "gauge",
        "Wanted ports that cannot be opened",
    ),
    "routes": ("otoroshi.routes", "gauge", "Routes in each worker's snapshot"),
}

# Not added up: the same in every worker, or nearly so while a change is on its way.
_SHARED: Final = frozenset({"routes", "latency_bounds_s"})


class Metric(msgspec.Struct, frozen=True, omit_defaults=True):
    """One metric of the whole gateway.

    Attributes:
        name: Its dotted name.
        type: `counter`, `gauge` or `histogram`.
        help: What it counts.
        value: The number; of a histogram the sum of what was observed.
        count: How much was observed (histogram).
        buckets: (upper bound in seconds, count up to it) pairs (histogram).
        labels: What sets it apart from metrics of the same name.
    """

    name: str
    type: MetricKind
    help: str
    value: float
    count: int | None = None
    buckets: list[tuple[float, int]] = []
    labels: dict[str, str] = {}


class Page(msgspec.Struct, frozen=True):
    """An answer of a monitoring endpoint.

    Attributes:
        status: HTTP status.
        content_type: The body's media type.
        body: The body.
    """

    status: int
    content_type: str
    body: bytes


def merge_metrics(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Add counters up, name by name; lists are added item by item, dicts likewise.

    Args:
        parts: Counters of several workers. What is no number, list or dict is left out.
    """
    merged: dict[str, Any] = {}
    for part in parts:
        for name, value in part.items():
            if name in _SHARED:
                merged[name] = max(merged.get(name, value), value)
            else:
                merged[name] = _added(merged.get(name), value)
    return merged


def without_gauges(counters: Mapping[str, Any]) -> dict[str, Any]:
    """Return what stays true of a worker that has ended: its counters, not what it had open."""
    return {
        name: value
        for name, value in counters.items()
        if name not in _NAMES or _NAMES[name][1] != "gauge"
    }


def _added(total: Any, value: Any) -> Any:
    """Add two values of the same shape; `total` is None for the first one."""
    if isinstance(value, dict):
        return merge_metrics([total or {}, cast("dict[str, Any]", value)])
    if isinstance(value, list):
        counts, so_far = cast("list[float]", value), cast("list[float]", total or [])
        return [a + b for a, b in zip_longest(so_far, counts, fillvalue=0)]
    return (total or 0) + value


def named_metrics(merged: Mapping[str, Any]) -> list[Metric]:
    """Give merged counters their names, sorted; an unknown number becomes `otoroshi.engine.<name>`."""
    metrics: list[Metric] = []
    for key, value in merged.items():
        if key == "by_class":
            metrics += _by_class(value)
        elif isinstance(value, int | float) and key != "latency_sum_s":
            name, kind, text = _NAMES.get(
                key, (f"otoroshi.engine.{key.replace('_', '.')}", "counter", key.replace("_", " "))
            )
            metrics.append(Metric(name, kind, text, value))
    if "latency" in merged:
        metrics.append(
            _latency(merged["latency"], merged["latency_bounds_s"], merged["latency_sum_s"])
        )
    return sorted(metrics, key=lambda metric: (metric.name, sorted(metric.labels.items())))


def _by_class(counts: Iterable[int]) -> Iterable[Metric]:
    """Walk the counters by first digit of the status; Otoroshi names two of them."""
    classes = list(counts)
    for digit, count in enumerate(classes):
        if digit:
            yield Metric(
                "otoroshi.responses.total",
                "counter",
                "Exchanges finished, by class of the status",
                count,
                labels={"class": f"{digit}xx"},
            )
    named = {4: "otoroshi.errors.client", 5: "otoroshi.errors.server"}
    for digit, name in named.items():
        if digit < len(classes):
            yield Metric(name, "counter", f"Exchanges answered {digit}xx", classes[digit])


def _latency(counts: Iterable[int], bounds: Iterable[float], total_s: float) -> Metric:
    """Make the histogram of durations; its buckets are cumulative, and one more takes the rest."""
    buckets: list[tuple[float, int]] = []
    seen = 0
    for bound, count in zip((*bounds, math.inf), counts, strict=False):
        seen += count
        buckets.append((bound, seen))
    return Metric(
        "otoroshi.requests.duration.seconds",
        "histogram",
        "Time from a request's first byte to the end of its response",
        total_s,
        count=seen,
        buckets=buckets,
    )


def metrics_page(merged: Mapping[str, Any], *, query: str = "", accept: str = "") -> Page:
    """Show merged counters in the format the request asks for.

    Args:
        merged: What `merge_metrics` returned.
        query: The request's query: `format` is `json`, `old_json`, `old`, `prometheus` or `prom`;
            `filter` is a wildcard pattern on the names.
        accept: The Accept header; counts when there is no `format`.
    """
    asked = parse_qs(query)
    form = asked.get("format", [""])[-1]
    pattern = asked.get("filter", ["*"])[-1]
    metrics = named_metrics(merged)
    if form in {"prometheus", "prom"} or (
        not form
        and "application/json" not in accept
        and ("application/prometheus" in accept or "text/plain" in accept)
    ):
        return Page(200, _TEXT, _prometheus(metrics, pattern).encode())
    metrics = [metric for metric in metrics if fnmatchcase(metric.name, pattern)]
    if form in {"old", "old_json"}:
        return Page(200, _JSON, msgspec.json.encode(_old(metrics)))
    return Page(200, _JSON, msgspec.json.encode([_shown(metric) for metric in metrics]))


def _shown(metric: Metric) -> dict[str, object]:
    """Show a metric as one object of the JSON array."""
    shown: dict[str, object] = {"name": metric.name, "type": metric.type}
    if metric.type == "gauge":
        shown["value"] = metric.value
    elif metric.type == "counter":
        shown["count"] = metric.value
    else:
        count = metric.count or 0
        shown |= {
            "count": count,
            "sum": metric.value,
            "mean": metric.value / count if count else 0.0,
            "buckets": [{"le": bound, "count": upto} for bound, upto in metric.buckets[:-1]],
        }
    if metric.labels:
        shown["labels"] = metric.labels
    return shown


def _old(metrics: Iterable[Metric]) -> dict[str, object]:
    """Show metrics as the nested object of Otoroshi's `old_json`."""
    groups: dict[str, dict[str, object]] = {
        "gauges": {}, "counters": {}, "histograms": {}, "meters": {}, "timers": {},
    }  # fmt: skip
    for metric in metrics:
        shown = _shown(metric)
        name = ".".join((metric.name, *metric.labels.values()))
        groups[f"{metric.type}s"][name] = {
            key: value for key, value in shown.items() if key not in {"name", "type", "labels"}
        }
    return {"version": "4.0.0", **groups}


def _prometheus(metrics: Iterable[Metric], pattern: str) -> str:
    """Show metrics as Prometheus text, format 0.0.4."""
    lines: list[str] = []
    described = ""
    for metric in metrics:
        name = metric.name.replace(".", "_").replace("-", "_")
        if not fnmatchcase(name, pattern.replace(".", "_")):
            continue
        if name != described:
            lines += [f"# HELP {name} {metric.help}", f"# TYPE {name} {metric.type}"]
            described = name
        labels = ",".join(f'{key}="{value}"' for key, value in sorted(metric.labels.items()))
        if metric.type != "histogram":
            lines.append(
                f"{name}{{{labels}}} {_number(metric.value)}"
                if labels
                else f"{name} {_number(metric.value)}"
            )
            continue
        for bound, upto in metric.buckets:
            le = "+Inf" if bound == math.inf else f"{bound:g}"
            lines.append(f'{name}_bucket{{le="{le}"}} {upto}')
        lines += [f"{name}_sum {_number(metric.value)}", f"{name}_count {metric.count or 0}"]
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    """Write a number without an exponent where it is whole."""
    return str(int(value)) if value == int(value) else repr(value)

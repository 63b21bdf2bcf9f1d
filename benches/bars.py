"""What must be reached, and whether the results reach it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from benches.peers import OTO_TRIO
from benches.scenarios.denied import SERVED
from benches.scenarios.keys import FEW
from benches.scenarios.routes import BASELINE


@dataclass(frozen=True, slots=True)
class Bar:
    """One number of one scenario's result that must not be above a limit.

    Attributes:
        scenario: Whose result.
        text: What is compared, for people.
        limit: The highest value that reaches the bar.
        peer: Ratio to this proxy; None when the bar is on a number of oto-trio's own.
        number: Name of that number.
        beyond: A proxy whose own number is taken off first.
        per: What the number is divided by.
    """

    scenario: str
    text: str
    limit: float
    peer: str | None = None
    number: str | None = None
    beyond: str | None = None
    per: float = 1.0

    def measured(self, document: Mapping[str, Any]) -> float | None:
        """Return the value in a result, None where it was not measured."""
        if self.peer is not None:
            ratio: float | None = document["ratio"].get(self.peer)
            return ratio
        value: float | None = document["proxies"].get(OTO_TRIO.name, {}).get(self.number)
        if value is None or self.beyond is None:
            return None if value is None else value / self.per
        less: float | None = document["proxies"].get(self.beyond, {}).get(self.number)
        return None if less is None else (value - less) / self.per


BARS: Final = (
    Bar("plain", "CPU to nginx's", 1.0, peer="nginx"),
    Bar("plain", "CPU to Envoy's", 0.3, peer="envoy"),
    Bar("routes10k", "CPU to that of 10 routes", 1.05, peer=BASELINE),
    Bar("routes100k", "CPU to that of 10 routes", 1.10, peer=BASELINE),
    Bar("python-inline", "CPU to nginx's plain", 1.25, peer="nginx"),
    Bar("python-async", "CPU to nginx's plain", 1.75, peer="nginx"),
    Bar("python-async", "CPU to Envoy's plain", 0.6, peer="envoy"),
    Bar("large", "CPU to nginx's", 1.0, peer="nginx"),
    Bar("stream", "CPU to nginx's", 1.2, peer="nginx"),
    Bar("stream", "memory growth, MB", 16, number="growth_mb"),
    Bar("idle", "memory of a connection, KB", 6, number="idle_connection_kb"),
    Bar("latency", "p50 added, ms", 0.2, number="added_p50_ms"),
    Bar("latency", "p99 added, ms", 1.0, number="added_p99_ms"),
    Bar("start", "start to ready, ms", 1500, number="ready_ms"),
    Bar("tls", "CPU to nginx's", 1.2, peer="nginx"),
    Bar("h2", "CPU to Envoy's", 2.5, peer="envoy"),
    Bar("h2-large", "CPU to Envoy's", 2.5, peer="envoy"),
    Bar("h3", "CPU to Caddy's", 2.5, peer="caddy"),
    Bar("h3-large", "CPU to Caddy's", 2.5, peer="caddy"),
    Bar("grpc", "CPU to Envoy's", 1.5, peer="envoy"),
    Bar("websocket", "CPU to nginx's", 1.2, peer="nginx"),
    Bar("tcp", "CPU to HAProxy's", 1.2, peer="haproxy"),
    Bar("tcp-many", "CPU to HAProxy's", 1.2, peer="haproxy"),
    Bar("chain", "CPU to nginx's TLS alone", 1.5, peer="nginx"),
    Bar("chain", "CPU to Envoy's chain", 0.5, peer="envoy"),
    Bar("handshake", "CPU to nginx's", 1.11, peer="nginx"),
    Bar("denied", "CPU to that of a served request", 1.0, peer=SERVED),
    Bar("keys100k", "CPU to that of 10 keys and 10 routes", 1.1, peer=FEW),
    Bar("latency-chain", "p95 added, ms", 1.0, number="added_p95_ms"),
    Bar("latency-chain", "p99 added, ms", 2.0, number="added_p99_ms"),
    Bar("start", "memory of control plane and a worker, MB", 120, number="rss_mb"),
    Bar("control-10k", "p99 of a page of routes, ms", 50, number="page_p99_ms"),
    Bar("control-10k", "p99 of a write until it is in force, ms", 100, number="write_p99_ms"),
    Bar("import", "import until it is in force, s", 30, number="import_s"),
    Bar("import", "start with what was imported, s", 5, number="start_s"),
    Bar(
        "memory-100k",
        "worker memory for 1,000 routes, MB",
        1.0,
        number="rss_worker_mb",
        beyond=BASELINE,
        per=100,
    ),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A bar and what was measured; both None where there is no measurement."""

    bar: Bar
    measured: float | None

    @property
    def reached(self) -> bool | None:
        """Whether the bar is reached, None when it was not measured."""
        return None if self.measured is None else self.measured <= self.bar.limit

    def line(self) -> str:
        """Return the verdict as a line for the terminal."""
        mark = {True: "reached", False: "MISSED", None: "not measured"}[self.reached]
        value = "" if self.measured is None else f"{self.measured:.3f} "
        return f"{mark:12} {self.bar.scenario:14} {self.bar.text}: {value}(≤ {self.bar.limit:g})"


def verdicts(documents: Sequence[Mapping[str, Any]]) -> list[Verdict]:
    """Return how the results stand to every bar."""
    by_name = {document["scenario"]: document for document in documents}
    return [
        Verdict(bar, bar.measured(by_name[bar.scenario]) if bar.scenario in by_name else None)
        for bar in BARS
    ]

"""latency: what a client waits for, far below saturation."""

from typing import ClassVar

from typing_extensions import override

from benches.contestant import Contestant
from benches.job import Job
from benches.measurement import Sample
from benches.scenarios.chain import Chain
from benches.scenarios.scenario import Conditions, Scenario, sample
from benches.traffic import LoadCore

RATE = 1_000
CONNECTIONS = 16


class Latency(Scenario):
    """1,000 requests a second on a fixed grid over 16 connections, through the proxy and without.

    A latency counts from when its request fell due. Each run measures the direct call just
    before, so that both see the same machine; `added_*` is the difference.
    """

    name: ClassVar[str] = "latency"
    summary: ClassVar[str] = "constant 1,000 requests/s: latency added over a direct call"

    @override
    def warm_up(self, contestant: Contestant, load: LoadCore, conditions: Conditions) -> None:
        self._run(contestant.port, contestant, load, 1)

    @override
    def measure(self, contestant: Contestant, load: LoadCore, conditions: Conditions) -> Sample:
        seconds = conditions.duration_s
        job = contestant.job
        direct = self._run(job.upstream_port, contestant, load, seconds)
        options: dict[str, str] = {}
        if job.tls:
            options["tls"] = "yes"
        if job.guard is not None:
            fields = load.folder / "fields.txt"
            fields.write_text("".join(f"{field}\n" for field in job.guard.fields()))
            options["fields"] = str(fields)
        numbers, window = contestant.watch(
            lambda: self._run(contestant.port, contestant, load, seconds, **options)
        )
        return sample(
            contestant,
            numbers,
            window,
            direct_p50_ms=direct["p50_ms"],
            direct_p99_ms=direct["p99_ms"],
            added_p50_ms=numbers["p50_ms"] - direct["p50_ms"],
            added_p95_ms=numbers["p95_ms"] - direct["p95_ms"],
            added_p99_ms=numbers["p99_ms"] - direct["p99_ms"],
        )

    def _run(
        self, port: int, contestant: Contestant, load: LoadCore, seconds: int, **options: str
    ) -> dict[str, float]:
        numbers: dict[str, float] = load.run(
            "constant",
            port,
            contestant.job.routes[0],
            path="bytes/1024",
            rate=RATE,
            connections=CONNECTIONS,
            seconds=seconds,
            **options,
        )
        return numbers


class LatencyChain(Latency):
    """The same through the production chain; the direct call is plain."""

    name: ClassVar[str] = "latency-chain"
    summary: ClassVar[str] = f"{RATE:,} requests a second through TLS, API key, JWT, limit and log"

    @override
    def job(self, upstream_port: int, conditions: Conditions) -> Job:
        return Chain().job(upstream_port, conditions)

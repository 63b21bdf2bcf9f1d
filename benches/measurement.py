"""Numbers: one run's sample, medians over runs, ratios between proxies. No I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Sample:
    """What one run of one proxy gave.

    Attributes:
        requests: Requests completed in the measured window.
        seconds: Length of the window.
        cpu_ns: CPU time of all the proxy's processes in the window.
        cpu_source: File that `cpu_ns` is from.
        p50_ms, p99_ms: Latency as the client saw it; None where the scenario has none.
        resident_bytes: Resident memory of all the proxy's processes after the window.
        extras: The scenario's own numbers, by name with unit.
    """

    requests: int
    seconds: float
    cpu_ns: int
    cpu_source: str
    p50_ms: float | None
    p99_ms: float | None
    resident_bytes: int
    extras: Mapping[str, float] = field(default_factory=dict)

    def numbers(self) -> dict[str, float | None]:
        """Return the sample as results name it.

        Raises:
            ValueError: no request was completed, so nothing can be said per request.
        """
        if self.requests <= 0 or self.seconds <= 0:
            message = f"{self.requests} requests in {self.seconds} s are nothing to divide by"
            raise ValueError(message)
        return {
            "req_s": self.requests / self.seconds,
            "cpu_us": self.cpu_ns / 1e3 / self.requests,
            "p50_ms": self.p50_ms,
            "p99_ms": self.p99_ms,
            "rss_mb": self.resident_bytes / MB,
            **self.extras,
        }


def medians(samples: Sequence[Mapping[str, float | None]]) -> dict[str, float | None]:
    """Return the median of each number over the samples that have it.

    Raises:
        ValueError: there is no sample.
    """
    if not samples:
        message = "no sample, no median"
        raise ValueError(message)
    found: dict[str, float | None] = {}
    for name in dict.fromkeys(name for sample in samples for name in sample):
        present = [value for sample in samples if (value := sample.get(name)) is not None]
        found[name] = median(present) if present else None
    return found


def ratios(proxies: Mapping[str, Mapping[str, Any]], ours: str) -> dict[str, float]:
    """Return CPU per request of `ours` over that of each other proxy.

    Below 1, ours is cheaper. A proxy without a measured cost has no ratio.
    """
    mine = proxies.get(ours, {}).get("cpu_us")
    if not mine:
        return {}
    return {
        name: mine / numbers["cpu_us"]
        for name, numbers in proxies.items()
        if name != ours and numbers.get("cpu_us")
    }

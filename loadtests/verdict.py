"""What a scenario's run has shown: numbers for the table, and everything that was not expected."""

from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["Row", "Verdict", "exit_code", "table"]


@dataclass(frozen=True)
class Row:
    """The requests of one name.

    Attributes:
        name: What the requests have in common.
        count: How many were made.
        failed: How many of them did not get what they expected.
        p50_ms: Half of them took at most so long.
        p99_ms: 99 of 100 took at most so long.
    """

    name: str
    count: int
    failed: int
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True)
class Verdict:
    """The outcome of one scenario.

    Attributes:
        scenario: Its name.
        took_s: How long it ran.
        rows: Its requests by name.
        errors: What was not expected, as text to occurrences.
        wanted: Names without which the run has shown nothing.
    """

    scenario: str
    took_s: float
    rows: Sequence[Row]
    errors: dict[str, int] = field(default_factory=dict[str, int])
    wanted: Sequence[str] = ()

    @property
    def faults(self) -> list[str]:
        """Say why the run is not good; empty when it is."""
        faults = [f"{text} ({count} times)" for text, count in self.errors.items()]
        made = {row.name: row for row in self.rows if row.count}
        faults += [
            f"no request named {name!r} was made" for name in self.wanted if name not in made
        ]
        unexplained = sum(row.failed for row in self.rows)
        if unexplained and not self.errors:
            faults.append(f"{unexplained} requests failed without a reason")
        if not made:
            faults.append("no request was made at all")
        return faults

    @property
    def requests_per_s(self) -> float:
        """How many requests were made in a second."""
        return sum(row.count for row in self.rows) / self.took_s if self.took_s else 0.0


def exit_code(verdicts: Sequence[Verdict]) -> int:
    """Return 0 when every scenario ran and each is good, else 1."""
    return 0 if verdicts and not any(verdict.faults for verdict in verdicts) else 1


def table(verdicts: Sequence[Verdict]) -> str:
    """Return all rows as a table for the terminal, then what went wrong."""
    lines = [
        f"{'scenario':14} {'request':26} {'count':>8} {'failed':>7} {'p50 ms':>8} {'p99 ms':>8}"
    ]
    for verdict in verdicts:
        lines += [
            f"{verdict.scenario:14} {row.name:26} {row.count:8} {row.failed:7} "
            f"{row.p50_ms:8.1f} {row.p99_ms:8.1f}"
            for row in sorted(verdict.rows, key=lambda row: row.name)
        ]
    for verdict in verdicts:
        lines.append(
            f"{verdict.scenario}: {verdict.requests_per_s:.0f} requests/s, {_judged(verdict)}"
        )
        lines += [f"    {fault}" for fault in verdict.faults]
    return "\n".join(lines)


def _judged(verdict: Verdict) -> str:
    count = len(verdict.faults)
    if not count:
        return "nothing unexpected"
    return f"{count} {'thing' if count == 1 else 'things'} unexpected:"

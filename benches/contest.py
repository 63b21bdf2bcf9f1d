"""A contest: one scenario, its proxies side by side, round after round."""

import contextlib
import os
import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from benches.contestant import Contestant
from benches.errors import InvalidRunError
from benches.job import Job
from benches.measurement import Sample, medians, ratios
from benches.peers import OTO_TRIO, Proxy
from benches.scenarios import Conditions, Scenario
from benches.traffic import LoadCore

FULL = 0.95
NOISY = 0.05


@dataclass(slots=True)
class Outcome:
    """What a contest gave.

    Attributes:
        scenario: What was run.
        samples: By contestant, one for each valid run, in order.
        invalid: What made runs invalid, with proxy and round.
    """

    scenario: Scenario
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    invalid: list[str] = field(default_factory=list)

    def document(self, conditions: Conditions, rounds: int) -> dict[str, Any]:
        """Return the outcome as its results file holds it."""
        runs = {
            name: [sample.numbers() for sample in samples]
            for name, samples in self.samples.items()
            if samples
        }
        proxies = {name: medians(numbers) for name, numbers in runs.items()}
        sources = {sample.cpu_source for each in self.samples.values() for sample in each}
        return {
            "scenario": self.scenario.name,
            "proxies": proxies,
            "ratio": ratios(proxies, OTO_TRIO.name),
            "summary": self.scenario.summary,
            "cpu_us_per": self.scenario.unit,
            "cpu_from": sorted(sources),
            "conditions": {
                "rounds": rounds,
                "duration_s": conditions.duration_s,
                "domains": conditions.domains,
                "niceness": conditions.niceness,
                "cpu": cpu_model(),
                "cores": os.cpu_count(),
                "kernel": platform.release(),
                "python": platform.python_version(),
            },
            "invalid": self.invalid,
            "runs": runs,
        }

    def warnings(self) -> list[str]:
        """Return what a reader has to know about the runs: who was the limit, who disturbed."""
        found = []
        for name, samples in self.samples.items():
            facts = [sample.extras for sample in samples]
            foreign = [each.get("foreign_share", 0.0) for each in facts]
            if any(
                each.get("load_core_share", 0.0) > FULL and each["proxy_share"] < FULL
                for each in facts
            ):
                found.append(
                    f"{name}: the load core was full and the proxy's was not, so req/s and latency"
                    " are the load's; CPU per request holds"
                )
            if foreign and max(foreign) > NOISY:
                found.append(f"{name}: other processes took up to {max(foreign):.0%} of its core")
        return found


class Entry(NamedTuple):
    """Who takes part: a name in the results, a proxy and what it does."""

    label: str
    proxy: Proxy
    job: Job


@dataclass(slots=True)
class Contest:
    """One scenario on some proxies.

    Attributes:
        scenario: What is run.
        proxies: Who runs it, in order.
        load: The load core.
        conditions: What holds for every run.
        core: Core of the proxies.
        say: Takes a line of progress.
    """

    scenario: Scenario
    proxies: Sequence[Proxy]
    load: LoadCore
    conditions: Conditions
    core: int
    say: Callable[[str], None]

    def run(self, rounds: int) -> Outcome:
        """Run each proxy in turn, `rounds` times.

        An invalid run is reported and left out; the contest goes on.

        Raises:
            BenchError: the upstream or a proxy did not start.
        """
        with ExitStack() as stack:
            entries = self._entries(stack.enter_context(self.load.upstream(self.scenario.upstream)))
            outcome = Outcome(self.scenario, {entry.label: [] for entry in entries})
            standing = {}
            if not self.scenario.fresh:
                for entry in entries:
                    standing[entry.label] = stack.enter_context(self._started(entry))
            for number in range(1, rounds + 1):
                for entry in entries:
                    with ExitStack() as once:
                        contestant = standing.get(entry.label) or once.enter_context(
                            self._started(entry)
                        )
                        self._measure(contestant, number, outcome)
        return outcome

    def _entries(self, upstream_port: int) -> list[Entry]:
        job = self.scenario.job(upstream_port, self.conditions)
        able: list[Proxy] = []
        for proxy in self.proxies:
            if self.scenario.alone and proxy is not OTO_TRIO:
                continue
            if self.scenario.refused and not proxy.limits_rates:
                self.say(f"  without {proxy.name}, which limits no rates here")
                continue
            if (reason := proxy.lacks(job)) is not None:
                self.say(f"  without {proxy.name}, {reason}")
                continue
            able.append(proxy)
        entries = [Entry(proxy.name, proxy, job) for proxy in able]
        baseline = self.scenario.baseline(upstream_port, self.conditions)
        if baseline and OTO_TRIO in able:
            entries.insert(1, Entry(baseline[0], OTO_TRIO, baseline[1]))
        return entries

    @contextlib.contextmanager
    def _started(self, entry: Entry) -> Iterator[Contestant]:
        with Contestant(
            entry.label,
            entry.proxy,
            entry.job,
            folder=self.load.folder,
            core=self.core,
            load_core=self.load.core,
        ) as contestant:
            # An error in the warm-up comes again in the first run, and counts there.
            with contextlib.suppress(InvalidRunError):
                self.scenario.warm_up(contestant, self.load, self.conditions)
                contestant.settle()
            yield contestant

    def _measure(self, contestant: Contestant, number: int, outcome: Outcome) -> None:
        name = contestant.label
        try:
            sample = self.scenario.measure(contestant, self.load, self.conditions)
        except InvalidRunError as error:
            outcome.invalid.append(f"{name}, round {number}: {error}")
            self.say(f"  INVALID {outcome.invalid[-1]}")
        else:
            outcome.samples[name].append(sample)
            self.say(f"  round {number}: {name} {brief(sample)}")


def brief(sample: Sample) -> str:
    """Return a sample in half a line."""
    numbers = sample.numbers()
    return f"{numbers['req_s']:.0f} req/s, {numbers['cpu_us']:.1f} us"


def cpu_model(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return the processor's name as the kernel has it."""
    for line in cpuinfo.read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()

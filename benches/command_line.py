"""`python -m benches`: reads the arguments, checks that all is there, runs the contests.

Exit codes: 0 all runs valid; 1 some run was invalid (with --bars: some bar is missed); 2 wrong arguments, or something is missing
or did not start; 130 interrupted.
"""

import argparse
import contextlib
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType

from benches import bars, report, results
from benches.contest import Contest
from benches.errors import BenchError
from benches.peers import OTO_TRIO, PEERS, Proxy
from benches.scenarios import SCENARIOS, Conditions
from benches.traffic import LoadCore, oto_load, wrk

MAX_ROUNDS = 100
MAX_DURATION_S = 600


def bounded(lowest: int, highest: int) -> Callable[[str], int]:
    """Return an argument type: a whole number in a range."""

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = lowest - 1
        if not lowest <= number <= highest:
            message = f"{text!r} is not a whole number from {lowest} to {highest}"
            raise argparse.ArgumentTypeError(message)
        return number

    return read


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    found = argparse.ArgumentParser(
        prog="python -m benches",
        description="Compare oto-trio with other gateways: CPU per request, rate, latency, memory.",
    )
    found.add_argument(
        "--scenarios", nargs="+", metavar="NAME", help="scenarios to run (all; see --list)"
    )
    found.add_argument(
        "--peers", nargs="*", metavar="NAME", help="proxies to compare with (all installed ones)"
    )
    found.add_argument(
        "--rounds", type=bounded(1, MAX_ROUNDS), default=5, help="runs of each proxy (5)"
    )
    found.add_argument(
        "--duration",
        type=bounded(1, MAX_DURATION_S),
        default=4,
        help="seconds of a run, where the scenario does not end by itself (4)",
    )
    found.add_argument(
        "--domains",
        type=bounded(1, 10_000),
        default=10,
        help="domains that the many-route scenarios spread over (10)",
    )
    found.add_argument(
        "--nice",
        type=bounded(-20, 19),
        default=0,
        help="niceness of everything that is started; below 0, as root, keeps a busy machine out (0)",
    )
    found.add_argument(
        "--peers-only", action="store_true", help="leave oto-trio out (to try the harness)"
    )
    found.add_argument(
        "--results", type=Path, default=results.FOLDER, help="folder for results (benches/results)"
    )
    found.add_argument("--list", action="store_true", help="list scenarios and peers, then end")
    found.add_argument(
        "--report", action="store_true", help="rewrite docs/performance.md from results, then end"
    )
    found.add_argument(
        "--bars",
        action="store_true",
        help="compare the results with what must be reached, then end",
    )
    return found


def main(argv: Sequence[str]) -> int:
    """Run the benches as `argv` says; return the exit code."""
    arguments = parser().parse_args(argv)
    try:
        if arguments.list:
            print(listing())
            return 0
        if arguments.report:
            count = report.rewrite(folder=arguments.results)
            print(f"wrote {count} results into {report.PAGE.name}")
            return 0
        if arguments.bars:
            return judge(arguments.results)
        with interruptible():
            return bench(arguments)
    except (BenchError, ValueError) as error:
        print(f"python -m benches: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; every process that was started has been ended", file=sys.stderr)
        return 130


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let SIGTERM do what Ctrl-C does, so that the same cleaning up runs; once, for it is bounded."""
    signals = (signal.SIGINT, signal.SIGTERM)

    def interrupt(number: int, frame: FrameType | None) -> None:
        del number, frame
        for each in signals:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = [signal.signal(each, interrupt) for each in signals]
    try:
        yield
    finally:
        for each, handler in zip(signals, before, strict=True):
            signal.signal(each, handler)


def listing() -> str:
    """Return the scenarios and the peers, with what is missing."""
    lines = ["scenarios:"]
    lines += [f"  {name:14} {scenario.summary}" for name, scenario in SCENARIOS.items()]
    lines += ["peers:"]
    for name, peer in PEERS.items():
        lines.append(f"  {name:14} {peer.executable() or f'not installed: {peer.install}'}")
    return "\n".join(lines)


def judge(folder: Path) -> int:
    """Print how the results stand to the bars; return 1 when one is missed."""
    verdicts = bars.verdicts(results.read(folder))
    for verdict in verdicts:
        print(verdict.line())
    return 1 if any(verdict.reached is False for verdict in verdicts) else 0


def chosen_scenarios(names: Sequence[str] | None) -> list[str]:
    """Return the names of the scenarios to run.

    Raises:
        BenchError: one does not exist; names all that do.
    """
    for name in names or ():
        if name not in SCENARIOS:
            message = f"no scenario {name!r}; there are: {', '.join(SCENARIOS)}"
            raise BenchError(message)
    return list(dict.fromkeys(names or SCENARIOS))


def chosen_proxies(names: Sequence[str] | None, *, peers_only: bool) -> list[Proxy]:
    """Return the proxies to run, oto-trio first.

    Raises:
        BenchError: one that was named does not exist or is not installed; says how to get it.
    """
    for name in names or ():
        if name not in PEERS:
            message = f"no peer {name!r}; there are: {', '.join(PEERS)}"
            raise BenchError(message)
    wanted = [PEERS[name] for name in dict.fromkeys(PEERS if names is None else names)]
    if names is None:
        for peer in wanted:
            if peer.executable() is None:
                print(f"without {peer.name}, which is not installed: {peer.install}")
        wanted = [peer for peer in wanted if peer.executable() is not None]
    if not peers_only:
        wanted.insert(0, OTO_TRIO)
    for proxy in wanted:
        if proxy.executable() is None:
            message = f"{proxy.name} is not installed: {proxy.install}"
            raise BenchError(message)
    if not wanted:
        message = "nothing to run: --peers-only and no peer"
        raise BenchError(message)
    return wanted


def bench(arguments: argparse.Namespace) -> int:
    """Run the chosen scenarios and write their results; return the exit code."""
    names = chosen_scenarios(arguments.scenarios)
    proxies = chosen_proxies(arguments.peers, peers_only=arguments.peers_only)
    core, load_core = two_cores()
    if arguments.nice:
        try:
            os.setpriority(os.PRIO_PROCESS, 0, arguments.nice)
        except PermissionError as error:
            message = f"--nice {arguments.nice} needs more rights (root)"
            raise BenchError(message) from error
    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    conditions = Conditions(
        duration_s=arguments.duration, domains=arguments.domains, niceness=arguments.nice
    )
    invalid = False
    with tempfile.TemporaryDirectory(prefix="oto-bench-") as folder:
        load = LoadCore(core=load_core, tool=oto_load(), wrk=wrk(), folder=Path(folder))
        for name in names:
            scenario = SCENARIOS[name]
            if scenario.alone and OTO_TRIO not in proxies:
                print(f"\n{name}: left out, for it measures oto-trio alone")
                continue
            print(f"\n{name}: {scenario.summary}", flush=True)
            outcome = Contest(scenario, proxies, load, conditions, core=core, say=say).run(
                arguments.rounds
            )
            document = outcome.document(conditions, arguments.rounds)
            results.write(document, arguments.results)
            print(results.table(document))
            print(f"CPU time from /proc/<pid>/{', '.join(document['cpu_from'])}")
            for warning in outcome.warnings():
                print(f"note: {warning}")
            invalid = invalid or bool(outcome.invalid)
    if invalid:
        print("some runs were invalid and are left out of the numbers (see above)")
    return 1 if invalid else 0


def say(line: str) -> None:
    """Print a line at once, since the next may take minutes."""
    print(line, flush=True)


def two_cores() -> tuple[int, int]:
    """Return the core for the proxies and the core for the load.

    Raises:
        BenchError: this process may use one core only.
    """
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        message = "two cores are needed, one for the proxy and one for the load"
        raise BenchError(message)
    return cores[0], cores[1]

"""`python -m loadtests`: reads the arguments, runs the scenarios one after the other, and judges.

Exit codes: 0 nothing unexpected happened; 1 something did, and it is named; 2 wrong arguments, or something
is missing or did not start; 130 interrupted.
"""

import argparse
import contextlib
import importlib.util
import ipaddress
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from urllib.parse import urlsplit

from loadtests.errors import LoadTestError
from loadtests.scenarios import SCENARIOS
from loadtests.site import Key, Site, own_gateway, running_gateway
from loadtests.verdict import exit_code, table

MAX_DURATION_S = 600
MAX_USERS = 1000


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


def loopback(text: str) -> str:
    """Read the URL of a gateway on this machine; load is sent nowhere else."""
    parts = urlsplit(text)
    try:
        address = parts.hostname or ""
        is_loopback = address == "localhost" or ipaddress.ip_address(address).is_loopback
        is_complete = parts.scheme == "http" and parts.port is not None
    except ValueError:
        is_loopback = is_complete = False
    if not (is_loopback and is_complete):
        message = f"{text!r} is no URL on this machine such as http://127.0.0.1:8080"
        raise argparse.ArgumentTypeError(message)
    return f"{parts.scheme}://{parts.netloc}"


def key(text: str) -> Key:
    """Read an admin API key."""
    client_id, colon, secret = text.partition(":")
    if not (client_id and colon and secret):
        message = "an admin API key is written CLIENT-ID:CLIENT-SECRET"
        raise argparse.ArgumentTypeError(message)
    return Key(client_id, secret)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    found = argparse.ArgumentParser(
        prog="python -m loadtests",
        description="Put load on a gateway and fail on any unexpected error.",
        epilog="scenarios: " + "; ".join(f"{name}: {text}" for name, text in SCENARIOS.items()),
    )
    found.add_argument(
        "scenarios", nargs="*", metavar="SCENARIO", help="scenarios to run, in this order (all)"
    )
    found.add_argument(
        "--duration",
        type=bounded(1, MAX_DURATION_S),
        default=10,
        help="seconds of each scenario (10)",
    )
    found.add_argument(
        "--users", type=bounded(1, MAX_USERS), default=20, help="clients at the same time (20)"
    )
    found.add_argument(
        "--workers", type=bounded(0, 64), default=2, help="workers of a gateway of its own (2)"
    )
    found.add_argument(
        "--host",
        type=loopback,
        metavar="URL",
        help="a gateway that runs on this machine; without it, one is started",
    )
    found.add_argument("--admin", type=loopback, metavar="URL", help="admin API of --host")
    found.add_argument("--key", type=key, metavar="ID:SECRET", help="admin API key of --host")
    return found


def main(argv: Sequence[str]) -> int:
    """Run the load tests as `argv` says; return the exit code."""
    arguments = parser().parse_args(argv)
    try:
        names = chosen(arguments.scenarios)
        given = [arguments.host, arguments.admin, arguments.key]
        if any(given) and not all(given):
            raise LoadTestError("--host, --admin and --key belong together; give all of them")
        if importlib.util.find_spec("locust") is None:
            raise LoadTestError("locust is not installed; run `make load` once")
        with interruptible():
            if arguments.host:
                at = running_gateway(arguments.host, arguments.admin, arguments.key)
            else:
                at = own_gateway(arguments.workers)
            with at as site:
                return run(names, site, arguments.users, arguments.duration)
    except LoadTestError as error:
        print(f"python -m loadtests: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; every process that was started has been ended", file=sys.stderr)
        return 130


def run(names: Sequence[str], site: Site, users: int, duration_s: int) -> int:
    """Run scenarios on a gateway, print the table, and return the exit code."""
    from loadtests.locust_run import run_scenario  # noqa: PLC0415 (patches the standard library)

    verdicts = []
    for name in names:
        print(f"{name}: {users} users for {duration_s} s on {site.gateway}", flush=True)
        verdicts.append(run_scenario(name, site, users=users, duration_s=duration_s))
    print(table(verdicts))
    return exit_code(verdicts)


def chosen(names: Sequence[str]) -> list[str]:
    """Return the scenarios to run, each once.

    Raises:
        LoadTestError: There is none of a name; lists all.
    """
    for name in names:
        if name not in SCENARIOS:
            raise LoadTestError(f"no scenario {name!r}; there are {', '.join(SCENARIOS)}")
    return list(dict.fromkeys(names)) or list(SCENARIOS)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let SIGTERM do what Ctrl-C does, so that the same cleaning up runs."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

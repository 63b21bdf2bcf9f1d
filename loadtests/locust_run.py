"""One scenario in Locust, in this process: the import patches the standard library for gevent."""

import importlib
import time
from typing import Any, Final

import gevent
from locust.env import Environment

from loadtests.site import Site
from loadtests.verdict import Row, Verdict

__all__ = ["run_scenario"]

STOP_S: Final = 10
"""How long users may take to finish what they are doing."""


def run_scenario(name: str, site: Site, *, users: int, duration_s: int) -> Verdict:
    """Run a scenario and return what it has shown.

    Args:
        name: Its name.
        site: Where.
        users: How many clients at the same time; a scenario with several kinds shares them out.
        duration_s: For how long.
    """
    scenario = importlib.import_module(f"loadtests.scenarios.{name.replace('-', '_')}")
    with site.serving(*scenario.ROUTES):
        classes = scenario.users(site)
        environment = Environment(user_classes=classes, host=site.gateway, stop_timeout=STOP_S)
        runner = environment.create_local_runner()
        began = time.perf_counter()
        # All at once: a slow start would spare the gateway what these tests are about.
        runner.start(max(users, len(classes)), spawn_rate=max(users, len(classes)))
        gevent.sleep(duration_s)
        runner.stop()
        took_s = time.perf_counter() - began
        runner.quit()
    return Verdict(name, took_s, rows(environment), errors(environment), scenario.WANTED)


def rows(environment: Environment) -> list[Row]:
    """Return the numbers of each kind of request."""
    return [
        Row(
            name=entry.name,
            count=entry.num_requests,
            failed=entry.num_failures,
            p50_ms=entry.get_response_time_percentile(0.5) or 0.0,
            p99_ms=entry.get_response_time_percentile(0.99) or 0.0,
        )
        for entry in environment.stats.entries.values()
    ]


def errors(environment: Environment) -> dict[str, int]:
    """Return what was not expected: failed requests, and users that broke down."""
    found = {
        f"{entry.name}: {entry.error}": entry.occurrences
        for entry in environment.stats.errors.values()
    }
    broken: dict[Any, dict[str, Any]] = environment.runner.exceptions
    for each in broken.values():
        found[f"a user broke down: {each['msg']}\n{each['traceback']}"] = each["count"]
    return found

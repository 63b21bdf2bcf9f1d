"""A pytest plug-in: tasks whose deadlines are equal wake in an order that is drawn, and so do tasks that can go on.

Trio promises no order. Left alone, it takes equal deadlines by the addresses of their scopes, which for scopes of one test are
mostly in the order they were made: a test can rely on that for months. ``--shuffle-deadlines SEED`` draws both orders, each
test anew from the seed and its own name, so that a test which fails does so again, alone too.
"""

from __future__ import annotations

import heapq
import random
from typing import TYPE_CHECKING, Any

import pytest
from trio._core import _run

if TYPE_CHECKING:
    from collections.abc import Generator

OPTION = "--shuffle-deadlines"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take the option."""
    parser.addoption(OPTION, type=int, metavar="SEED", help="draw the order of equal deadlines")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """Draw the orders of a test, its fixtures included, where that is wanted."""
    seed = item.config.getoption(OPTION)
    if seed is None:
        return (yield)
    drawn = random.Random(f"{seed} {item.nodeid}")

    def add(self: Any, deadline: float, cancel_scope: Any) -> None:
        heapq.heappush(self._heap, (deadline, drawn.random(), cancel_scope))
        self._active += 1

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_run.Deadlines, "add", add)
        patch.setattr(_run, "_r", drawn)
        patch.setattr(_run, "_ALLOW_DETERMINISTIC_SCHEDULING", True)  # else a batch is only turned
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Name the seed where a test fails."""
    report: Any = yield
    seed = item.config.getoption(OPTION)
    if seed is not None and report.failed:
        report.sections.append(("order of deadlines", f"drawn by {OPTION} {seed}"))
    return report

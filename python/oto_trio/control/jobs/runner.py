"""Runs jobs: each in its task, again and again, whatever becomes of a single run.

A run that fails is logged and tried again at its next time; it never ends another job, nor the control
plane. A run that takes too long is ended. Two runs of one job never overlap.

Pauses are stretched by a random share (`Job.jitter`), so that the gateways of a cluster that were
started together do not all work, or ask the same server, at the same moment.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import msgspec
import trio

from oto_trio.control.store.history import Origin, acting
from oto_trio.model.errors import GatewayError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["SHORTEST_S", "Job", "run_jobs"]

logger = logging.getLogger(__name__)


SHORTEST_S: Final = 0.01
"""Seconds between two runs of a job at the least, whatever it says is due."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is done again and again."""

    name: str
    """What it is called in the log, and in the history of the store: ``first certificates``."""
    run: Callable[[], Awaitable[object]]
    """Does it once. What it raises is logged; it must be fit to be cancelled."""
    every_s: float
    """Seconds from the end of a run to the start of the next."""
    first_s: float = 0.0
    """Seconds from the start of the control plane to the first run; never stretched."""
    jitter: float = 0.1
    """By which share of `every_s` a pause is made longer at most, 0 to 1."""
    longest_s: float = 600.0
    """Seconds after which a run is cancelled."""
    due_in_s: Callable[[], float | None] | None = None
    """Asked after each run: in how many seconds something is due, if that is before the next run; None for
    nothing. A pause is cut short for it, but never below `SHORTEST_S`."""


async def run_jobs(jobs: Sequence[Job], *, chance: Callable[[], float] = random.random) -> None:
    """Run jobs until cancelled.

    Args:
        jobs: The jobs.
        chance: Gives numbers from 0 to 1 for the jitter.

    Cancellation: runs under way are cancelled.
    """
    async with trio.open_nursery() as nursery:
        for job in jobs:
            nursery.start_soon(_keep_running, job, chance)


async def _keep_running(job: Job, chance: Callable[[], float]) -> None:
    """Run one job again and again."""
    await trio.sleep(job.first_s)
    while True:
        await _run_once(job)
        pause_s = job.every_s * (1.0 + job.jitter * chance())
        due_s = None if job.due_in_s is None else job.due_in_s()
        await trio.sleep(pause_s if due_s is None else min(pause_s, max(due_s, SHORTEST_S)))


async def _run_once(job: Job) -> None:
    """Run a job once, and log what went wrong."""
    with trio.move_on_after(job.longest_s) as scope:
        try:
            with acting(Origin(actor=f"job {job.name}")):
                await job.run()
        except GatewayError as error:
            logger.error("job %r failed, the next run tries again: %s", job.name, error)
        except Exception:
            logger.exception("job %r failed, the next run tries again", job.name)
    if scope.cancelled_caught:
        logger.error("job %r took longer than %g s and was ended", job.name, job.longest_s)

"""The runner of jobs, on a clock of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from oto_trio.control.jobs import Job, run_jobs
from oto_trio.control.store import MemoryStore
from oto_trio.model.errors import StoreError

if TYPE_CHECKING:
    import pytest
    from trio.testing import MockClock


async def run_for(seconds: float, *jobs: Job, chance: float = 0.0) -> None:
    with trio.move_on_after(seconds):
        await run_jobs(jobs, chance=lambda: chance)


async def test_a_job_runs_at_its_first_time_and_then_after_each_pause(
    autojump_clock: MockClock,
) -> None:
    times: list[float] = []

    async def note() -> None:
        times.append(trio.current_time())
        await trio.sleep(1)

    began = trio.current_time()
    await run_for(36, Job(name="n", run=note, first_s=5, every_s=10))
    assert [round(t - began, 6) for t in times] == [5, 16, 27], "pauses begin when a run has ended"


async def test_pauses_are_stretched_and_the_first_is_not(
    autojump_clock: MockClock,
) -> None:
    times: list[float] = []

    async def note() -> None:
        times.append(trio.current_time())

    began = trio.current_time()
    job = Job(name="n", run=note, first_s=2, every_s=100, jitter=0.5)
    await run_for(260, job, chance=0.5)
    assert [round(t - began, 6) for t in times] == [2, 127, 252]


async def test_a_run_that_fails_is_logged_and_ends_nothing(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    runs = {"store": 0, "bug": 0, "group": 0, "fine": 0}

    async def without_store() -> None:
        runs["store"] += 1
        raise StoreError("the disk is gone")

    async def with_bug() -> None:
        runs["bug"] += 1
        raise LookupError("a bug")

    async def with_group() -> None:
        runs["group"] += 1
        raise ExceptionGroup("several", [LookupError("of them")])

    async def fine() -> None:
        runs["fine"] += 1

    jobs = [
        Job(name=name, run=run, every_s=10)
        for name, run in (
            ("store", without_store),
            ("bug", with_bug),
            ("group", with_group),
            ("fine", fine),
        )
    ]
    await run_for(25, *jobs)
    assert runs == {"store": 3, "bug": 3, "group": 3, "fine": 3}
    logged = [record for record in caplog.records if "failed" in record.message]
    assert len(logged) == 9
    told = [record for record in logged if "disk is gone" in record.message]
    assert len(told) == 3
    assert all(record.exc_info is None for record in told), "no traceback for what is foreseen"


async def test_a_run_that_hangs_is_ended(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    runs = 0

    async def hang() -> None:
        nonlocal runs
        runs += 1
        await trio.sleep_forever()

    await run_for(100, Job(name="stuck", run=hang, every_s=10, longest_s=30))
    assert runs == 3
    assert "'stuck' took longer than 30 s" in caplog.text


async def test_what_a_job_writes_is_remembered_as_its_own(autojump_clock: MockClock) -> None:
    async with MemoryStore() as store:

        async def write() -> None:
            await store.put("routes", "a", b"{}")

        await run_for(1, Job(name="tidy up", run=write, every_s=10))
        (revision,) = await store.revisions()
        assert revision.origin.actor == "job tidy up"

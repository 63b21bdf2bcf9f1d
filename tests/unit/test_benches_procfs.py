"""How the benches read /proc."""

import os
import time
from pathlib import Path

import pytest

from benches import procfs
from benches.procfs import CpuReading, ProcessStat

LINE = (
    "4711 (a (b) c) S 12 4711 4700 0 -1 4194560 100 0 0 0 250 50 7 8 20 0 3 0 98765 1000 200"
    " 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0"
)


def stat(pid: int, parent: int, session: int, *, zombie: bool = False) -> ProcessStat:
    return ProcessStat(pid, parent, session, 0, 0, zombie)


def test_a_stat_line_is_read_past_brackets_in_the_name() -> None:
    assert procfs.parse_stat(LINE) == ProcessStat(
        pid=4711, parent=12, session=4700, cpu_ticks=300, started_ticks=98765, zombie=False
    )


@pytest.mark.parametrize("text", ["", "12 name S 1", "12 (name) S 1 2 3"])
def test_what_is_no_stat_line_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a /proc/PID/stat line"):
        procfs.parse_stat(text)


def test_schedstat_is_time_on_cpu_first() -> None:
    assert procfs.parse_schedstat("430015 28823 2\n") == 430015
    with pytest.raises(ValueError, match="schedstat"):
        procfs.parse_schedstat("430015")


def test_memory_is_in_bytes() -> None:
    status = "Name:\tnginx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\nThreads:\t1\n"
    assert procfs.parse_status_bytes(status, "VmRSS") == 1024 * 1024
    assert procfs.parse_status_bytes(status, "VmHWM") == 2048 * 1024
    with pytest.raises(ValueError, match="VmSwap"):
        procfs.parse_status_bytes(status, "VmSwap")


def test_a_cores_busy_time_leaves_out_idle_and_guest() -> None:
    text = "cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 1 2 3 100 50 4 5 6 1 1\ncpu10 7 0 0 3 0 0 0 0 0 0\n"
    assert procfs.parse_core_ticks(text, 0) == (21, 171)
    assert procfs.parse_core_ticks(text, 10) == (7, 10)
    with pytest.raises(ValueError, match="cpu1"):
        procfs.parse_core_ticks(text, 1)


def test_a_family_is_descendants_and_session_without_zombies() -> None:
    stats = {
        s.pid: s
        for s in (
            stat(1, 0, 1),
            stat(10, 1, 10),  # the leader
            stat(11, 10, 10),  # its child
            stat(12, 11, 12),  # a grandchild in a session of its own
            stat(13, 1, 10),  # adopted by init, still of the session
            stat(14, 10, 10, zombie=True),
            stat(20, 1, 20),  # somebody else
        )
    }
    assert [s.pid for s in procfs.family(10, stats)] == [10, 11, 12, 13]


@pytest.mark.parametrize(
    ("exact_ns", "ticks", "expected"),
    [
        (1_234_567_890, 123, (1_234_567_890, "schedstat")),
        (None, 123, (123 * procfs.TICK_NS, "stat")),
        # two ticks less are rounding
        (1_210_000_000, 123, (1_210_000_000, "schedstat")),
        # much less: threads ended and took their nanoseconds along
        (900_000_000, 123, (123 * procfs.TICK_NS, "stat")),
    ],
)
def test_nanoseconds_are_used_unless_ticks_know_of_more(
    exact_ns: int | None, ticks: int, expected: tuple[int, str]
) -> None:
    members = frozenset({1})
    before = CpuReading(exact_ns=5_000, ticks_ns=0, processes=members)
    after = CpuReading(
        exact_ns=None if exact_ns is None else exact_ns + 5_000,
        ticks_ns=ticks * procfs.TICK_NS,
        processes=members,
    )
    assert after.since(before) == expected


def test_all_threads_of_a_process_count(tmp_path: Path) -> None:
    process = tmp_path / "4711"
    for thread, ns in (("4711", 1_000), ("4712", 500)):
        (process / "task" / thread).mkdir(parents=True)
        (process / "task" / thread / "schedstat").write_text(f"{ns} 0 1")
    (process / "stat").write_text(LINE)
    assert procfs.read_cpu([4711], tmp_path) == CpuReading(
        exact_ns=1_500, ticks_ns=300 * procfs.TICK_NS, processes=frozenset({4711})
    )


def test_without_schedstat_there_are_ticks(tmp_path: Path) -> None:
    (tmp_path / "4711" / "task" / "4711").mkdir(parents=True)
    (tmp_path / "4711" / "stat").write_text(LINE)
    reading = procfs.read_cpu([4711], tmp_path)
    assert reading.exact_ns is None
    assert reading.ticks_ns == 300 * procfs.TICK_NS


def test_this_process_is_seen_working_here() -> None:
    me = os.getpid()
    before = procfs.read_cpu([me])
    stop = time.process_time() + 0.1
    while time.process_time() < stop:
        sum(range(1000))
    used_ns, _ = procfs.read_cpu([me]).since(before)
    # The kernel may count what is under way a tick later.
    assert 0.05e9 < used_ns < 5e9
    assert me in {s.pid for s in procfs.family(me, procfs.snapshot())}
    assert procfs.resident_bytes(me) > 1_000_000
    assert procfs.peak_resident_bytes(me) >= 1_000_000
    busy, total = procfs.core_ticks(min(os.sched_getaffinity(0)))
    assert 0 < busy <= total

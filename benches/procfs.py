"""CPU time and memory of process trees, read from /proc.

CPU time comes from two files. /proc/PID/task/TID/schedstat counts in nanoseconds, but only
while its thread lives; /proc/PID/stat counts in clock ticks (10 ms on nearly every machine) and
keeps the time of threads that have ended. So nanoseconds are used where they are there, and
checked against the ticks.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
TICK_NS: Final = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class ProcessStat:
    """The fields of /proc/PID/stat that the benches use.

    Attributes:
        pid: Process id.
        parent: Id of the parent process.
        session: Id of the session's leader.
        cpu_ticks: User plus system time of all threads, ended ones included, in clock ticks.
        started_ticks: When the process started, in ticks since boot; with the pid it names one
            process for good.
        zombie: Whether it has ended and waits to be collected.
    """

    pid: int
    parent: int
    session: int
    cpu_ticks: int
    started_ticks: int
    zombie: bool


def parse_stat(text: str) -> ProcessStat:
    """Read a /proc/PID/stat line.

    Raises:
        ValueError: the line is not one.

    Source: proc(5). The command name is in brackets and may hold brackets and spaces itself, so
    fields are counted from the last closing one.
    """
    before, bracket, after = text.rpartition(")")
    fields = after.split()
    if not bracket or len(fields) < 20:
        message = f"not a /proc/PID/stat line: {text!r}"
        raise ValueError(message)
    return ProcessStat(
        pid=int(before.partition(" ")[0]),
        parent=int(fields[1]),
        session=int(fields[3]),
        cpu_ticks=int(fields[11]) + int(fields[12]),
        started_ticks=int(fields[19]),
        zombie=fields[0] in "ZX",
    )


def parse_schedstat(text: str) -> int:
    """Return the nanoseconds on a CPU from a schedstat line (its first of three numbers).

    Raises:
        ValueError: the line is not one.
    """
    fields = text.split()
    if len(fields) != 3:
        message = f"not a schedstat line: {text!r}"
        raise ValueError(message)
    return int(fields[0])


def parse_status_bytes(text: str, field: str) -> int:
    """Return a memory field of /proc/PID/status, such as `VmRSS`, in bytes.

    Raises:
        ValueError: there is no such field (a zombie has no memory).
    """
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name == field:
            number, unit = value.split()
            if unit == "kB":
                return int(number) * 1024
    message = f"no {field} in kB in this status"
    raise ValueError(message)


def parse_core_ticks(text: str, core: int) -> tuple[int, int]:
    """Return (busy, total) ticks of one core from /proc/stat.

    Idle and waiting for I/O are not busy; time stolen by the hypervisor is.

    Raises:
        ValueError: there is no such core.
    """
    for line in text.splitlines():
        name, _, rest = line.partition(" ")
        if name == f"cpu{core}":
            # guest time is part of user time already, so only the first eight count
            ticks = [int(field) for field in rest.split()[:8]]
            return sum(ticks) - ticks[3] - ticks[4], sum(ticks)
    message = f"/proc/stat has no cpu{core}"
    raise ValueError(message)


def core_ticks(core: int, proc: Path = PROC) -> tuple[int, int]:
    """Return (busy, total) ticks of one core since boot."""
    return parse_core_ticks((proc / "stat").read_text(), core)


def snapshot(proc: Path = PROC) -> dict[int, ProcessStat]:
    """Return the stat of every process that can be read, by pid."""
    stats = {}
    for folder in proc.iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            stat = parse_stat((folder / "stat").read_text())
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while this was looking
        stats[stat.pid] = stat
    return stats


def family(leader: int, stats: Mapping[int, ProcessStat]) -> list[ProcessStat]:
    """Return the living processes of `leader`: descendants, and members of its session.

    Both, since a daemonised child leaves the tree and a child may have begun a session of its own.
    """
    members = {pid for pid, stat in stats.items() if leader in {pid, stat.session}}
    grew = True
    while grew:
        children = {pid for pid, stat in stats.items() if stat.parent in members} - members
        members |= children
        grew = bool(children)
    return [stats[pid] for pid in sorted(members) if not stats[pid].zombie]


@dataclass(frozen=True, slots=True)
class CpuReading:
    """CPU time used by some processes up to one moment.

    Attributes:
        exact_ns: By schedstat, None where the kernel has none.
        ticks_ns: By stat, in whole ticks.
        processes: Whose time it is.
    """

    exact_ns: int | None
    ticks_ns: int
    processes: frozenset[int]

    def since(self, earlier: "CpuReading") -> tuple[int, str]:
        """Return (nanoseconds, file they are from) used between `earlier` and this reading."""
        ticks = self.ticks_ns - earlier.ticks_ns
        if self.exact_ns is None or earlier.exact_ns is None:
            return ticks, "stat"
        exact = self.exact_ns - earlier.exact_ns
        # Two roundings a process; more than that missing means that threads ended in between
        # and took their nanoseconds along.
        if exact + 2 * TICK_NS * len(self.processes) < ticks * 0.98:
            return ticks, "stat"
        return exact, "schedstat"


def read_cpu(pids: Iterable[int], proc: Path = PROC) -> CpuReading:
    """Read the CPU time of these processes, all their threads included.

    Raises:
        FileNotFoundError, ProcessLookupError: one of them has ended.
    """
    exact: int | None = 0
    ticks = 0
    members = frozenset(pids)
    for pid in members:
        ticks += parse_stat((proc / str(pid) / "stat").read_text()).cpu_ticks
        for thread in (proc / str(pid) / "task").iterdir():
            if exact is None:
                break
            try:
                exact += parse_schedstat((thread / "schedstat").read_text())
            except (FileNotFoundError, ProcessLookupError):
                # Either the thread ended just now or the kernel keeps no such file.
                if not (proc / str(pid) / "schedstat").exists():
                    exact = None
    return CpuReading(exact_ns=exact, ticks_ns=ticks * TICK_NS, processes=members)


def resident_bytes(pid: int, proc: Path = PROC) -> int:
    """Return the resident memory of a process in bytes, shared pages included."""
    return parse_status_bytes((proc / str(pid) / "status").read_text(), "VmRSS")


def peak_resident_bytes(pid: int, proc: Path = PROC) -> int:
    """Return the most resident memory that a process had since `forget_peak`, in bytes."""
    return parse_status_bytes((proc / str(pid) / "status").read_text(), "VmHWM")


def forget_peak(pid: int, proc: Path = PROC) -> None:
    """Let `peak_resident_bytes` count from the present memory on. Source: proc(5), clear_refs."""
    (proc / str(pid) / "clear_refs").write_text("5")

"""idle: what an idle connection takes in memory."""

import json
import resource
from typing import Any, ClassVar

from typing_extensions import override

from benches.contestant import Contestant
from benches.errors import BenchError, InvalidRunError
from benches.launch import Launched
from benches.measurement import Sample
from benches.scenarios.scenario import Conditions, Scenario, load_facts, memory_facts
from benches.traffic import LoadCore

CONNECTIONS = 10_000
SPARE_FILES = 1_000
FEWEST = 5_000
"""Fewer than these tell too little."""


class Idle(Scenario):
    """10,000 connections that had one exchange each and wait for the next; one after the other.

    The growth is the resident memory with them all open less that before, over their number.
    """

    name: ClassVar[str] = "idle"
    summary: ClassVar[str] = "10,000 idle keep-alive connections: memory of each"
    unit: ClassVar[str] = "connection"
    fresh: ClassVar[bool] = True
    websocket: ClassVar[bool] = False

    @override
    def warm_up(self, contestant: Contestant, load: LoadCore, conditions: Conditions) -> None:
        """Exchange enough to have what every process allocates once, whatever follows."""
        self.count()
        for _ in range(50):
            contestant.ask(contestant.job.routes[0])

    @override
    def measure(self, contestant: Contestant, load: LoadCore, conditions: Conditions) -> Sample:
        count = self.count()
        before = sum(contestant.resident().values())
        argv = load.command(
            "idle",
            contestant.port,
            contestant.job.routes[0],
            path="bytes/1024",
            connections=count,
            websocket="yes" if self.websocket else "no",
        )
        log = load.folder / "idle.log"
        log.unlink(missing_ok=True)
        with Launched(argv, core=load.core, log=log, speaks=True) as clients:
            opened, window = contestant.watch(lambda: answer(clients))
            resident = sum(contestant.resident().values())
            parts = memory_facts(contestant)
            closed = answer(clients, "\n")["closed"]
        if closed:
            message = f"{closed} of {count} idle connections did not stay open"
            raise InvalidRunError(message)
        return Sample(
            requests=count,
            seconds=opened["seconds"],
            cpu_ns=window.cpu_ns,
            cpu_source=window.cpu_source,
            p50_ms=opened["p50_ms"],
            p99_ms=opened["p99_ms"],
            resident_bytes=resident,
            extras={"idle_connection_kb": (resident - before) / 1e3 / count}
            | load_facts(window)
            | parts,
        )

    def count(self) -> int:
        """Return how many connections there are to be.

        Raises:
            BenchError: the limit of open files is too low for them.
        """
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        sockets = 2 if self.websocket else 1
        needed = sockets * CONNECTIONS + SPARE_FILES
        if files >= needed:
            return CONNECTIONS
        if self.websocket and files >= 2 * FEWEST + SPARE_FILES:
            return (files - SPARE_FILES) // 2
        message = (
            f"{CONNECTIONS} idle connections need {needed} open files and"
            f" the limit is {files}: raise it with ulimit -n"
        )
        raise BenchError(message)


def answer(clients: Launched, line: str = "") -> Any:
    """Send `line` to the client tool and return the JSON object of its next line.

    Raises:
        InvalidRunError: it ended instead.
    """
    process = clients.process
    if process.stdin is None or process.stdout is None:
        message = "the client tool was started without pipes"
        raise BenchError(message)
    process.stdin.write(line)
    process.stdin.flush()
    text = process.stdout.readline()
    if not text:
        raise InvalidRunError(clients.log.read_text().strip() or "the client tool ended")
    return json.loads(text)

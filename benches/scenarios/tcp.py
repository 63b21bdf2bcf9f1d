"""tcp, tcp-many: what octets cost that pass through a TCP service."""

from typing import ClassVar

from typing_extensions import override

from benches.contestant import Contestant
from benches.job import Job
from benches.measurement import MB, Sample
from benches.scenarios.scenario import Conditions, Scenario, moved
from benches.traffic import LoadCore

WARM_UP_BYTES = 64 << 20


class Tcp(Scenario):
    """1 GiB to the upstream and 1 GiB from it, on one connection; CPU is per MB."""

    name: ClassVar[str] = "tcp"
    summary: ClassVar[str] = "a TCP service passes on 1 GiB each way, on one connection"
    unit: ClassVar[str] = "MB"
    connections: ClassVar[int] = 1
    size_bytes: ClassVar[int] = 1 << 30

    @override
    def job(self, upstream_port: int, conditions: Conditions) -> Job:
        del conditions
        return Job(upstream_port, tcp=True)

    @override
    def warm_up(self, contestant: Contestant, load: LoadCore, conditions: Conditions) -> None:
        """Pass on a little each way."""
        del conditions
        for verb in ("up", "down"):
            self._move(verb, contestant, load, WARM_UP_BYTES)

    @override
    def measure(self, contestant: Contestant, load: LoadCore, conditions: Conditions) -> Sample:
        """Pass on all of it, one way after the other."""
        each = self.size_bytes // self.connections
        up = contestant.watch(lambda: self._move("up", contestant, load, each))
        down = contestant.watch(lambda: self._move("down", contestant, load, each))
        return moved(contestant, each * self.connections / MB, up, down)

    def _move(
        self, verb: str, contestant: Contestant, load: LoadCore, size_bytes: int
    ) -> dict[str, float]:
        # What is passed on is HTTP, of which the proxy reads nothing: so octets are counted at the end.
        numbers: dict[str, float] = load.run(
            verb,
            contestant.port,
            contestant.job.routes[0],
            path="sink" if verb == "up" else f"bytes/{size_bytes}",
            bytes=size_bytes,
            connections=self.connections,
        )
        return numbers


class TcpMany(Tcp):
    """The same octets on sixteen connections at once."""

    name: ClassVar[str] = "tcp-many"
    summary: ClassVar[str] = "tcp on 16 connections at once, 64 MiB each way on each"
    connections: ClassVar[int] = 16

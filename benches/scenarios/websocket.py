"""websocket, websocket-idle: what a message of a WebSocket costs, and a WebSocket that is silent."""

from typing import ClassVar

from typing_extensions import override

from benches.contestant import Contestant
from benches.job import Job
from benches.measurement import Sample
from benches.scenarios.idle import Idle
from benches.scenarios.scenario import Conditions, Scenario, load_facts, memory_facts
from benches.traffic import LoadCore

MESSAGE_BYTES = 64


class WebSocket(Scenario):
    """64 WebSockets, each of which sends its next message when the one before came back."""

    name: ClassVar[str] = "websocket"
    summary: ClassVar[str] = "64 WebSockets that have messages of 64 octets echoed"
    unit: ClassVar[str] = "echo"
    connections: ClassVar[int] = 64

    @override
    def job(self, upstream_port: int, conditions: Conditions) -> Job:
        del conditions
        return Job(upstream_port, websocket=True)

    @override
    def warm_up(self, contestant: Contestant, load: LoadCore, conditions: Conditions) -> None:
        """Exchange messages for a second."""
        del conditions
        self._loop(contestant, load, 1)

    @override
    def measure(self, contestant: Contestant, load: LoadCore, conditions: Conditions) -> Sample:
        """Load one proxy once; the opening of the WebSockets is a part of it."""
        numbers, window = contestant.watch(
            lambda: self._loop(contestant, load, conditions.duration_s)
        )
        return Sample(
            requests=int(numbers["requests"]),
            seconds=numbers["seconds"],
            cpu_ns=window.cpu_ns,
            cpu_source=window.cpu_source,
            p50_ms=numbers["p50_ms"],
            p99_ms=numbers["p99_ms"],
            resident_bytes=sum(contestant.resident().values()),
            extras=load_facts(window) | memory_facts(contestant),
        )

    def _loop(self, contestant: Contestant, load: LoadCore, seconds: int) -> dict[str, float]:
        numbers: dict[str, float] = load.run(
            "echo",
            contestant.port,
            contestant.job.routes[0],
            path="echo",
            connections=self.connections,
            bytes=MESSAGE_BYTES,
            seconds=seconds,
        )
        return numbers


class WebSocketIdle(Idle):
    """The idle connections as WebSockets that had one message echoed each.

    A proxy has two sockets for each, so that fewer are opened where the limit of open files is
    below what 10,000 take.
    """

    name: ClassVar[str] = "websocket-idle"
    summary: ClassVar[str] = (
        "10,000 idle WebSockets (fewer where open files are limited): memory of each"
    )
    unit: ClassVar[str] = "WebSocket"
    websocket: ClassVar[bool] = True

    @override
    def job(self, upstream_port: int, conditions: Conditions) -> Job:
        del conditions
        return Job(upstream_port, websocket=True)

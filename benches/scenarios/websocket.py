"""websocket, websocket-idle: what a message of a WebSocket costs, and a WebSocket that is silent."""

from typing import ClassVar

from typing_extensions import override

from benches.contestant import Contestant
from benches.job import Job
from benches.scenarios.idle import Idle
from benches.scenarios.scenario import Conditions, Timed
from benches.traffic import LoadCore

MESSAGE_BYTES = 64


class WebSocket(Timed):
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
    def run(self, contestant: Contestant, load: LoadCore, duration_s: int) -> dict[str, float]:
        """Exchange messages; the opening of the WebSockets is a part of it."""
        numbers: dict[str, float] = load.run(
            "echo",
            contestant.port,
            contestant.job.routes[0],
            path="echo",
            connections=self.connections,
            bytes=MESSAGE_BYTES,
            seconds=duration_s,
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

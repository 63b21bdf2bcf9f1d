"""The frames that a worker sends to its supervisor; part of `gateway.frames`.

`Hello`, `Applied` for every revision that is live, `Ready` once it listens, then reports, records, counters and
questions as they come, and `Draining` at the end.
"""

from typing import TypeAlias

import msgspec

from oto_trio.gateway.listener_frames import ListenerReport

__all__ = [
    "Alerts",
    "Applied",
    "AskCertificate",
    "AskMetricsPage",
    "Draining",
    "Health",
    "Hello",
    "LeakedKey",
    "Metrics",
    "ProblemReport",
    "Ready",
    "Records",
    "RouteCount",
    "RouteCounts",
    "TcpRecords",
    "UpFrame",
    "WebsocketRecords",
]


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """The first frame up: the worker runs and has read `Start`.

    Attributes:
        protocol: `PROTOCOL` of the worker.
        pid: The worker's process id.
    """

    protocol: int
    pid: int


class Applied(msgspec.Struct, frozen=True, tag="applied"):
    """A revision is live: every exchange that begins from now on sees it.

    Attributes:
        revision: The store's revision.
        routes: How many routes the installed snapshot has.
    """

    revision: int
    routes: int


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The worker accepts connections on the listeners of its slot."""


class ProblemReport(msgspec.Struct, frozen=True, tag="problem"):
    """Something an operator should know; the worker goes on without it.

    Attributes:
        kind: The entity's kind, or `plugin`, `engine`.
        id: The entity's or plugin's id; empty when there is none.
        message: What is wrong and how to mend it.
    """

    kind: str
    id: str
    message: str


class Records(msgspec.Struct, frozen=True, tag="records"):
    """Access records, as the engine packed them.

    Attributes:
        batch: A msgpack array of access records.
        unix_offset_s: What to add to the records' times, which are the worker's, to get Unix time.
    """

    batch: bytes
    unix_offset_s: float


class Alerts(msgspec.Struct, frozen=True, tag="alerts"):
    """Records of exchanges that raised alerts, while nobody wants events.

    Attributes:
        batch: A msgpack array of records with details.
        unix_offset_s: As of `Records`.
    """

    batch: bytes
    unix_offset_s: float


class TcpRecords(msgspec.Struct, frozen=True, tag="tcp_records"):
    """Records of connections of TCP services, as the engine packed them.

    Attributes:
        batch: A msgpack array of them.
        unix_offset_s: As of `Records`.
    """

    batch: bytes
    unix_offset_s: float


class WebsocketRecords(msgspec.Struct, frozen=True, tag="websocket_records"):
    """Messages of WebSockets that plugins refused; see `WebsocketRecord` and `Records`."""

    batch: bytes
    unix_offset_s: float


class Metrics(msgspec.Struct, frozen=True, tag="metrics"):
    """The worker's counters since it started.

    Attributes:
        token: The token of the `AskMetrics` this answers.
        values: The counters, as JSON: `Engine.metrics()` plus the worker's own.
    """

    token: int
    values: bytes


class RouteCount(msgspec.Struct, frozen=True, array_like=True):
    """What the calls of one route came to in one worker.

    Attributes:
        id: The route's id.
        calls: Exchanges that ended.
        bytes_in: Body bytes from clients.
        bytes_out: Bytes to clients, heads included.
        duration_s: Sum of the seconds from head to end of the response.
        overhead_s: Of that, what was not spent waiting for a backend's response head.
        running: Exchanges that run now.
    """

    id: str
    calls: int
    bytes_in: int
    bytes_out: int
    duration_s: float
    overhead_s: float
    running: int


class RouteCounts(msgspec.Struct, frozen=True, tag="route_counts"):
    """What the calls of some routes came to since the worker started.

    Attributes:
        token: The token of the `AskRouteCounts` this answers; 0 for a part of all that a worker which
            ends has counted.
        routes: The ids of the routes that the entity means here.
        counts: Those of them that had calls.
    """

    token: int
    routes: list[str]
    counts: list[RouteCount]


class Health(msgspec.Struct, frozen=True, tag="health"):
    """A sign of life, sent about once a second.

    Attributes:
        turns: How often the pump turned the engine.
        lag_s: How late the reporter itself woke, in seconds: the delay of the worker's Trio loop.
    """

    turns: int
    lag_s: float


class AskMetricsPage(msgspec.Struct, frozen=True, tag="ask_metrics_page"):
    """A client asked this worker for the metrics of the whole gateway.

    Attributes:
        token: Comes back in the answer.
        query: The query of the request, without `?`.
        accept: The request's Accept header, or an empty string.
    """

    token: int
    query: str
    accept: str


class AskCertificate(msgspec.Struct, frozen=True, tag="ask_certificate"):
    """A client asked for a server name that no certificate is for; its handshake waits.

    Attributes:
        token: Comes back in the answer.
        server_name: The name, as the client sent it.
    """

    token: int
    server_name: str


class LeakedKey(msgspec.Struct, frozen=True, tag="leaked_key"):
    """An API key was sent over plain HTTP to a route that has it taken out of use then.

    Attributes:
        client_id: The key's client id.
    """

    client_id: str


class Draining(msgspec.Struct, frozen=True, tag="draining"):
    """The worker drains, and this is what it waits for.

    Attributes:
        in_flight: Counts by name, such as `exchanges` and `tunnels`.
        finished: Whether the drain is over; the worker ends after this frame.
        dropped: Whether the deadline cut off what `in_flight` counts.
    """

    in_flight: dict[str, int]
    finished: bool
    dropped: bool


UpFrame: TypeAlias = (
    Hello
    | Applied
    | Ready
    | ProblemReport
    | Records
    | Alerts
    | TcpRecords
    | WebsocketRecords
    | ListenerReport
    | Metrics
    | RouteCounts
    | Health
    | AskMetricsPage
    | AskCertificate
    | LeakedKey
    | Draining
)
"""A frame from a worker to the supervisor."""

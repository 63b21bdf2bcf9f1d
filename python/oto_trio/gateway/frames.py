"""The frames that travel on a link between the supervisor and a gateway worker.

Down (supervisor to worker): `Start`, then the entities as `SnapshotFull` chunks, then `Change` for
every later revision, plus the orders `AdoptSlot`, `ReloadPlugins`, `AskMetrics`, `ControlHealth`,
`MetricsPage`, `CertificateAnswer`, `Capture`, `Listen`, `Retune`, `Unlisten` and `Drain`.

Up (worker to supervisor): `Hello`, `Applied` for every revision that is live, `Ready` once it
listens, then `ProblemReport`, `Records`, `Metrics`, `Health`, `AskMetricsPage`, `AskCertificate`,
`LeakedKey`, `TcpRecords`, `WebsocketRecords`, `Released`, `Retuned`, and `Draining`.

Entities travel as the JSON bytes the store holds, and each worker compiles them itself: the link
never carries compiled state, so a cluster worker on another machine can be fed the same frames.
"""

from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

import msgspec

from oto_trio.gateway.listener_frames import (
    HANDOVER_BYTES,
    Listen,
    ListenerReport,
    ListenerWays,
    Retune,
    Unlisten,
)
from oto_trio.jq.bounds import JqBounds
from oto_trio.model.stream_bounds import StreamBounds

__all__ = [
    "BATCH_BYTES",
    "HANDOVER_BYTES",
    "PROTOCOL",
    "AdoptSlot",
    "Alerts",
    "Applied",
    "AskCertificate",
    "AskMetrics",
    "AskMetricsPage",
    "AskRouteCounts",
    "Capture",
    "CertificateAnswer",
    "Change",
    "ControlHealth",
    "DownFrame",
    "Drain",
    "Draining",
    "Entity",
    "EntityKey",
    "Health",
    "Hello",
    "InheritedLimits",
    "InheritedListener",
    "LeakedKey",
    "Listen",
    "ListenerWays",
    "Metrics",
    "MetricsPage",
    "ProblemReport",
    "Ready",
    "Records",
    "ReloadPlugins",
    "Retune",
    "RouteCount",
    "RouteCounts",
    "SnapshotFull",
    "Start",
    "TcpRecords",
    "Unlisten",
    "UpFrame",
    "WebsocketRecords",
    "batches",
]

PROTOCOL: Final = 1
"""Version of the frames. A worker that says another number in `Hello` is refused."""

BATCH_BYTES: Final = 512 * 1024
"""Entity bytes a sender puts in one frame: about 300 routes, one slice of a worker's compiling."""


class EntityKey(msgspec.Struct, frozen=True, array_like=True):
    """Names one entity.

    Attributes:
        kind: The entity's kind as the store names it, such as `route`.
        id: The entity's id, unique within its kind.
    """

    kind: str
    id: str


class Entity(msgspec.Struct, frozen=True, array_like=True):
    """One entity as the store holds it.

    Attributes:
        kind: The entity's kind as the store names it, such as `route`.
        id: The entity's id, unique within its kind.
        body: The entity's JSON.
    """

    kind: str
    id: str
    body: bytes


class InheritedListener(msgspec.Struct, frozen=True, array_like=True):
    """A listening socket that the supervisor owns and a worker may adopt.

    Attributes:
        fd: The descriptor in the worker's process.
        name: The listener's name, such as `standard-listener`.
        ways: What clients may speak on it.
        slot: The worker slot whose connections the kernel queues on this socket.
        is_tcp: Whether it is for TCP services; otherwise it takes HTTP.
        token: Names the listener, for `Unlisten`; 0 for one that is never taken away.
        is_datagrams: Whether it is a UDP socket, for HTTP/3.
    """

    fd: int
    name: str
    ways: ListenerWays
    slot: int
    is_tcp: bool = False
    token: int = 0
    is_datagrams: bool = False


class InheritedLimits(msgspec.Struct, frozen=True, array_like=True):
    """The table of counters that all workers of the machine share.

    Attributes:
        fd: The descriptor in the worker's process.
        gauge: The worker's own number in it.
        among_processes: Whether other processes count in it too, so that times must be the machine's.
    """

    fd: int
    gauge: int
    among_processes: bool


class Start(msgspec.Struct, frozen=True, tag="start"):
    """The first frame down: everything a worker needs before entities arrive.

    Attributes:
        protocol: `PROTOCOL` of the supervisor.
        slot: The worker's slot, 0 to N-1.
        listeners: Every listening socket handed down, also those of other slots.
        engine_settings: JSON for the engine's constructor: its bounds and timeouts.
        plugin_folder: The folder that holds user plugins, empty when there is none.
        drain_timeout_s: How long a drain waits when the worker is asked to end by a signal.
        forward_records: Whether access records are wanted; otherwise they are discarded.
        log_format: `text` or `json`.
        log_level: A `logging` level name.
        health_access_key: Key the health probes ask for; None leaves them open.
        metrics_access_key: Key the metrics page asks for; None leaves it open.
        makes_certificates: Whether to ask for a certificate for every unknown server name, whatever
            the global configuration says of `autoCert`.
        http3_early_data: Whether clients of HTTP/3 that return may send safe requests with their first packets.
        ticket_secret: What TLS session tickets are locked with, so that every worker can open them;
            empty for a secret of the worker's own.
        expressions: JSON object of what expressions may read in every route: the environment
            variables that the operator lets through, and the values of `config`.
        shared_key: The key of the exchange protocol of service descriptors that name the installation's;
            None when it has none.
        limits: The counters to use; None lets the worker count by itself.
        https_port: The port under which clients reach the gateway with TLS; None for 443.
        mounts: Applications that routes may have called, as `package.module:name` with `*`.
        stream_bounds: What clients of HTTP/2 and HTTP/3 may ask of a connection.
        jq: What filters may use.
        handover: The descriptor of a socket through which later listening sockets come (`Listen`);
            -1 when none will.
    """

    protocol: int
    slot: int
    listeners: list[InheritedListener]
    engine_settings: bytes = b"{}"
    plugin_folder: str = ""
    drain_timeout_s: float = 10.0
    forward_records: bool = False
    log_format: str = "text"
    log_level: str = "INFO"
    health_access_key: str | None = None
    metrics_access_key: str | None = None
    makes_certificates: bool = False
    http3_early_data: bool = False
    ticket_secret: bytes = b""
    expressions: bytes = b"{}"
    shared_key: str | None = None
    limits: InheritedLimits | None = None
    https_port: int | None = None
    mounts: tuple[str, ...] = ()
    stream_bounds: StreamBounds = StreamBounds()
    jq: JqBounds = JqBounds()
    handover: int = -1


class SnapshotFull(msgspec.Struct, frozen=True, tag="snapshot"):
    """One chunk of the complete state. What no chunk names does not exist (any more).

    Attributes:
        revision: The store's revision that the whole snapshot shows.
        chunk: 0 for the first chunk, then counting up.
        last: Whether this chunk completes the snapshot.
        entities: The entities of this chunk.
    """

    revision: int
    chunk: int
    last: bool
    entities: list[Entity]


class Change(msgspec.Struct, frozen=True, tag="change"):
    """What changed since the revision sent before.

    Attributes:
        revision: The store's revision after the change.
        last: Whether this frame completes the revision; only then is it acknowledged.
        upserts: Entities that are new or have a new body.
        removed: Entities that are gone.
    """

    revision: int
    last: bool
    upserts: list[Entity]
    removed: list[EntityKey]


class AdoptSlot(msgspec.Struct, frozen=True, tag="adopt"):
    """Also accept the connections of a slot whose own worker is in back-off.

    Attributes:
        slot: The slot whose listeners the worker adopts on top of its own.
    """

    slot: int


class ReloadPlugins(msgspec.Struct, frozen=True, tag="reload_plugins"):
    """Load the user plugins again and recompile the routes that use them."""


class AskMetrics(msgspec.Struct, frozen=True, tag="ask_metrics"):
    """Send `Metrics` now.

    Attributes:
        token: Comes back in the answer; never 0.
    """

    token: int


class AskRouteCounts(msgspec.Struct, frozen=True, tag="ask_route_counts"):
    """Send the `RouteCounts` of an entity now.

    Attributes:
        token: Comes back in the answer; never 0.
        entity: A route, or an entity that means routes.
    """

    token: int
    entity: EntityKey


class ControlHealth(msgspec.Struct, frozen=True, tag="control_health"):
    """What the control plane knows about itself, for the probes a worker serves.

    Attributes:
        store_is_healthy: Whether the store answers.
        is_started: Whether the first start-up has completed.
    """

    store_is_healthy: bool
    is_started: bool


class MetricsPage(msgspec.Struct, frozen=True, tag="metrics_page"):
    """The answer to an `AskMetricsPage`.

    Attributes:
        token: The asker's token.
        status: HTTP status.
        content_type: The body's media type.
        body: The body.
    """

    token: int
    status: int
    content_type: str
    body: bytes


class CertificateAnswer(msgspec.Struct, frozen=True, tag="certificate_answer"):
    """The answer to an `AskCertificate`.

    With `ok` and no `certificate`, one for the name is in the store, and was applied by this worker
    before the answer was sent, unless that took longer than a second: choose again.

    Attributes:
        token: The asker's token.
        ok: Whether there is a certificate now; without, the handshake fails.
        certificate: JSON of a certificate entity that is in no store, for this handshake and the next
            few of its name (`replyNicely`: the HTTP layer then answers 404 `errors.ssl.nocert`);
            empty when it is in the store.
    """

    token: int
    ok: bool
    certificate: bytes = b""


class Capture(msgspec.Struct, frozen=True, tag="capture"):
    """Say what records tell from now on; without this frame, nothing for events.

    Attributes:
        events: Whether events are wanted, and so records with details.
        redaction: JSON: what of them may be told, as the engine reads it.
    """

    events: bool
    redaction: bytes = b"{}"


class Drain(msgspec.Struct, frozen=True, tag="drain"):
    """Stop accepting, finish what is in flight, then end.

    Attributes:
        timeout_s: Seconds after which whatever is left is dropped.
        is_replaced: Whether another worker has the same sockets by now.
    """

    timeout_s: float
    is_replaced: bool = False


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


DownFrame: TypeAlias = (
    Start
    | SnapshotFull
    | Change
    | AdoptSlot
    | Listen
    | Retune
    | Unlisten
    | ReloadPlugins
    | AskMetrics
    | AskRouteCounts
    | ControlHealth
    | MetricsPage
    | CertificateAnswer
    | Capture
    | Drain
)
"""A frame from the supervisor to a worker."""

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


def batches(
    entities: Iterable[Entity], limit_bytes: int = BATCH_BYTES
) -> Iterator[tuple[list[Entity], bool]]:
    """Split entities into lists that fit a frame each.

    Args:
        entities: The entities, in the order they shall arrive.
        limit_bytes: Bodies and ids of one list add up to no more than this, unless a single
            entity is larger; that one then has a list of its own.

    Returns:
        Pairs of a list and whether it is the last one. Without entities: one empty, last list.
    """
    batch: list[Entity] = []
    size = 0
    for entity in entities:
        entity_bytes = len(entity.body) + len(entity.id) + len(entity.kind)
        if batch and size + entity_bytes > limit_bytes:
            yield batch, False
            batch, size = [], 0
        batch.append(entity)
        size += entity_bytes
    yield batch, True

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
    ListenerWays,
    Retune,
    Unlisten,
)
from oto_trio.gateway.up_frames import (
    Alerts,
    Applied,
    AskCertificate,
    AskMetricsPage,
    Draining,
    Health,
    Hello,
    LeakedKey,
    Metrics,
    ProblemReport,
    Ready,
    Records,
    RouteCount,
    RouteCounts,
    TcpRecords,
    UpFrame,
    WebsocketRecords,
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

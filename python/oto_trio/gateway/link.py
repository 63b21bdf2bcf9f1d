"""The link: how the supervisor and one gateway worker talk.

A link is one stream socket between the supervisor and a worker (a socketpair; for `--workers 0`
both ends lie in one process). Each message is a *frame*: a four byte big-endian length, then a
msgpack body of that length. The body is one member of a tagged union, so a frame that one side
does not know is refused by name instead of being misread.

Theory of operation
    Down (supervisor to worker): `Start`, then the entities as `SnapshotFull` chunks, then `Change`
    for every later revision, plus the orders `AdoptSlot`, `ReloadPlugins`, `AskMetrics`,
    `ControlHealth`, `MonitoringAnswer` and `Drain`.
    Up (worker to supervisor): `Hello`, `Applied` for every revision that is live, `Ready` once it
    listens, then `ProblemReport`, `Records`, `Metrics`, `Health`, `AskMonitoring`, and `Draining`.

    Entities travel as the JSON bytes the store holds, and each worker compiles them itself: the
    link never carries compiled state, so a cluster worker on another machine can be fed the same
    frames.

Bounds
    No frame is larger than `MAX_FRAME_BYTES`; a larger announcement ends the link with
    `LinkProtocolError` before a byte of it is read. Senders split entity lists with `batches`.
    Queues in front of a link are `Outbox`es: bounded, each message sent either by waiting for room
    or by being dropped and counted. Which of the two is stated where it is sent.
"""

import struct
from collections.abc import Iterable, Iterator
from typing import Generic, TypeAlias, TypeVar

import msgspec
import trio

__all__ = [
    "MAX_FRAME_BYTES",
    "PROTOCOL",
    "AdoptSlot",
    "Applied",
    "AskMetrics",
    "AskMonitoring",
    "Change",
    "ControlHealth",
    "DownFrame",
    "Drain",
    "Draining",
    "Entity",
    "EntityKey",
    "Health",
    "Hello",
    "InheritedListener",
    "Link",
    "LinkClosedError",
    "LinkProtocolError",
    "Metrics",
    "MonitoringAnswer",
    "Outbox",
    "ProblemReport",
    "Ready",
    "Records",
    "ReloadPlugins",
    "SnapshotFull",
    "Start",
    "UpFrame",
    "batches",
    "supervisor_end",
    "worker_end",
]

PROTOCOL = 1
"""Version of the frames. A worker that says another number in `Hello` is refused."""

MAX_FRAME_BYTES = 16 * 1024 * 1024
"""Largest frame either side accepts. One entity must fit, so this also bounds an entity."""

BATCH_BYTES = 512 * 1024
"""Entity bytes a sender puts in one frame: about 300 routes, one slice of a worker's compiling."""

_HEADER = struct.Struct(">I")
_RECEIVE_BYTES = 256 * 1024


class LinkClosedError(Exception):
    """The other end is gone: it closed the link or its process ended."""


class LinkProtocolError(Exception):
    """The other end sent something that is no frame, or one larger than `MAX_FRAME_BYTES`."""


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
        secured: Whether clients speak TLS on it.
        slot: The worker slot whose connections the kernel queues on this socket.
    """

    fd: int
    name: str
    secured: bool
    slot: int


class Start(msgspec.Struct, frozen=True, tag="start"):
    """The first frame down: everything a worker needs before entities arrive.

    Attributes:
        protocol: `PROTOCOL` of the supervisor.
        slot: The worker's slot, 0 to N-1.
        listeners: Every listening socket handed down, also those of other slots.
        engine_settings: JSON for the engine's constructor: its bounds and timeouts.
        plugin_folders: Folders that hold user plugins, in order of precedence.
        drain_timeout_s: How long a drain waits when the worker is asked to end by a signal.
        forward_records: Whether access records are wanted; otherwise they are discarded.
        log_format: `text` or `json`.
        log_level: A `logging` level name.
    """

    protocol: int
    slot: int
    listeners: list[InheritedListener]
    engine_settings: bytes = b"{}"
    plugin_folders: list[str] = []
    drain_timeout_s: float = 10.0
    forward_records: bool = False
    log_format: str = "text"
    log_level: str = "INFO"


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


class ControlHealth(msgspec.Struct, frozen=True, tag="control_health"):
    """What the control plane knows about itself, for the probes a worker serves.

    Attributes:
        store_is_healthy: Whether the store answers.
        is_started: Whether the first start-up has completed.
    """

    store_is_healthy: bool
    is_started: bool


class MonitoringAnswer(msgspec.Struct, frozen=True, tag="monitoring_answer"):
    """The answer to an `AskMonitoring`.

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


class Drain(msgspec.Struct, frozen=True, tag="drain"):
    """Stop accepting, finish what is in flight, then end.

    Attributes:
        timeout_s: Seconds after which whatever is left is dropped.
    """

    timeout_s: float


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
    """

    batch: bytes


class Metrics(msgspec.Struct, frozen=True, tag="metrics"):
    """The worker's counters since it started.

    Attributes:
        token: The token of the `AskMetrics` this answers.
        values: The counters, as JSON: `Engine.metrics()` plus the worker's own.
    """

    token: int
    values: bytes


class Health(msgspec.Struct, frozen=True, tag="health"):
    """A sign of life, sent about once a second.

    Attributes:
        turns: How often the pump turned the engine.
        lag_s: How late the reporter itself woke, in seconds: the delay of the worker's Trio loop.
    """

    turns: int
    lag_s: float


class AskMonitoring(msgspec.Struct, frozen=True, tag="ask_monitoring"):
    """A client asked this worker for a monitoring page that only the supervisor can make.

    Attributes:
        token: Comes back in the answer.
        page: `health` or `metrics`.
        query: The query of the request, without `?`.
        accept: The request's Accept header, or an empty string.
    """

    token: int
    page: str
    query: str
    accept: str


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
    | ReloadPlugins
    | AskMetrics
    | ControlHealth
    | MonitoringAnswer
    | Drain
)
"""A frame from the supervisor to a worker."""

UpFrame: TypeAlias = (
    Hello | Applied | Ready | ProblemReport | Records | Metrics | Health | AskMonitoring | Draining
)
"""A frame from a worker to the supervisor."""

Incoming = TypeVar("Incoming")
Outgoing = TypeVar("Outgoing")


class Link(Generic[Incoming, Outgoing]):
    """One end of a link: sends one side's frames, receives the other's.

    One task may send while another receives. Two tasks must not send at once; put an `Outbox`
    in front.

    Args:
        stream: The byte stream; the link owns it from here on.
        decoder: A msgpack decoder for the frames that come in.
    """

    def __init__(self, stream: trio.abc.Stream, decoder: msgspec.msgpack.Decoder[Incoming]) -> None:
        self._stream = stream
        self._decoder = decoder
        self._encoder = msgspec.msgpack.Encoder()
        self._received = bytearray()

    async def send(self, frame: Outgoing) -> None:
        """Send one frame.

        Raises:
            LinkClosedError: The other end is gone.
            LinkProtocolError: The frame is larger than `MAX_FRAME_BYTES`; nothing was sent.

        Cancellation: may leave half a frame on the wire; close the link after it.
        """
        body = self._encoder.encode(frame)
        if len(body) > MAX_FRAME_BYTES:
            raise LinkProtocolError(
                f"a {type(frame).__name__} frame of {len(body)} bytes is over the limit of "
                f"{MAX_FRAME_BYTES}"
            )
        try:
            await self._stream.send_all(_HEADER.pack(len(body)) + body)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise LinkClosedError("the other end of the link is gone") from error

    async def receive(self) -> Incoming:
        """Wait for the next frame.

        Raises:
            LinkClosedError: The other end is gone, also in the middle of a frame.
            LinkProtocolError: What came is no known frame, or is announced as too large.

        Cancellation: safe; bytes received so far are kept for the next call.
        """
        await self._fill(_HEADER.size)
        (size,) = _HEADER.unpack_from(self._received)
        if size > MAX_FRAME_BYTES:
            raise LinkProtocolError(
                f"a frame of {size} bytes is announced; the limit is {MAX_FRAME_BYTES}"
            )
        end = _HEADER.size + size
        await self._fill(end)
        with memoryview(self._received) as view:
            body = bytes(view[_HEADER.size : end])
        del self._received[:end]
        try:
            return self._decoder.decode(body)
        except msgspec.MsgspecError as error:
            raise LinkProtocolError(f"a frame that is not understood: {error}") from error

    async def _fill(self, size: int) -> None:
        """Receive until `size` bytes are buffered."""
        while len(self._received) < size:
            try:
                data = await self._stream.receive_some(_RECEIVE_BYTES)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise LinkClosedError("the other end of the link is gone") from error
            if not data:
                raise LinkClosedError("the other end closed the link")
            self._received += data

    async def aclose(self) -> None:
        """Close the stream; a task that waits in `receive` gets `LinkClosedError`."""
        await self._stream.aclose()


def supervisor_end(stream: trio.abc.Stream) -> Link[UpFrame, DownFrame]:
    """Make the supervisor's end of a link on `stream`, which the link owns from here on."""
    decoder: msgspec.msgpack.Decoder[UpFrame] = msgspec.msgpack.Decoder(UpFrame)
    return Link(stream, decoder)


def worker_end(stream: trio.abc.Stream) -> Link[DownFrame, UpFrame]:
    """Make a worker's end of a link on `stream`, which the link owns from here on."""
    decoder: msgspec.msgpack.Decoder[DownFrame] = msgspec.msgpack.Decoder(DownFrame)
    return Link(stream, decoder)


class Outbox(Generic[Outgoing]):
    """The bounded queue in front of a link, emptied by one writer task.

    Args:
        size: How many frames wait at most.
    """

    def __init__(self, size: int) -> None:
        self._put, self._take = trio.open_memory_channel[Outgoing](size)
        self.dropped = 0
        """Frames that `offer` dropped because the queue was full."""

    async def put(self, frame: Outgoing) -> None:
        """Queue a frame that must arrive; waits while the queue is full.

        Raises:
            LinkClosedError: The writer ended, so the frame can never be sent.
        """
        try:
            await self._put.send(frame)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise LinkClosedError("the link's writer has ended") from error

    def offer(self, frame: Outgoing) -> bool:
        """Queue a frame that may be lost; when the queue is full, drop and count it.

        Returns:
            Whether the frame was queued.
        """
        try:
            self._put.send_nowait(frame)
        except (trio.WouldBlock, trio.BrokenResourceError, trio.ClosedResourceError):
            self.dropped += 1
            return False
        return True

    def finish(self) -> None:
        """Take no more frames; `run` returns once those queued are sent."""
        self._put.close()

    async def run(self, link: Link[Incoming, Outgoing]) -> None:
        """Send queued frames until `finish` was called and the queue is empty.

        Raises:
            LinkClosedError: The other end is gone.

        Cancellation: may leave half a frame on the wire; close the link after it.
        """
        async with self._take:
            async for frame in self._take:
                await link.send(frame)


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

"""A scripted engine: does what a test says, and remembers what the gateway told it.

For tests of the gateway itself, without sockets to clients or backends. It satisfies
`oto_trio.gateway.engine.Engine` as the Rust engine does.
"""

# ruff: noqa: ARG002, FBT001 (a fake has the engine's signatures and looks at little of them)

import socket
from collections import deque
from collections.abc import Callable, Sequence
from typing import overload

from oto_trio._core import FieldBlock
from oto_trio.gateway.engine import BodyReader, CountedRoute, Event
from oto_trio.gateway.snapshots import SnapshotLike
from oto_trio.plugin_api import Exchange
from oto_trio.testing.exchange import FakeExchange, FakeRequest

__all__ = ["ScriptedEngine", "Suspended"]

Script = deque[list[Event] | BaseException]
"""What the next calls return or raise; an empty list once it is used up."""


class Suspended(FakeExchange):
    """A fake exchange that waits at a slot.

    Args:
        slot: The hook it waits for.
        identity: Its id.
        request: Its request.
    """

    def __init__(self, slot: int, identity: int = 1, *, request: FakeRequest | None = None) -> None:
        super().__init__(request)
        self.id = identity
        self.slot = slot
        self.generation = 1
        self.reader: BodyReader | None = None

    def bind_reader(self, reader: BodyReader, /) -> None:
        """Keep what `request.read` would call."""
        self.reader = reader


class ScriptedEngine:
    """An engine without sockets. Every attribute may be set by the test."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.unix_offset_s = 0.0
        """What was called, with the arguments that matter."""
        self.replies: Script = deque()
        """Events of the next calls that give an exchange back or ask something."""
        self.turns: Script = deque()
        """Events of the next turns."""
        self.expiries: Script = deque()
        """Events of the next looks at the deadlines."""
        self.records: deque[bytes] = deque()
        """What `drain_records` returns next."""
        self.alerts: deque[bytes] = deque()
        """What `drain_alerts` returns next."""
        self.captures: list[bytes] = []
        """What `capture` was called with."""
        self.adopted: list[tuple[int, str, bool]] = []
        self.released: list[int] = []
        """The listeners it was given."""
        self.installed: list[SnapshotLike] = []
        """The snapshots it was given."""
        self.counts: dict[str, int] = {"connections": 0, "exchanges": 0, "tunnels": 0, "pooled": 0}
        """What is in flight."""
        self.counted: dict[str, CountedRoute] = {}
        """What routes count, by id."""
        self.is_held = True
        """Whether `read_body` and `read_response` come in time."""
        self.pending = False
        """Whether a turn has work without a socket."""
        self.oldest_generation = 0
        """The oldest snapshot in use."""
        self.opened = 0
        """How many streams were opened."""
        self.is_drained = False
        """Whether it was told to drain."""
        self.is_closed = False
        """Whether it was closed."""
        self.on_turn: Callable[[], None] | None = None
        """Called in each turn."""
        self._ours, self._theirs = socket.socketpair()
        for end in (self._ours, self._theirs):
            end.settimeout(0)

    def make_ready(self) -> None:
        """Let the descriptor be readable until the next turn."""
        self._theirs.send(b"x")

    def stop(self) -> None:
        """Close the descriptor that `fileno` gives."""
        self._ours.close()
        self._theirs.close()

    def fileno(self) -> int:
        """See `Engine.fileno`."""
        return self._ours.fileno()

    def adopt(
        self,
        fd: int,
        listener: str,
        secured: bool,
        client_auth: str = "Dynamic",
        http2: bool = False,  # noqa: FBT002 (as the compiled module has it)
        http1: bool = True,  # noqa: FBT002 (as the compiled module has it)
        exclusive: bool = False,  # noqa: FBT002 (as the compiled module has it)
        /,
    ) -> int:
        """See `Engine.adopt`."""
        del client_auth, http2, http1, exclusive
        self.adopted.append((fd, listener, secured))
        return len(self.adopted)

    def retune(
        self,
        handle: int,
        secured: bool,
        client_auth: str = "Dynamic",
        http2: bool = False,  # noqa: FBT002 (as the compiled module has it)
        http1: bool = True,  # noqa: FBT002 (as the compiled module has it)
        exclusive: bool = False,  # noqa: FBT002 (as the compiled module has it)
        /,
    ) -> None:
        """See `Engine.retune`."""
        del client_auth, http2, http1, exclusive
        fd, listener, _ = self.adopted[handle - 1]
        self.adopted[handle - 1] = (fd, listener, secured)

    def adopt_datagrams(
        self,
        listener: str,
        exclusive: bool = False,  # noqa: FBT002 (as compiled)
        client_auth: str = "Dynamic",
        /,
    ) -> int:
        """See `Engine.adopt_datagrams`."""
        del exclusive, client_auth
        self.adopted.append((-1, listener, True))
        return len(self.adopted)

    def to_show(
        self, server_name: str | None, now: float, /
    ) -> tuple[str, list[bytes], bytes] | None:
        """See `Engine.to_show`: it has no certificates."""
        raise LookupError("no certificate is for this name")

    def carry(self, listener: int, ip: str, server_name: str | None, now: float, /) -> int:
        """See `Engine.carry`: it takes no connections."""
        raise ValueError("no more connections are taken")

    def adopt_tcp(self, fd: int, listener: str, /) -> int:
        """See `Engine.adopt_tcp`."""
        self.adopted.append((fd, listener, False))
        return len(self.adopted)

    def release(self, handle: int, now: float, tunnels_s: float = 0.0, /) -> list[Event]:
        """See `Engine.release`."""
        del now, tunnels_s
        self.released.append(handle)
        return []

    @overload
    def turn(self, now: float, /) -> list[Event]: ...
    @overload
    def turn(self, now: float, linger: float, /) -> list[Event] | None: ...
    def turn(self, now: float, linger: float = 0.0, /) -> list[Event] | None:
        """See `Engine.turn`; a scripted engine has nothing to do until it is made ready again."""
        try:
            self._ours.recv(65536)
        except BlockingIOError:
            if linger:
                return None
        self.calls.append(("turn", now))
        if self.on_turn is not None:
            self.on_turn()
        return self._next(self.turns)

    def expire(self, now: float, /) -> list[Event]:
        """See `Engine.expire`."""
        self.calls.append(("expire", now))
        return self._next(self.expiries)

    def certificate_told(self, server_name: str, certificate: bytes, now: float, /) -> list[Event]:
        """See `Engine.certificate_told`."""
        self.calls.append(("certificate_told", server_name, certificate, now))
        return []

    def set_ticket_secret(self, secret: bytes, /) -> None:
        """See `Engine.set_ticket_secret`."""
        self.calls.append(("set_ticket_secret", secret))

    def set_unix_offset(self, seconds: float, /) -> None:
        """See `Engine.set_unix_offset`."""
        self.unix_offset_s = seconds

    def resume(self, exchange: Exchange, now: float, /) -> list[Event]:
        """See `Engine.resume`."""
        return self._say("resume", exchange.id)

    def reject(self, exchange: Exchange, now: float, /) -> list[Event]:
        """See `Engine.reject`."""
        return self._say("reject", exchange.id)

    def respond(
        self,
        exchange: Exchange,
        status: int,
        headers: Sequence[tuple[str, str]],
        body: bytes,
        now: float,
        /,
    ) -> list[Event]:
        """See `Engine.respond`."""
        return self._say("respond", exchange.id, status, list(headers), body)

    def refuse(
        self, exchange: Exchange, status: int, message: str, cause: str | None, now: float, /
    ) -> list[Event]:
        """See `Engine.refuse`."""
        return self._say("refuse", exchange.id, status, message, cause)

    def read_response(
        self, exchange: Exchange, limit: int, now: float, /
    ) -> tuple[bool, list[Event]]:
        """See `Engine.read_response`."""
        return self.is_held, self._say("read_response", exchange.id, limit)

    def read_body(self, exchange: Exchange, limit: int, now: float, /) -> tuple[bool, list[Event]]:
        """See `Engine.read_body`."""
        return self.is_held, self._say("read_body", exchange.id, limit)

    def resolved(self, hostname: str, addresses: list[str], now: float, /) -> list[Event]:
        """See `Engine.resolved`."""
        return self._say("resolved", hostname, addresses)

    def capture(self, settings: bytes, /) -> None:
        """See `Engine.capture`."""
        self.captures.append(settings)

    def drain_records(self, limit: int, /) -> bytes:
        """See `Engine.drain_records`."""
        return self.records.popleft() if self.records else b"\x90"

    def log_access(self, listeners: set[str], /) -> None:
        """See `Engine.log_access`: it makes no lines."""
        del listeners

    def take_access_lines(self) -> tuple[bytes, int]:
        """See `Engine.take_access_lines`."""
        return b"", 0

    def drain_tcp_records(self, limit: int, /) -> bytes:
        """See `Engine.drain_tcp_records`."""
        del limit
        return b"\x90"

    def drain_alerts(self) -> bytes:
        """See `Engine.drain_alerts`."""
        return self.alerts.popleft() if self.alerts else b"\x90"

    def metrics(self) -> dict[str, object]:
        """See `Engine.metrics`."""
        return {"requests": 7}

    def count_routes(self, ids: list[str], /) -> list[CountedRoute]:
        """See `Engine.count_routes`."""
        return [self.counted[route_id] for route_id in ids if route_id in self.counted]

    def tallied_routes(self) -> list[CountedRoute]:
        """See `Engine.tallied_routes`."""
        return list(self.counted.values())

    def drain(self, now: float, /) -> None:
        """See `Engine.drain`."""
        self.is_drained = True

    def in_flight(self) -> dict[str, int]:
        """See `Engine.in_flight`."""
        return dict(self.counts)

    def install(self, snapshot: SnapshotLike, /) -> None:
        """See `SnapshotEngine.install`."""
        self.installed.append(snapshot)

    def send(self, conn: int, data: bytes, /) -> bool:
        """See `CarriedEngine.send`."""
        self.calls.append(("send", conn, data))
        return True

    def patience(self, conn: int, due: float, /) -> None:
        """See `CarriedEngine.patience`."""
        self.calls.append(("patience", conn, due))

    def set_appetite(self, conn: int, most: int, /) -> None:
        """See `CarriedEngine.set_appetite`."""
        self.calls.append(("set_appetite", conn, most))

    def hold(self, conn: int, held: bool, /) -> None:
        """See `SessionEngine.hold`."""
        self.calls.append(("hold", conn, held))

    def hang_up(self, conn: int, now: float, /) -> None:
        """See `CarriedEngine.hang_up`."""
        self.calls.append(("hang_up", conn, now))

    def open_stream(self, conn: int, fields: FieldBlock, end: bool, now: float, /) -> int:
        """See `CarriedEngine.open_stream`; streams are counted from 1."""
        self.calls.append(("open_stream", conn, fields, end, now))
        self.opened += 1
        return self.opened

    def feed(self, stream: int, data: bytes, end: bool, now: float, /) -> None:
        """See `CarriedEngine.feed`."""
        self.calls.append(("feed", stream, data, end, now))

    def feed_trailers(self, stream: int, fields: FieldBlock, now: float, /) -> None:
        """See `CarriedEngine.feed_trailers`."""
        self.calls.append(("feed_trailers", stream, fields, now))

    def reset_stream(self, stream: int, now: float, /) -> None:
        """See `CarriedEngine.reset_stream`."""
        self.calls.append(("reset_stream", stream, now))

    def taken(self, stream: int, count: int, /) -> None:
        """See `CarriedEngine.taken`."""
        self.calls.append(("taken", stream, count))

    def answer_head(self, stream: int, fields: FieldBlock, now: float, /) -> None:
        """See `CallEngine.answer_head`."""
        self.calls.append(("answer_head", stream, fields, now))

    def break_stream(self, stream: int, unseen: bool, now: float, /) -> None:
        """See `CallEngine.break_stream`."""
        self.calls.append(("break_stream", stream, unseen, now))

    def backend_of(self, conn: int, /) -> str:
        """See `CallEngine.backend_of`."""
        return f"backend-{conn}.test:443"

    def set_sockets(self, conn: int, allowed: bool, now: float, /) -> None:
        """See `CallEngine.set_sockets`."""
        self.calls.append(("set_sockets", conn, allowed, now))

    def set_room(self, conn: int, most: int, now: float, /) -> None:
        """See `CallEngine.set_room`."""
        self.calls.append(("set_room", conn, most, now))

    def dialled(self, conn: int, room: int, now: float, /) -> None:
        """See `DialEngine.dialled`."""
        self.calls.append(("dialled", conn, room, now))

    def dial_failed(self, conn: int, problem: str, is_tls: bool, now: float, /) -> None:
        """See `DialEngine.dial_failed`."""
        self.calls.append(("dial_failed", conn, problem, is_tls, now))

    def check_backend(self, conn: int, name: str, chain: list[bytes], /) -> None:
        """See `DialEngine.check_backend`."""
        self.calls.append(("check_backend", conn, name, chain))

    def close(self) -> None:
        """See `Engine.close`."""
        self.is_closed = True

    def _say(self, *call: object) -> list[Event]:
        self.calls.append(call)
        return self._next(self.replies)

    @staticmethod
    def _next(script: Script) -> list[Event]:
        step = script.popleft() if script else []
        if isinstance(step, BaseException):
            raise step
        return step

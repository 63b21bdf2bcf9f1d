"""What sessions need of the engine, as a type."""

from typing import TYPE_CHECKING, Protocol

from oto_trio._core import FieldBlock

if TYPE_CHECKING:
    from oto_trio.gateway.engine import Event

__all__ = [
    "CallEngine",
    "CarriedEngine",
    "DialEngine",
    "Http3Engine",
    "ServerEngine",
    "ShowingEngine",
]


class CarriedEngine(Protocol):
    """What a session needs of the engine; `oto_trio._core.Engine` has it, and so have the doubles of tests. No method blocks."""

    def send(self, conn: int, data: bytes, /) -> bool:
        """Write; False when some of it waits, and WRITABLE will follow."""
        ...

    def patience(self, conn: int, due: float, /) -> None:
        """Raise IDLE at this time of the Trio clock."""
        ...

    def set_appetite(self, conn: int, most: int, /) -> None:
        """Bring up no more than so many bytes of the connection in a turn."""
        ...

    def hold(self, conn: int, held: bool, /) -> None:  # noqa: FBT001 (as compiled)
        """Read nothing of the connection for now, or go on."""
        ...

    def hang_up(self, conn: int, now: float, /) -> None:
        """Close the connection once what was written has gone."""
        ...

    def open_stream(self, conn: int, fields: FieldBlock, end: bool, now: float, /) -> int:  # noqa: FBT001 (as compiled)
        """Begin an exchange; raises ValueError for a head that is malformed."""
        ...

    def feed(self, stream: int, data: bytes, end: bool, now: float, /) -> None:  # noqa: FBT001 (as compiled)
        """Hand on body of a request."""
        ...

    def feed_trailers(self, stream: int, fields: FieldBlock, now: float, /) -> None:
        """Hand on trailers, which end a request; raises ValueError when they are malformed."""
        ...

    def reset_stream(self, stream: int, now: float, /) -> None:
        """Cancel the exchange."""
        ...

    def taken(self, stream: int, count: int, /) -> None:
        """So many bytes of the response's body have been sent."""
        ...


class CallEngine(Protocol):
    """What the sessions of backends need of the engine. No method blocks."""

    def send(self, conn: int, data: bytes, /) -> bool:
        """Write; False when some of it waits, and WRITABLE will follow."""
        ...

    def patience(self, conn: int, due: float, /) -> None:
        """Raise IDLE at this time of the Trio clock."""
        ...

    def hang_up(self, conn: int, now: float, /) -> None:
        """Close the connection; nothing more is told of it."""
        ...

    def set_room(self, conn: int, most: int, now: float, /) -> None:
        """Hand over no more than so many requests at once; 0 for none."""
        ...

    def backend_of(self, conn: int, /) -> str:
        """Tell the address of a connection's backend, for the log; empty when it is gone."""
        ...

    def set_sockets(self, conn: int, allowed: bool, now: float, /) -> None:  # noqa: FBT001 (as compiled)
        """Note what the backend's settings say of WebSockets on streams, when they came or changed."""
        ...

    def answer_head(self, stream: int, fields: FieldBlock, now: float, /) -> None:
        """Take the head of an answer, or an interim one."""
        ...

    def feed(self, stream: int, data: bytes, end: bool, now: float, /) -> None:  # noqa: FBT001 (as compiled)
        """Take bytes of an answer's body."""
        ...

    def feed_trailers(self, stream: int, fields: FieldBlock, now: float, /) -> None:
        """Take the trailers that end an answer; raises ValueError when they are malformed."""
        ...

    def break_stream(self, stream: int, unseen: bool, now: float, /) -> None:  # noqa: FBT001 (as compiled)
        """Note that no more of an answer comes; `unseen` when the backend never looked at the request."""
        ...

    def taken(self, stream: int, count: int, /) -> None:
        """Note that so many bytes of a request's body have been sent."""
        ...


class DialEngine(CallEngine, Protocol):
    """What connections to backends that are made here need of the engine. No method blocks."""

    def dialled(self, conn: int, room: int, now: float, /) -> None:
        """Note that a connection is made, whose backend takes so many requests at once."""
        ...

    def dial_failed(self, conn: int, problem: str, is_tls: bool, now: float, /) -> None:  # noqa: FBT001 (as compiled)
        """Note that none could be made; `is_tls` when the two did not agree in the handshake."""
        ...

    def check_backend(self, conn: int, name: str, chain: list[bytes], /) -> None:
        """Check the certificates that a backend shows; raises ValueError with what is wrong with them."""
        ...


class Http3Engine(CarriedEngine, Protocol):
    """What a session of HTTP/3 needs of the engine beside it: its connections have no socket there."""

    def carry(
        self,
        listener: int,
        ip: str,
        server_name: str | None,
        now: float,
        chain: list[bytes],
        is_resumed: bool,  # noqa: FBT001 (as compiled)
        /,
    ) -> int:
        """Take in a connection; see `Engine.carry`."""
        ...


class ShowingEngine(Protocol):
    """What certificates of handshakes that are not the engine's need of it."""

    def to_show(
        self, server_name: str | None, now: float, /
    ) -> tuple[str, list[bytes], bytes] | None:
        """Choose a certificate; see `Engine.to_show`."""
        ...

    def client_auth(self, listener: int, /) -> str:
        """Tell whether clients are asked for one; see `Engine.client_auth`."""
        ...

    def check_client(
        self, listener: int, chain: list[bytes], now: float, /
    ) -> tuple[int, str] | None:
        """Judge what a client shows; see `Engine.check_client`."""
        ...


class ServerEngine(Http3Engine, ShowingEngine, Protocol):
    """What HTTP/3 as a whole needs of the engine."""

    def adopt_datagrams(
        self,
        listener: str,
        exclusive: bool = False,  # noqa: FBT001, FBT002 (as compiled)
        client_auth: str = "Dynamic",
        /,
    ) -> int:
        """Make a listener without a socket; see `Engine.adopt_datagrams`."""
        ...

    def retune(
        self,
        handle: int,
        secured: bool,  # noqa: FBT001 (as compiled)
        client_auth: str = "Dynamic",
        http2: bool = False,  # noqa: FBT001, FBT002 (as compiled)
        http1: bool = True,  # noqa: FBT001, FBT002 (as compiled)
        exclusive: bool = False,  # noqa: FBT001, FBT002 (as compiled)
        /,
    ) -> None:
        """See `Engine.retune`."""
        ...

    def release(self, handle: int, now: float, tunnels_s: float = ..., /) -> "list[Event]":
        """See `Engine.release`."""
        ...

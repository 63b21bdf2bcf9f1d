"""The frames about listeners that come and go while a worker runs; part of `gateway.frames`."""

from typing import Final, TypeAlias

import msgspec

__all__ = [
    "HANDOVER_BYTES",
    "Listen",
    "ListenerReport",
    "ListenerWays",
    "Released",
    "Retune",
    "Retuned",
    "Unlisten",
]

HANDOVER_BYTES: Final = 1
"""What comes with each descriptor through the handover socket: a stream has no empty messages."""


class ListenerWays(msgspec.Struct, frozen=True, array_like=True):
    """What clients may speak on an HTTP listener, and which routes they find there.

    Attributes:
        secured: Whether they speak TLS.
        client_auth: Whether they show a certificate then: `None`, `Want`, `Need`, or `Dynamic` for what the
            global configuration says (`tlsSettings.clientAuth`).
        http1: Whether they may speak HTTP/1.1.
        http2: Whether they may speak HTTP/2: by ALPN under TLS, by its preface without.
        exclusive: Whether they find only the routes that are bound to the listener.
        exposed_port: The port under which they reach it; None when that is the one it listens at, or nobody asks.
        access_log: Whether each request makes a line in the log.
    """

    secured: bool = False
    client_auth: str = "Dynamic"
    http1: bool = True
    http2: bool = False
    exclusive: bool = False
    exposed_port: int | None = None
    access_log: bool = False


class Listen(msgspec.Struct, frozen=True, tag="listen"):
    """Accept the connections of one more listener.

    Its sockets, one a slot, are in the handover socket already, each with `HANDOVER_BYTES` of data.

    Attributes:
        token: Names it, for `Unlisten`.
        name: The listener's name.
        ways: What clients may speak on it.
        is_tcp: Whether it is for TCP services; otherwise it takes HTTP.
        slots: How many sockets there are, in the order of their slots.
        is_datagrams: Whether they are UDP sockets, for HTTP/3.
    """

    token: int
    name: str
    ways: ListenerWays
    is_tcp: bool
    slots: int
    is_datagrams: bool = False


class Retune(msgspec.Struct, frozen=True, tag="retune"):
    """Have the connections that a listener accepts from now on go other ways; those it has keep theirs.

    Attributes:
        token: As of `Listen` or `InheritedListener`.
        ways: What clients may speak on it.
    """

    token: int
    ways: ListenerWays


class Unlisten(msgspec.Struct, frozen=True, tag="unlisten"):
    """Accept what a listener has queued, and let go of it.

    Connections of TCP services go on; those of HTTP end with the answers to what was asked on them.

    Attributes:
        token: As of `Listen` or `InheritedListener`.
    """

    token: int


class Retuned(msgspec.Struct, frozen=True, tag="retuned"):
    """The connections that the worker accepts from now on go the ways of a `Retune`; one for each, in their order.

    Attributes:
        token: The listener's.
    """

    token: int


class Released(msgspec.Struct, frozen=True, tag="released"):
    """The worker let go of a listener.

    Attributes:
        token: The listener's.
    """

    token: int


class SocketsClosed(msgspec.Struct, frozen=True, tag="sockets_closed"):
    """The worker closed the UDP sockets of a listener that it let go of: the last connection on them has ended.

    Attributes:
        token: The listener's.
    """

    token: int


ListenerReport: TypeAlias = Released | Retuned | SocketsClosed
"""What a worker says of listeners."""

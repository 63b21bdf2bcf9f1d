"""The frames about listeners that come and go while a worker runs; part of `gateway.frames`."""

from typing import Final

import msgspec

__all__ = ["HANDOVER_BYTES", "Listen", "Released", "Unlisten"]

HANDOVER_BYTES: Final = 1
"""What comes with each descriptor through the handover socket: a stream has no empty messages."""


class Listen(msgspec.Struct, frozen=True, tag="listen"):
    """Accept the connections of one more listener.

    Its sockets, one a slot, are in the handover socket already, each with `HANDOVER_BYTES` of data.

    Attributes:
        token: Names it, for `Unlisten`.
        name: The listener's name.
        secured: Whether clients speak TLS on it.
        is_tcp: Whether it is for TCP services; otherwise it takes HTTP.
        slots: How many sockets there are, in the order of their slots.
    """

    token: int
    name: str
    secured: bool
    is_tcp: bool
    slots: int


class Unlisten(msgspec.Struct, frozen=True, tag="unlisten"):
    """Accept what a listener has queued, and let go of it; its connections go on.

    Attributes:
        token: As of `Listen` or `InheritedListener`.
    """

    token: int


class Released(msgspec.Struct, frozen=True, tag="released"):
    """The worker let go of a listener.

    Attributes:
        token: The listener's.
    """

    token: int

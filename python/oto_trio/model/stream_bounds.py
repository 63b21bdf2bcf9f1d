"""The setting `stream_bounds`: what one client may ask of one connection that many requests share."""

from typing import Annotated

import msgspec
from msgspec import Meta

__all__ = ["StreamBounds"]

KIB = 1024
MIB = 1024 * KIB


class StreamBounds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds of a client's connection of HTTP/2 or HTTP/3. Times are seconds, sizes bytes."""

    requests: Annotated[
        int, Meta(ge=10, le=1000, description="requests at once; a further one waits or is refused")
    ] = 100
    body_bytes: Annotated[
        int,
        Meta(ge=16 * KIB, le=16 * MIB, description="held of one request's body for its backend"),
    ] = 256 * KIB
    bodies_bytes: Annotated[
        int, Meta(ge=64 * KIB, le=256 * MIB, description="held of all bodies of a connection")
    ] = MIB
    head_bytes: Annotated[
        int,
        Meta(
            ge=8 * KIB, le=256 * KIB, description="a decoded head or trailer, 32 for each field too"
        ),
    ] = 64 * KIB
    head_fields: Annotated[
        int, Meta(ge=32, le=256, description="fields of a head or trailer, each cookie one")
    ] = 128
    resets: Annotated[
        int,
        Meta(
            ge=10,
            le=100_000,
            description="streams that end by the client's doing, at once and in 30 s each",
        ),
    ] = 200
    frames: Annotated[
        int,
        Meta(
            ge=100,
            le=1_000_000,
            description="frames that move nothing, at once and in 10 s each",
        ),
    ] = 1000
    idle_s: Annotated[
        float, Meta(ge=1, le=3600, description="without a request for so long it is closed")
    ] = 60
    stall_s: Annotated[
        float, Meta(ge=1, le=600, description="a client that lets others wait is given so long")
    ] = 30

    @property
    def problem(self) -> tuple[str, str, str] | None:
        """What does not go together: the key, why, and the fix; None when everything does."""
        if self.bodies_bytes < self.body_bytes:
            why = "one body may have more than all together"
            return "bodies_bytes", why, "make it at least body_bytes"
        return None

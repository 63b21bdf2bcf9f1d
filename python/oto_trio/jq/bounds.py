"""The setting `jq`: what filters may use."""

from typing import Annotated

import msgspec
from msgspec import Meta

__all__ = ["JqBounds"]

KIB = 1024
MIB = 1024 * KIB


class JqBounds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds of the jq filters of one worker. Times are seconds, sizes bytes."""

    timeout_s: Annotated[float, Meta(ge=0.01, le=60, description="one run of a filter")] = 1.0
    processes: Annotated[int, Meta(ge=1, le=64, description="filters that run at once")] = 2
    waiting: Annotated[
        int, Meta(ge=0, le=100_000, description="runs that wait for one of them; more fail")
    ] = 256
    memory_bytes: Annotated[
        int,
        Meta(ge=64 * MIB, le=4096 * MIB, description="addresses of a process that runs filters"),
    ] = 256 * MIB
    document_bytes: Annotated[
        int, Meta(ge=KIB, le=64 * MIB, description="what a filter is run on")
    ] = 4 * MIB
    output_bytes: Annotated[int, Meta(ge=KIB, le=64 * MIB, description="what it makes of that")] = (
        4 * MIB
    )

"""Making the compiled engine of a worker."""

import os
import secrets
from typing import Protocol, cast

from oto_trio.gateway.clocks import machine_clock_offset_s
from oto_trio.gateway.engine import Engine
from oto_trio.gateway.frames import InheritedLimits
from oto_trio.gateway.listeners.carried_engine import ServerEngine
from oto_trio.gateway.snapshots import SnapshotEngine, SnapshotLike

__all__ = ["WorkerEngine", "native_engine"]


class WorkerEngine(Engine, SnapshotEngine, ServerEngine, Protocol):
    """What a worker needs of its engine."""


def native_engine(
    settings: bytes, limits: InheritedLimits | None = None
) -> tuple[WorkerEngine, SnapshotLike]:
    """Make the Rust engine.

    Args:
        settings: JSON of its settings.
        limits: The counters to use; None makes some of its own. Their descriptor is closed.

    Raises:
        ValueError: A setting is wrong; names it.
        OSError: The system has no readiness set left.
    """
    from oto_trio import _core  # noqa: PLC0415 (tests run workers without it)

    engine = _core.Engine(settings, secrets.randbits(64))
    counters = None
    if limits is not None:
        try:
            counters = _core.Limits.open(limits.fd, limits.gauge)
        finally:
            os.close(limits.fd)
        if limits.among_processes:
            # Each Trio run begins its clock where it likes; what is counted together must agree.
            counters.set_clock_offset(machine_clock_offset_s())
    return cast("WorkerEngine", engine), cast("SnapshotLike", _core.Snapshot(counters))
